/** A clock that stands still until a test moves it; timers fire in order, with everything else run to its end between. */

import { type Clock, Heap, type Ns, type Timer } from '../../src/base/index.js';

interface Armed {
  readonly atMs: number;
  readonly sequence: number;
  readonly callback: () => void;
  cancelled: boolean;
}

const NS_PER_MS = 1_000_000n;

export class ManualClock implements Clock {
  readonly #timers = new Heap<Armed>(
    (a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence),
  );
  #nowMs: number;
  #lastNs = 0n;
  #sequence = 0;

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  nowNs(): Ns {
    const now = BigInt(this.#nowMs) * NS_PER_MS;
    this.#lastNs = now > this.#lastNs ? now : this.#lastNs + 1n;
    return this.#lastNs;
  }

  after(delayMs: number, callback: () => void): Timer {
    this.#sequence += 1;
    const armed: Armed = {
      atMs: this.#nowMs + Math.ceil(Math.max(0, delayMs)),
      sequence: this.#sequence,
      callback,
      cancelled: false,
    };
    this.#timers.push(armed);
    return {
      cancel: () => {
        armed.cancelled = true;
      },
    };
  }

  /** Moves time by `deltaMs`, firing what becomes due; all that follows from each timer is run before the next. */
  async advance(deltaMs: number): Promise<void> {
    const untilMs = this.#nowMs + deltaMs;
    await quiesce();
    for (
      let next = this.#timers.peek();
      next !== undefined && next.atMs <= untilMs;
      next = this.#timers.peek()
    ) {
      this.#timers.pop();
      if (next.cancelled) continue;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
      await quiesce();
    }
    this.#nowMs = untilMs;
    await quiesce();
  }
}

/** Lets everything run that waits for nothing but its turn. */
export async function quiesce(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}
