/**
 * Whether the server can be reached, and when to try again. One state for all: when one request finds the line dead,
 * the others need not find it out each for itself.
 */

import type { Clock, Log } from '../base/index.js';
import type { RemoteError } from '../remote/index.js';

export type ConnectivityState =
  | { readonly kind: 'online' }
  /** No connection, or a server that asks to be left alone. */
  | { readonly kind: 'offline'; readonly error: RemoteError; readonly retryAtMs: number }
  /** The credentials were refused. One refusal is no proof: a renewed password takes minutes to work. */
  | { readonly kind: 'unauthorized'; readonly error: RemoteError; readonly retryAtMs: number };

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 60_000;
const FIRST_UNAUTHORIZED_DELAY_MS = 5_000;
const LONGEST_UNAUTHORIZED_DELAY_MS = 60_000;
/** While the credentials are in doubt, one request tries them; the others wait this long for what it finds. */
const TRIAL_MS = 2_000;

export class Connectivity {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #log: Log;
  readonly #onChange: () => void;
  #state: ConnectivityState = { kind: 'online' };
  #failures = 0;
  /** Until when one request tries the credentials for all. */
  #trialUntilMs = 0;

  /** `onChange`: told when the server cannot be used any more, and when it can again. */
  constructor(clock: Clock, random: () => number, log: Log, onChange: () => void = () => undefined) {
    this.#clock = clock;
    this.#random = random;
    this.#log = log;
    this.#onChange = onChange;
  }

  get state(): ConnectivityState {
    return this.#state;
  }

  /** Milliseconds until the next try is due; 0 when requests may be made. */
  get waitMs(): number {
    if (this.#state.kind === 'online') return 0;
    return Math.max(0, Math.max(this.#state.retryAtMs, this.#trialUntilMs) - this.#clock.nowMs());
  }

  /**
   * Throws the error that stands for the trouble while the next try is not due. After a refusal of the credentials,
   * whoever is let through is the only one for a while: an account is locked by many wrong tries.
   */
  check(): void {
    const state = this.#state;
    if (state.kind === 'online') return;
    if (this.waitMs > 0) throw state.error;
    if (state.kind === 'unauthorized') this.#trialUntilMs = this.#clock.nowMs() + TRIAL_MS;
  }

  /** Something was put right, such as the password: the next try is due now. */
  retryNow(): void {
    if (this.#state.kind === 'online') return;
    this.#failures = 0;
    this.#trialUntilMs = 0;
    this.#state = { ...this.#state, retryAtMs: this.#clock.nowMs() };
  }

  succeeded(): void {
    const wasDown = this.#state.kind !== 'online';
    this.#state = { kind: 'online' };
    this.#failures = 0;
    this.#trialUntilMs = 0;
    if (!wasDown) return;
    this.#log.info({}, 'the server can be reached again');
    this.#onChange();
  }

  /** Takes note of a failure; says whether it concerns the connection as a whole rather than one request. */
  failed(error: RemoteError): boolean {
    const refused = error.code === 'unauthorized';
    if (!refused && !error.isOffline && error.code !== 'throttled') return false;
    const nowMs = this.#clock.nowMs();
    // Requests that were under way together fail together: that is one failure.
    if (this.#state.kind !== 'online' && this.#state.retryAtMs > nowMs) return true;
    const [first, longest] = refused
      ? [FIRST_UNAUTHORIZED_DELAY_MS, LONGEST_UNAUTHORIZED_DELAY_MS]
      : [FIRST_DELAY_MS, LONGEST_DELAY_MS];
    const backOffMs = Math.min(longest, first * 2 ** Math.min(this.#failures, 16));
    const delayMs = Math.max(
      backOffMs * (0.5 + this.#random() / 2),
      Math.min(error.retryAfterMs ?? 0, longest),
    );
    this.#failures += 1;
    this.#trialUntilMs = 0;
    if (this.#state.kind === 'online') {
      this.#log.warn(
        { code: error.code, reason: error.message },
        'the server cannot be used; changes wait in the cache',
      );
    }
    const before = this.#state.kind;
    this.#state = { kind: refused ? 'unauthorized' : 'offline', error, retryAtMs: nowMs + delayMs };
    if (this.#state.kind !== before) this.#onChange();
    return true;
  }
}
