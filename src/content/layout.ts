/**
 * Where the files are:
 *
 *     clean/<xx>/<ino>.<generation>   copies of the server's versions; a file made anew has another generation
 *     staged/<xx>/<ino>               content that the server does not have
 *     lost+found/<ino>.<n>            staged files that no node wants; never deleted here
 *     tmp/                            copies on their way out; emptied at the start
 *     layout                          the number of this rule; files may lie elsewhere where it is missing
 *
 * <xx>: the inode number in hexadecimal without its low ten bits, so that files that are made together lie together: a
 * new directory for each file costs more than the file.
 */

import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { type Ino, isErrno } from '../base/index.js';

const FILES_PER_DIRECTORY = 1024;
const RULE = '2';
const CLEAN_NAME = /^([0-9]+)\.([0-9a-f]+)$/;
const STAGED_NAME = /^([0-9]+)$/;

export interface CleanFileName {
  readonly ino: Ino;
  readonly generation: string;
  readonly path: string;
}

export class Layout {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  clean(ino: Ino, generation: string): string {
    return join(this.dir, 'clean', bucket(ino), `${ino}.${generation}`);
  }

  staged(ino: Ino): string {
    return join(this.dir, 'staged', bucket(ino), String(ino));
  }

  /** A path in lost+found that is free. */
  lostAndFound(ino: Ino): string {
    for (let n = 1; ; n++) {
      const path = join(this.dir, 'lost+found', `${ino}.${n}`);
      if (!fs.existsSync(path)) return path;
    }
  }

  temporary(name: string): string {
    return join(this.dir, 'tmp', name);
  }

  /** Makes the directories that are always there, and empties the one for copies. Throws ErrnoException. */
  prepare(): void {
    for (const name of ['clean', 'staged', 'lost+found']) {
      fs.mkdirSync(join(this.dir, name), { recursive: true, mode: 0o700 });
    }
    fs.rmSync(join(this.dir, 'tmp'), { recursive: true, force: true });
    fs.mkdirSync(join(this.dir, 'tmp'), { mode: 0o700 });
    const rule = join(this.dir, 'layout');
    if (fs.existsSync(rule) && fs.readFileSync(rule, 'latin1') === RULE) return;
    this.#settle();
    fs.writeFileSync(rule, RULE, { mode: 0o600 });
  }

  /** Moves files to where they belong, where directories were filled by another rule. */
  #settle(): void {
    for (const kind of ['clean', 'staged']) {
      for (const path of [...this.#files(kind)]) {
        const name = path.slice(path.lastIndexOf('/') + 1);
        const ino = (CLEAN_NAME.exec(name) ?? STAGED_NAME.exec(name))?.[1];
        if (ino === undefined) continue;
        const there = join(this.dir, kind, bucket(Number(ino) as Ino), name);
        if (path !== there) moveTo(path, there);
      }
    }
  }

  /** One directory at a time, each as it is when it is come to. */
  *cleanFiles(): Generator<CleanFileName> {
    for (const path of this.#files('clean')) {
      const match = CLEAN_NAME.exec(path.slice(path.lastIndexOf('/') + 1));
      if (match !== null) yield { ino: Number(match[1]) as Ino, generation: match[2] as string, path };
    }
  }

  *stagedFiles(): Generator<{ readonly ino: Ino; readonly path: string }> {
    for (const path of this.#files('staged')) {
      const match = STAGED_NAME.exec(path.slice(path.lastIndexOf('/') + 1));
      if (match !== null) yield { ino: Number(match[1]) as Ino, path };
    }
  }

  *#files(kind: string): Generator<string> {
    for (const sub of fs.readdirSync(join(this.dir, kind))) {
      for (const name of fs.readdirSync(join(this.dir, kind, sub))) yield join(this.dir, kind, sub, name);
    }
  }
}

function bucket(ino: Ino): string {
  return Math.floor(ino / FILES_PER_DIRECTORY)
    .toString(16)
    .padStart(2, '0');
}

/** open(2), making the directory where it is missing. */
export function openIn(path: string, flags: string): number {
  try {
    return fs.openSync(path, flags, 0o600);
  } catch (error) {
    if (!isErrno(error, 'ENOENT') || fs.existsSync(dirname(path))) throw error;
    fs.mkdirSync(dirname(path), { mode: 0o700 });
    return fs.openSync(path, flags, 0o600);
  }
}

/** rename(2), making the directory where it is missing. */
export function moveTo(from: string, to: string): void {
  try {
    fs.renameSync(from, to);
  } catch (error) {
    if (!isErrno(error, 'ENOENT') || fs.existsSync(dirname(to))) throw error;
    fs.mkdirSync(dirname(to), { mode: 0o700 });
    fs.renameSync(from, to);
  }
}

/** unlink(2) of a file that may be gone. */
export function unlinkIfThere(path: string): void {
  try {
    fs.unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
