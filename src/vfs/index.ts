export type { Adopted } from './adoption.js';
export type { AttributeChanges, Attributes } from './attributes.js';
export type { BackingId, BackingPort } from './backed.js';
export type { Caller, VfsDependencies, VfsOptions } from './core.js';
export type { DirectoryEntry, DirectoryEntryPlus } from './directory.js';
export { VfsError, type VfsErrorCode, type VfsErrorContext } from './errors.js';
export type { Fh } from './fh.js';
export type { OpenMode, WriteOptions } from './file-io.js';
export {
  type HandleLog,
  type LoggedHandle,
  NO_HANDLE_LOG,
  type OpenHandleLogOptions,
  openHandleLog,
} from './handle-log.js';
export type { InodeTable } from './inode-table.js';
export {
  DIRECTORY_SIZE_BYTES,
  LINK_MAX,
  MAX_FILE_BYTES,
  SYMLINK_MAX_BYTES,
  XATTR_TOTAL_MAX_BYTES,
  XATTR_VALUE_MAX_BYTES,
} from './limits.js';
export type { SpecialKind } from './namespace.js';
export type { RenameMode } from './rename.js';
export type { VfsRequest } from './request.js';
export { UNKNOWN_VOLUME_BYTES, type VolumeStatistics } from './statfs.js';
export { type KernelAbilities, Vfs } from './vfs.js';
export type { XattrMode } from './xattr.js';
