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
  readonly #random: Random;
  readonly #history: string[] = [];
  /** Descriptors of the same file on both sides. */
  readonly #open: { readonly mount: number; readonly local: number }[] = [];

  constructor(mount: string, local: string, seed: number) {
    this.#mount = mount;
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
    const random = this.#random;
    const path = this.#path();
    const other = this.#path();
    switch (random.below(20)) {
      case 0:
      case 1:
        return this.#both(`mkdir ${path}`, (root) => fs.mkdirSync(join(root, path)));
      case 2:
      case 3:
      case 4:
      case 5:
        return this.#write(path, random.chance(0.03) ? 1_500_000 : 1 + random.below(3_000));
      case 6:
        return this.#append(path);
      case 7:
        return this.#both(`unlink ${path}`, (root) => fs.unlinkSync(join(root, path)));
      case 8:
        return this.#both(`rmdir ${path}`, (root) => fs.rmdirSync(join(root, path)));
      case 9:
      case 10:
      case 11:
        return this.#both(`rename ${path} ${other}`, (root) =>
          fs.renameSync(join(root, path), join(root, other)),
        );
      case 12: {
        const flag = random.pick([RENAME_EXCHANGE, RENAME_NOREPLACE]) ?? 0;
        return this.#both(`renameat2 ${path} ${other} ${flag}`, (root) =>
          renameat2(join(root, path), join(root, other), flag),
        );
      }
      case 13:
        return this.#symlink(path);
      case 14:
        return this.#both(`link ${path} ${other}`, (root) => {
          // A link to a symbolic link is not supported on the server, and so not tried here.
          if (fs.lstatSync(join(root, path)).isSymbolicLink()) return;
          fs.linkSync(join(root, path), join(root, other));
        });
      case 15:
        return this.#both(`readdir ${path}`, (root) => fs.readdirSync(join(root, path)).sort());
      case 16:
        return this.#both(`read ${path}`, (root) => fs.readFileSync(join(root, path), 'latin1'));
      case 17: {
        const size = random.below(5_000);
        return this.#both(`truncate ${path} ${size}`, (root) => fs.truncateSync(join(root, path), size));
      }
      case 18:
        return this.#handle(path);
      default:
        return this.#both(`stat ${path}`, (root) => {
          const { mode, size } = fs.lstatSync(join(root, path));
          return { mode, size: (mode & 0o170000) === 0o040000 ? 0 : size };
        });
    }
  }

  #path(): string {
    const depth = 1 + this.#random.below(3);
    const names = Array.from({ length: depth }, () => this.#random.pick(NAMES) ?? '');
    return names.join('/');
  }

  #write(path: string, size: number): void {
    const data = Buffer.alloc(size, `${this.#random.below(1_000_000)} `);
    this.#both(`write ${path} ${size}`, (root) => fs.writeFileSync(join(root, path), data));
  }

  #append(path: string): void {
    const data = `appended ${this.#random.below(1_000_000)}\n`;
    this.#both(`append ${path}`, (root) => fs.appendFileSync(join(root, path), data));
  }

  #symlink(path: string): void {
    const name = join(dirname(path), this.#random.pick(LINKS) ?? '');
    if (this.#random.chance(0.5))
      return this.#both(`unlink ${name}`, (root) => fs.unlinkSync(join(root, name)));
    this.#both(`symlink ${name}`, (root) => fs.symlinkSync(`to ${path}`, join(root, name)));
  }

  /** Opens a file, or uses and closes one that was opened earlier, whatever has become of its name. */
  #handle(path: string): void {
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

function attempt(act: Act, root: string): Answer {
  try {
    return { code: '', value: act(root) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return { code };
  }
}

export function wander(mount: string, local: string, seed: number, count: number): void {
  new Wanderer(mount, local, seed).run(count);
}
