/** The libc calls on backing files that Node lacks, by koffi. Failures are thrown as Node's ErrnoException. */

import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';
import { isErrno } from '../base/index.js';

const lib = koffi.load(null);

const cFallocate = lib.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)');
const cLseek = lib.func('int64_t lseek(int fd, int64_t offset, int whence)');
const cFcntl = lib.func('int fcntl(int fd, int command, int64_t argument)');
const cCopyFileRange = lib.func(
  'int64_t copy_file_range(int from, int64_t *fromAt, int to, int64_t *toAt, size_t length, unsigned int flags)',
);
const cSyncfs = lib.func('int syncfs(int fd)');

type Native = (...args: readonly unknown[]) => number;

/** linux/fs.h */
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

export function errnoException(errno: number, syscall: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${code}, ${syscall}`), { code, errno: -errno, syscall });
}

/** fallocate(2). */
export function fallocate(fd: number, mode: number, offset: number, length: number): void {
  if ((cFallocate as Native)(fd, mode, offset, length) === -1)
    throw errnoException(koffi.errno(), 'fallocate');
}

/** FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE, linux/falloc.h. */
const PUNCH_HOLE = 0x01 | 0x02;

/** Gives the blocks of a range back; where the file system cannot, they stay. */
export function punchHole(fd: number, offset: number, length: number): void {
  try {
    fallocate(fd, PUNCH_HOLE, offset, length);
  } catch (error) {
    if (!isErrno(error, 'EOPNOTSUPP')) throw error;
  }
}

/** lseek(2); moves the descriptor's offset, which positioned reads and writes do not use. -1 for ENXIO. */
export function lseek(fd: number, offset: number, whence: number): number {
  const result = Number((cLseek as Native)(fd, offset, whence));
  if (result !== -1) return result;
  const errno = koffi.errno();
  if (errno === koffi.os.errno.ENXIO) return -1;
  throw errnoException(errno, 'lseek');
}

const F_SETLEASE = 1024;
const F_RDLCK = 0;
const F_UNLCK = 2;

/**
 * Whether someone has the file of this read-only descriptor open for writing: a read lease is refused then (fcntl(2)).
 * Where the file system knows no leases, nobody can tell, and the answer is true.
 */
export function hasWriters(fd: number): boolean {
  if ((cFcntl as Native)(fd, F_SETLEASE, F_RDLCK) === -1) return true;
  (cFcntl as Native)(fd, F_SETLEASE, F_UNLCK);
  return false;
}

/** copy_file_range(2) on the thread pool: bytes copied, 0 at the end of the source. */
export function copyFileRange(
  from: { readonly fd: number; readonly position: number },
  to: { readonly fd: number; readonly position: number },
  length: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    cCopyFileRange.async(
      ...[from.fd, [from.position], to.fd, [to.position], length, 0],
      (error: Error | null, result: number | bigint) => {
        if (error) reject(error);
        else if (Number(result) === -1) reject(errnoException(koffi.errno(), 'copy_file_range'));
        else resolve(Number(result));
      },
    );
  });
}

/** syncfs(2) on the thread pool: all data and names of the file system that `fd` is on are on the disk afterwards. */
export function syncfs(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    cSyncfs.async(fd, (error: Error | null, result: number) => {
      if (error) reject(error);
      else if (result === -1) reject(errnoException(koffi.errno(), 'syncfs'));
      else resolve();
    });
  });
}
