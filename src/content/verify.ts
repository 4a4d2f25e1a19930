/** Compares the files on disk with what is known of them, reading every byte that should be there. */

import * as fs from 'node:fs';
import { type Ino, isErrno } from '../base/index.js';
import type { Layout } from './layout.js';
import type { CleanEntry } from './presence.js';

export interface VerifyOptions {
  readonly signal?: AbortSignal;
  /** What a staged file should have in bytes; undefined where that is not known. */
  readonly stagedSize?: (ino: Ino) => number | undefined;
}

export interface VerifyReport {
  /** Clean and staged. */
  readonly checkedFiles: number;
  readonly checkedBytes: number;
  /** Clean files that were missing, of another size, or not readable; they are deleted. */
  readonly damagedFiles: number;
  /** Staged files of which the same is true; they are left as they are. */
  readonly damagedStaged: readonly Ino[];
}

/** What the check needs of the store. */
export interface VerifyTarget {
  readonly layout: Layout;
  readonly clean: Iterable<readonly [Ino, CleanEntry]>;
  readonly staged: readonly Ino[];
  /** Whether this still is what is known of the clean file, and nobody uses it. */
  isCurrent(ino: Ino, entry: CleanEntry): boolean;
  /** Whether there still is a staged file that nobody uses. */
  isStagedIdle(ino: Ino): boolean;
  /** Deletes a damaged clean file. */
  drop(ino: Ino): void;
}

const CHUNK_BYTES = 1024 * 1024;

export async function verifyFiles(
  target: VerifyTarget,
  { signal, stagedSize }: VerifyOptions,
): Promise<VerifyReport> {
  const { layout } = target;
  const damagedStaged: Ino[] = [];
  let checkedFiles = 0;
  let checkedBytes = 0;
  let damagedFiles = 0;
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (const [ino, entry] of target.clean) {
    signal?.throwIfAborted();
    if (!target.isCurrent(ino, entry)) continue;
    checkedFiles++;
    try {
      const ranges = entry.ranges === 'whole' ? [0, entry.size] : entry.ranges;
      checkedBytes += await readRanges(
        layout.clean(ino, entry.generation),
        entry.size,
        ranges,
        buffer,
        signal,
      );
    } catch {
      signal?.throwIfAborted();
      if (!target.isCurrent(ino, entry)) continue;
      // Whatever the reason is, the copy is of no use: it is counted, and the bytes are on the server.
      target.drop(ino);
      damagedFiles++;
    }
  }
  for (const ino of target.staged) {
    signal?.throwIfAborted();
    if (!target.isStagedIdle(ino)) continue;
    const expected = stagedSize?.(ino);
    checkedFiles++;
    try {
      const size = expected ?? (await fs.promises.stat(layout.staged(ino))).size;
      checkedBytes += await readRanges(layout.staged(ino), size, [0, size], buffer, signal);
    } catch (error) {
      signal?.throwIfAborted();
      // It may have been uploaded, deleted or written to since: then it is no longer what was asked about.
      const isSame = target.isStagedIdle(ino) && stagedSize?.(ino) === expected;
      if (isSame && !(isErrno(error, 'ENOENT') && expected === undefined)) damagedStaged.push(ino);
    }
  }
  return { checkedFiles, checkedBytes, damagedFiles, damagedStaged };
}

/** `ranges`: pairs of start and end. Throws where the file is not of this size, or cannot be read. */
async function readRanges(
  path: string,
  size: number,
  ranges: readonly number[],
  buffer: Buffer,
  signal: AbortSignal | undefined,
): Promise<number> {
  const file = await fs.promises.open(path, 'r');
  try {
    if ((await file.stat()).size !== size) throw new RangeError('another size');
    let total = 0;
    for (let i = 0; i < ranges.length; i += 2) {
      const end = ranges[i + 1] as number;
      for (let at = ranges[i] as number; at < end; ) {
        signal?.throwIfAborted();
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
