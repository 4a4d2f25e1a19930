/**
 * The clean files by inode number, over the table on disk: in memory are the entries that are newer than it and those
 * that were used lately, so that neither the start nor the memory grows with the cache.
 *
 * INVARIANT: an entry that was changed is in `#newer` until the table has it, so whoever asks gets the newest one.
 * INVARIANT: the totals are exact once {@link recount} ran, or where the earlier process ended cleanly.
 */

import { LRUCache } from 'lru-cache';
import { type Ino, Pacer } from '../base/index.js';
import type { CleanEntry, CleanTotals, Left, PresenceRecords } from './presence.js';
import { MARKER_KEY } from './presence.js';

/** About 0.2 KB each. */
const CACHED_ENTRIES = 8_192;
/** Rows that are read at once in a walk over all of them: well under a millisecond. */
const ROWS_PER_STEP = 128;

export type CleanItem = readonly [ino: Ino, entry: CleanEntry];

/** A walk that adds up what there is: what changes behind it is added there too. */
interface Recount {
  at: Ino;
  files: number;
  bytes: number;
}

export class CleanIndex {
  readonly #records: PresenceRecords;
  readonly #cache = new LRUCache<Ino, CleanEntry>({ max: CACHED_ENTRIES });
  /** What the table does not have yet; undefined: removed. */
  readonly #newer = new Map<Ino, CleanEntry | undefined>();
  /** Of these, what the table was not even given. */
  readonly #unwritten = new Set<Ino>();
  /** Writes of the table's under way, by number. */
  readonly #writing = new Map<Ino, number>();
  #files: number;
  #bytes: number;
  #isExact: boolean;
  #recount: Recount | undefined;

  constructor(records: PresenceRecords, { totals }: Left) {
    this.#records = records;
    this.#files = totals.files;
    this.#bytes = totals.bytes;
    this.#isExact = totals.isExact;
  }

  get totals(): CleanTotals {
    return { files: this.#files, bytes: this.#bytes, isExact: this.#isExact };
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(ino: Ino): CleanEntry | undefined {
    if (this.#newer.has(ino)) return this.#newer.get(ino);
    const cached = this.#cache.get(ino);
    if (cached !== undefined) return cached;
    const entry = this.#records.get(ino);
    if (entry !== undefined) this.#cache.set(ino, entry);
    return entry;
  }

  /** In the place of the one that may be there. */
  set(ino: Ino, entry: CleanEntry): void {
    const before = this.get(ino);
    this.#add(ino, before === undefined ? 1 : 0, entry.presentBytes - (before?.presentBytes ?? 0));
    this.changed(ino, entry);
  }

  /** The entry, as {@link get} gave it, was changed, by so many bytes that are present. */
  changed(ino: Ino, entry: CleanEntry, addedBytes = 0): void {
    this.#add(ino, 0, addedBytes);
    this.#newer.set(ino, entry);
    this.#unwritten.add(ino);
    this.#cache.set(ino, entry);
  }

  delete(ino: Ino): void {
    const entry = this.get(ino);
    if (entry === undefined) return;
    this.#add(ino, -1, -entry.presentBytes);
    this.#newer.set(ino, undefined);
    this.#unwritten.delete(ino);
    this.#cache.delete(ino);
    this.#write(ino, this.#records.remove(ino));
  }

  /** Gives the table what it does not have; `refresh` is called with each entry before. */
  writeBack(refresh: (ino: Ino, entry: CleanEntry) => void): void {
    for (const ino of this.#unwritten) {
      const entry = this.#newer.get(ino);
      if (entry === undefined) continue;
      refresh(ino, entry);
      this.#write(ino, this.#records.put(ino, entry));
    }
    this.#unwritten.clear();
  }

  /** All entries in the order of their numbers, each as of the moment when it is come to. */
  *entries(): Generator<CleanItem> {
    for (let after: Ino | undefined = MARKER_KEY; after !== undefined; ) {
      const { items, end } = this.#page(after);
      yield* items;
      after = end;
    }
  }

  /** Adds up what there is, in short turns; nothing where `isClosed` says so before the end. */
  async recount(isClosed: () => boolean): Promise<void> {
    const count: Recount = { at: MARKER_KEY, files: 0, bytes: 0 };
    this.#recount = count;
    const pacer = new Pacer();
    for (let after: Ino | undefined = MARKER_KEY; after !== undefined; ) {
      if (isClosed()) return;
      const { items, end } = this.#page(after);
      for (const [, entry] of items) {
        count.files += 1;
        count.bytes += entry.presentBytes;
      }
      count.at = end ?? (Number.MAX_SAFE_INTEGER as Ino);
      after = end;
      await pacer.pause();
    }
    this.#recount = undefined;
    this.#files = count.files;
    this.#bytes = count.bytes;
    this.#isExact = true;
  }

  #page(after: Ino): { readonly items: readonly CleanItem[]; readonly end: Ino | undefined } {
    const { entries, end } = this.#records.page(after, ROWS_PER_STEP);
    const items: CleanItem[] = [];
    for (const [ino, entry] of entries)
      if (!this.#newer.has(ino)) items.push([ino, this.#cache.peek(ino) ?? entry]);
    for (const [ino, entry] of this.#newer) {
      if (entry !== undefined && ino > after && (end === undefined || ino <= end)) items.push([ino, entry]);
    }
    return { items, end };
  }

  #add(ino: Ino, files: number, bytes: number): void {
    this.#files += files;
    this.#bytes += bytes;
    if (this.#recount === undefined || ino > this.#recount.at) return;
    this.#recount.files += files;
    this.#recount.bytes += bytes;
  }

  #write(ino: Ino, writing: Promise<boolean>): void {
    this.#writing.set(ino, (this.#writing.get(ino) ?? 0) + 1);
    void writing.then((isWritten) => {
      const left = (this.#writing.get(ino) ?? 1) - 1;
      if (left > 0) this.#writing.set(ino, left);
      else this.#writing.delete(ino);
      if (left === 0 && isWritten && !this.#unwritten.has(ino)) this.#newer.delete(ino);
    });
  }
}
