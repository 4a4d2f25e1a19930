/** The programs under the clock. They run in a worker process; each returns the seconds that it took. */

import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { statForced } from './statx.js';
import type { ProgramResult } from './types.js';

const READ_BYTES = 1024 * 1024;

function timed(action: () => void): number {
  const start = performance.now();
  action();
  return (performance.now() - start) / 1000;
}

/** Visits every directory and stats every entry; fails when it finds another number of files. */
export function walk(dir: string, expectedFiles: number): number {
  return timed(() => {
    let files = 0;
    const visit = (path: string) => {
      for (const name of readdirSync(path)) {
        const below = join(path, name);
        if (lstatSync(below).isDirectory()) {
          if (name !== '.DAV' && name !== 'lost+found') visit(below);
        } else {
          files++;
        }
      }
    };
    visit(dir);
    if (files !== expectedFiles) throw new Error(`found ${files} files, not ${expectedFiles}`);
  });
}

/** Reads the whole file in order. */
export function readWhole(path: string, expectedBytes: number): number {
  return timed(() => {
    const fd = openSync(path, 'r');
    const buffer = Buffer.alloc(READ_BYTES);
    let total = 0;
    for (let bytes = readSync(fd, buffer); bytes > 0; bytes = readSync(fd, buffer)) total += bytes;
    closeSync(fd);
    if (total !== expectedBytes) throw new Error(`read ${total} bytes, not ${expectedBytes}`);
  });
}

/** Reads the first `length` bytes of the file. */
export function readHead(path: string, length: number): number {
  return timed(() => {
    const fd = openSync(path, 'r');
    if (readSync(fd, Buffer.alloc(length)) !== length) throw new Error('a short read');
    closeSync(fd);
  });
}

/** Reads `count` pieces of `length` bytes at places that are random and the same in each run. */
export function readRandom(path: string, sizeBytes: number, count: number, length: number): number {
  return timed(() => {
    const fd = openSync(path, 'r');
    const buffer = Buffer.alloc(length);
    let state = 12_345;
    for (let i = 0; i < count; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      const position = Math.floor((state / 2 ** 32) * (sizeBytes - length));
      if (readSync(fd, buffer, 0, length, position) !== length) throw new Error('a short read');
    }
    closeSync(fd);
  });
}

/** Reads every file of a directory, one after the other. */
export function readAll(dir: string, expectedFiles: number, prefix = ''): number {
  return timed(() => {
    const names = readdirSync(dir).filter((name) => name !== '.DAV' && name.startsWith(prefix));
    if (names.length !== expectedFiles) throw new Error(`found ${names.length} files, not ${expectedFiles}`);
    for (const name of names) readFileSync(join(dir, name));
  });
}

/** Writes `count` files of `size` bytes into a new directory. */
export function writeFiles(dir: string, count: number, size: number): number {
  const content = Buffer.alloc(size, 'infinimount ');
  return timed(() => {
    mkdirSync(dir);
    for (let i = 0; i < count; i++) writeFileSync(join(dir, `file${i}`), content);
  });
}

/** Writes one file of `count` pieces of `length` bytes. */
export function writePieces(path: string, count: number, length: number): number {
  const piece = Buffer.alloc(length, 'infinimount ');
  return timed(() => {
    const fd = openSync(path, 'w');
    for (let i = 0; i < count; i++) writeSync(fd, piece);
    closeSync(fd);
  });
}

/** Runs a program to its end; fails when it fails. */
export function command(argv: readonly string[], cwd: string, env: Readonly<Record<string, string>>): number {
  const [file = '', ...args] = argv;
  return timed(() => {
    const result = spawnSync(file, args, { cwd, env: { ...process.env, ...env }, encoding: 'utf8' });
    if (result.status !== 0)
      throw new Error(`${argv.join(' ')}: ${result.status} ${result.stderr.slice(-500)}`);
  });
}

/** Makes, writes and removes files of 10 bytes beside those that are there. */
export function createAndRemove(dir: string, count: number): number {
  return timed(() => {
    for (let i = 0; i < count; i++) writeFileSync(join(dir, `extra${i}`), '0123456789');
    for (let i = 0; i < count; i++) unlinkSync(join(dir, `extra${i}`));
  });
}

export function statOnce(path: string): number {
  return timed(() => lstatSync(path));
}

/** Between two looks, so that the looks themselves are no load. */
const LOOK_EVERY_MS = 1;

/** Asks for the attributes of a file again and again while a command runs; how long each answer took. */
export async function statWhile(path: string, argv: readonly string[]): Promise<ProgramResult> {
  const [file = '', ...args] = argv;
  const start = performance.now();
  const child = spawn(file, args, { stdio: 'ignore' });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('exit', resolve);
    child.once('error', reject);
  });
  let code: number | null | undefined;
  void ended.then((exitCode) => {
    code = exitCode;
  });
  const tookMs: number[] = [];
  while (code === undefined) {
    const before = performance.now();
    statForced(path);
    tookMs.push(performance.now() - before);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${code}`);
  tookMs.sort((a, b) => a - b);
  const at = (share: number) => tookMs[Math.min(tookMs.length - 1, Math.floor(share * tookMs.length))] ?? 0;
  const measured = {
    'p50 ms': at(0.5),
    'p90 ms': at(0.9),
    'p99 ms': at(0.99),
    'max ms': at(1),
    looks: tookMs.length,
  };
  return { seconds: (performance.now() - start) / 1000, measured };
}
