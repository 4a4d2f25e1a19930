/** Which clean files go when the cache is over its size, or the disk short of room. Staged files are out of reach. */

import * as fs from 'node:fs';
import type { Ino } from '../base/index.js';

/** Read at each use: they may change; {@link Evictor.run} then makes room. */
export interface CacheLimits {
  /** Bytes of clean content to keep at most. */
  readonly maxCleanBytes: number;
  /** Bytes to leave free on the disk. */
  readonly minFreeBytes: number;
}

/** What the evictor needs of the store. */
export interface EvictionTarget {
  cleanBytes(): number;
  /** Clean files that may go. */
  candidates(): readonly (readonly [Ino, { readonly lastUseMs: number }])[];
  /** Deletes a clean file, unless it may not go any more; returns the bytes freed. */
  drop(ino: Ino): number;
}

/** Once over a limit, this much more goes than must, so that not every fill begins anew. */
const SLACK = 0.05;
const FILES_PER_TURN = 32;
/** How many fills go by between two looks at the free space. */
const FILLS_PER_CHECK = 256;

const turn = () => new Promise((resolve) => setImmediate(resolve));

export class Evictor {
  readonly #limits: CacheLimits;
  readonly #dir: string;
  readonly #target: EvictionTarget;
  readonly #onFailure: (cause: unknown) => void;
  #running: Promise<number> | undefined;
  #fills = 0;
  /** The last run found too little that may go: only a file that comes out of use changes that. */
  #isExhausted = false;
  #closed = false;

  constructor(limits: CacheLimits, dir: string, target: EvictionTarget, onFailure: (cause: unknown) => void) {
    this.#limits = limits;
    this.#dir = dir;
    this.#target = target;
    this.#onFailure = onFailure;
  }

  /** Called when there is one more file that may go. */
  released(): void {
    this.#isExhausted = false;
    this.wake();
  }

  /** Called when content grew: starts an eviction where one is due. */
  wake(): void {
    if (this.#running !== undefined || this.#isExhausted || this.#closed) return;
    const isTimeForDisk = ++this.#fills % FILLS_PER_CHECK === 0;
    const isOver = this.#target.cleanBytes() > this.#limits.maxCleanBytes;
    if (isOver || isTimeForDisk) this.run().catch(this.#onFailure);
  }

  /** Evicts until the limits hold or nothing is left that may go; one run at a time. Resolves with the bytes freed. */
  run(): Promise<number> {
    return this.#runFor(0);
  }

  /** Evicts until so many bytes more fit within the limits. Resolves with whether they do. */
  async makeRoom(bytes: number): Promise<boolean> {
    if (this.#fits(bytes)) return true;
    await this.#running?.catch(this.#onFailure);
    await this.#runFor(bytes);
    return this.#fits(bytes);
  }

  #fits(bytes: number): boolean {
    return (
      this.#target.cleanBytes() + bytes <= this.#limits.maxCleanBytes && this.#missingFreeBytes() + bytes <= 0
    );
  }

  #runFor(moreBytes: number): Promise<number> {
    this.#running ??= this.#run(moreBytes).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running?.catch(this.#onFailure);
  }

  async #run(moreBytes: number): Promise<number> {
    const excess = this.#target.cleanBytes() + moreBytes - this.#limits.maxCleanBytes;
    const missing = this.#missingFreeBytes() + moreBytes;
    if (excess <= 0 && missing <= 0) return 0;
    const fromSize = excess > 0 ? excess + this.#limits.maxCleanBytes * SLACK : 0;
    const fromDisk = missing > 0 ? missing + this.#limits.minFreeBytes * SLACK : 0;
    const goal = Math.max(fromSize, fromDisk);
    const victims = this.#target.candidates().toSorted(([, a], [, b]) => a.lastUseMs - b.lastUseMs);
    let freed = 0;
    for (const [index, [ino]] of victims.entries()) {
      if (freed >= goal || this.#closed) break;
      freed += this.#target.drop(ino);
      if (index % FILES_PER_TURN === FILES_PER_TURN - 1) await turn();
    }
    this.#isExhausted = freed < goal;
    return freed;
  }

  #missingFreeBytes(): number {
    const { bavail, bsize } = fs.statfsSync(this.#dir);
    return this.#limits.minFreeBytes - bavail * bsize;
  }
}
