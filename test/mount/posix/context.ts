/** What a case of the POSIX table gets, and the small helpers that the cases share. No case lives here. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';

export interface PosixContext {
  /** A new, empty directory for this case alone. */
  readonly dir: string;
  /** A path below {@link dir}. */
  at(...segments: readonly string[]): string;
}

/** Returns when the file system behaves as POSIX and Linux say, throws otherwise. */
export type PosixCase = (c: PosixContext) => void | Promise<void>;

/** Cases by name; a name starts with its area, as in `rename: over a full directory`. */
export type PosixTable = Readonly<Record<string, PosixCase>>;

export const { constants } = fs;

export function makeContext(dir: string): PosixContext {
  return { dir, at: (...segments) => join(dir, ...segments) };
}

/** Asserts that `action` fails with the errno named `code`. */
export function fails(code: string | readonly string[], action: () => unknown): void {
  const codes = typeof code === 'string' ? [code] : code;
  try {
    action();
  } catch (error) {
    const found = (error as NodeJS.ErrnoException).code;
    assert.ok(
      found !== undefined && codes.includes(found),
      `expected ${codes.join(' or ')}, failed with ${error}`,
    );
    return;
  }
  assert.fail(`expected ${codes.join(' or ')}, but it succeeded`);
}

/** Writes a new file and returns its path. */
export function file(path: string, content: string | Uint8Array = 'content'): string {
  fs.writeFileSync(path, content);
  return path;
}

/** Makes a directory and returns its path. */
export function folder(path: string): string {
  fs.mkdirSync(path);
  return path;
}

export function read(path: string): string {
  return fs.readFileSync(path, 'utf8');
}

/** Runs `action` with an open descriptor, closed afterwards. */
export function withOpen<T>(
  path: string,
  flags: string | number,
  action: (fd: number) => T,
  mode = 0o644,
): T {
  const fd = fs.openSync(path, flags, mode);
  try {
    return action(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** `length` bytes from `position`, fewer at the end of the file. */
export function pread(fd: number, length: number, position: number): Buffer {
  const buffer = Buffer.alloc(length);
  return buffer.subarray(0, fs.readSync(fd, buffer, 0, length, position));
}

export function pwrite(fd: number, data: string | Buffer, position: number): void {
  const buffer = Buffer.from(data);
  assert.equal(fs.writeSync(fd, buffer, 0, buffer.length, position), buffer.length);
}

export function names(path: string): string[] {
  return fs.readdirSync(path).sort();
}

/** Bytes that differ by position, so that a shifted or mixed copy shows. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state & 0xff;
  }
  return bytes;
}

/** Lets the clock of the file system move on. */
export function tick(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
}

const LONG_AGO = new Date('2001-02-03T04:05:06Z');

/** Sets the modified time far back and returns it in nanoseconds. */
export function age(path: string): bigint {
  fs.utimesSync(path, LONG_AGO, LONG_AGO);
  return mtime(path);
}

export function mtime(path: string): bigint {
  return fs.lstatSync(path, { bigint: true }).mtimeNs;
}

export function ctime(path: string): bigint {
  return fs.lstatSync(path, { bigint: true }).ctimeNs;
}

/** Asserts that `action` moves the modified time of `path` on. */
export function touches(path: string, action: () => void): void {
  const before = age(path);
  action();
  assert.ok(mtime(path) > before, `the modified time of ${path} did not change`);
}

/** Asserts that `action` leaves the modified time of `path` alone. */
export function leavesTime(path: string, action: () => void): void {
  const before = age(path);
  action();
  assert.equal(mtime(path), before, `the modified time of ${path} changed`);
}

/** Asserts that `action` moves the change time of `path` on. */
export function changes(path: string, action: () => void): void {
  const before = ctime(path);
  tick();
  action();
  assert.ok(ctime(path) > before, `the change time of ${path} did not change`);
}
