/** statx(2) with AT_STATX_FORCE_SYNC, which the kernel answers by asking the file system. */

import koffi from 'koffi';

const AT_FDCWD = -100;
const AT_STATX_FORCE_SYNC = 0x2000;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BYTES = 256;

const libc = koffi.load('libc.so.6');
const statx = libc.func('int statx(int dirfd, str path, int flags, uint mask, void *buffer)');
const buffer = Buffer.alloc(STATX_BYTES);

/** Throws when the file cannot be asked for. */
export function statForced(path: string): void {
  if (statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, buffer) !== 0) {
    throw new Error(`statx failed: errno ${koffi.errno()}`);
  }
}
