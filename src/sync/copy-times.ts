/** When a file that a program keeps open for writing is uploaded from a copy: after a while, and when it asks for that. */

import type { Clock, Ino } from '../base/index.js';
import type { StateView } from '../state/index.js';
import type { WriteSessions } from './write-sessions.js';

export interface CopyTimesOptions {
  /** One copy this often at most. */
  readonly copyIntervalMs: number;
  /** What a program asks for is done when nothing more happened for this long. */
  readonly uploadDelayMs: number;
}

export class CopyTimes {
  readonly #state: StateView;
  readonly #sessions: WriteSessions;
  readonly #clock: Clock;
  readonly #options: CopyTimesOptions;
  /** When the file was opened, or last copied. */
  readonly #sinceMs = new Map<Ino, number>();
  /** Files for which a program asked for a copy that is not due yet. */
  readonly #promised = new Set<Ino>();

  constructor(
    deps: { readonly state: StateView; readonly sessions: WriteSessions; readonly clock: Clock },
    options: CopyTimesOptions,
  ) {
    this.#state = deps.state;
    this.#sessions = deps.sessions;
    this.#clock = deps.clock;
    this.#options = options;
  }

  /** When the next copy of a file that is held back is due; where that is now, it is allowed. Ms since the epoch. */
  next(ino: Ino): number {
    const nowMs = this.#clock.nowMs();
    const since = this.#sinceMs.get(ino) ?? nowMs;
    const copyAtMs = since + this.#options.copyIntervalMs;
    this.#sinceMs.set(ino, copyAtMs > nowMs ? since : nowMs);
    if (copyAtMs > nowMs) return copyAtMs;
    this.allow(ino);
    return nowMs;
  }

  /** What is copied for a further name is the file that it stands for. */
  allow(ino: Ino): void {
    const node = this.#state.get(ino);
    if (node?.kind === 'alias') this.#sessions.allowCopy(node.target);
    else if (node?.kind === 'file') this.#sessions.allowCopy(ino);
  }

  /** A program asks for the file's safety while it goes on writing. `due`: asked when it is time; false: not any more. */
  wanted(ino: Ino, due: () => boolean): void {
    if (this.#promised.has(ino)) return;
    this.#promised.add(ino);
    const { uploadDelayMs, copyIntervalMs } = this.#options;
    const since = this.#sinceMs.get(ino);
    const nowMs = this.#clock.nowMs();
    if (since === undefined) this.#sinceMs.set(ino, nowMs);
    const atMs = Math.max(nowMs + uploadDelayMs, (since ?? 0) + copyIntervalMs);
    this.#clock.after(Math.max(0, atMs - nowMs), () => {
      this.#promised.delete(ino);
      if (!due()) return;
      this.#sinceMs.set(ino, this.#clock.nowMs());
      this.#sessions.allowCopy(ino);
    });
  }

  /** Nobody has the file open for writing any more. */
  forget(ino: Ino): void {
    this.#sinceMs.delete(ino);
  }
}
