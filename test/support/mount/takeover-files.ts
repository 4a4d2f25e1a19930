/** What the server of takeover-daemon.ts has: one large file of bytes that tell their own place. */

import type { Name } from '../../../src/base/index.js';

export const SERVER_FILE = 'big.bin' as Name;
export const SERVER_FILE_BYTES = 24 * 1024 * 1024;

/** Bytes [start, end) of the server's file. */
export function serverBytes(start = 0, end = SERVER_FILE_BYTES): Buffer {
  const bytes = Buffer.allocUnsafe(end - start);
  for (let at = start; at < end; at++) bytes[at - start] = (at ^ (at >>> 8) ^ (at >>> 16)) & 0xff;
  return bytes;
}
