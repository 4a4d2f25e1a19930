/**
 * Whether programs are busy with the mount right now, so that what is carried up waits: both are done by one thread, and
 * somebody waits for the programs. A short gap in their requests is enough to go on, and where none comes, changes get a
 * share of the time after a while.
 */

import type { Clock, Timer } from '../base/index.js';

/** Programs are busy while they asked this often within that time. */
const BUSY_REQUESTS = 16;
const BUSY_MS = 100;
/** They have the thread to themselves for this long at most. */
const LONGEST_HOLD_MS = 5_000;
/** Afterwards, of each such period this much is for what is carried up. */
const PERIOD_MS = 400;
const SHARE_MS = 100;

export class Courtesy {
  readonly #clock: Clock;
  /** When the last requests were, in a ring. */
  readonly #lastMs = new Float64Array(BUSY_REQUESTS).fill(Number.NEGATIVE_INFINITY);
  /** Index of the oldest of them. */
  #oldest = 0;
  /** When the present run of requests began: one without a gap. */
  #runBeganMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  /** Called when what had to wait may go on. */
  onFree: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A program was answered. Called for each request of the kernel. */
  noteRequest(): void {
    const nowMs = this.#clock.nowMs();
    const newest = (this.#oldest + BUSY_REQUESTS - 1) % BUSY_REQUESTS;
    if (nowMs - (this.#lastMs[newest] ?? 0) >= BUSY_MS) this.#runBeganMs = nowMs;
    this.#lastMs[this.#oldest] = nowMs;
    this.#oldest = (this.#oldest + 1) % BUSY_REQUESTS;
  }

  /** Whether nothing is to be begun now; then {@link onFree} is called later. */
  givesWay(): boolean {
    const waitMs = this.#waitMs();
    if (waitMs === 0) return false;
    this.#timer ??= this.#clock.after(waitMs, () => {
      this.#timer = undefined;
      this.onFree();
    });
    return true;
  }

  /** Whether {@link onFree} is about to be called. */
  get isHolding(): boolean {
    return this.#timer !== undefined;
  }

  /** Somebody waits for what waits: {@link onFree} is called at once where it was to be called. */
  hurry(): void {
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    this.#timer = this.#clock.after(0, () => {
      this.#timer = undefined;
      this.onFree();
    });
  }

  /** How long to wait, should no more requests come; 0: not at all. */
  #waitMs(): number {
    const nowMs = this.#clock.nowMs();
    const waitMs = BUSY_MS - (nowMs - (this.#lastMs[this.#oldest] ?? 0));
    // More than that is the work of someone who set the clock back.
    if (waitMs <= 0 || waitMs > BUSY_MS) return 0;
    const heldMs = nowMs - this.#runBeganMs - LONGEST_HOLD_MS;
    if (heldMs < 0) return waitMs;
    const restMs = PERIOD_MS - SHARE_MS - (heldMs % PERIOD_MS);
    return restMs <= 0 ? 0 : Math.min(waitMs, restMs);
  }
}
