/**
 * What happens in the first moments after the server refused credentials that it took before: requests wait, since
 * someone may be changing the password right now, and one refusal is no proof. The wait is short and has an end, and
 * then everything fails at once until there are other credentials.
 */

import type { Clock, Timer } from '../../base/index.js';

/** How long a request waits for other credentials; a program that reads waits with it. */
const HOLD_MS = 15_000;
/** After this long the server is asked once more with the same ones. */
const SECOND_LOOK_MS = 2_000;

export class Refusal {
  /** Whether the request is worth another attempt. */
  readonly over: Promise<boolean>;
  readonly #timers: readonly Timer[];
  #settle: (tryAgain: boolean) => void = () => undefined;
  #isOver = false;

  /** @param lookAgain asks the server with the same credentials; it must not reject, and may call {@link end}. */
  constructor(clock: Clock, lookAgain: () => void) {
    this.over = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#timers = [
      clock.after(SECOND_LOOK_MS, () => lookAgain()),
      clock.after(HOLD_MS, () => this.end(false)),
    ];
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  end(tryAgain: boolean): void {
    this.#isOver = true;
    for (const timer of this.#timers) timer.cancel();
    this.#settle(tryAgain);
  }
}
