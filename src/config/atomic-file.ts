/** Replacing a file so that a kill or a power loss at any point leaves the old content or the new, whole. */

import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isErrno, makeDirectory, syncDirectory } from '../base/index.js';

/** Owner only: the file may hold secrets. */
const MODE = 0o600;
/** A temporary file names its writer; one this old has none any more, whatever process has that number now. */
const STALE_MS = 60_000;
const TEMPORARY = /^(\d+)-[0-9a-f]{16}\.tmp$/;

/**
 * Writes `text` beside the file, makes it durable, renames it over the file, makes that durable. A symbolic link stays,
 * and what it points to is replaced. `expected`: what the file must still hold (undefined: it must not be there); false
 * when it holds something else, and then nothing was changed. Throws ErrnoException.
 */
export function replaceFile(path: string, text: string, expected: string | undefined): boolean {
  const target = resolveLink(path);
  const directory = dirname(target);
  makeDirectory(directory);
  removeStale(directory, basename(target));
  const temporary = join(
    directory,
    `.${basename(target)}.${process.pid}-${randomBytes(8).toString('hex')}.tmp`,
  );
  try {
    const flags =
      fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_NOFOLLOW;
    const fd = fs.openSync(temporary, flags, MODE);
    try {
      keepOwner(fd, target);
      writeAll(fd, Buffer.from(text, 'utf8'));
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    if (readIfThere(target) !== expected) {
      fs.rmSync(temporary, { force: true });
      return false;
    }
    fs.renameSync(temporary, target);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
  syncDirectory(directory);
  return true;
}

/** Root that changes the file of another user leaves it theirs; where that cannot be, nothing is written. */
function keepOwner(fd: number, target: string): void {
  const before = fs.statSync(target, { throwIfNoEntry: false });
  if (before === undefined || before.uid === process.geteuid?.()) return;
  fs.fchownSync(fd, before.uid, before.gid);
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at, bytes.length - at, at);
}

/** The file's text, undefined where it is not there. Throws ErrnoException. */
export function readIfThere(path: string): string | undefined {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function resolveLink(path: string): string {
  try {
    return fs.realpathSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return path;
    throw error;
  }
}

/** Removes what writers left that were killed. */
function removeStale(directory: string, name: string): void {
  const prefix = `.${name}.`;
  for (const entry of fs.readdirSync(directory)) {
    const match = entry.startsWith(prefix) ? TEMPORARY.exec(entry.slice(prefix.length)) : null;
    if (match === null) continue;
    const path = join(directory, entry);
    const stats = fs.statSync(path, { throwIfNoEntry: false });
    if (stats === undefined) continue;
    if (!isAlive(Number(match[1])) || Date.now() - stats.mtimeMs > STALE_MS) fs.rmSync(path, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isErrno(error, 'ESRCH');
  }
}
