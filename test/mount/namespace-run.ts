/**
 * Random calls on names and files, each made on the mount and on a local directory, which must answer alike. Runs in
 * a child process that touches the mount; one seed is one run.
 */

import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2 } from '../support/mount/syscalls.js';
import { type Random, seededRandom } from '../support/random.js';

const NAMES = ['a', 'b', 'c', 'd', 'long name with spaces', 'ä%20#?'];
/** The server keeps symbolic links as files, so that comparing with its directory leaves these out. */
const LINKS = ['link-1', 'link-2'];

interface Answer {
  readonly code: string;
  readonly value?: unknown;
}

type Act = (root: string) => unknown;

class Wanderer {
  readonly #mount: string;
  readonly #local: string;
  readonly #renameFlags: boolean;
  readonly #random: Random;
  readonly #history: string[] = [];
  /** Descriptors of the same file on both sides. */
  readonly #open: { readonly mount: number; readonly local: number }[] = [];

  constructor(mount: string, local: string, seed: number, renameFlags: boolean) {
    this.#mount = mount;
    this.#renameFlags = renameFlags;
    this.#local = local;
    this.#random = seededRandom(seed);
  }

  run(count: number): void {
    try {
      for (let i = 0; i < count; i++) this.#step();
      for (const pair of this.#open) this.#close(pair);
    } catch (error) {
      throw new Error(`${String(error)}\nafter:\n${this.#history.slice(-40).join('\n')}`, { cause: error });
    }
  }

  #step(): void {
    const acts: readonly (readonly [weight: number, act: () => void])[] = [
      [2, () => this.#call('mkdir', (path) => fs.mkdirSync(path))],
      [4, () => this.#write()],
      [1, () => this.#append()],
      [1, () => this.#call('unlink', (path) => fs.unlinkSync(path))],
      [1, () => this.#call('rmdir', (path) => fs.rmdirSync(path))],
      [3, () => this.#callTwo('rename', (path, other) => fs.renameSync(path, other))],
      [this.#renameFlags ? 1 : 0, () => this.#renameWith(RENAME_EXCHANGE)],
      [this.#renameFlags ? 1 : 0, () => this.#renameWith(RENAME_NOREPLACE)],
      [1, () => this.#symlink()],
      [1, () => this.#callTwo('link', linkFile)],
      [1, () => this.#call('readdir', (path) => fs.readdirSync(path).sort())],
      [1, () => this.#call('read', (path) => fs.readFileSync(path, 'latin1'))],
      [1, () => this.#truncate()],
      [1, () => this.#handle()],
      [1, () => this.#call('stat', statOf)],
    ];
    let at = this.#random.below(acts.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, act] of acts) {
      if (at < weight) {
        act();
        return;
      }
      at -= weight;
    }
  }

  #call(name: string, call: (path: string) => unknown): void {
    const path = this.#path();
    this.#both(`${name} ${path}`, (root) => call(join(root, path)));
  }

  #callTwo(name: string, call: (path: string, other: string) => unknown): void {
    const path = this.#path();
    const other = this.#path();
    this.#both(`${name} ${path} ${other}`, (root) => call(join(root, path), join(root, other)));
  }

  #renameWith(flag: number): void {
    this.#callTwo(`renameat2 ${flag}`, (path, other) => renameat2(path, other, flag));
  }

  #truncate(): void {
    const size = this.#random.below(5_000);
    this.#call(`truncate ${size}`, (path) => fs.truncateSync(path, size));
  }

  #path(): string {
    const depth = 1 + this.#random.below(3);
    const names = Array.from({ length: depth }, () => this.#random.pick(NAMES) ?? '');
    return names.join('/');
  }

  #write(): void {
    const size = this.#random.chance(0.03) ? 1_500_000 : 1 + this.#random.below(3_000);
    const data = Buffer.alloc(size, `${this.#random.below(1_000_000)} `);
    this.#call(`write ${size}`, (path) => fs.writeFileSync(path, data));
  }

  #append(): void {
    const data = `appended ${this.#random.below(1_000_000)}\n`;
    this.#call('append', (path) => fs.appendFileSync(path, data));
  }

  #symlink(): void {
    const path = this.#path();
    const name = join(dirname(path), this.#random.pick(LINKS) ?? '');
    if (this.#random.chance(0.5)) this.#both(`unlink ${name}`, (root) => fs.unlinkSync(join(root, name)));
    else this.#both(`symlink ${name}`, (root) => fs.symlinkSync(`to ${path}`, join(root, name)));
  }

  /** Opens a file, or uses and closes one that was opened earlier, whatever has become of its name. */
  #handle(): void {
    const path = this.#path();
    if (this.#open.length < 3) {
      const fds: number[] = [];
      this.#both(`open ${path}`, (root) => {
        fds.push(fs.openSync(join(root, path), 'r+'));
      });
      const [mount, local] = fds;
      if (mount !== undefined && local !== undefined) this.#open.push({ mount, local });
      return;
    }
    const pair = this.#open.shift();
    if (pair === undefined) return;
    const position = this.#random.below(4_000);
    for (const fd of [pair.mount, pair.local]) fs.writeSync(fd, 'through a handle', position);
    this.#close(pair);
  }

  #close(pair: { readonly mount: number; readonly local: number }): void {
    const [mount, local] = [pair.mount, pair.local].map((fd) => {
      const bytes = Buffer.alloc(fs.fstatSync(fd).size);
      const count = fs.readSync(fd, bytes, 0, bytes.length, 0);
      fs.closeSync(fd);
      return bytes.toString('latin1', 0, count);
    });
    this.#history.push('read and close a handle');
    assert.equal(mount, local, 'bytes of an open file');
  }

  #both(what: string, act: Act): void {
    const local = attempt(act, this.#local);
    this.#history.push(`${what}: ${local.code}`);
    const mount = attempt(act, this.#mount);
    assert.deepEqual(mount, local, what);
  }
}

/** A link to a symbolic link is not supported by the server, and so not tried here. */
function linkFile(path: string, other: string): void {
  if (!fs.lstatSync(path).isSymbolicLink()) fs.linkSync(path, other);
}

function statOf(path: string): { readonly mode: number; readonly size: number } {
  const { mode, size } = fs.lstatSync(path);
  return { mode, size: (mode & fs.constants.S_IFMT) === fs.constants.S_IFDIR ? 0 : size };
}

function attempt(act: Act, root: string): Answer {
  try {
    return { code: '', value: act(root) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return { code };
  }
}

/** `renameFlags`: whether the mount has renameat2(2) with flags. */
export function wander(
  mount: string,
  local: string,
  seed: number,
  count: number,
  renameFlags: boolean,
): void {
  new Wanderer(mount, local, seed, renameFlags).run(count);
}
