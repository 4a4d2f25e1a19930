/** Which node is to be looked at when: each at one time only, the earliest first, equal times in the order they came. */

import { type Clock, Heap, type Ino, type Timer } from '../base/index.js';

interface Due {
  readonly ino: Ino;
  readonly atMs: number;
  /** Keeps what is due at one time in order. */
  readonly sequence: number;
}

export class DueQueue {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  /** Holds outdated entries too; the map says which count. */
  readonly #heap = new Heap<Due>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence));
  readonly #atMs = new Map<Ino, number>();
  #sequence = 0;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;

  /** `onDue` is called when something may be due, after {@link arm}. */
  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#atMs.size;
  }

  has(ino: Ino): boolean {
    return this.#atMs.has(ino);
  }

  /** When the node is due, in ms since the epoch. */
  atMs(ino: Ino): number | undefined {
    return this.#atMs.get(ino);
  }

  /** Puts a node at a time, instead of the one it had. */
  set(ino: Ino, atMs: number): void {
    this.#atMs.set(ino, atMs);
    this.#sequence += 1;
    this.#heap.push({ ino, atMs, sequence: this.#sequence });
  }

  /** Takes out the next node that is due by `nowMs`. */
  take(nowMs: number): Ino | undefined {
    for (let next = this.#heap.peek(); next !== undefined && next.atMs <= nowMs; next = this.#heap.peek()) {
      this.#heap.pop();
      if (this.#atMs.get(next.ino) !== next.atMs) continue;
      this.#atMs.delete(next.ino);
      return next.ino;
    }
    return undefined;
  }

  /** Makes sure that `onDue` is called when the next node is due. */
  arm(): void {
    const next = this.#heap.peek();
    if (next === undefined || (this.#timer !== undefined && this.#timerAtMs <= next.atMs)) return;
    this.disarm();
    this.#timerAtMs = next.atMs;
    this.#timer = this.#clock.after(Math.max(0, next.atMs - this.#clock.nowMs()), () => {
      this.#timer = undefined;
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#onDue();
    });
  }

  disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
