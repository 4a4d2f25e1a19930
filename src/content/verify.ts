/** Compares clean files with what is known of them, reading every present byte. */

import * as fs from 'node:fs';
import type { Ino } from '../base/index.js';
import type { Layout } from './layout.js';
import type { CleanEntry } from './presence.js';

export interface VerifyReport {
  readonly checkedFiles: number;
  readonly checkedBytes: number;
  /** Missing, of another size, or not readable; they are deleted. */
  readonly damagedFiles: number;
}

const CHUNK_BYTES = 1024 * 1024;

/** `drop`: deletes a damaged file, unless it changed or came into use meanwhile (false). */
export async function verifyFiles(
  layout: Layout,
  files: readonly (readonly [Ino, CleanEntry])[],
  drop: (ino: Ino, entry: CleanEntry) => boolean,
): Promise<VerifyReport> {
  let checkedBytes = 0;
  let damagedFiles = 0;
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (const [ino, entry] of files) {
    try {
      checkedBytes += await readPresent(layout.clean(ino, entry.generation), entry, buffer);
    } catch {
      // Whatever the reason is, the copy is of no use: it is counted, and the bytes are on the server.
      if (drop(ino, entry)) damagedFiles++;
    }
  }
  return { checkedFiles: files.length, checkedBytes, damagedFiles };
}

async function readPresent(path: string, { size, ranges }: CleanEntry, buffer: Buffer): Promise<number> {
  const file = await fs.promises.open(path, 'r');
  try {
    if ((await file.stat()).size !== size) throw new RangeError('another size');
    let total = 0;
    const flat = ranges === 'whole' ? [0, size] : ranges;
    for (let i = 0; i < flat.length; i += 2) {
      const end = flat[i + 1] as number;
      for (let at = flat[i] as number; at < end; ) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - at), at);
        if (bytesRead === 0) throw new RangeError('it ends early');
        at += bytesRead;
        total += bytesRead;
      }
    }
    return total;
  } finally {
    await file.close();
  }
}
