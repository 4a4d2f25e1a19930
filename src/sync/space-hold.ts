/**
 * Uploads for which the server has no room (507). They are not each tried again and again with all their bytes: what is
 * as large as one that was refused waits, and after a while, or when something was deleted there, the smallest that
 * waits is tried. When it fits, all may try.
 */

import type { Clock, Ino, Timer } from '../base/index.js';
import type { RemoteError } from '../remote/index.js';

const FIRST_DELAY_MS = 30_000;
const LONGEST_DELAY_MS = 600_000;
/** After a refusal, also where something was deleted on the server. */
const SHORTEST_DELAY_MS = 5_000;
/** A hold that begins this soon after another one is the same trouble. */
const SAME_TROUBLE_MS = 600_000;

interface Hold {
  readonly error: RemoteError;
  /** The smallest that was refused. */
  fromBytes: number;
  refusedAtMs: number;
  /** What may try, though it is held. */
  trial: Ino | undefined;
  timer: Timer;
  timerAtMs: number;
}

export class SpaceHold {
  readonly #clock: Clock;
  /** Bytes by node. */
  readonly #held = new Map<Ino, number>();
  readonly #release: (nodes: readonly Ino[]) => void;
  #hold: Hold | undefined;
  #delayMs = FIRST_DELAY_MS;
  #endedAtMs = Number.NEGATIVE_INFINITY;

  /** `release`: told which nodes may try. */
  constructor(clock: Clock, release: (nodes: readonly Ino[]) => void) {
    this.#clock = clock;
    this.#release = release;
  }

  has(ino: Ino): boolean {
    return this.#held.has(ino);
  }

  /** Why uploads wait; undefined while none does. */
  get error(): RemoteError | undefined {
    return this.#hold?.error;
  }

  /** The server had no room for an upload of so many bytes. Says whether that is news. */
  refused(bytes: number, error: RemoteError): boolean {
    const nowMs = this.#clock.nowMs();
    const hold = this.#hold;
    if (hold === undefined) {
      const { timer, timerAtMs } = this.#arm(this.#delayMs);
      this.#hold = { error, fromBytes: bytes, refusedAtMs: nowMs, trial: undefined, timer, timerAtMs };
      return nowMs - this.#endedAtMs > SAME_TROUBLE_MS;
    }
    hold.fromBytes = Math.min(hold.fromBytes, bytes);
    hold.refusedAtMs = nowMs;
    hold.trial = undefined;
    return false;
  }

  /** Whether an upload has to wait; it is noted then, and released later. */
  holds(ino: Ino, bytes: number): boolean {
    const hold = this.#hold;
    if (hold === undefined || bytes < hold.fromBytes || hold.trial === ino) return false;
    this.#held.set(ino, bytes);
    return true;
  }

  /** There is nothing to upload of it any more. */
  forget(ino: Ino): void {
    this.#held.delete(ino);
  }

  /** Something was taken by the server: if it was what tried for all, there is room again. */
  succeeded(ino: Ino): void {
    if (this.#hold?.trial === ino) this.end();
  }

  /** Something was deleted on the server. */
  freed(): void {
    const hold = this.#hold;
    if (hold === undefined) return;
    const atMs = Math.max(this.#clock.nowMs(), hold.refusedAtMs + SHORTEST_DELAY_MS);
    if (hold.timerAtMs <= atMs) return;
    hold.timer.cancel();
    Object.assign(hold, this.#arm(atMs - this.#clock.nowMs()));
  }

  /** All may try now. */
  end(): void {
    if (this.#hold === undefined) return;
    this.#hold.timer.cancel();
    this.#hold = undefined;
    this.#endedAtMs = this.#clock.nowMs();
    this.#delayMs = FIRST_DELAY_MS;
    const nodes = [...this.#held.keys()];
    this.#held.clear();
    this.#release(nodes);
  }

  close(): void {
    this.#hold?.timer.cancel();
  }

  #arm(delayMs: number): { timer: Timer; timerAtMs: number } {
    return {
      timer: this.#clock.after(delayMs, () => this.#try()),
      timerAtMs: this.#clock.nowMs() + delayMs,
    };
  }

  #try(): void {
    const hold = this.#hold;
    if (hold === undefined) return;
    let least: { readonly ino: Ino; readonly bytes: number } | undefined;
    for (const [ino, bytes] of this.#held)
      if (least === undefined || bytes < least.bytes) least = { ino, bytes };
    if (least === undefined) {
      this.end();
      return;
    }
    this.#delayMs = Math.min(LONGEST_DELAY_MS, this.#delayMs * 2);
    // What tries may come to nothing without a word: it was deleted meanwhile, or the line is down.
    Object.assign(hold, this.#arm(this.#delayMs));
    hold.trial = least.ino;
    this.#held.delete(least.ino);
    this.#release([least.ino]);
  }
}
