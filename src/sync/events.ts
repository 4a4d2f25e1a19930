/** What happened that someone may want to be told of, and the latest of what went wrong. */

import type { Clock, Log } from '../base/index.js';
import type { SyncEvent, Trouble } from './control.js';

const TROUBLES_MAX = 20;
/** Of a message, in characters. */
const MESSAGE_MAX = 500;

export class Events {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #listeners = new Set<(event: SyncEvent) => void>();
  /** By kind and path, oldest first. */
  readonly #troubles = new Map<string, Trouble>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** The function returned ends it. */
  on(listener: (event: SyncEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  emit(event: SyncEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        // Who listens must not stop what he is told of.
        this.#log.error({ err: error, type: event.type }, 'a listener of events failed');
      }
    }
  }

  /** `path`: from "/" on, as the mount shows it. */
  trouble(code: string, text: string, path?: string): void {
    const message = text.length > MESSAGE_MAX ? `${text.slice(0, MESSAGE_MAX)}…` : text;
    const at = path === undefined ? {} : { path };
    const key = `${code}\0${path ?? ''}`;
    this.#troubles.delete(key);
    this.#troubles.set(key, { atMs: this.#clock.nowMs(), code, message, ...at });
    if (this.#troubles.size > TROUBLES_MAX) {
      const oldest = this.#troubles.keys().next();
      if (!oldest.done) this.#troubles.delete(oldest.value);
    }
    this.emit({ type: 'trouble', code, message, ...at });
  }

  /** One of a kind and path, newest last. */
  get troubles(): readonly Trouble[] {
    return [...this.#troubles.values()];
  }
}
