/** Time as the layers see it: injected, so that a test can run a whole day in a moment. */

import type { Ns } from './types.js';

export interface Timer {
  /** Forgets the timer; does nothing once it has fired. */
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
  /** Nanoseconds since the epoch, never running backwards within one process. */
  nowNs(): Ns;
  /** Calls `callback` once after `delayMs`; an armed timer does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer;
}

const NS_PER_MS = 1_000_000n;
/** The wall clock's grain, and what lies between reading the two clocks. */
const DRIFT_NS = 2n * NS_PER_MS;

/** The machine's own clock. */
export class SystemClock implements Clock {
  #originNs = BigInt(Date.now()) * NS_PER_MS - process.hrtime.bigint();
  #lastNs = 0n;

  nowMs(): number {
    return Date.now();
  }

  nowNs(): Ns {
    const wallNs = BigInt(Date.now()) * NS_PER_MS;
    let ns = this.#originNs + process.hrtime.bigint();
    // The monotonic clock does not count a suspend, and the wall clock may be set.
    if (ns < wallNs - DRIFT_NS || ns > wallNs + DRIFT_NS) {
      this.#originNs += wallNs - ns;
      ns = wallNs;
    }
    this.#lastNs = ns > this.#lastNs ? ns : this.#lastNs + 1n;
    return this.#lastNs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  }
}

/** Resolves after `delayMs` on `clock`, or rejects with the signal's reason. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
