/**
 * Descriptors of files that were in use a moment ago and most likely will be again: a file that is written is uploaded
 * next. Bounded; the one parked longest goes first.
 */

import { closeSync } from 'node:fs';
import type { Ino } from '../base/index.js';

const PARKED_MAX = 128;

export class ParkedDescriptors {
  readonly #fds = new Map<Ino, number>();

  /** Keeps the descriptor of a file that has none parked. */
  park(ino: Ino, fd: number): void {
    this.#fds.set(ino, fd);
    if (this.#fds.size <= PARKED_MAX) return;
    for (const oldest of this.#fds.keys()) {
      this.drop(oldest);
      return;
    }
  }

  /** The descriptor parked for a file, which the caller has from now on. */
  take(ino: Ino): number | undefined {
    const fd = this.#fds.get(ino);
    this.#fds.delete(ino);
    return fd;
  }

  /** The file is deleted or replaced. */
  drop(ino: Ino): void {
    const fd = this.take(ino);
    if (fd !== undefined) closeSync(fd);
  }

  close(): void {
    for (const fd of this.#fds.values()) closeSync(fd);
    this.#fds.clear();
  }
}
