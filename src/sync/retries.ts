/** What failed how often, and how long it is left alone. It decides on times only. */

import type { Ino } from '../base/index.js';
import { isRemoteError } from '../remote/index.js';
import type { Superseded } from './superseded.js';

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 300_000;
/** What the server refuses for a reason of its own is tried again this late at first. */
const FIRST_REFUSED_RETRY_MS = 15_000;
const LONGEST_SUPERSEDED_DELAY_MS = 5_000;

export interface Failure {
  /** In a row. */
  readonly count: number;
  readonly error: Error;
}

export class Retries {
  readonly #random: () => number;
  readonly #failures = new Map<Ino, Failure>();
  /** How often in a row an operation of a node was given up for a new decision. */
  readonly #superseded = new Map<Ino, number>();

  /** `random`: uniform in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Nodes whose last try failed. */
  get size(): number {
    return this.#failures.size;
  }

  of(ino: Ino): Failure | undefined {
    return this.#failures.get(ino);
  }

  /** Nodes whose last try failed, the first to fail first. */
  nodes(): Iterable<Ino> {
    return this.#failures.keys();
  }

  /** Milliseconds to leave the node alone. */
  failed(ino: Ino, error: Error): number {
    const count = (this.#failures.get(ino)?.count ?? 0) + 1;
    this.#failures.set(ino, { count, error });
    const first = isPassing(error) ? FIRST_RETRY_MS : FIRST_REFUSED_RETRY_MS;
    return Math.min(LONGEST_RETRY_MS, first * 2 ** Math.min(count - 1, 16)) * (0.5 + this.#random() / 2);
  }

  /** As {@link failed}. */
  superseded(ino: Ino, reason: Superseded): number {
    const count = (this.#superseded.get(ino) ?? 0) + 1;
    this.#superseded.set(ino, count);
    const backOffMs = Math.min(LONGEST_SUPERSEDED_DELAY_MS, 2 ** Math.min(count, 16));
    return Math.max(reason.delayMs, backOffMs);
  }

  /** It went well, or there is nothing to do about it any more. */
  forget(ino: Ino): void {
    this.#failures.delete(ino);
    this.#superseded.delete(ino);
  }
}

/** Whether the same operation may succeed without anything else being done. */
export function isPassing(error: Error): boolean {
  return isRemoteError(error) && error.mayRetry;
}
