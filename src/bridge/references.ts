/**
 * After a take-over nobody knows which inodes the kernel refers to, so all are kept. Of those without a name it is
 * asked: a notification for an inode that it does not know tells so.
 */

import type { Clock, Log, Timer } from '../base/index.js';
import type { Notifier } from '../fuse/index.js';
import type { Vfs } from '../vfs/index.js';

export interface ReferenceOptions {
  readonly vfs: Vfs;
  readonly notify: Pick<Notifier, 'invalAttr'>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface ReferenceDoubts {
  /** Asks once more; resolves when all answers are in. */
  ask(): Promise<void>;
  close(): void;
}

/** What another client deletes meanwhile comes to be doubted too. */
const ASK_EVERY_MS = 10 * 60_000;

class Doubts implements ReferenceDoubts {
  readonly #options: ReferenceOptions;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: ReferenceOptions) {
    this.#options = options;
    this.#arm(0);
  }

  async ask(): Promise<void> {
    const { vfs, notify } = this.#options;
    for (const ino of vfs.names.doubtful()) {
      if (this.#closed) return;
      if ((await notify.invalAttr(ino)) === 'absent') vfs.names.unreferenced(ino);
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #arm(delayMs: number): void {
    const { clock, log } = this.#options;
    this.#timer = clock.after(delayMs, () => {
      this.ask()
        .catch((error: unknown) => log.warn({ err: error }, 'the kernel was not asked what it refers to'))
        .finally(() => {
          if (!this.#closed) this.#arm(ASK_EVERY_MS);
        });
    });
  }
}

/** For a session that was taken over: from now on, and again from time to time. */
export function settleReferences(options: ReferenceOptions): ReferenceDoubts {
  return new Doubts(options);
}
