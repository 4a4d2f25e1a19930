/**
 * Small files read one after the other in a directory: fetches the next ones ahead of the reader, so that he does not
 * wait one round trip for each. Guesses by the order of the listing, more of them the longer the guess holds, and
 * none for a reader who jumps.
 */

import { type Ino, isAbortError, type Log, type Name } from '../base/index.js';
import type { ContentStore } from '../content/index.js';
import { isRemoteError } from '../remote/index.js';
import { compareNames, type FileRecord, type StateStore } from '../state/index.js';
import { maxAhead } from './ahead-limit.js';
import type { Connectivity } from './connectivity.js';
import type { Fetcher } from './fetcher.js';

const KIB = 1024;
/** A file above this size is no small one; its own read-ahead serves its reader. */
const SMALL_FILE_BYTES = 256 * KIB;
/** Opens in order before the first guess. */
const STREAK_MIN = 2;
/** Entries that a reader may leave out and still be one who goes in order: those of other kinds, or known otherwise. */
const SKIPPED_MAX = 8;
const FIRST_WINDOW_FILES = 8;
const WINDOW_MAX_FILES = 64;
const WINDOW_MAX_BYTES = 4 * 1024 * KIB;
/** Entries looked at for one guess: a directory may be full of what is here already. */
const SCAN_MAX = 256;

interface Guess {
  readonly name: Name;
  readonly ino: Ino;
  /** Bytes. */
  readonly size: number;
}

/** Read at each use: they may change while the engine runs. */
export interface SiblingsOptions {
  readonly maxConnections: number;
}

export class Siblings {
  readonly #options: SiblingsOptions;
  readonly #state: StateStore;
  readonly #content: ContentStore;
  readonly #fetcher: Fetcher;
  readonly #connectivity: Connectivity;
  readonly #log: Log;
  #dir: Ino | undefined;
  #lastName: Name | undefined;
  /** Opens in a row that followed the order of the listing. */
  #streak = 0;
  /** Guessed and not yet passed by the reader, in order. */
  #ahead: Guess[] = [];
  /** How far the listing was looked through. */
  #scannedTo: Name | undefined;
  readonly #waiting: Guess[] = [];
  #flying = 0;

  constructor(
    deps: {
      readonly state: StateStore;
      readonly content: ContentStore;
      readonly fetcher: Fetcher;
      readonly connectivity: Connectivity;
      readonly log: Log;
    },
    options: SiblingsOptions,
  ) {
    this.#options = options;
    this.#state = deps.state;
    this.#content = deps.content;
    this.#fetcher = deps.fetcher;
    this.#connectivity = deps.connectivity;
    this.#log = deps.log;
  }

  /** A program opens a file to read it. */
  opened(file: Ino): void {
    const node = this.#state.get(file);
    if (node?.kind !== 'file' || node.local === undefined || node.size > SMALL_FILE_BYTES) return;
    const { parent, name } = node.local;
    if (parent === this.#dir && name === this.#lastName) return;
    const isMissing = this.#isMissing(node);
    if (this.#isInOrder(parent, name, isMissing)) this.#streak += 1;
    else this.#restart(parent);
    this.#dir = parent;
    this.#lastName = name;
    this.#ahead = this.#ahead.filter((guess) => compareNames(guess.name, name) > 0);
    if (this.#streak < STREAK_MIN) return;
    // Of a directory that is here nothing has to be guessed.
    if (this.#scannedTo !== undefined || isMissing) this.#guess(parent, name);
  }

  close(): void {
    this.#waiting.length = 0;
    this.#streak = 0;
  }

  #isInOrder(dir: Ino, name: Name, isMissing: boolean): boolean {
    const last = this.#lastName;
    if (dir !== this.#dir || last === undefined || compareNames(name, last) < 0) return false;
    if (this.#scannedTo !== undefined && compareNames(name, this.#scannedTo) <= 0) return true;
    // Who reads what is here may leave out as much as he likes: nothing is guessed by that.
    if (!isMissing) return true;
    let skipped = 0;
    for (const entry of this.#state.entries(dir, last)) {
      if (entry.name === name) return true;
      if (skipped === SKIPPED_MAX) return false;
      skipped += 1;
    }
    return false;
  }

  /** A reader who went through one directory in order most likely goes through the next one so. */
  #restart(dir: Ino): void {
    const goesOn = dir !== this.#dir && this.#streak >= STREAK_MIN;
    this.#streak = goesOn ? STREAK_MIN : 1;
    this.#ahead = [];
    this.#waiting.length = 0;
    this.#scannedTo = undefined;
  }

  #guess(dir: Ino, name: Name): void {
    if (this.#connectivity.waitMs > 0) return;
    const window = Math.min(
      WINDOW_MAX_FILES,
      FIRST_WINDOW_FILES * 2 ** Math.min(this.#streak - STREAK_MIN, 8),
    );
    let bytes = this.#ahead.reduce((sum, guess) => sum + guess.size, 0);
    const from =
      this.#scannedTo !== undefined && compareNames(this.#scannedTo, name) > 0 ? this.#scannedTo : name;
    let scanned = 0;
    for (const entry of this.#state.entries(dir, from)) {
      if (this.#ahead.length >= window || bytes >= WINDOW_MAX_BYTES || scanned >= SCAN_MAX) break;
      scanned += 1;
      this.#scannedTo = entry.name;
      const node = entry.local === undefined ? undefined : this.#state.get(entry.local);
      if (node?.kind !== 'file' || !this.#isWanted(node)) continue;
      const guess: Guess = { name: entry.name, ino: node.ino, size: node.size };
      this.#ahead.push(guess);
      this.#waiting.push(guess);
      bytes += guess.size;
    }
    this.#pump();
  }

  #isWanted(node: FileRecord): boolean {
    if (node.base === undefined || node.base.gen !== node.gen) return false;
    if (node.size > SMALL_FILE_BYTES || this.#content.peek(node.ino) !== undefined) return false;
    return this.#isMissing(node);
  }

  #isMissing({ ino, content, size, base }: FileRecord): boolean {
    return content === 'clean' && this.#content.presentBytes(ino, { etag: base?.etag, size }) < size;
  }

  #pump(): void {
    while (this.#flying < maxAhead(this.#options)) {
      const guess = this.#waiting.shift();
      if (guess === undefined) return;
      const node = this.#state.get(guess.ino);
      if (node?.kind !== 'file' || !this.#isWanted(node)) continue;
      this.#flying += 1;
      this.#fetch(node)
        .catch((error: unknown) => {
          // The reader will ask for it himself, and be told what is wrong.
          if (!isRemoteError(error) && !isAbortError(error))
            this.#log.error({ ino: guess.ino, err: error }, 'not fetched ahead');
        })
        .finally(() => {
          this.#flying -= 1;
          this.#pump();
        });
    }
  }

  async #fetch(node: FileRecord): Promise<void> {
    this.#content.acquireClean(node.ino, { etag: node.base?.etag, size: node.size });
    try {
      await this.#fetcher.present(node.ino, 0, node.size);
    } finally {
      this.#content.release(node.ino);
      if (this.#content.peek(node.ino) === undefined) this.#fetcher.forget(node.ino);
    }
  }
}
