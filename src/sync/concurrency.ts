/**
 * How many changes are sent at a time: more while all goes well, half as many when the server complains (additive
 * increase, multiplicative decrease).
 */

export class Concurrency {
  #max: number;
  #limit: number;
  #successes = 0;

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

  succeeded(): void {
    this.#successes += 1;
    if (this.#successes < this.limit) return;
    this.#successes = 0;
    this.#limit = Math.min(this.#max, this.#limit + 1);
  }

  complained(): void {
    this.#successes = 0;
    this.#limit = Math.max(1, this.#limit / 2);
  }
}
