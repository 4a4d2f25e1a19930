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

/** The machine's own clock. */
export class SystemClock implements Clock {
  readonly #originNs = BigInt(Date.now()) * NS_PER_MS - process.hrtime.bigint();

  nowMs(): number {
    return Date.now();
  }

  nowNs(): Ns {
    return this.#originNs + process.hrtime.bigint();
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
