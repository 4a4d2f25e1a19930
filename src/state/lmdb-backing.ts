/**
 * The backing on disk: LMDB, the journal in front of it, and in memory what only the journal has.
 *
 * A commit is one record of the journal, then the overlay. In the background the journal's segment is made durable,
 * the overlay is copied into LMDB, LMDB is made durable, and the segment goes. LMDB never gets what the journal on
 * the disk might lack, so a copy that is cut short is completed from the journal at the next start.
 */

import * as fs from 'node:fs';
import { LRUCache } from 'lru-cache';
import type { Clock, Ino, Log, Name, Timer } from '../base/index.js';
import type { Backing, Changes } from './backing.js';
import { decodeNode, pack, unpack } from './codec.js';
import { StateError } from './errors.js';
import { Journal, readJournal } from './journal.js';
import { checkVersion, migrate, type Schema } from './migrations.js';
import { mergeSlots, type NameSlot } from './name-table.js';
import { type ChangeRows, changeRows, Overlay, type WriteOne } from './overlay.js';
import type { NameEntry, NodeRecord } from './records.js';
import { StoredNames } from './stored-names.js';
import { databaseError, Environment, FIRST_INO, FIRST_META, keyBehind, type Table } from './tables.js';

/** The last record of the journal that the database has. */
const META_APPLIED = 'state:applied';

/** Decoded records kept in memory: about 0.7 KB each, 6 MB in all. */
const CACHED_RECORDS = 8_192;
/** Keys in the overlay that start a flush at once: about 2 MB. What a program waits for should not be in its midst. */
const FLUSH_KEYS = 16_384;
/** How long a change may stay in the journal alone. */
const FLUSH_DELAY_MS = 2_000;
/** Keys handed to LMDB in one turn of the event loop: under 2 ms. */
const CHUNK_KEYS = 512;
const RETRY_FIRST_MS = 1_000;
const RETRY_LONGEST_MS = 60_000;

export interface LmdbBackingOptions {
  /** The state directory; it exists. */
  readonly dir: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly schema: Schema;
}

/** What a flush has to bring into the database. */
interface Batch {
  readonly overlay: Overlay;
  readonly segment: number;
  readonly lastSequence: number;
}

export class LmdbBacking implements Backing {
  // Dependencies
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #environment: Environment;
  readonly #journal: Journal;
  readonly #storedNames: StoredNames;
  // State
  readonly #cache = new LRUCache<Ino, NodeRecord>({ max: CACHED_RECORDS });
  readonly #metaValues = new Map<string, unknown>();
  #active = new Overlay();
  /** INVARIANT: whatever is neither in `#active` nor in `#batch` is in the database. */
  #batch: Batch | undefined;
  #flushing: Promise<boolean> | undefined;
  #timer: Timer | undefined;
  #retryDelayMs = RETRY_FIRST_MS;
  #closing = false;

  /** Throws `StateError`. */
  constructor({ dir, clock, log, schema }: LmdbBackingOptions) {
    this.#dir = dir;
    this.#clock = clock;
    this.#log = log;
    this.#environment = new Environment(dir);
    this.#storedNames = new StoredNames(this.#environment.tables.names);
    try {
      this.#journal = this.#recover(schema);
      for (const { key, value } of this.#environment.tables.meta.getRange({ start: FIRST_META })) {
        this.#metaValues.set(key, unpack(value, `the value "${key}"`));
      }
    } catch (cause) {
      // Nothing waits for the end of an environment that was never used.
      this.#environment
        .close()
        .catch((error) => this.#log.error({ err: error }, 'Cannot close the state database'));
      throw databaseError(dir, cause);
    }
  }

  /** Nodes in the database; what only the journal has so far is left out. */
  get nodeCount(): number {
    return this.#environment.tables.nodes.getStats().entryCount;
  }

  /** A table for another owner's values, which the journal does not hold. */
  sideTable(name: string): Table<Ino> {
    return this.#environment.sideTable(name);
  }

  /** Resolves when all that was handed to the database is on the disk. */
  flushedTables(): Promise<void> {
    return this.#environment.flushed();
  }

  node(ino: Ino): NodeRecord | undefined {
    const cached = this.#cache.get(ino);
    if (cached !== undefined) return cached;
    const bytes = this.#nodeBytes(ino);
    if (bytes === undefined) return undefined;
    const record = decodeNode(ino, bytes);
    this.#cache.set(ino, record);
    return record;
  }

  name(parent: Ino, name: Name): NameEntry | undefined {
    if (this.#active.names.has(parent, name)) return this.#active.names.get(parent, name);
    const older = this.#batch?.overlay.names;
    if (older?.has(parent, name)) return older.get(parent, name);
    return this.#storedNames.get(parent, name);
  }

  names(parent: Ino, after: Name | undefined, limit: number): readonly NameSlot[] {
    const stored = (from: Name | undefined, count: number) => this.#storedNames.range(parent, from, count);
    const active = (from: Name | undefined, count: number) => this.#active.names.range(parent, from, count);
    const older = this.#batch?.overlay.names;
    if (older === undefined) return mergeSlots(active, stored, after, limit);
    const flushing = (from: Name | undefined, count: number) => older.range(parent, from, count);
    const below = (from: Name | undefined, count: number) => mergeSlots(flushing, stored, from, count);
    return mergeSlots(active, below, after, limit);
  }

  meta(key: string): unknown {
    return structuredClone(this.#metaValues.get(key));
  }

  commit(changes: Changes): void {
    const rows = changeRows(changes);
    try {
      this.#journal.append(rows);
    } catch (cause) {
      throw new StateError('disk', `Cannot write to the journal in "${this.#dir}"`, { cause });
    }
    this.#active.apply(rows);
    for (const [ino, record] of changes.nodes) {
      if (record === undefined) this.#cache.delete(ino);
      else this.#cache.set(ino, record);
    }
    for (const [key, value] of changes.meta) {
      if (value === undefined) this.#metaValues.delete(key);
      else this.#metaValues.set(key, value);
    }
    this.#schedule();
  }

  *allDirty(): Generator<Ino> {
    // Asked for at the start only, when the journal has been brought into the database.
    for (const { key } of this.#environment.tables.dirty.getRange({ start: FIRST_INO })) yield key;
  }

  *allNodes(): Generator<NodeRecord> {
    const newer = new Map([...(this.#batch?.overlay.nodes ?? []), ...this.#active.nodes]);
    for (const { key, value } of this.#environment.tables.nodes.getRange({ start: FIRST_INO })) {
      if (!newer.has(key)) yield decodeNode(key, value);
    }
    for (const [ino, bytes] of newer) if (bytes !== null) yield decodeNode(ino, bytes);
  }

  *allNames(): Generator<{ readonly parent: Ino; readonly entry: NameEntry }> {
    const parents = new Set<Ino>();
    for (const { key } of this.#environment.tables.names.getRange({ start: keyBehind(FIRST_INO, undefined) }))
      parents.add(key[0]);
    for (const overlay of [this.#batch?.overlay, this.#active]) {
      for (const { parent } of overlay?.names.all() ?? []) parents.add(parent);
    }
    for (const parent of parents) {
      for (const { entry } of this.names(parent, undefined, Number.MAX_SAFE_INTEGER)) {
        if (entry !== undefined) yield { parent, entry };
      }
    }
  }

  async durable(): Promise<void> {
    try {
      await this.#journal.sync();
    } catch (cause) {
      throw new StateError('disk', `Cannot make the journal in "${this.#dir}" durable`, { cause });
    }
  }

  /** Brings everything into the database. Where that fails the journal keeps it for the next start. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#timer?.cancel();
    let done = (await this.#flushing) ?? true;
    while (done && (this.#batch !== undefined || this.#active.size > 0)) done = await this.#flush();
    if (!done) await this.durable();
    await this.#journal.close();
    await this.#environment.close();
  }

  /** Brings the journal of an earlier process into the database and starts a new one. */
  #recover(schema: Schema): Journal {
    const { tables } = this.#environment;
    const version = checkVersion(tables, schema, this.#dir);
    const appliedBytes = tables.meta.get(META_APPLIED);
    const applied = appliedBytes === undefined ? 0 : (unpack(appliedBytes, 'the journal position') as number);
    const journal = readJournal(this.#dir, applied);
    if (journal.torn !== undefined) {
      this.#log.warn(
        journal.torn,
        'The journal ends in an incomplete record, as after a power loss; it is left out',
      );
    }
    // Notes count too: the next journal goes on behind them, and a gap would look like what a power loss took.
    if (journal.lastSequence > applied) {
      const overlay = new Overlay();
      for (const rows of journal.changes) overlay.apply(rows as ChangeRows);
      this.#environment.transactSync(() => {
        for (const _ of overlay.writeTo(tables, writeSync));
        tables.meta.putSync(META_APPLIED, pack(journal.lastSequence));
      });
      if (journal.changes.length > 0)
        this.#log.info({ records: journal.changes.length }, 'Brought the journal into the state database');
    }
    migrate(this.#environment, schema, version, this.#dir);
    for (const path of journal.paths) fs.unlinkSync(path);
    return new Journal(this.#dir, journal.nextSegment, journal.lastSequence + 1);
  }

  #nodeBytes(ino: Ino): Uint8Array | undefined {
    for (const overlay of [this.#active, this.#batch?.overlay]) {
      const bytes = overlay?.nodes.get(ino);
      if (bytes !== undefined) return bytes ?? undefined;
    }
    return this.#environment.tables.nodes.get(ino);
  }

  #schedule(): void {
    if (this.#flushing !== undefined || this.#closing) return;
    if (this.#active.size >= FLUSH_KEYS && this.#retryDelayMs === RETRY_FIRST_MS) {
      this.#timer?.cancel();
      this.#timer = undefined;
      void this.#flush();
    } else {
      this.#timer ??= this.#clock.after(FLUSH_DELAY_MS, () => {
        this.#timer = undefined;
        void this.#flush();
      });
    }
  }

  /** Brings what is in memory into the database; false: it failed, was logged, and is tried again later. */
  #flush(): Promise<boolean> {
    this.#flushing ??= this.#flushBatch().then(
      () => {
        this.#flushing = undefined;
        this.#retryDelayMs = RETRY_FIRST_MS;
        if (this.#active.size > 0) this.#schedule();
        return true;
      },
      (error: unknown) => {
        this.#flushing = undefined;
        this.#log.error(
          { err: error, retryDelayMs: this.#retryDelayMs },
          'Cannot write to the state database',
        );
        if (!this.#closing) {
          this.#timer?.cancel();
          this.#timer = this.#clock.after(this.#retryDelayMs, () => {
            this.#timer = undefined;
            void this.#flush();
          });
        }
        this.#retryDelayMs = Math.min(this.#retryDelayMs * 2, RETRY_LONGEST_MS);
        return false;
      },
    );
    return this.#flushing;
  }

  async #flushBatch(): Promise<void> {
    if (this.#batch === undefined) {
      this.#batch = { overlay: this.#active, ...this.#journal.rotate() };
      this.#active = new Overlay();
    }
    const { overlay, segment, lastSequence } = this.#batch;
    await this.#journal.syncThrough(segment);
    const { tables } = this.#environment;
    let writes: Promise<unknown>[] = [];
    const write: WriteOne = (table, key, value) => {
      writes.push(value === null ? table.remove(key) : table.put(key, value));
    };
    for (const _ of overlay.writeTo(tables, write)) {
      if (writes.length < CHUNK_KEYS) continue;
      await settled(writes);
      writes = [];
    }
    writes.push(tables.meta.put(META_APPLIED, pack(lastSequence)));
    await settled(writes);
    await this.#environment.flushed();
    this.#batch = undefined;
    this.#storedNames.forget();
    await this.#journal.drop(segment);
  }
}

const writeSync: WriteOne = (table, key, value) => {
  if (value === null) table.removeSync(key);
  else table.putSync(key, value);
};

/** Waits for writes of lmdb's; a failed one has the reason in a promise of its own. */
async function settled(writes: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(writes)).find((result) => result.status === 'rejected');
  if (failed === undefined) return;
  const { reason } = failed;
  if (!(reason instanceof Error && 'commitError' in reason)) throw reason;
  try {
    await reason.commitError;
  } catch (cause) {
    throw databaseError('state.mdb', cause);
  }
  throw reason;
}
