/** The documented differences between the mount and a local file system. */

import type { Driver } from '../../support/mount/index.js';

const DIRECTORY_NLINK = 'directories have 1 link, which tells find(1) that subdirectories are not counted';

/**
 * The cases of the POSIX table in which the mount differs from a local file system on purpose, each with the reason.
 * A case listed here must fail on the mount: one that passes is to be taken off the list.
 */
export const MOUNT_DIFFERENCES: Readonly<Record<string, string>> = {
  'nlink: an empty directory has 2': DIRECTORY_NLINK,
  'nlink: subdirectories count, files do not': DIRECTORY_NLINK,
  'nlink: moves with a moved directory': DIRECTORY_NLINK,
  'nlink: a directory replaced by rename counts no more': DIRECTORY_NLINK,
  'symlink: a target of 4,095 bytes works, 4,096 are ENAMETOOLONG':
    'a symlink is an XSym file on the server, whose target field has 1,024 bytes',
  'symlink: a hard link of a symlink':
    'link() of a symlink is EPERM, which link(2) allows a file system to answer',
  'sparse: a hole takes no blocks': 'blocks follow from the size: a file on the server has no holes',
  'names: bytes that are not UTF-8': 'WebDAV names are URLs of UTF-8 text',
  'names: ".DAV" and ".davfs.tmp" files': 'mod_dav keeps these names for itself',
};

const NO_RENAME_FLAGS = 'libfuse 2 knows no RENAME2: the kernel answers EINVAL to every flag';
const MILLISECONDS = 'fuse-native keeps whole milliseconds since 1970';

/** What differs with one driver. */
export function differencesOf(driver: Driver): Readonly<Record<string, string>> {
  const same = new Set(NO_DIFFERENCES[driver]);
  const common = Object.entries(MOUNT_DIFFERENCES).filter(([name]) => !same.has(name));
  return { ...Object.fromEntries(common), ...DRIVER_DIFFERENCES[driver] };
}

/** Those of {@link MOUNT_DIFFERENCES} that one driver does not have. */
const NO_DIFFERENCES: Partial<Record<Driver, readonly string[]>> = {
  // The kernel counts blocks itself until it has written them back.
  'kernel-writeback': ['sparse: a hole takes no blocks'],
};

/** Those of one driver alone, besides {@link MOUNT_DIFFERENCES}. */
export const DRIVER_DIFFERENCES: Readonly<Partial<Record<Driver, Readonly<Record<string, string>>>>> = {
  'fuse-native': {
    'renameat2: NOREPLACE to a free name': NO_RENAME_FLAGS,
    'renameat2: EXCHANGE of two files': NO_RENAME_FLAGS,
    'renameat2: EXCHANGE of a file and a full directory': NO_RENAME_FLAGS,
    'renameat2: EXCHANGE across directories': NO_RENAME_FLAGS,
    'utimes: nanoseconds are kept': MILLISECONDS,
    'utimes: of a directory': MILLISECONDS,
    'utimes: of a symlink itself': MILLISECONDS,
    'utimes: UTIME_OMIT leaves a time, UTIME_NOW sets it':
      'fuse-native does not tell UTIME_OMIT from UTIME_NOW: where no time is given, both become now',
    'utimes: before 1970 and after 2038': MILLISECONDS,
  },
};
