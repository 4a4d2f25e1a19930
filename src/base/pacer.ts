/**
 * Long work in short turns: whoever has much to do on the thread that answers the kernel asks here between pieces, and
 * lets others have their turn when its own has lasted long enough. It measures elapsed time, not work.
 */

import { performance } from 'node:perf_hooks';

/** Long enough that turns cost little, short enough that a request waiting behind one is not noticed. */
const TURN_MS = 1;

export class Pacer {
  #sinceMs = performance.now();

  /** Undefined while the turn may go on; else resolves when timers, sockets and the kernel had theirs. */
  pause(): Promise<void> | undefined {
    if (performance.now() - this.#sinceMs < TURN_MS) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        this.#sinceMs = performance.now();
        resolve();
      });
    });
  }
}
