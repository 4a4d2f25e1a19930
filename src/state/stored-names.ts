/**
 * The names that the database has. Whoever makes a name asks for it several times before, and LMDB is slow to say no;
 * whoever reads a directory asks for each of its names again. So what was read lately is remembered, until the database
 * changes.
 */

import { LRUCache } from 'lru-cache';
import type { Ino, Name } from '../base/index.js';
import { decodeEntry } from './codec.js';
import type { NameSlot } from './name-table.js';
import type { NameEntry } from './records.js';
import { keyBehind, type NameKey, type Table } from './tables.js';

/** Directories of which it is remembered whether the database has any name at all. */
const KNOWN_DIRECTORIES = 256;
/** Names of the directory that was read last. */
const REMEMBERED_NAMES = 2_048;

export class StoredNames {
  readonly #table: Table<NameKey>;
  /** Directories without and with names. */
  readonly #isEmpty = new LRUCache<Ino, boolean>({ max: KNOWN_DIRECTORIES });
  /** The directory that was read last. */
  #parent: Ino | undefined;
  /** Names of it, undefined: not there. */
  readonly #entries = new Map<Name, NameEntry | undefined>();

  constructor(table: Table<NameKey>) {
    this.#table = table;
  }

  get(parent: Ino, name: Name): NameEntry | undefined {
    if (this.#isEmpty.get(parent) === true) return undefined;
    if (parent === this.#parent && this.#entries.has(name)) return this.#entries.get(name);
    const bytes = this.#table.get([parent, name]);
    const entry = bytes === undefined ? undefined : decodeEntry(parent, name, bytes);
    if (entry === undefined && this.#looksEmpty(parent)) return undefined;
    this.#remember(parent, name, entry);
    return entry;
  }

  /** Up to `limit` names of a directory in order, behind `after`. */
  range(parent: Ino, after: Name | undefined, limit: number): NameSlot[] {
    if (this.#isEmpty.get(parent) === true) return [];
    const slots: NameSlot[] = [];
    const range = { start: keyBehind(parent, after), end: keyBehind((parent + 1) as Ino, undefined), limit };
    for (const { key, value } of this.#table.getRange(range)) {
      const name = key[1] as Name;
      const entry = decodeEntry(parent, name, value);
      slots.push({ name, entry });
      this.#remember(parent, name, entry);
    }
    if (after === undefined) this.#isEmpty.set(parent, slots.length === 0);
    return slots;
  }

  /** The database has changed. */
  forget(): void {
    this.#isEmpty.clear();
    this.#entries.clear();
  }

  #looksEmpty(parent: Ino): boolean {
    if (this.#isEmpty.get(parent) === undefined) this.range(parent, undefined, 1);
    return this.#isEmpty.get(parent) === true;
  }

  #remember(parent: Ino, name: Name, entry: NameEntry | undefined): void {
    if (parent !== this.#parent || this.#entries.size >= REMEMBERED_NAMES) this.#entries.clear();
    this.#parent = parent;
    this.#entries.set(name, entry);
  }
}
