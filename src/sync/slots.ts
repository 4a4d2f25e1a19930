/** How many operations may run now. */

import type { Concurrency } from './concurrency.js';
import type { Connectivity } from './connectivity.js';

export class Slots {
  readonly #concurrency: Concurrency;
  readonly #connectivity: Connectivity;

  constructor(deps: { readonly concurrency: Concurrency; readonly connectivity: Connectivity }) {
    this.#concurrency = deps.concurrency;
    this.#connectivity = deps.connectivity;
  }

  /** While the line is in doubt, one request finds out for all. */
  get limit(): number {
    return this.#connectivity.state.kind === 'online' ? this.#concurrency.limit : 1;
  }
}
