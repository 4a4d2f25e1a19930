/** What the verbs of one store share. */

import type { Clock } from '../base/index.js';
import type { Capabilities } from '../remote/index.js';
import type { DavClient } from './client.js';
import type { TagBook } from './etags.js';
import type { SkippedEntry } from './options.js';
import type { RetryPolicy } from './retry.js';
import type { UrlSpace } from './urls.js';

export interface DavContext {
  readonly client: DavClient;
  readonly urls: UrlSpace;
  readonly tags: TagBook;
  readonly found: CapabilityBook;
  readonly clock: Clock;
  readonly random: () => number;
  readonly retry: RetryPolicy;
  readonly onSkippedEntry: (entry: SkippedEntry) => void;
}

const UNKNOWN: Capabilities = {
  ifMatch: undefined,
  ifNoneMatch: undefined,
  ranges: undefined,
  deadProperties: undefined,
  lock: undefined,
  etagOnPut: undefined,
};

/** What the server was found to honour, by probing or in passing. */
export class CapabilityBook {
  readonly #onChange: ((capabilities: Capabilities) => void) | undefined;
  #current: Capabilities;

  constructor(
    remembered: Partial<Capabilities> | undefined,
    onChange: ((capabilities: Capabilities) => void) | undefined,
  ) {
    this.#current = { ...UNKNOWN, ...remembered };
    this.#onChange = onChange;
  }

  get current(): Capabilities {
    return this.#current;
  }

  /** Takes over what is known in `news`; says so where that is new. */
  learn(news: Partial<Capabilities>): void {
    const next = { ...this.#current };
    let isNew = false;
    for (const key of Object.keys(UNKNOWN) as Array<keyof Capabilities>) {
      const value = news[key];
      if (value === undefined || value === next[key]) continue;
      Object.assign(next, { [key]: value });
      isNew = true;
    }
    if (!isNew) return;
    this.#current = next;
    this.#onChange?.(next);
  }
}
