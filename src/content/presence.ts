/**
 * What is known of the clean files: version, present ranges, last use. In memory it is exact; the table on disk
 * follows a few seconds behind, for a lost entry only means that bytes are fetched again.
 *
 * INVARIANT: after a power loss, an entry never claims bytes that are not on the disk. Each entry carries the epoch
 * that it was written in; an epoch is safe once a sync of the whole file system ran after it. At the first start
 * after a reboot, entries of epochs that are not safe are forgotten. Without a reboot the page cache has all bytes.
 */

import type { Ino } from '../base/index.js';
import type { ETag } from '../remote/index.js';

/** A table of JSON-like values by inode number, written in the background (as the state store's side tables). */
export interface PresenceTable {
  entries(): Iterable<readonly [Ino, unknown]>;
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

/** The key of the note on epochs; no node has this number. */
const MARKER_KEY = 0 as Ino;

type EntryRow = readonly [
  epoch: number,
  etag: string | null,
  size: number,
  generation: string,
  lastUseMs: number,
  ranges: readonly number[] | 'whole',
];
type MarkerRow = readonly [bootId: string, safeEpoch: number, closed: boolean];

export class PresenceRecords {
  readonly #table: PresenceTable;
  readonly #bootId: string;
  readonly #onFailure: (cause: unknown) => void;
  /** What is put now belongs to this epoch. */
  #epoch = 1;
  #safeEpoch = 0;

  /** `onFailure`: told when the table's disk refuses; the entry is then missing at the next start. */
  constructor(table: PresenceTable, bootId: string, onFailure: (cause: unknown) => void) {
    this.#table = table;
    this.#bootId = bootId;
    this.#onFailure = onFailure;
  }

  /** Reads what an earlier process left. `powerLoss`: the machine went down without a clean end of that process. */
  load(): { readonly entries: Map<Ino, CleanEntry>; readonly dropped: number; readonly powerLoss: boolean } {
    const rows: [Ino, EntryRow][] = [];
    let marker: MarkerRow | undefined;
    for (const [ino, row] of this.#table.entries()) {
      if (ino === MARKER_KEY) marker = row as MarkerRow;
      else rows.push([ino, row as EntryRow]);
    }
    const isRebooted = marker !== undefined && marker[0] !== this.#bootId;
    this.#safeEpoch = marker?.[1] ?? 0;
    const entries = new Map<Ino, CleanEntry>();
    let dropped = 0;
    let newest = this.#safeEpoch;
    for (const [ino, [epoch, etag, size, generation, lastUseMs, ranges]] of rows) {
      newest = Math.max(newest, epoch);
      if (epoch > this.#safeEpoch && (isRebooted || marker === undefined)) {
        dropped++;
        this.remove(ino);
        continue;
      }
      const presentBytes = ranges === 'whole' ? size : sumOf(ranges);
      entries.set(ino, {
        etag: (etag ?? undefined) as ETag | undefined,
        size,
        generation,
        ranges,
        presentBytes,
        lastUseMs,
      });
    }
    this.#epoch = newest + 1;
    this.#putMarker(false);
    return { entries, dropped, powerLoss: isRebooted && marker?.[2] === false };
  }

  put(ino: Ino, entry: CleanEntry): void {
    const { etag, size, generation, lastUseMs, ranges } = entry;
    const row: EntryRow = [this.#epoch, etag ?? null, size, generation, lastUseMs, ranges];
    this.#table.put(ino, row).catch(this.#onFailure);
  }

  remove(ino: Ino): void {
    this.#table.remove(ino).catch(this.#onFailure);
  }

  /**
   * Runs `sync`, which makes all files durable, and notes that what was put before it is safe. `closed`: this is the
   * end, and nothing will be put any more.
   */
  async advance(sync: () => Promise<void>, closed: boolean): Promise<void> {
    const safe = this.#epoch++;
    await sync();
    this.#safeEpoch = Math.max(this.#safeEpoch, safe);
    this.#putMarker(closed);
    await this.#table.durable();
  }

  #putMarker(closed: boolean): void {
    const row: MarkerRow = [this.#bootId, this.#safeEpoch, closed];
    this.#table.put(MARKER_KEY, row).catch(this.#onFailure);
  }
}

/** A table that ends with the process, for tests. */
export class MemoryPresenceTable implements PresenceTable {
  readonly #rows = new Map<Ino, unknown>();

  entries(): Iterable<readonly [Ino, unknown]> {
    return [...this.#rows];
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
