/** Numbers as the native part takes and gives them: structs as arrays of 32-bit halves, low half first. */

import type { Attr, StatfsReply } from '../fuse/index.js';
import { DT } from '../fuse/index.js';

const HALF = 2 ** 32;
const NS_PER_MS = 1_000_000n;
/** populate_stat() reads so many halves, populate_statvfs() so many words. */
export const STAT_WORDS = 18;
export const STATFS_WORDS = 11;

/** The number of two halves. */
export function joinHalves(low: number, high: number): number {
  return low + high * HALF;
}

function setHalves(words: Uint32Array, index: number, value: number): void {
  words[index] = value % HALF;
  words[index + 1] = Math.floor(value / HALF);
}

/** Whole milliseconds; the native part knows neither finer times nor such before 1970. */
function milliseconds(ns: bigint): number {
  return ns < 0n ? 0 : Number(ns / NS_PER_MS);
}

/** struct stat. The inode number is cut to its low 32 bits, which is all there is room for. */
export function packStat(attr: Attr): Uint32Array {
  const words = new Uint32Array(STAT_WORDS);
  words[0] = attr.mode;
  words[1] = attr.uid;
  words[2] = attr.gid;
  setHalves(words, 3, attr.size);
  words[6] = attr.nlink;
  words[7] = attr.ino;
  words[8] = attr.rdev;
  words[9] = attr.blksize;
  setHalves(words, 10, attr.blocks);
  setHalves(words, 12, milliseconds(attr.atimeNs));
  setHalves(words, 14, milliseconds(attr.mtimeNs));
  setHalves(words, 16, milliseconds(attr.ctimeNs));
  return words;
}

/** What of struct stat a directory entry has: inode number and type (a DT value). */
export function packEntry(ino: number, type: number): Uint32Array {
  const words = new Uint32Array(STAT_WORDS);
  words[0] = (type === DT.UNKNOWN ? 0 : type) << 12;
  words[7] = ino;
  return words;
}

/** struct statvfs. Blocks are told in larger units where their numbers would not fit. */
export function packStatfs(volume: StatfsReply): Uint32Array {
  let unit = 1;
  while (volume.blocks / unit >= HALF) unit *= 2;
  const count = (blocks: number) => Math.floor(blocks / unit);
  const cap = (value: number) => Math.min(value, HALF - 1);
  return Uint32Array.of(
    volume.bsize,
    volume.frsize * unit,
    count(volume.blocks),
    count(volume.bfree),
    count(volume.bavail),
    cap(volume.files),
    cap(volume.ffree),
    cap(volume.ffree),
    0,
    0,
    volume.namelen,
  );
}

/** Where the thread's own record, `fuse_thread_locals_t` on 64-bit Linux, has the times that utimens was called with. */
const ATIME_AT = 104;
const MTIME_AT = 112;

/**
 * UTIME_NOW and UTIME_OMIT (2^30 - 1 and 2^30 - 2 ns) as the native part tells both of them, in milliseconds: one
 * cannot be told from the other.
 */
const NOW_OR_OMIT = 1073n;

/**
 * The times of a utimens, in nanoseconds. Beside a time that is given, one of {@link NOW_OR_OMIT} is left as it is;
 * where both are, both are now. The native part passes atime twice, and mtime only in its record, so
 * it is taken from there. Undefined when the record is not laid out as known: atime is not where it should be.
 */
export function timesOf(
  slot: Buffer,
  atimeLow: number,
  atimeHigh: number,
): { readonly atime?: bigint | 'now'; readonly mtime?: bigint | 'now' } | undefined {
  if (slot.length < MTIME_AT + 8) return undefined;
  const told = (BigInt(atimeHigh) << 32n) | BigInt(atimeLow);
  if (slot.readBigUInt64LE(ATIME_AT) !== told) return undefined;
  const mtime = slot.readBigUInt64LE(MTIME_AT);
  if (told === NOW_OR_OMIT && mtime === NOW_OR_OMIT) return { atime: 'now', mtime: 'now' };
  return {
    ...(told === NOW_OR_OMIT ? {} : { atime: signedNs(told) }),
    ...(mtime === NOW_OR_OMIT ? {} : { mtime: signedNs(mtime) }),
  };
}

function signedNs(milliseconds: bigint): bigint {
  return BigInt.asIntN(64, milliseconds) * NS_PER_MS;
}
