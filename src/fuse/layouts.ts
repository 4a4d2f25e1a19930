/**
 * The wire structs of linux/fuse.h (7.45), each described once with the field names of the header.
 * Field names of the header are kept in snake case, so that a trace can be read beside it.
 */

import { defineStruct } from './struct.js';

export const ATTR = defineStruct('fuse_attr', {
  ino: 'u64',
  size: 'u64',
  blocks: 'u64',
  atime: 'i64',
  mtime: 'i64',
  ctime: 'i64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  rdev: 'u32',
  blksize: 'u32',
  flags: 'u32',
});

export const SX_TIME = defineStruct('fuse_sx_time', { tv_sec: 'i64', tv_nsec: 'u32', reserved: 'pad4' });

export const STATX = defineStruct('fuse_statx', {
  mask: 'u32',
  blksize: 'u32',
  attributes: 'u64',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  mode: 'u16',
  spare0: 'pad2',
  ino: 'u64',
  size: 'u64',
  blocks: 'u64',
  attributes_mask: 'u64',
  atime: SX_TIME,
  btime: SX_TIME,
  ctime: SX_TIME,
  mtime: SX_TIME,
  rdev_major: 'u32',
  rdev_minor: 'u32',
  dev_major: 'u32',
  dev_minor: 'u32',
  spare2: 'pad112',
});

export const KSTATFS = defineStruct('fuse_kstatfs', {
  blocks: 'u64',
  bfree: 'u64',
  bavail: 'u64',
  files: 'u64',
  ffree: 'u64',
  bsize: 'u32',
  namelen: 'u32',
  frsize: 'u32',
  padding: 'pad4',
  spare: 'pad24',
});

export const FILE_LOCK = defineStruct('fuse_file_lock', {
  start: 'u64',
  end: 'u64',
  type: 'u32',
  pid: 'u32',
});

export const IN_HEADER = defineStruct('fuse_in_header', {
  len: 'u32',
  opcode: 'u32',
  unique: 'u64',
  nodeid: 'u64',
  uid: 'u32',
  gid: 'u32',
  pid: 'u32',
  total_extlen: 'u16',
  padding: 'pad2',
});

export const OUT_HEADER = defineStruct('fuse_out_header', { len: 'u32', error: 'i32', unique: 'u64' });

export const ENTRY_OUT = defineStruct('fuse_entry_out', {
  nodeid: 'u64',
  generation: 'u64',
  entry_valid: 'u64',
  attr_valid: 'u64',
  entry_valid_nsec: 'u32',
  attr_valid_nsec: 'u32',
  attr: ATTR,
});

export const FORGET_IN = defineStruct('fuse_forget_in', { nlookup: 'u64' });
export const FORGET_ONE = defineStruct('fuse_forget_one', { nodeid: 'u64', nlookup: 'u64' });
export const BATCH_FORGET_IN = defineStruct('fuse_batch_forget_in', { count: 'u32', dummy: 'pad4' });

export const GETATTR_IN = defineStruct('fuse_getattr_in', { getattr_flags: 'u32', dummy: 'pad4', fh: 'u64' });

export const ATTR_OUT = defineStruct('fuse_attr_out', {
  attr_valid: 'u64',
  attr_valid_nsec: 'u32',
  dummy: 'pad4',
  attr: ATTR,
});

export const STATX_IN = defineStruct('fuse_statx_in', {
  getattr_flags: 'u32',
  reserved: 'pad4',
  fh: 'u64',
  sx_flags: 'u32',
  sx_mask: 'u32',
});

export const STATX_OUT = defineStruct('fuse_statx_out', {
  attr_valid: 'u64',
  attr_valid_nsec: 'u32',
  flags: 'u32',
  spare: 'pad16',
  stat: STATX,
});

export const MKNOD_IN = defineStruct('fuse_mknod_in', {
  mode: 'u32',
  rdev: 'u32',
  umask: 'u32',
  padding: 'pad4',
});
export const MKDIR_IN = defineStruct('fuse_mkdir_in', { mode: 'u32', umask: 'u32' });
export const RENAME_IN = defineStruct('fuse_rename_in', { newdir: 'u64' });
export const RENAME2_IN = defineStruct('fuse_rename2_in', { newdir: 'u64', flags: 'u32', padding: 'pad4' });
export const LINK_IN = defineStruct('fuse_link_in', { oldnodeid: 'u64' });

export const SETATTR_IN = defineStruct('fuse_setattr_in', {
  valid: 'u32',
  padding: 'pad4',
  fh: 'u64',
  size: 'u64',
  lock_owner: 'u64',
  atime: 'i64',
  mtime: 'i64',
  ctime: 'i64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  unused4: 'pad4',
  uid: 'u32',
  gid: 'u32',
  unused5: 'pad4',
});

export const OPEN_IN = defineStruct('fuse_open_in', { flags: 'u32', open_flags: 'u32' });
export const CREATE_IN = defineStruct('fuse_create_in', {
  flags: 'u32',
  mode: 'u32',
  umask: 'u32',
  open_flags: 'u32',
});
export const OPEN_OUT = defineStruct('fuse_open_out', { fh: 'u64', open_flags: 'u32', backing_id: 'i32' });

export const RELEASE_IN = defineStruct('fuse_release_in', {
  fh: 'u64',
  flags: 'u32',
  release_flags: 'u32',
  lock_owner: 'u64',
});
export const FLUSH_IN = defineStruct('fuse_flush_in', {
  fh: 'u64',
  unused: 'pad4',
  padding: 'pad4',
  lock_owner: 'u64',
});

export const READ_IN = defineStruct('fuse_read_in', {
  fh: 'u64',
  offset: 'u64',
  size: 'u32',
  read_flags: 'u32',
  lock_owner: 'u64',
  flags: 'u32',
  padding: 'pad4',
});

export const WRITE_IN = defineStruct('fuse_write_in', {
  fh: 'u64',
  offset: 'u64',
  size: 'u32',
  write_flags: 'u32',
  lock_owner: 'u64',
  flags: 'u32',
  padding: 'pad4',
});
export const WRITE_OUT = defineStruct('fuse_write_out', { size: 'u32', padding: 'pad4' });

export const STATFS_OUT = defineStruct('fuse_statfs_out', { st: KSTATFS });
export const FSYNC_IN = defineStruct('fuse_fsync_in', { fh: 'u64', fsync_flags: 'u32', padding: 'pad4' });

/** What the kernel sends when SETXATTR_EXT was not negotiated (FUSE_COMPAT_SETXATTR_IN_SIZE). */
export const SETXATTR_IN_COMPAT = defineStruct('fuse_setxattr_in (compat)', { size: 'u32', flags: 'u32' });
export const SETXATTR_IN = defineStruct('fuse_setxattr_in', {
  size: 'u32',
  flags: 'u32',
  setxattr_flags: 'u32',
  padding: 'pad4',
});
export const GETXATTR_IN = defineStruct('fuse_getxattr_in', { size: 'u32', padding: 'pad4' });
export const GETXATTR_OUT = defineStruct('fuse_getxattr_out', { size: 'u32', padding: 'pad4' });

export const LK_IN = defineStruct('fuse_lk_in', {
  fh: 'u64',
  owner: 'u64',
  lk: FILE_LOCK,
  lk_flags: 'u32',
  padding: 'pad4',
});
export const LK_OUT = defineStruct('fuse_lk_out', { lk: FILE_LOCK });

export const ACCESS_IN = defineStruct('fuse_access_in', { mask: 'u32', padding: 'pad4' });

/** `fuse_init_in` before INIT_EXT (7.36). */
export const INIT_IN_COMPAT = defineStruct('fuse_init_in (compat)', {
  major: 'u32',
  minor: 'u32',
  max_readahead: 'u32',
  flags: 'u32',
});
export const INIT_IN = defineStruct('fuse_init_in', {
  major: 'u32',
  minor: 'u32',
  max_readahead: 'u32',
  flags: 'u32',
  flags2: 'u32',
  unused: 'pad44',
});
export const INIT_OUT = defineStruct('fuse_init_out', {
  major: 'u32',
  minor: 'u32',
  max_readahead: 'u32',
  flags: 'u32',
  max_background: 'u16',
  congestion_threshold: 'u16',
  max_write: 'u32',
  time_gran: 'u32',
  max_pages: 'u16',
  map_alignment: 'u16',
  flags2: 'u32',
  max_stack_depth: 'u32',
  request_timeout: 'u16',
  unused: 'pad22',
});

export const INTERRUPT_IN = defineStruct('fuse_interrupt_in', { unique: 'u64' });
export const BMAP_IN = defineStruct('fuse_bmap_in', { block: 'u64', blocksize: 'u32', padding: 'pad4' });
export const IOCTL_IN = defineStruct('fuse_ioctl_in', {
  fh: 'u64',
  flags: 'u32',
  cmd: 'u32',
  arg: 'u64',
  in_size: 'u32',
  out_size: 'u32',
});
export const POLL_IN = defineStruct('fuse_poll_in', { fh: 'u64', kh: 'u64', flags: 'u32', events: 'u32' });

export const FALLOCATE_IN = defineStruct('fuse_fallocate_in', {
  fh: 'u64',
  offset: 'u64',
  length: 'u64',
  mode: 'u32',
  padding: 'pad4',
});
export const LSEEK_IN = defineStruct('fuse_lseek_in', {
  fh: 'u64',
  offset: 'u64',
  whence: 'u32',
  padding: 'pad4',
});
export const LSEEK_OUT = defineStruct('fuse_lseek_out', { offset: 'u64' });
export const COPY_FILE_RANGE_IN = defineStruct('fuse_copy_file_range_in', {
  fh_in: 'u64',
  off_in: 'u64',
  nodeid_out: 'u64',
  fh_out: 'u64',
  off_out: 'u64',
  len: 'u64',
  flags: 'u64',
});
export const COPY_FILE_RANGE_OUT = defineStruct('fuse_copy_file_range_out', { bytes_copied: 'u64' });
export const SETUPMAPPING_IN = defineStruct('fuse_setupmapping_in', {
  fh: 'u64',
  foffset: 'u64',
  len: 'u64',
  flags: 'u64',
  moffset: 'u64',
});
export const REMOVEMAPPING_IN = defineStruct('fuse_removemapping_in', { count: 'u32' });
export const SYNCFS_IN = defineStruct('fuse_syncfs_in', { padding: 'pad8' });

/** `fuse_dirent` without its name; records are padded to 8 bytes (FUSE_DIRENT_ALIGN). */
export const DIRENT = defineStruct('fuse_dirent', { ino: 'u64', off: 'u64', namelen: 'u32', type: 'u32' });
export const DIRENTPLUS = defineStruct('fuse_direntplus', { entry_out: ENTRY_OUT, dirent: DIRENT });

export const NOTIFY_INVAL_INODE_OUT = defineStruct('fuse_notify_inval_inode_out', {
  ino: 'u64',
  off: 'i64',
  len: 'i64',
});
export const NOTIFY_INVAL_ENTRY_OUT = defineStruct('fuse_notify_inval_entry_out', {
  parent: 'u64',
  namelen: 'u32',
  flags: 'u32',
});
export const NOTIFY_DELETE_OUT = defineStruct('fuse_notify_delete_out', {
  parent: 'u64',
  child: 'u64',
  namelen: 'u32',
  padding: 'pad4',
});
export const NOTIFY_STORE_OUT = defineStruct('fuse_notify_store_out', {
  nodeid: 'u64',
  offset: 'u64',
  size: 'u32',
  padding: 'pad4',
});
export const BACKING_MAP = defineStruct('fuse_backing_map', { fd: 'i32', flags: 'u32', padding: 'pad8' });
