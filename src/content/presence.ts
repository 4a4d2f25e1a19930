/**
 * What is written down of the clean files: version, present ranges, last use; and how far that may be believed after
 * a power loss. The table on disk follows a few seconds behind, for a lost entry only means that bytes are fetched again.
 *
 * INVARIANT: after a power loss, an entry never claims bytes that are not on the disk. Each entry carries the epoch
 * that it was written in; an epoch is safe once a sync of the whole file system ran after it. After a reboot, entries
 * of earlier processes' epochs that are not safe are forgotten. Without a reboot the page cache has all bytes.
 */

import type { Ino } from '../base/index.js';
import type { ETag } from '../remote/index.js';

/** A table of JSON-like values by inode number, written in the background (as the state store's side tables). */
export interface PresenceTable {
  get(ino: Ino): unknown;
  /** Rows in the order of their numbers, those behind `after`, `limit` at most. */
  entries(after?: Ino, limit?: number): Iterable<readonly [Ino, unknown]>;
  put(ino: Ino, value: unknown): Promise<void>;
  remove(ino: Ino): Promise<void>;
  durable(): Promise<void>;
}

export interface CleanEntry {
  etag: ETag | undefined;
  /** Bytes of the version. */
  readonly size: number;
  /** Tells files apart that were made for the same inode one after the other. */
  readonly generation: string;
  /** As `RangeSet.toArray`; 'whole' for all of it. While a body is open, its own set is what counts. */
  ranges: readonly number[] | 'whole';
  /** Bytes present, of the body where one is open. */
  presentBytes: number;
  lastUseMs: number;
}

/** How much there is, in entries and bytes. */
export interface CleanTotals {
  readonly files: number;
  readonly bytes: number;
  /** Whether it was counted since the last process that did not end cleanly. */
  readonly isExact: boolean;
}

/** The key of the note on epochs; no node has this number. */
export const MARKER_KEY = 0 as Ino;

type EntryRow = readonly [
  epoch: number,
  etag: string | null,
  size: number,
  generation: string,
  lastUseMs: number,
  ranges: readonly number[] | 'whole',
];
/** The last four are missing in a table of the first releases. */
type MarkerRow = readonly [
  bootId: string,
  safeEpoch: number,
  closed: boolean,
  epoch?: number,
  files?: number,
  bytes?: number,
  isExact?: boolean,
];

/** What an earlier process left. */
export interface Left {
  /** As of its last note: exact where it ended cleanly. */
  readonly totals: CleanTotals;
  /** Entries that may have suffered from a power loss. */
  readonly dropped: number;
  /** The machine went down without a clean end of that process. */
  readonly powerLoss: boolean;
}

export class PresenceRecords {
  readonly #table: PresenceTable;
  readonly #bootId: string;
  readonly #onFailure: (cause: unknown) => void;
  readonly #totals: () => CleanTotals;
  /** What is put now belongs to this epoch. */
  #epoch = 1;
  #safeEpoch = 0;
  /** Entries of epochs above the first and below the second are not believed. */
  #doubtAbove = 0;
  #doubtBelow = 0;

  /** `onFailure`: told when the table's disk refuses; the entry is then missing at the next start. */
  constructor(
    table: PresenceTable,
    bootId: string,
    totals: () => CleanTotals,
    onFailure: (cause: unknown) => void,
  ) {
    this.#table = table;
    this.#bootId = bootId;
    this.#totals = totals;
    this.#onFailure = onFailure;
  }

  /**
   * Begins a new epoch behind those of earlier processes. Reads one row, however many there are; all of them only after
   * a power loss, to take out what may not be believed before anything makes it look safe.
   */
  begin(): Left {
    const marker = this.#table.get(MARKER_KEY) as MarkerRow | undefined;
    const [bootId, safeEpoch = 0, closed = true, epoch, files = 0, bytes = 0, counted = false] = marker ?? [];
    const isRebooted = marker !== undefined && bootId !== this.#bootId;
    this.#safeEpoch = safeEpoch;
    const newest = epoch ?? this.#newestEpoch();
    this.#epoch = newest + 1;
    let dropped = 0;
    if (marker === undefined || (isRebooted && !closed)) {
      this.#doubtAbove = safeEpoch;
      this.#doubtBelow = this.#epoch;
      dropped = this.#dropDoubtful();
    }
    const isExact = marker === undefined ? newest === 0 : closed && counted;
    return { totals: { files, bytes, isExact }, dropped, powerLoss: isRebooted && !closed };
  }

  /** What the table has, where it may be believed. */
  get(ino: Ino): CleanEntry | undefined {
    const row = this.#table.get(ino);
    return row === undefined ? undefined : this.#entryOf(row as EntryRow);
  }

  /** The next entries behind `after`, and the number up to which they are all; undefined: up to the end. */
  page(
    after: Ino,
    limit: number,
  ): { readonly entries: readonly (readonly [Ino, CleanEntry])[]; readonly end: Ino | undefined } {
    const entries: (readonly [Ino, CleanEntry])[] = [];
    let last = after;
    let count = 0;
    for (const [ino, row] of this.#table.entries(after, limit)) {
      last = ino;
      count += 1;
      const entry = ino === MARKER_KEY ? undefined : this.#entryOf(row as EntryRow);
      if (entry !== undefined) entries.push([ino, entry]);
    }
    return { entries, end: count < limit ? undefined : last };
  }

  /** Resolves with whether the table took it. */
  put(ino: Ino, entry: CleanEntry): Promise<boolean> {
    const { etag, size, generation, lastUseMs, ranges } = entry;
    const row: EntryRow = [this.#epoch, etag ?? null, size, generation, lastUseMs, ranges];
    return this.#told(this.#table.put(ino, row));
  }

  remove(ino: Ino): Promise<boolean> {
    return this.#told(this.#table.remove(ino));
  }

  /** Notes where this process stands. */
  note(closed = false): void {
    const { files, bytes, isExact } = this.#totals();
    const row: MarkerRow = [this.#bootId, this.#safeEpoch, closed, this.#epoch, files, bytes, isExact];
    void this.#told(this.#table.put(MARKER_KEY, row));
  }

  /**
   * Runs `sync`, which makes all files durable, and notes that what was put before it is safe. `closed`: this is the
   * end, and nothing will be put any more.
   */
  async advance(sync: () => Promise<void>, closed: boolean): Promise<void> {
    const safe = this.#epoch++;
    // Before the first row of the new epoch: the next process must begin behind it.
    this.note();
    await sync();
    this.#safeEpoch = Math.max(this.#safeEpoch, safe);
    this.note(closed);
    await this.#table.durable();
  }

  #entryOf([epoch, etag, size, generation, lastUseMs, ranges]: EntryRow): CleanEntry | undefined {
    if (epoch > this.#doubtAbove && epoch < this.#doubtBelow) return undefined;
    return {
      etag: (etag ?? undefined) as ETag | undefined,
      size,
      generation,
      ranges,
      presentBytes: ranges === 'whole' ? size : sumOf(ranges),
      lastUseMs,
    };
  }

  #dropDoubtful(): number {
    const doubtful: Ino[] = [];
    for (const [ino, row] of this.#table.entries()) {
      if (ino !== MARKER_KEY && this.#entryOf(row as EntryRow) === undefined) doubtful.push(ino);
    }
    for (const ino of doubtful) void this.remove(ino);
    return doubtful.length;
  }

  #newestEpoch(): number {
    let newest = this.#safeEpoch;
    for (const [ino, row] of this.#table.entries()) {
      if (ino !== MARKER_KEY) newest = Math.max(newest, (row as EntryRow)[0]);
    }
    return newest;
  }

  #told(writing: Promise<void>): Promise<boolean> {
    return writing.then(
      () => true,
      (cause: unknown) => {
        this.#onFailure(cause);
        return false;
      },
    );
  }
}

/** A table that ends with the process, for tests. */
export class MemoryPresenceTable implements PresenceTable {
  readonly #rows = new Map<Ino, unknown>();

  get(ino: Ino): unknown {
    return structuredClone(this.#rows.get(ino));
  }

  entries(after = -1 as Ino, limit = Number.POSITIVE_INFINITY): Iterable<readonly [Ino, unknown]> {
    const rows = [...this.#rows].filter(([ino]) => ino > after);
    return rows.sort(([a], [b]) => a - b).slice(0, limit);
  }

  async put(ino: Ino, value: unknown): Promise<void> {
    this.#rows.set(ino, structuredClone(value));
  }

  async remove(ino: Ino): Promise<void> {
    this.#rows.delete(ino);
  }

  async durable(): Promise<void> {}
}

function sumOf(ranges: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < ranges.length; i += 2) sum += (ranges[i + 1] as number) - (ranges[i] as number);
  return sum;
}
