/** The steps that make a change of the disk survive a power loss, where Node has no single call for it. */

import * as fs from 'node:fs';
import { dirname } from 'node:path';

/** fsync(2) of a directory: the names in it are on the disk afterwards. Throws ErrnoException. */
export function syncDirectory(path: string): void {
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Makes a directory (mode 0700) and those above it, durably. Does nothing where it is there. Throws ErrnoException. */
export function makeDirectory(path: string): void {
  const first = fs.mkdirSync(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let at = path; at.length >= first.length; at = dirname(at)) syncDirectory(dirname(at));
}

/** Whether an error is the system's, with this errno name. */
export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
