/** The LMDB environment: its tables, their keys, and its errors. Values are bytes; codec.ts knows what they mean. */

import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { Ino, Name } from '../base/index.js';
import { checkDatabaseFile } from './database-file.js';
import { StateError } from './errors.js';

export type NameKey = readonly [parent: Ino, name: string];

/** Sorts by number. */
const inoKey = {
  writeKey: (ino: Ino, target: Buffer, start: number): number => writeIno(ino, target, start),
  readKey: (source: Buffer, start: number): Ino => readIno(source, start),
};

/** Sorts by directory, then by the name's UTF-8 bytes. */
const nameKey = {
  writeKey: ([parent, name]: NameKey, target: Buffer, start: number): number => {
    const at = writeIno(parent, target, start);
    return at + target.write(name, at, 'utf8');
  },
  readKey: (source: Buffer, start: number, end: number): NameKey => {
    return [readIno(source, start), source.toString('utf8', start + INO_KEY_BYTES, end)];
  },
};

const INO_KEY_BYTES = 8;
const TWO_TO_32 = 2 ** 32;

function writeIno(ino: number, target: Buffer, start: number): number {
  target.writeUInt32BE(Math.floor(ino / TWO_TO_32), start);
  return target.writeUInt32BE(ino % TWO_TO_32, start + 4);
}

function readIno(source: Buffer, start: number): Ino {
  return (source.readUInt32BE(start) * TWO_TO_32 + source.readUInt32BE(start + 4)) as Ino;
}

/** Without a start, lmdb begins at a key of its own that our key encoders do not take. */
interface RangeQuery<K> {
  readonly start: K;
  readonly end?: K;
  readonly limit?: number;
}

/** What is used of a table of lmdb's, whose own types know no key encoder. */
export interface Table<K> {
  get(key: K): Buffer | undefined;
  getRange(query: RangeQuery<K>): Iterable<{ readonly key: K; readonly value: Buffer }>;
  put(key: K, value: Uint8Array): Promise<boolean>;
  putSync(key: K, value: Uint8Array): void;
  remove(key: K): Promise<boolean>;
  removeSync(key: K): boolean;
  /** mdb_stat of the table. */
  getStats(): { readonly entryCount: number };
}

export interface Tables {
  readonly nodes: Table<Ino>;
  readonly names: Table<NameKey>;
  /** The values are empty. */
  readonly dirty: Table<Ino>;
  readonly meta: Table<string>;
}

export class Environment {
  readonly tables: Tables;
  readonly #root: RootDatabase;

  /** Opens or makes the database in `dir`. Throws `StateError` 'damaged' or 'disk'. */
  constructor(dir: string) {
    const path = join(dir, 'state.mdb');
    checkDatabaseFile(path);
    this.#root = rethrown(path, () => open({ path, noSubdir: true, maxDbs: 16, encoding: 'binary' }));
    this.tables = rethrown(path, () => ({
      nodes: this.#table<Ino>('nodes', inoKey),
      names: this.#table<NameKey>('names', nameKey),
      dirty: this.#table<Ino>('dirty', inoKey),
      meta: this.#table<string>('meta'),
    }));
  }

  /** A table of another owner's, with inode numbers as keys. */
  sideTable(name: string): Table<Ino> {
    return this.#table<Ino>(`side-${name}`, inoKey);
  }

  /** Runs `change` (with the tables' *Sync methods) and commits it durably, or rolls it back when it throws. */
  transactSync(change: () => void): void {
    this.#root.transactionSync(change);
  }

  /** Resolves when all writes that were begun are on the disk. */
  async flushed(): Promise<void> {
    await this.#root.flushed;
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #table<K>(name: string, keyEncoder?: object): Table<K> {
    const options = keyEncoder === undefined ? {} : { keyEncoder };
    // lmdb's types know no keys but their own; a key encoder takes and gives K.
    return this.#root.openDB({ name, encoding: 'binary', ...options }) as unknown as Table<K> & Database;
  }
}

/** Starts of ranges over whole tables. */
export const FIRST_INO = 0 as Ino;
export const FIRST_META = '';

/** The first key behind a name: names hold no NUL. */
export function keyBehind(parent: Ino, name: Name | undefined): NameKey {
  return [parent, name === undefined ? '' : `${name}\0`];
}

/** MDB_PAGE_NOTFOUND, MDB_CORRUPTED, MDB_PANIC, MDB_VERSION_MISMATCH, MDB_INVALID (lmdb.h). */
const DAMAGE_CODES: readonly unknown[] = [-30797, -30796, -30795, -30794, -30793];

/** What lmdb threw, as ours. */
export function databaseError(path: string, cause: unknown): StateError {
  if (cause instanceof StateError) return cause;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (DAMAGE_CODES.includes(code)) {
    const message = `Cannot use the state database "${path}": it is damaged or no database. Nothing was changed or deleted`;
    return new StateError('damaged', message, { cause });
  }
  return new StateError('disk', `Cannot use the state database "${path}"`, { cause });
}

function rethrown<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw databaseError(path, cause);
  }
}
