/** The deadline of one exchange: one timer on the injected clock, armed anew for each phase, and the caller's signal. */

import type { Clock, Timer } from '../base/index.js';
import { CalledOffError, DeadlineError } from './error-map.js';

export class Watchdog {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #onOuterAbort: () => void;
  #timer: Timer | undefined;
  #closed = false;

  constructor(clock: Clock, outer: AbortSignal | undefined) {
    this.#clock = clock;
    this.#outer = outer;
    this.#onOuterAbort = () => this.abort(new CalledOffError('called off', { cause: outer?.reason }));
    if (outer?.aborted === true) this.#onOuterAbort();
    else outer?.addEventListener('abort', this.#onOuterAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From now on, `limitMs` without another call aborts the exchange with a {@link DeadlineError}. */
  arm(phase: DeadlineError['phase'], limitMs: number): void {
    // An answer may come before the upload hears that its last chunk is out.
    if (this.#closed) return;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(limitMs, () => this.abort(new DeadlineError(phase, limitMs)));
  }

  /** No deadline while it is not the server that is waited for. */
  disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  /** Forgets the timer and the caller's signal. */
  close(): void {
    this.#closed = true;
    this.disarm();
    this.#outer?.removeEventListener('abort', this.#onOuterAbort);
  }
}
