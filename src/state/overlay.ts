/** What is committed to the journal and not yet in the database: the newest word on the keys that it knows. */

import type { Ino, Name } from '../base/index.js';
import type { Changes } from './backing.js';
import { encodeEntry, encodeNode, inoOrUndefined, pack } from './codec.js';
import { NameTable } from './name-table.js';
import type { Table, Tables } from './tables.js';

/** The changes of one transaction as the journal stores them: flat lists, null removes. */
export type ChangeRows = readonly [
  /** ino, bytes of its record. */
  nodes: readonly (number | Uint8Array | null)[],
  /** parent, name, local, base; 0 for none. */
  names: readonly (number | string)[],
  /** ino, whether it is dirty. */
  dirty: readonly (number | boolean)[],
  /** key, bytes of its value. */
  meta: readonly (string | Uint8Array | null)[],
];

export function changeRows(changes: Changes): ChangeRows {
  const nodes: (number | Uint8Array | null)[] = [];
  for (const [ino, record] of changes.nodes)
    nodes.push(ino, record === undefined ? null : encodeNode(record));
  const names: (number | string)[] = [];
  for (const { parent, name, entry } of changes.names.all()) {
    names.push(parent, name, entry?.local ?? 0, entry?.base ?? 0);
  }
  const dirty: (number | boolean)[] = [];
  for (const [ino, isDirty] of changes.dirty) dirty.push(ino, isDirty);
  const meta: (string | Uint8Array | null)[] = [];
  for (const [key, value] of changes.meta) meta.push(key, value === undefined ? null : pack(value));
  return [nodes, names, dirty, meta];
}

const PRESENT = new Uint8Array(0);

/** How a change reaches a table: at once inside a synchronous transaction, or in the background. */
export type WriteOne = <K>(table: Table<K>, key: K, value: Uint8Array | null) => void;

export class Overlay {
  readonly nodes = new Map<Ino, Uint8Array | null>();
  readonly names = new NameTable();
  readonly #dirty = new Map<Ino, boolean>();
  readonly #meta = new Map<string, Uint8Array | null>();

  /** Number of keys that the overlay knows. */
  get size(): number {
    return this.nodes.size + this.names.size + this.#dirty.size + this.#meta.size;
  }

  apply([nodes, names, dirty, meta]: ChangeRows): void {
    for (let i = 0; i < nodes.length; i += 2)
      this.nodes.set(nodes[i] as Ino, nodes[i + 1] as Uint8Array | null);
    for (let i = 0; i < names.length; i += 4) {
      const name = names[i + 1] as Name;
      const local = inoOrUndefined(names[i + 2] as number);
      const base = inoOrUndefined(names[i + 3] as number);
      const isGone = local === undefined && base === undefined;
      this.names.set(names[i] as Ino, name, isGone ? undefined : { name, local, base });
    }
    for (let i = 0; i < dirty.length; i += 2) this.#dirty.set(dirty[i] as Ino, dirty[i + 1] as boolean);
    for (let i = 0; i < meta.length; i += 2)
      this.#meta.set(meta[i] as string, meta[i + 1] as Uint8Array | null);
  }

  /** Writes everything to the tables through `write`; one step of the iteration is one write. */
  *writeTo(tables: Tables, write: WriteOne): Generator<void> {
    for (const [ino, bytes] of this.nodes) yield write(tables.nodes, ino, bytes);
    for (const { parent, name, entry } of this.names.all()) {
      yield write(tables.names, [parent, name], entry === undefined ? null : encodeEntry(entry));
    }
    for (const [ino, isDirty] of this.#dirty) yield write(tables.dirty, ino, isDirty ? PRESENT : null);
    for (const [key, bytes] of this.#meta) yield write(tables.meta, key, bytes);
  }
}
