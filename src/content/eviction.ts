/** Which clean files go when the cache is over its size, or the disk short of room. Staged files are out of reach. */

import * as fs from 'node:fs';
import { type Ino, Pacer } from '../base/index.js';

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
  /** Clean files that may go, in any order; walked in short turns. */
  candidates(): Iterable<readonly [Ino, { readonly lastUseMs: number; readonly presentBytes: number }]>;
  /** Deletes a clean file, unless it may not go any more; returns the bytes freed. */
  drop(ino: Ino): number;
}

/** Once over a limit, this much more goes than must, so that not every fill begins anew. */
const SLACK = 0.05;
/** Steps that tell files by their age, before those of the oldest steps are put in order. */
const AGES = 1024;
/** How many fills go by between two looks at the free space. */
const FILLS_PER_CHECK = 256;

export class Evictor {
  readonly #limits: CacheLimits;
  readonly #dir: string;
  readonly #target: EvictionTarget;
  readonly #onFailure: (cause: unknown) => void;
  #running: Promise<number> | undefined;
  #fills = 0;
  /** The last run found too little that may go: only a file that comes out of use changes that. */
  #isExhausted = false;
  /** A file came out of use while a run was under way. */
  #hasMore = false;
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
    // A run that has looked through all files already does not know of this one.
    this.#hasMore = this.#running !== undefined;
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
      if (!this.#hasMore) return;
      this.#hasMore = false;
      this.#isExhausted = false;
      this.wake();
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
    const pacer = new Pacer();
    const candidates = new Candidates();
    for (const [ino, { lastUseMs, presentBytes }] of this.#target.candidates()) {
      candidates.add(ino, lastUseMs, presentBytes);
      await pacer.pause();
      if (this.#closed) return 0;
    }
    let freed = 0;
    for (const ino of candidates.oldestFirst(goal)) {
      if (freed >= goal || this.#closed) break;
      freed += this.#target.drop(ino);
      await pacer.pause();
    }
    this.#isExhausted = freed < goal;
    return freed;
  }

  #missingFreeBytes(): number {
    const { bavail, bsize } = fs.statfsSync(this.#dir);
    return this.#limits.minFreeBytes - bavail * bsize;
  }
}

/** Files by age. Only those that have to go are put in order: sorting all of a large cache would hold up everybody. */
class Candidates {
  readonly #inos: Ino[] = [];
  readonly #lastUseMs: number[] = [];
  readonly #bytes: number[] = [];

  add(ino: Ino, lastUseMs: number, bytes: number): void {
    this.#inos.push(ino);
    this.#lastUseMs.push(lastUseMs);
    this.#bytes.push(bytes);
  }

  /** All of them, oldest first; the first ones have `goalBytes` together. */
  *oldestFirst(goalBytes: number): Generator<Ino> {
    const times = this.#lastUseMs;
    const first = times.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY);
    const last = times.reduce((most, time) => Math.max(most, time), first);
    const ageOf = (time: number) =>
      last === first ? 0 : Math.floor(((time - first) / (last - first)) * (AGES - 1));
    const bytesOfAge = new Float64Array(AGES);
    for (const [index, time] of times.entries()) {
      const age = ageOf(time);
      bytesOfAge[age] = (bytesOfAge[age] ?? 0) + (this.#bytes[index] ?? 0);
    }
    let limit = 0;
    for (let bytes = bytesOfAge[0] ?? 0; bytes < goalBytes && limit < AGES; ) {
      limit += 1;
      bytes += bytesOfAge[limit] ?? 0;
    }
    yield* this.#inOrder((time) => ageOf(time) <= limit);
    // Some of them may no longer go.
    yield* this.#inOrder((time) => ageOf(time) > limit);
  }

  #inOrder(isAsked: (time: number) => boolean): Ino[] {
    const time = (index: number) => this.#lastUseMs[index] ?? 0;
    const chosen = [...this.#inos.keys()].filter((index) => isAsked(time(index)));
    return chosen.sort((a, b) => time(a) - time(b)).map((index) => this.#inos[index] as Ino);
  }
}
