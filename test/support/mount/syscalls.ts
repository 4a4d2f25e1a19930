/**
 * System calls that node:fs lacks, by koffi, throwing errors with `code` like node:fs does. For use in worker
 * processes: each call blocks.
 */

import { constants } from 'node:os';
import koffi from 'koffi';

export class SyscallError extends Error {
  readonly code: string;
  readonly errno: number;

  constructor(call: string, errno: number) {
    const code = Object.entries(constants.errno).find(([, value]) => value === errno)?.[0] ?? `E${errno}`;
    super(`${call}: ${code}`);
    this.code = code;
    this.errno = errno;
  }
}

const libc = koffi.load('libc.so.6');
koffi.struct('dirent', {
  ino: 'uint64_t',
  off: 'int64_t',
  reclen: 'uint16_t',
  type: 'uint8_t',
  name: koffi.array('char', 256),
});

const AT_FDCWD = -100;
/** linux/fs.h */
export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
/** fallocate(2) */
export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;
/** lseek(2) */
export const SEEK_SET = 0;
export const SEEK_END = 2;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
/** flock(2) */
export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;
/** fcntl(2) */
const F_SETLK = 6;
const F_OFD_SETLK = 37;
const LOCK_TYPES = { read: 0, write: 1, none: 2 } as const;
/** utimensat(2) */
export const UTIME_NOW = (1n << 30n) - 1n;
export const UTIME_OMIT = (1n << 30n) - 2n;
const AT_SYMLINK_NOFOLLOW = 0x100;
/** mmap(2), msync(2) */
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MS_SYNC = 4;

const native = {
  renameat2: libc.func('int renameat2(int, const char *, int, const char *, unsigned int)'),
  fallocate: libc.func('int fallocate(int, int, int64_t, int64_t)'),
  ftruncate: libc.func('int ftruncate(int, int64_t)'),
  lseek: libc.func('int64_t lseek(int, int64_t, int)'),
  flock: libc.func('int flock(int, int)'),
  fcntl: libc.func('int fcntl(int, int, ...)'),
  syncfs: libc.func('int syncfs(int)'),
  umask: libc.func('unsigned int umask(unsigned int)'),
  mkfifo: libc.func('int mkfifo(const char *, unsigned int)'),
  setxattr: libc.func('int setxattr(const char *, const char *, const void *, size_t, int)'),
  getxattr: libc.func('int64_t getxattr(const char *, const char *, _Out_ uint8_t *, size_t)'),
  listxattr: libc.func('int64_t listxattr(const char *, _Out_ uint8_t *, size_t)'),
  removexattr: libc.func('int removexattr(const char *, const char *)'),
  utimensat: libc.func('int utimensat(int, const char *, const int64_t *, int)'),
  opendir: libc.func('void *opendir(const char *)'),
  readdir: libc.func('dirent *readdir(void *)'),
  telldir: libc.func('long telldir(void *)'),
  seekdir: libc.func('void seekdir(void *, long)'),
  rewinddir: libc.func('void rewinddir(void *)'),
  closedir: libc.func('int closedir(void *)'),
  mmap: libc.func('void *mmap(void *, size_t, int, int, int, int64_t)'),
  munmap: libc.func('int munmap(void *, size_t)'),
  msync: libc.func('int msync(void *, size_t, int)'),
  copyIn: libc.func('void *memcpy(void *, const uint8_t *, size_t)'),
  copyFileRange: libc.func('int64_t copy_file_range(int, void *, int, void *, size_t, unsigned int)'),
} as const;

function check(call: keyof typeof native, ...args: readonly unknown[]): number {
  const result = Number(native[call](...args));
  if (result < 0) throw new SyscallError(call, koffi.errno());
  return result;
}

/** renameat2(2). */
export function renameat2(from: string, to: string, flags: number): void {
  check('renameat2', AT_FDCWD, from, AT_FDCWD, to, flags);
}

/** fallocate(2). */
export function fallocate(fd: number, mode: number, offset: number, length: number): void {
  check('fallocate', fd, mode, offset, length);
}

/** ftruncate(2), for sizes that node:fs does not let through. */
export function ftruncate(fd: number, size: bigint): void {
  check('ftruncate', fd, size);
}

/** lseek(2); the new offset. */
export function lseek(fd: number, offset: number, whence: number): number {
  return check('lseek', fd, offset, whence);
}

/** flock(2). */
export function flock(fd: number, operation: number): void {
  check('flock', fd, operation);
}

/** Sets a record lock without waiting: `process` as F_SETLK does, `description` as F_OFD_SETLK does (fcntl_locking(2)). */
export function recordLock(
  fd: number,
  owner: 'process' | 'description',
  type: keyof typeof LOCK_TYPES,
  start = 0,
  length = 0,
): void {
  // struct flock: short l_type, short l_whence, (padding), off_t l_start, off_t l_len, pid_t l_pid
  const lock = Buffer.alloc(32);
  lock.writeInt16LE(LOCK_TYPES[type], 0);
  lock.writeBigInt64LE(BigInt(start), 8);
  lock.writeBigInt64LE(BigInt(length), 16);
  check('fcntl', fd, owner === 'process' ? F_SETLK : F_OFD_SETLK, 'void *', lock);
}

/** syncfs(2). */
export function syncfs(fd: number): void {
  check('syncfs', fd);
}

/** Sets the umask of this process; the old one. */
export function umask(mask: number): number {
  return check('umask', mask);
}

/** mkfifo(3). */
export function mkfifo(path: string, mode: number): void {
  check('mkfifo', path, mode);
}

/** copy_file_range(2) at the descriptors' own offsets; bytes copied. */
export function copyFileRange(from: number, to: number, length: number): number {
  return check('copyFileRange', from, null, to, null, length, 0);
}

/** utimensat(2), times in nanoseconds since the epoch or {@link UTIME_NOW}, {@link UTIME_OMIT}. */
export function utimens(path: string, atimeNs: bigint, mtimeNs: bigint, followSymlink = true): void {
  const times = new BigInt64Array(4);
  for (const [index, time] of [atimeNs, mtimeNs].entries()) {
    const special = time === UTIME_NOW || time === UTIME_OMIT;
    times[index * 2] = special ? 0n : time / 1_000_000_000n;
    times[index * 2 + 1] = special ? time : time % 1_000_000_000n;
  }
  check('utimensat', AT_FDCWD, path, times, followSymlink ? 0 : AT_SYMLINK_NOFOLLOW);
}

/** Extended attributes of a path, following symlinks (xattr(7)). */
export const xattr = {
  set(path: string, name: string, value: Buffer, mode: 'any' | 'create' | 'replace' = 'any'): void {
    check('setxattr', path, name, value, value.length, { any: 0, create: 1, replace: 2 }[mode]);
  },
  get(path: string, name: string, room = 65_536): Buffer {
    const buffer = Buffer.alloc(room);
    return buffer.subarray(0, check('getxattr', path, name, buffer, room));
  },
  /** The value's size, as a call without a buffer tells it. */
  size(path: string, name: string): number {
    return check('getxattr', path, name, null, 0);
  },
  list(path: string): string[] {
    const buffer = Buffer.alloc(65_536);
    const bytes = check('listxattr', path, buffer, buffer.length);
    return buffer.toString('utf8', 0, bytes).split('\0').slice(0, -1);
  },
  remove(path: string, name: string): void {
    check('removexattr', path, name);
  },
} as const;

/** A directory stream of opendir(3). */
export class DirStream {
  readonly #dir: unknown;

  constructor(path: string) {
    this.#dir = native.opendir(path);
    if (this.#dir === null) throw new SyscallError('opendir', koffi.errno());
  }

  /** The next name, or undefined at the end. */
  read(): string | undefined {
    const entry: unknown = native.readdir(this.#dir);
    if (entry === null) return undefined;
    return (koffi.decode(entry, 'dirent') as { readonly name: string }).name;
  }

  /** The names left, without `.` and `..`. */
  rest(): string[] {
    const names: string[] = [];
    for (let name = this.read(); name !== undefined; name = this.read()) {
      if (name !== '.' && name !== '..') names.push(name);
    }
    return names;
  }

  /** An opaque position, which may use all 64 bits. */
  tell(): bigint {
    return BigInt(native.telldir(this.#dir) as bigint | number);
  }

  seek(position: bigint): void {
    native.seekdir(this.#dir, position);
  }

  rewind(): void {
    native.rewinddir(this.#dir);
  }

  close(): void {
    native.closedir(this.#dir);
  }
}

/** A shared, writable mapping of a file's first `length` bytes. */
export class SharedMapping {
  readonly #address: unknown;
  readonly #length: number;

  constructor(fd: number, length: number) {
    this.#length = length;
    this.#address = native.mmap(null, length, PROT_READ_WRITE, MAP_SHARED, fd, 0);
    if (this.#address === -1 || BigInt.asIntN(64, BigInt(this.#address as bigint)) === -1n) {
      throw new SyscallError('mmap', koffi.errno());
    }
  }

  read(offset: number, length: number): Buffer {
    const bytes = koffi.decode(this.#address, offset, koffi.array('uint8_t', length)) as ArrayLike<number>;
    return Buffer.from(Uint8Array.from(bytes));
  }

  write(offset: number, data: Buffer): void {
    native.copyIn((this.#address as bigint) + BigInt(offset), data, data.length);
  }

  sync(): void {
    check('msync', this.#address, this.#length, MS_SYNC);
  }

  close(): void {
    native.munmap(this.#address, this.#length);
  }
}
