/**
 * Which requests of the kernel were carried out without it being known that they were answered. A process that takes
 * over a mount gets the unanswered ones again; what is marked here must not be done twice.
 *
 * The marks are committed with the change that a request makes, as one value beside the trees, so that there is never
 * one without the other. That a request was answered is noted in memory alone: a mark too many does no harm, since
 * what was answered is not asked again.
 */

import type { Ino } from '../base/index.js';

/** A request and the node that it was about. */
export type OriginMark = readonly [origin: number, ino: Ino];
/** As it is stored. */
export type OriginRow = readonly [connection: string, marks: readonly OriginMark[]];

export class OriginMarks {
  readonly #commit: (row: OriginRow) => void;
  #connection = '';
  /** Marks of this process, and earlier ones whose requests came again. */
  readonly #unanswered = new Map<number, Ino>();
  /** Marks that an earlier process left. */
  readonly #earlier = new Map<number, Ino>();

  /** `commit` stores a row by itself, outside of any transaction. */
  constructor(commit: (row: OriginRow) => void) {
    this.#commit = commit;
  }

  /**
   * A session on this connection to the kernel begins: what was marked for another one is forgotten, since numbers of
   * requests mean nothing beyond theirs.
   */
  begin(connection: string): void {
    if (connection === this.#connection) return;
    this.#connection = connection;
    this.#unanswered.clear();
    this.#earlier.clear();
    this.#commit([connection, []]);
  }

  /** The node that the request was about, when it was carried out before; asked once, when the request comes again. */
  doneBy(origin: number): Ino | undefined {
    const ino = this.#earlier.get(origin);
    if (ino !== undefined) {
      this.#earlier.delete(origin);
      this.#unanswered.set(origin, ino);
    }
    return ino;
  }

  /** The kernel has the answer, or no longer wants it. */
  answered(origin: number): void {
    this.#unanswered.delete(origin);
  }

  /** All requests that an earlier process left have come again. */
  allResent(): void {
    if (this.#earlier.size > 0) this.#earlier.clear();
  }

  /** For the store: what is committed together with `marks`. */
  rowWith(marks: readonly OriginMark[]): OriginRow {
    return [this.#connection, [...this.#earlier, ...this.#unanswered, ...marks]];
  }

  /** For the store: the commit took place. */
  add(marks: readonly OriginMark[]): void {
    for (const [origin, ino] of marks) this.#unanswered.set(origin, ino);
  }

  /** For the store: takes what an earlier process left. */
  load(row: OriginRow | undefined): void {
    this.#unanswered.clear();
    this.#earlier.clear();
    const [connection, marks] = row ?? ['', []];
    this.#connection = connection;
    for (const [origin, ino] of marks) this.#earlier.set(origin, ino);
  }
}
