/** Runs in a worker process: reads a file in steps while another client replaces it. */

import { closeSync, openSync, readSync } from 'node:fs';

let fd = -1;
let versions = new Set<string>();
let rest = '';

/** Opens the file and reads its first `length` bytes; the versions seen in its lines. */
export function startReading(path: string, length: number): string[] {
  fd = openSync(path, 'r');
  versions = new Set();
  rest = '';
  take(length);
  return [...versions];
}

/** Reads on to the end; all versions seen in the whole file, and the errno name when the read failed. */
export function readOn(): { readonly versions: string[]; readonly error: string | undefined } {
  try {
    while (take(128 * 1024)) {
      // Each round reads the next piece.
    }
    return { versions: [...versions], error: undefined };
  } catch (error) {
    return { versions: [...versions], error: (error as NodeJS.ErrnoException).code };
  } finally {
    closeSync(fd);
  }
}

function take(length: number): boolean {
  const buffer = Buffer.alloc(length);
  const bytes = readSync(fd, buffer);
  const lines = (rest + buffer.toString('latin1', 0, bytes)).split('\n');
  rest = lines.pop() ?? '';
  for (const line of lines) versions.add(line.slice(0, line.indexOf(' ')));
  return bytes > 0;
}
