/**
 * Makes libfuse tell of calls that set only one of a file's two times, as `tar -x` and `touch -m` do. Without the flag
 * `utime_omit_ok` libfuse 2 does nothing and answers that it went well, and fuse-native has no way to ask for the flag.
 * So it is set where libfuse keeps it, in `struct fuse` (lib/fuse.c of 2.9), and only where everything around it is
 * found to be what it should be. Memory is read and written through /proc/self/mem, where a wrong address is an error
 * and no crash.
 */

import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import koffi from 'koffi';
import { isErrno } from '../base/index.js';

/** `fuse_thread_t` of fuse-native.c on 64-bit Linux. */
const THREAD = { fuse: 368, mountPoint: 384 } as const;
/** `struct fuse_fs`: behind `struct fuse_operations`, the module (none) and the user data (the thread's record). */
const FS = { module: 360, userData: 368, bytes: 376 } as const;
/** Behind the pointer to `struct fuse_fs` in `struct fuse`. */
const FLAGS = { nullpathOk: 8, utimeOmitOk: 12 } as const;
const FUSE_BYTES = 512;

/** True when libfuse tells of them from now on. */
export function allowSingleTimes(thread: Buffer, mountPoint: string): boolean {
  const name = Buffer.from(`${mountPoint}\0`);
  if (!thread.subarray(THREAD.mountPoint, THREAD.mountPoint + name.length).equals(name)) return false;
  const fuse = thread.readBigUInt64LE(THREAD.fuse);
  let memory: number;
  try {
    memory = openSync('/proc/self/mem', 'r+');
  } catch (error) {
    // A process that may not be dumped has none.
    if (['EACCES', 'EPERM', 'ENOENT'].some((code) => isErrno(error, code))) return false;
    throw error;
  }
  try {
    const flag = findFlag(memory, fuse, BigInt(koffi.address(thread)));
    return flag !== undefined && writeSync(memory, Uint8Array.of(1), 0, 1, Number(flag)) === 1;
  } finally {
    closeSync(memory);
  }
}

function findFlag(memory: number, fuse: bigint, userData: bigint): bigint | undefined {
  const words = read(memory, fuse, FUSE_BYTES);
  if (words === undefined) return undefined;
  for (let at = 0; at + FLAGS.utimeOmitOk + 4 <= FUSE_BYTES; at += 8) {
    const fs = read(memory, words.readBigUInt64LE(at), FS.bytes);
    if (fs?.readBigUInt64LE(FS.userData) !== userData || fs.readBigUInt64LE(FS.module) !== 0n) continue;
    const areUnset =
      words.readInt32LE(at + FLAGS.nullpathOk) === 0 && words.readInt32LE(at + FLAGS.utimeOmitOk) === 0;
    return areUnset ? fuse + BigInt(at + FLAGS.utimeOmitOk) : undefined;
  }
  return undefined;
}

/** Undefined where there is no such memory. Addresses of programs are below 2^47. */
function read(memory: number, address: bigint, bytes: number): Buffer | undefined {
  if (address === 0n || address >= 1n << 47n) return undefined;
  const found = Buffer.alloc(bytes);
  try {
    return readSync(memory, found, 0, bytes, Number(address)) === bytes ? found : undefined;
  } catch (error) {
    if (isErrno(error, 'EIO')) return undefined;
    throw error;
  }
}
