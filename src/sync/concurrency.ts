/**
 * How many changes are sent at a time: more while all goes well, fewer when the server complains or becomes slow (additive
 * increase, multiplicative decrease). What it was asked before it had fewer to do says nothing new, so one trouble counts
 * once, however many requests it meets.
 */

/** A server is slow when it takes this many times as long as at its best, */
const SLOW_FACTOR = 4;
/** and this much longer at least: below that nobody waits for it. */
const SLOW_FROM_MS = 250;
const SLOW_DECREASE = 0.75;
const COMPLAINT_DECREASE = 0.5;
/** Weight of the newest duration in the mean. */
const WEIGHT = 0.25;
/** What the best was is believed so long: another line or another server may be slower for good. */
const BEST_HOLDS_MS = 10 * 60_000;

export class Concurrency {
  #max: number;
  #limit: number;
  #successes = 0;
  /** Requests that were made before are not judged by. */
  #reducedAtMs = Number.NEGATIVE_INFINITY;
  #meanMs: number | undefined;
  #bestMs: number | undefined;
  #bestAtMs = Number.NEGATIVE_INFINITY;

  /** @param max most requests at a time; it begins with at most four, as a far server may bear no more. */
  constructor(max: number) {
    this.#max = max;
    this.#limit = Math.min(4, max);
  }

  get max(): number {
    return this.#max;
  }

  /** A higher one is grown into, a lower one holds at once. */
  set max(max: number) {
    this.#max = max;
    this.#limit = Math.min(this.#limit, max);
  }

  get limit(): number {
    return Math.floor(this.#limit);
  }

  /** `isBrief`: it took as long as the server needed, not as long as its bytes. Times in ms. */
  succeeded(beganAtMs: number, nowMs: number, isBrief: boolean): void {
    if (isBrief && this.#isSlow(beganAtMs, nowMs)) {
      this.#reduce(SLOW_DECREASE, nowMs);
      return;
    }
    this.#successes += 1;
    if (this.#successes < this.limit) return;
    this.#successes = 0;
    this.#limit = Math.min(this.#max, this.#limit + 1);
  }

  /** The server said that it has too much to do, or failed as one that has. */
  complained(beganAtMs: number, nowMs: number): void {
    if (beganAtMs < this.#reducedAtMs) return;
    this.#reduce(COMPLAINT_DECREASE, nowMs);
  }

  #reduce(factor: number, nowMs: number): void {
    this.#successes = 0;
    this.#reducedAtMs = nowMs;
    this.#meanMs = undefined;
    this.#limit = Math.max(1, this.#limit * factor);
  }

  /** Takes a duration into account, and tells whether the server has become slow. */
  #isSlow(beganAtMs: number, nowMs: number): boolean {
    const tookMs = nowMs - beganAtMs;
    if (this.#bestMs === undefined || tookMs <= this.#bestMs || nowMs - this.#bestAtMs > BEST_HOLDS_MS) {
      this.#bestMs = tookMs;
      this.#bestAtMs = nowMs;
    }
    if (beganAtMs < this.#reducedAtMs) return false;
    const meanMs = this.#meanMs ?? this.#bestMs;
    this.#meanMs = meanMs + WEIGHT * (tookMs - meanMs);
    return this.#meanMs > Math.max(SLOW_FACTOR * this.#bestMs, this.#bestMs + SLOW_FROM_MS);
  }
}
