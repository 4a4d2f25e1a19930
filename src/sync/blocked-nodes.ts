/** Which nodes wait for which other ones to change. */

import type { Ino } from '../base/index.js';

export class BlockedNodes {
  /** Blocking node -> those that wait for it. */
  readonly #waiting = new Map<Ino, Set<Ino>>();

  add(blocker: Ino, ino: Ino): void {
    const waiting = this.#waiting.get(blocker) ?? new Set();
    waiting.add(ino);
    this.#waiting.set(blocker, waiting);
  }

  /** The node changed: those who waited for it, who do so no longer. */
  take(blocker: Ino): Iterable<Ino> {
    const waiting = this.#waiting.get(blocker) ?? [];
    this.#waiting.delete(blocker);
    return waiting;
  }

  /** All who wait. */
  all(): ReadonlySet<Ino> {
    return new Set([...this.#waiting.values()].flatMap((nodes) => [...nodes]));
  }
}
