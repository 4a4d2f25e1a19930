/**
 * The constants of the FUSE kernel protocol, 7.31 to 7.45, as linux/fuse.h names them without their prefix.
 * Struct layouts are in layouts.ts, opcodes in opcodes.ts.
 */

/** Major protocol version; the kernel and a server of another major version cannot talk. */
export const FUSE_MAJOR = 7;
/** Oldest minor version that the driver speaks (Linux 5.4). */
export const FUSE_MIN_MINOR = 31;
/** Newest minor version that the driver knows (Linux 6.18). */
export const FUSE_MAX_MINOR = 45;

/** Node id of the root directory (FUSE_ROOT_ID). */
export const FUSE_ROOT_ID = 1;
/** sizeof(struct fuse_in_header). */
export const IN_HEADER_BYTES = 40;
/** sizeof(struct fuse_out_header). */
export const OUT_HEADER_BYTES = 16;
/** The kernel refuses reads of the device into less than this (FUSE_MIN_READ_BUFFER). */
export const MIN_READ_BUFFER_BYTES = 8192;
/** Page size that `max_pages` counts in; on kernels with larger pages the limit is only more generous. */
export const PAGE_BYTES = 4096;
/** Pages of one request when MAX_PAGES is not negotiated (FUSE_DEFAULT_MAX_PAGES_PER_REQ, fs/fuse/fuse_i.h). */
export const DEFAULT_MAX_PAGES = 32;
/** The most pages of one request that kernels allow without a sysctl (FUSE_MAX_MAX_PAGES, fs/fuse/fuse_i.h). */
export const MAX_MAX_PAGES = 256;

/** Bit 31 of the high half of `unique`: the request was sent to an earlier reader too (FUSE_UNIQUE_RESEND). */
export const UNIQUE_RESEND_HIGH_BIT = 0x8000_0000;

/** `fuse_setattr_in.valid` (FATTR_*). */
export const FATTR = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  LOCKOWNER: 1 << 9,
  CTIME: 1 << 10,
  KILL_SUIDGID: 1 << 11,
} as const;

/** `fuse_open_out.open_flags` (FOPEN_*), the flags of a reply to OPEN, OPENDIR and CREATE. */
export const FOPEN = {
  /** Bypass the page cache for this open file. */
  DIRECT_IO: 1 << 0,
  /** Do not drop cached data at this open. */
  KEEP_CACHE: 1 << 1,
  NONSEEKABLE: 1 << 2,
  /** The kernel may cache this directory's entries. */
  CACHE_DIR: 1 << 3,
  STREAM: 1 << 4,
  /** Do not send FLUSH at close (7.35). */
  NOFLUSH: 1 << 5,
  PARALLEL_DIRECT_WRITES: 1 << 6,
  /** Reads and writes go to the backing file (7.40). */
  PASSTHROUGH: 1 << 7,
} as const;

/** Flags inside requests. */
export const GETATTR_FH = 1 << 0;
export const RELEASE_FLUSH = 1 << 0;
export const RELEASE_FLOCK_UNLOCK = 1 << 1;
export const LK_FLOCK = 1 << 0;
/** The write comes from the page cache: `fh` and the caller's ids are guesses of the kernel. */
export const WRITE_CACHE = 1 << 0;
export const WRITE_LOCKOWNER = 1 << 1;
export const WRITE_KILL_SUIDGID = 1 << 2;
export const READ_LOCKOWNER = 1 << 1;
export const FSYNC_FDATASYNC = 1 << 0;
export const OPEN_KILL_SUIDGID = 1 << 0;
export const SETXATTR_ACL_KILL_SGID = 1 << 0;
/** `fuse_notify_inval_entry_out.flags`: let the entry expire instead of dropping it (7.38). */
export const EXPIRE_ONLY = 1 << 0;

/** `fuse_out_header.error` of a notification (enum fuse_notify_code). */
export const NOTIFY = {
  POLL: 1,
  INVAL_INODE: 2,
  INVAL_ENTRY: 3,
  STORE: 4,
  RETRIEVE: 5,
  DELETE: 6,
  /** 7.40 */
  RESEND: 7,
  /** 7.44 */
  INC_EPOCH: 8,
  /** 7.45 */
  PRUNE: 9,
} as const;

/** Directory entry types, `DT_*` of dirent.h: the file type bits of a mode, shifted down. */
export const DT = { UNKNOWN: 0, FIFO: 1, CHR: 2, DIR: 4, BLK: 6, REG: 8, LNK: 10, SOCK: 12 } as const;

/** `whence` of LSEEK (lseek(2)); the kernel sends only these two. */
export const SEEK = { DATA: 3, HOLE: 4 } as const;

/** RENAME2 flags (linux/fs.h). */
export const RENAME = { NOREPLACE: 1 << 0, EXCHANGE: 1 << 1, WHITEOUT: 1 << 2 } as const;

/** Device ioctls: `_IOR(229, 0, uint32_t)`, `_IOW(229, 1, struct fuse_backing_map)`, `_IOW(229, 2, uint32_t)`. */
export const DEV_IOC = { CLONE: 0x8004_e500, BACKING_OPEN: 0x4010_e501, BACKING_CLOSE: 0x4004_e502 } as const;

/** The `end` of a lock that reaches to the end of the file, however far (OFFSET_MAX, linux/fs.h). */
export const LOCK_TO_END = 0x7fff_ffff_ffff_ffffn;
