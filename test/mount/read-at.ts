/** Run in the child process that touches a mount: reads from a descriptor that is open there. */

import { readSync } from 'node:fs';

/** The bytes from `position` on, `length` of them unless the file ends before. */
export function readAt(fd: number, length: number, position: number): Buffer {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const count = readSync(fd, bytes, filled, length - filled, position + filled);
    if (count === 0) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}
