/** The state store on disk, and tables of other owners in the same database. */

import { type Clock, type Ino, makeDirectory, SystemClock, silentLog } from '../base/index.js';
import { pack, unpack } from './codec.js';
import { StateError } from './errors.js';
import { LmdbBacking } from './lmdb-backing.js';
import { SCHEMA, type Schema } from './migrations.js';
import { FIRST_INO, type Table } from './tables.js';
import { TreeStore, type TreeStoreOptions } from './trees.js';

/**
 * A table of JSON-like values (also bigint and Uint8Array) by inode number, written in the background and not
 * journaled: the last seconds of it may be lost, so it may only hold what can be found out again.
 */
export interface SideTable {
  get(ino: Ino): unknown;
  /** Rows in the order of their numbers: those behind `after`, `limit` at most. */
  entries(after?: Ino, limit?: number): Iterable<readonly [Ino, unknown]>;
  /** Rejects when the disk refuses. */
  put(ino: Ino, value: unknown): Promise<void>;
  remove(ino: Ino): Promise<void>;
  /** Resolves when what was put and removed so far is on the disk. */
  durable(): Promise<void>;
}

export interface OpenStateOptions extends TreeStoreOptions {
  /** The state directory: made where it is missing (mode 0700). Nobody else may have it open. */
  readonly dir: string;
  readonly clock?: Clock;
  /** The layout of the database; a test may bring its own. */
  readonly schema?: Schema;
}

export class LmdbStateStore extends TreeStore {
  readonly #lmdb: LmdbBacking;

  constructor(lmdb: LmdbBacking, options: TreeStoreOptions) {
    super(lmdb, options);
    this.#lmdb = lmdb;
  }

  /** How many nodes are known, without those of the last seconds. */
  get nodeCount(): number {
    return this.#lmdb.nodeCount;
  }

  /** The table of this name (letters and digits), made where it is missing. */
  sideTable(name: string): SideTable {
    const table: Table<Ino> = this.#lmdb.sideTable(name);
    const lmdb = this.#lmdb;
    return {
      get(ino) {
        const value = table.get(ino);
        return value === undefined ? undefined : unpack(value, `table ${name}`);
      },
      *entries(after, limit) {
        const start = after === undefined ? FIRST_INO : ((after + 1) as Ino);
        for (const { key, value } of table.getRange(limit === undefined ? { start } : { start, limit }))
          yield [key, unpack(value, `table ${name}`)] as const;
      },
      async put(ino, value) {
        await table.put(ino, pack(value));
      },
      async remove(ino) {
        await table.remove(ino);
      },
      durable: () => lmdb.flushedTables(),
    };
  }
}

/**
 * Opens the state in `dir`, or makes it. Brings in what a killed process left in the journal, and migrates an older
 * layout. Throws `StateError` 'damaged', 'newer' or 'disk'; it never deletes a database.
 */
export function openState(options: OpenStateOptions): LmdbStateStore {
  const { dir, clock = new SystemClock(), log = silentLog, schema = SCHEMA } = options;
  try {
    makeDirectory(dir);
  } catch (cause) {
    throw new StateError('disk', `Cannot make the state directory "${dir}"`, { cause });
  }
  return new LmdbStateStore(new LmdbBacking({ dir, clock, log, schema }), options);
}
