/** How many bytes a second move up and down, as a mean over the last seconds. */

import type { Clock } from '../base/index.js';
import type { Rates } from './control.js';

const BUCKET_MS = 500;
/** 5 s. */
const BUCKETS = 10;

interface Bucket {
  /** Number of the half second since the epoch. */
  readonly number: number;
  up: number;
  down: number;
}

export class RateMeter {
  readonly #clock: Clock;
  /** Oldest first; only those in which something moved. */
  readonly #buckets: Bucket[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  noteUp(bytes: number): void {
    this.#current().up += bytes;
  }

  noteDown(bytes: number): void {
    this.#current().down += bytes;
  }

  get rates(): Rates {
    const nowMs = this.#clock.nowMs();
    this.#forget(nowMs);
    const sinceMs = (Math.floor(nowMs / BUCKET_MS) - BUCKETS + 1) * BUCKET_MS;
    // The bucket of this moment is not over; it counts for what it has of time.
    const seconds = Math.max(BUCKET_MS, nowMs - sinceMs) / 1000;
    const sum = (of: (bucket: Bucket) => number) =>
      Math.round(this.#buckets.reduce((total, bucket) => total + of(bucket), 0) / seconds);
    return { upBytesPerSecond: sum(({ up }) => up), downBytesPerSecond: sum(({ down }) => down) };
  }

  #current(): Bucket {
    const nowMs = this.#clock.nowMs();
    const number = Math.floor(nowMs / BUCKET_MS);
    const last = this.#buckets.at(-1);
    if (last?.number === number) return last;
    this.#forget(nowMs);
    const bucket: Bucket = { number, up: 0, down: 0 };
    this.#buckets.push(bucket);
    return bucket;
  }

  #forget(nowMs: number): void {
    const oldest = Math.floor(nowMs / BUCKET_MS) - BUCKETS + 1;
    const now = Math.floor(nowMs / BUCKET_MS);
    // A clock that was set back leaves buckets of a time that is still to come.
    const kept = this.#buckets.filter(({ number }) => number >= oldest && number <= now);
    this.#buckets.splice(0, this.#buckets.length, ...kept);
  }
}
