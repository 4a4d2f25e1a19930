/** The INIT negotiation: which protocol version and features a session runs with. */

import {
  DEFAULT_MAX_PAGES,
  FUSE_MAJOR,
  FUSE_MAX_MINOR,
  FUSE_MIN_MINOR,
  MAX_MAX_PAGES,
  PAGE_BYTES,
} from './abi.js';
import { INIT_IN, INIT_IN_COMPAT, type INIT_OUT } from './layouts.js';

/** INIT flags (FUSE_* of linux/fuse.h): bit, and the minor version that brought it. */
export const INIT_FLAGS = {
  ASYNC_READ: { bit: 0, since: 6 },
  POSIX_LOCKS: { bit: 1, since: 7 },
  ATOMIC_O_TRUNC: { bit: 3, since: 9 },
  EXPORT_SUPPORT: { bit: 4, since: 10 },
  BIG_WRITES: { bit: 5, since: 9 },
  DONT_MASK: { bit: 6, since: 12 },
  SPLICE_WRITE: { bit: 7, since: 14 },
  SPLICE_MOVE: { bit: 8, since: 14 },
  SPLICE_READ: { bit: 9, since: 14 },
  FLOCK_LOCKS: { bit: 10, since: 17 },
  HAS_IOCTL_DIR: { bit: 11, since: 18 },
  AUTO_INVAL_DATA: { bit: 12, since: 20 },
  DO_READDIRPLUS: { bit: 13, since: 21 },
  READDIRPLUS_AUTO: { bit: 14, since: 21 },
  ASYNC_DIO: { bit: 15, since: 22 },
  WRITEBACK_CACHE: { bit: 16, since: 23 },
  NO_OPEN_SUPPORT: { bit: 17, since: 23 },
  PARALLEL_DIROPS: { bit: 18, since: 25 },
  HANDLE_KILLPRIV: { bit: 19, since: 26 },
  POSIX_ACL: { bit: 20, since: 26 },
  ABORT_ERROR: { bit: 21, since: 27 },
  MAX_PAGES: { bit: 22, since: 28 },
  CACHE_SYMLINKS: { bit: 23, since: 28 },
  NO_OPENDIR_SUPPORT: { bit: 24, since: 29 },
  EXPLICIT_INVAL_DATA: { bit: 25, since: 30 },
  MAP_ALIGNMENT: { bit: 26, since: 31 },
  SUBMOUNTS: { bit: 27, since: 32 },
  HANDLE_KILLPRIV_V2: { bit: 28, since: 33 },
  SETXATTR_EXT: { bit: 29, since: 33 },
  INIT_EXT: { bit: 30, since: 36 },
  SECURITY_CTX: { bit: 32, since: 36 },
  HAS_INODE_DAX: { bit: 33, since: 36 },
  CREATE_SUPP_GROUP: { bit: 34, since: 38 },
  HAS_EXPIRE_ONLY: { bit: 35, since: 38 },
  DIRECT_IO_ALLOW_MMAP: { bit: 36, since: 39 },
  PASSTHROUGH: { bit: 37, since: 40 },
  NO_EXPORT_SUPPORT: { bit: 38, since: 40 },
  HAS_RESEND: { bit: 39, since: 40 },
  ALLOW_IDMAP: { bit: 40, since: 41 },
  OVER_IO_URING: { bit: 41, since: 42 },
  REQUEST_TIMEOUT: { bit: 42, since: 43 },
} as const;

export type InitFlag = keyof typeof INIT_FLAGS;

const FLAG_NAMES = Object.keys(INIT_FLAGS) as readonly InitFlag[];

/**
 * Asked for unless the options say otherwise. Each is safe for any handlers, except that O_TRUNC reaches `open`
 * (ATOMIC_O_TRUNC). DO_READDIRPLUS is dropped when there is no readdirplus handler; READDIRPLUS_AUTO is not asked
 * for: with it the kernel asks for attributes only in the first part of a listing when the program reads all names
 * before it looks at any (as Node and Python do), and 5,000 look-ups follow. EXPORT_SUPPORT and the KILLPRIV flags are
 * for handlers that say so in `extraFlags`.
 */
export const DEFAULT_FLAGS: readonly InitFlag[] = [
  'ASYNC_READ',
  'ATOMIC_O_TRUNC',
  'BIG_WRITES',
  'DO_READDIRPLUS',
  'ASYNC_DIO',
  'PARALLEL_DIROPS',
  'ABORT_ERROR',
  'MAX_PAGES',
  'CACHE_SYMLINKS',
  'SETXATTR_EXT',
  'INIT_EXT',
  'HAS_EXPIRE_ONLY',
  'HAS_RESEND',
];

export interface InitOptions {
  /** Largest WRITE, and largest READ, in bytes; a multiple of the page size. Default 1 MiB. */
  readonly maxWriteBytes?: number;
  /** Upper bound that INIT puts on read-ahead; the kernel's own default is 128 KiB. Default 8 MiB. */
  readonly maxReadaheadBytes?: number;
  /** How many background requests the kernel may have under way. Default 64. */
  readonly maxBackground?: number;
  /** From how many on the kernel calls the device congested. Default three quarters of `maxBackground`. */
  readonly congestionThreshold?: number;
  /** Granularity of time stamps in nanoseconds. Default 1. */
  readonly timeGranNs?: number;
  /**
   * How cached data is dropped: `auto` when the kernel sees size or mtime change, `explicit` by notification only
   * (`auto` where the kernel does not offer it). Default `explicit`.
   */
  readonly invalidation?: 'auto' | 'explicit';
  /**
   * Asked for besides the defaults. EXPORT_SUPPORT: `lookup` may get `.` and `..`. HANDLE_KILLPRIV_V2: the handlers
   * clear set-uid, set-gid and capabilities where a request says `killSuidgid`; without it, the kernel asks for the
   * xattr security.capability before each first write. WRITEBACK_CACHE and PASSTHROUGH exclude each other.
   */
  readonly extraFlags?: readonly InitFlag[];
  /** Treated as not offered by the kernel, for tests as on an older kernel. */
  readonly maskInitFlags?: readonly InitFlag[];
  /** Pretends that the kernel and the driver end at this minor version. */
  readonly maxMinor?: number;
}

/** What kernel and driver agreed on. */
export interface Negotiated {
  /** The version both speak. */
  readonly minor: number;
  /** The kernel's own. */
  readonly kernelMinor: number;
  readonly flags: ReadonlySet<InitFlag>;
  /** Asked for, and not offered by the kernel (or masked). */
  readonly absent: readonly InitFlag[];
  readonly maxWriteBytes: number;
  readonly maxPages: number;
  readonly maxReadaheadBytes: number;
  readonly maxBackground: number;
}

/** What the kernel sent in INIT. */
export interface InitIn {
  readonly major: number;
  readonly minor: number;
  readonly maxReadaheadBytes: number;
  readonly flags: ReadonlySet<InitFlag>;
}

/** The kernel's version is one that the driver does not speak. */
export class ProtocolVersionError extends Error {
  override readonly name = 'ProtocolVersionError';

  constructor(major: number, minor: number) {
    super(
      `The kernel speaks FUSE ${major}.${minor}, this driver ${FUSE_MAJOR}.${FUSE_MIN_MINOR} and later: ` +
        'use Linux 5.4 or newer',
    );
  }
}

function split(flags: Iterable<InitFlag>): { readonly low: number; readonly high: number } {
  let low = 0;
  let high = 0;
  for (const flag of flags) {
    const { bit } = INIT_FLAGS[flag];
    if (bit < 32) low |= 1 << bit;
    else high |= 1 << (bit - 32);
  }
  return { low: low >>> 0, high: high >>> 0 };
}

function join(low: number, high: number): ReadonlySet<InitFlag> {
  return new Set(
    FLAG_NAMES.filter((flag) => {
      const { bit } = INIT_FLAGS[flag];
      return bit < 32 ? (low & (1 << bit)) !== 0 : (high & (1 << (bit - 32))) !== 0;
    }),
  );
}

/** Decodes INIT at `base`, of which `length` bytes are there. */
export function decodeInit(view: DataView, base: number, length: number): InitIn {
  const extended = length >= INIT_IN.size;
  const { major, minor, max_readahead, flags } = INIT_IN_COMPAT.decode(view, base);
  const flags2 = extended ? INIT_IN.decode(view, base).flags2 : 0;
  const offered = join(flags, 0).has('INIT_EXT') ? join(flags, flags2) : join(flags, 0);
  return { major, minor, maxReadaheadBytes: max_readahead, flags: offered };
}

/** Settles what a session runs with; throws ProtocolVersionError. The major version is the kernel's and ours. */
export function negotiate(offer: InitIn, options: InitOptions, hasReaddirplus: boolean): Negotiated {
  const ceiling = Math.min(options.maxMinor ?? FUSE_MAX_MINOR, FUSE_MAX_MINOR);
  const minor = Math.min(offer.minor, ceiling);
  if (offer.major !== FUSE_MAJOR || minor < FUSE_MIN_MINOR)
    throw new ProtocolVersionError(offer.major, offer.minor);
  const masked = new Set(options.maskInitFlags ?? []);
  const offered = (flag: InitFlag): boolean =>
    offer.flags.has(flag) && !masked.has(flag) && INIT_FLAGS[flag].since <= minor;
  const wanted = new Set<InitFlag>([...DEFAULT_FLAGS, ...(options.extraFlags ?? [])]);
  const explicit = (options.invalidation ?? 'explicit') === 'explicit' && offered('EXPLICIT_INVAL_DATA');
  wanted.add(explicit ? 'EXPLICIT_INVAL_DATA' : 'AUTO_INVAL_DATA');
  if (!hasReaddirplus) {
    wanted.delete('DO_READDIRPLUS');
    wanted.delete('READDIRPLUS_AUTO');
  }
  // The kernel refuses the pair (process_init_reply, fs/fuse/inode.c).
  if (wanted.has('PASSTHROUGH') && wanted.has('WRITEBACK_CACHE')) wanted.delete('WRITEBACK_CACHE');
  const flags = new Set([...wanted].filter(offered));
  // Flags above bit 31 travel in a field that only INIT_EXT makes valid.
  if (!flags.has('INIT_EXT')) for (const flag of flags) if (INIT_FLAGS[flag].bit >= 32) flags.delete(flag);
  const wantedPages = Math.ceil((options.maxWriteBytes ?? MAX_MAX_PAGES * PAGE_BYTES) / PAGE_BYTES);
  const limitPages = flags.has('MAX_PAGES') ? MAX_MAX_PAGES : DEFAULT_MAX_PAGES;
  const maxPages = Math.max(1, Math.min(wantedPages, limitPages));
  return {
    minor,
    kernelMinor: offer.minor,
    flags,
    absent: [...wanted].filter((flag) => !flags.has(flag)),
    maxWriteBytes: maxPages * PAGE_BYTES,
    maxPages,
    maxReadaheadBytes: Math.min(offer.maxReadaheadBytes, options.maxReadaheadBytes ?? 8 * 1024 * 1024),
    maxBackground: options.maxBackground ?? 64,
  };
}

/** The INIT reply for what was negotiated. */
export function initOut(settled: Negotiated, options: InitOptions): Parameters<typeof INIT_OUT.encode>[2] {
  const { low, high } = split(settled.flags);
  return {
    major: FUSE_MAJOR,
    minor: settled.minor,
    max_readahead: settled.maxReadaheadBytes,
    flags: low,
    flags2: high,
    max_background: settled.maxBackground,
    congestion_threshold: options.congestionThreshold ?? Math.ceil((settled.maxBackground * 3) / 4),
    max_write: settled.maxWriteBytes,
    time_gran: options.timeGranNs ?? 1,
    max_pages: settled.flags.has('MAX_PAGES') ? settled.maxPages : 0,
    max_stack_depth: settled.flags.has('PASSTHROUGH') ? 1 : 0,
  };
}
