/**
 * Programs that keep files open and whose reads and writes the kernel does by itself, for the random model: nobody tells
 * of a write.
 */

import type { Ino } from '../../../src/base/index.js';
import { type Fh, VfsError } from '../../../src/vfs/index.js';
import type { Random } from '../../support/random.js';
import type { World } from './world.js';

interface Held {
  readonly ino: Ino;
  readonly fh: Fh;
  readonly writable: boolean;
}

/** What the model has to know of a write. */
export interface KernelWriterHooks {
  note(what: string, detail: string): void;
  newContent(): string;
  shownBy(ino: Ino): string | undefined;
  replaced(ino: Ino, before: string | undefined, after: string): void;
}

const HELD_MAX = 4;

export class KernelWriters {
  readonly #world: World;
  readonly #random: Random;
  readonly #hooks: KernelWriterHooks;
  #held: Held[] = [];

  constructor(world: World, random: Random, hooks: KernelWriterHooks) {
    this.#world = world;
    this.#random = random;
    this.#hooks = hooks;
  }

  async step(): Promise<void> {
    const random = this.#random;
    const held = random.pick(this.#held);
    const kind = random.below(10);
    if (held === undefined || (kind < 3 && this.#held.length < HELD_MAX)) return this.#open();
    const { files } = this.#world.vfs;
    if (kind < 6) await this.#write(held);
    else if (kind === 6) await files.fsync(held.fh);
    else if (kind === 7) await files.flush(held.fh);
    else if (kind === 8) this.#world.vfs.attributes.get(held.ino);
    else await this.#close(held);
    this.#hooks.note(
      'HELD',
      `${['', '', '', '', '', '', 'fsync', 'flush', 'stat', 'close'][kind] ?? ''} ${held.ino}`,
    );
  }

  /** SIGKILL: nobody has anything open any more. */
  dropped(): void {
    this.#held = [];
  }

  async closeAll(): Promise<void> {
    for (const held of [...this.#held]) await this.#close(held);
  }

  async #open(): Promise<void> {
    const file = this.#random.pick(this.#world.localPaths().filter(({ kind }) => kind === 'file'));
    if (file === undefined) return;
    const writable = this.#random.chance(0.7);
    const fh = await this.#opened(file.ino, writable);
    if (fh === undefined) return;
    this.#held.push({ ino: file.ino, fh, writable });
    const how = this.#world.vfs.backingOf(fh) === undefined ? 'daemon' : 'kernel';
    this.#hooks.note('HELD open', `${file.path} ${file.ino} ${writable ? 'to write' : ''} by the ${how}`);
  }

  /** Undefined where the server has another version by now: the kernel would look again. */
  async #opened(ino: Ino, writable: boolean): Promise<Fh | undefined> {
    try {
      return await this.#world.vfs.files.open(ino, { writable, append: false, truncate: false });
    } catch (error) {
      if (error instanceof VfsError && error.code === 'ESTALE') return undefined;
      throw error;
    }
  }

  async #write({ ino, fh, writable }: Held): Promise<void> {
    if (!writable) return;
    const before = this.#hooks.shownBy(ino);
    const after = this.#hooks.newContent();
    await this.#world.writeTo(fh, ino, Buffer.from(after));
    this.#hooks.replaced(ino, before, after);
    this.#hooks.note('HELD write', `${ino} = ${after}`);
  }

  async #close(held: Held): Promise<void> {
    this.#held = this.#held.filter((other) => other !== held);
    if (held.writable) await this.#world.vfs.files.flush(held.fh);
    this.#world.vfs.files.release(held.fh);
  }
}
