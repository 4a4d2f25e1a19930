/**
 * The cases of the POSIX table in which the mount differs from a local file system on purpose, each with the reason.
 * A case listed here must fail on the mount: one that passes is to be taken off the list.
 */
export const MOUNT_DIFFERENCES: Readonly<Record<string, string>> = {
  'names: bytes that are not UTF-8': 'WebDAV names are URLs of UTF-8 text',
  'names: ".DAV" and ".davfs.tmp" files': 'mod_dav keeps these names for itself',
};
