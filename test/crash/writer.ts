/**
 * A program of its own that copies files onto a mount and tells, after each close has returned, which one it was:
 *
 *     node --import tsx test/crash/writer.ts SOURCE TARGET
 *
 * One line on stdout a file, written with no buffer between, so that what was told is never ahead of what was done.
 */

import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const [source = '', target = ''] = process.argv.slice(2);
/** Written in pieces of this size, so that a kill finds files half written. */
const PIECE_BYTES = 16 * 1024;

function copyDirectory(path: string): void {
  mkdirSync(join(target, path));
  for (const entry of readdirSync(join(source, path), { withFileTypes: true })) {
    const below = join(path, entry.name);
    if (entry.isDirectory()) copyDirectory(below);
    else copyFile(below);
  }
}

function copyFile(path: string): void {
  const content = readFileSync(join(source, path));
  const fd = openSync(join(target, path), 'wx');
  for (let offset = 0; offset < content.length; offset += PIECE_BYTES) {
    writeSync(fd, content.subarray(offset, offset + PIECE_BYTES));
  }
  closeSync(fd);
  writeSync(1, `${path}\n`);
}

copyDirectory('.');
