/** Which node is to be looked at when: each at one time only, the earliest first, equal times in the order they came. */

import { type Clock, Heap, type Ino, type Timer } from '../base/index.js';

/** An entry of the heap. */
interface Due {
  readonly ino: Ino;
  readonly atMs: number;
  /** Keeps what is due at one time in order. */
  readonly sequence: number;
}

interface Wanted {
  atMs: number;
  sequence: number;
  /** Its entry in the heap: never later than it is wanted, so that a node that is put off again and again has one entry. */
  entry: Due;
}

export class DueQueue {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  /** Holds outdated and early entries too; the map says what counts. */
  readonly #heap = new Heap<Due>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence));
  readonly #wanted = new Map<Ino, Wanted>();
  #sequence = 0;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;

  /** `onDue` is called when something may be due, after {@link arm}. */
  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#wanted.size;
  }

  has(ino: Ino): boolean {
    return this.#wanted.has(ino);
  }

  /** When the node is due, in ms since the epoch. */
  atMs(ino: Ino): number | undefined {
    return this.#wanted.get(ino)?.atMs;
  }

  /** Puts a node at a time, instead of the one it had. */
  set(ino: Ino, atMs: number): void {
    const sequence = ++this.#sequence;
    const wanted = this.#wanted.get(ino);
    if (wanted !== undefined && wanted.entry.atMs <= atMs) {
      wanted.atMs = atMs;
      wanted.sequence = sequence;
      return;
    }
    const entry = { ino, atMs, sequence };
    this.#wanted.set(ino, { atMs, sequence, entry });
    this.#heap.push(entry);
  }

  /** Takes out the next node that is due by `nowMs`. */
  take(nowMs: number): Ino | undefined {
    for (let next = this.#heap.peek(); next !== undefined && next.atMs <= nowMs; next = this.#heap.peek()) {
      this.#heap.pop();
      const wanted = this.#wanted.get(next.ino);
      if (wanted?.entry !== next) continue;
      if (wanted.sequence === next.sequence) {
        this.#wanted.delete(next.ino);
        return next.ino;
      }
      wanted.entry = { ino: next.ino, atMs: wanted.atMs, sequence: wanted.sequence };
      this.#heap.push(wanted.entry);
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
