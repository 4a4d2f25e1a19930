/** How many operations may run now. */

import type { Clock } from '../base/index.js';
import type { Concurrency } from './concurrency.js';
import type { Connectivity } from './connectivity.js';

/** How long after a local change a program counts as busy, and how many uploads run beside it. */
const FOREGROUND_MS = 20;
const FOREGROUND_SLOTS = 2;

export class Slots {
  readonly #concurrency: Concurrency;
  readonly #connectivity: Connectivity;
  readonly #clock: Clock;
  #lastChangeMs = Number.NEGATIVE_INFINITY;

  constructor(deps: {
    readonly concurrency: Concurrency;
    readonly connectivity: Connectivity;
    readonly clock: Clock;
  }) {
    this.#concurrency = deps.concurrency;
    this.#connectivity = deps.connectivity;
    this.#clock = deps.clock;
  }

  /** A program changed something. */
  noteChange(): void {
    this.#lastChangeMs = this.#clock.nowMs();
  }

  /** While the line is in doubt, one request finds out for all; while programs make changes, they come first. */
  get limit(): number {
    if (this.#connectivity.state.kind !== 'online') return 1;
    const isBusy = this.#clock.nowMs() - this.#lastChangeMs < FOREGROUND_MS;
    return isBusy ? Math.min(FOREGROUND_SLOTS, this.#concurrency.limit) : this.#concurrency.limit;
  }
}
