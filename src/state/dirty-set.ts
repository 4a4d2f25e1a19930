/** The inode numbers of the dirty nodes, in order, cheap to change while someone walks through it. */

import type { Ino } from '../base/index.js';

export class DirtySet {
  readonly #members: Set<Ino>;
  /**
   * Every member in order, and removed ones in between; undefined: to be sorted anew. It only ever grows at its end,
   * so that a walk by index stays right; any other change makes a new array.
   */
  #sorted: Ino[] | undefined;

  constructor(members: Iterable<Ino> = []) {
    this.#members = new Set(members);
  }

  get size(): number {
    return this.#members.size;
  }

  has(ino: Ino): boolean {
    return this.#members.has(ino);
  }

  add(ino: Ino): void {
    if (this.#members.has(ino)) return;
    this.#members.add(ino);
    const last = this.#sorted?.at(-1);
    if (this.#sorted === undefined) return;
    if (last === undefined || last < ino) this.#sorted.push(ino);
    else this.#sorted = undefined;
  }

  delete(ino: Ino): void {
    this.#members.delete(ino);
    if (this.#sorted !== undefined && this.#sorted.length > 2 * this.#members.size + 64)
      this.#sorted = undefined;
  }

  /** Walks in order; members that go meanwhile are left out, those that come may be. */
  *[Symbol.iterator](): Generator<Ino> {
    this.#sorted ??= [...this.#members].sort((a, b) => a - b);
    const sorted = this.#sorted;
    for (let i = 0; i < sorted.length; i++) {
      const ino = sorted[i] as Ino;
      if (this.#members.has(ino)) yield ino;
    }
  }
}
