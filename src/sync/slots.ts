/**
 * How many operations may run now, and who waits for it. Large uploads never take all of it: what is small must not wait
 * until one of them has ended.
 */

import type { Ino } from '../base/index.js';
import type { Concurrency } from './concurrency.js';
import type { Connectivity } from './connectivity.js';

/** An upload from this size on takes longer for its bytes than for its request: a second at 8 Mbit/s. */
const LARGE_FROM_BYTES = 1024 * 1024;
/** One slot of so many is kept from large uploads. */
const SLOTS_PER_SMALL = 4;

export type OperationSize = 'small' | 'large';

export function sizeOf(uploadBytes: number): OperationSize {
  return uploadBytes >= LARGE_FROM_BYTES ? 'large' : 'small';
}

export class Slots {
  readonly #concurrency: Concurrency;
  readonly #connectivity: Connectivity;
  readonly #running: Record<OperationSize, number> = { small: 0, large: 0 };
  readonly #waiting = { ahead: new Set<Ino>(), small: new Set<Ino>(), large: new Set<Ino>() };

  constructor(deps: { readonly concurrency: Concurrency; readonly connectivity: Connectivity }) {
    this.#concurrency = deps.concurrency;
    this.#connectivity = deps.connectivity;
  }

  hasRoom(size: OperationSize): boolean {
    const { limit } = this;
    const { small, large } = this.#running;
    if (size === 'large') return small + large < limit && large < limit - this.#keptForSmall(limit);
    // Where only one may run it may be a large one; then a small one goes beside it, but for what the user allows.
    return small + large < limit || (small === 0 && large < this.#concurrency.max && this.#isOnline);
  }

  /** The function returned gives the slot back. */
  take(size: OperationSize): () => void {
    this.#running[size] += 1;
    return () => {
      this.#running[size] -= 1;
    };
  }

  /** For a node that found no room. `isAhead`: it comes before all others, also when it waits again. */
  wait(ino: Ino, size: OperationSize, isAhead: boolean): void {
    this.#waiting[isAhead ? 'ahead' : size].add(ino);
  }

  isWaiting(ino: Ino): boolean {
    return Object.values(this.#waiting).some((waiting) => waiting.has(ino));
  }

  get waiting(): number {
    return Object.values(this.#waiting).reduce((sum, { size }) => sum + size, 0);
  }

  /** Lets those who wait try while there is room, what is small before what is large; each once. */
  fill(attempt: (ino: Ino, isAhead: boolean) => void): void {
    for (const [size, waiting] of [
      ['small', this.#waiting.ahead],
      ['small', this.#waiting.small],
      ['large', this.#waiting.large],
    ] as const) {
      let left = waiting.size;
      for (const ino of waiting) {
        // What has to wait again comes round at the end.
        if (left === 0 || !this.hasRoom(size)) break;
        left -= 1;
        waiting.delete(ino);
        attempt(ino, waiting === this.#waiting.ahead);
      }
    }
  }

  get #isOnline(): boolean {
    return this.#connectivity.state.kind === 'online';
  }

  #keptForSmall(limit: number): number {
    return limit === 1 ? 0 : Math.max(1, Math.floor(limit / SLOTS_PER_SMALL));
  }

  /** While the line is in doubt, one request finds out for all. */
  get limit(): number {
    return this.#isOnline ? this.#concurrency.limit : 1;
  }
}
