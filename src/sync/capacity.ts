/**
 * How much room the server has, for statfs(2): asked for now and then, and soon after uploads. What was uploaded since
 * the last answer counts as used until the next.
 */

import type { Clock, Log, Timer } from '../base/index.js';
import { isRemoteError, type Quota } from '../remote/index.js';

export interface CapacityDeps {
  readonly clock: Clock;
  readonly log: Log;
  /**
   * Undefined where the server tells nothing. A rejection leaves the last answer as it is: what was known a while ago
   * is closer to the truth than nothing.
   */
  readonly ask: () => Promise<Quota | undefined>;
}

const EVERY_MS = 10 * 60_000;
const AFTER_UPLOAD_MS = 60_000;
/** Whoever asks for the room of a new mount waits this long for the first answer. */
const FIRST_ANSWER_MS = 2_000;

export class Capacity {
  readonly #deps: CapacityDeps;
  #quota: Quota | undefined;
  #uploadedBytes = 0;
  #timer: { readonly timer: Timer; readonly atMs: number } | undefined;
  #asking = false;
  #first: Promise<void> | undefined;
  #setFirst: () => void = () => undefined;
  #closed = false;

  constructor(deps: CapacityDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#first = new Promise((resolve) => {
      this.#setFirst = () => {
        this.#first = undefined;
        resolve();
      };
    });
    this.#deps.clock.after(FIRST_ANSWER_MS, () => this.#setFirst());
    this.#ask();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.timer.cancel();
    this.#setFirst();
  }

  /** Pending until the first answer, but not for long; undefined from then on. */
  get settling(): Promise<void> | undefined {
    return this.#first;
  }

  get quota(): Quota | undefined {
    if (this.#quota === undefined) return undefined;
    const { used, available } = this.#quota;
    const uploadedBytes = Math.min(this.#uploadedBytes, available);
    return { used: used + uploadedBytes, available: available - uploadedBytes };
  }

  /** `sizeBytes` went up. */
  uploaded(sizeBytes: number): void {
    this.#uploadedBytes += sizeBytes;
    this.#askIn(AFTER_UPLOAD_MS);
  }

  #askIn(delayMs: number): void {
    if (this.#closed) return;
    const { clock } = this.#deps;
    const atMs = clock.nowMs() + delayMs;
    if (this.#timer !== undefined && this.#timer.atMs <= atMs) return;
    this.#timer?.timer.cancel();
    this.#timer = { atMs, timer: clock.after(delayMs, () => this.#ask()) };
  }

  #ask(): void {
    this.#timer = undefined;
    if (this.#closed || this.#asking) return;
    this.#asking = true;
    const countedBytes = this.#uploadedBytes;
    const { ask, log } = this.#deps;
    ask()
      .then((quota) => {
        this.#quota = isUsable(quota) ? quota : undefined;
        this.#uploadedBytes -= countedBytes;
      })
      .catch((error: unknown) => {
        if (isRemoteError(error)) log.debug({ code: error.code }, 'the room on the server is not known');
        else log.error({ err: error }, 'the room on the server is not known');
      })
      .finally(() => {
        this.#asking = false;
        this.#setFirst();
        this.#askIn(EVERY_MS);
      });
  }
}

/** Servers without a limit tell of 0 bytes at times: a volume of no size at all is none. */
function isUsable(quota: Quota | undefined): boolean {
  return quota !== undefined && quota.used >= 0 && quota.available >= 0 && quota.used + quota.available > 0;
}
