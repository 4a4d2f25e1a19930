/** Holds back what the server in memory does at its pauses, until a test lets it pass. */

import type { FakeVerb } from '../../support/fake-remote.js';
import { quiesce } from '../../support/manual-clock.js';

export class Gate {
  readonly #verbs: ReadonlySet<FakeVerb>;
  readonly #waiting: (() => void)[] = [];
  #isOpen = true;

  /** For requests of these kinds; all others pass. */
  constructor(...verbs: FakeVerb[]) {
    this.#verbs = new Set(verbs);
  }

  readonly pause = (verb: FakeVerb): Promise<void> => {
    if (this.#isOpen || !this.#verbs.has(verb)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  };

  close(): void {
    this.#isOpen = false;
  }

  /** Lets the next `count` pauses pass, one after the other. */
  async pass(count: number): Promise<void> {
    for (let time = 0; time < count; time += 1) {
      await quiesce();
      this.#waiting.shift()?.();
    }
    await quiesce();
  }

  async open(): Promise<void> {
    this.#isOpen = true;
    for (const resume of this.#waiting.splice(0)) resume();
    await quiesce();
  }
}
