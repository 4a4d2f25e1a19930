/** Text that must not be printed: passwords, tokens. */

import { inspect } from 'node:util';

const REDACTED = '[redacted]';

/** Prints as `[redacted]` however it is printed; the text itself comes only from {@link Secret.reveal}. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}
