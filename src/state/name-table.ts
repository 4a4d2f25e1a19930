/**
 * Name entries of directories in memory, in the one order that all stores share: by code point, which is the order
 * of the UTF-8 bytes that the database sorts by.
 */

import type { Ino, Name } from '../base/index.js';
import type { NameEntry } from './records.js';

/** Order of two strings by code point: below, equal (0) or above. */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const unitA = a.charCodeAt(i);
    const unitB = b.charCodeAt(i);
    if (unitA !== unitB) return rank(unitA) - rank(unitB);
  }
  return a.length - b.length;
}

/** Puts surrogates (code points above U+FFFF) behind the units U+E000..U+FFFF. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** The entries of one directory; `undefined` as a value is a name that the table says is gone. */
class Directory {
  readonly slots = new Map<Name, NameEntry | undefined>();
  /** The names in order; undefined: to be sorted anew. */
  #sorted: Name[] | undefined;

  set(name: Name, entry: NameEntry | undefined): void {
    if (!this.slots.has(name)) this.#sorted = undefined;
    this.slots.set(name, entry);
  }

  delete(name: Name): void {
    if (this.slots.delete(name)) this.#sorted = undefined;
  }

  sorted(): readonly Name[] {
    this.#sorted ??= [...this.slots.keys()].sort(compareNames);
    return this.#sorted;
  }
}

/** Where a table says something of a name: its entry, or that it is gone. */
export interface NameSlot {
  readonly name: Name;
  readonly entry: NameEntry | undefined;
}

/** A map from (directory, name) to an entry or to "gone", with ordered ranges. */
export class NameTable {
  readonly #directories = new Map<Ino, Directory>();
  #size = 0;

  /** Number of names that the table says something of. */
  get size(): number {
    return this.#size;
  }

  has(parent: Ino, name: Name): boolean {
    return this.#directories.get(parent)?.slots.has(name) ?? false;
  }

  get(parent: Ino, name: Name): NameEntry | undefined {
    return this.#directories.get(parent)?.slots.get(name);
  }

  set(parent: Ino, name: Name, entry: NameEntry | undefined): void {
    let directory = this.#directories.get(parent);
    if (directory === undefined) {
      directory = new Directory();
      this.#directories.set(parent, directory);
    }
    if (!directory.slots.has(name)) this.#size++;
    directory.set(name, entry);
  }

  /** Makes the table say nothing of a name. */
  delete(parent: Ino, name: Name): void {
    const directory = this.#directories.get(parent);
    if (directory === undefined || !directory.slots.has(name)) return;
    directory.delete(name);
    this.#size--;
    if (directory.slots.size === 0) this.#directories.delete(parent);
  }

  /** Up to `limit` slots of a directory in order, behind `after`. */
  range(parent: Ino, after: Name | undefined, limit: number): NameSlot[] {
    const directory = this.#directories.get(parent);
    if (directory === undefined) return [];
    const names = directory.sorted();
    const slots: NameSlot[] = [];
    for (
      let i = after === undefined ? 0 : firstBehind(names, after);
      i < names.length && slots.length < limit;
      i++
    ) {
      const name = names[i] as Name;
      slots.push({ name, entry: directory.slots.get(name) });
    }
    return slots;
  }

  *all(): Generator<{ readonly parent: Ino; readonly name: Name; readonly entry: NameEntry | undefined }> {
    for (const [parent, directory] of this.#directories) {
      for (const [name, entry] of directory.slots) yield { parent, name, entry };
    }
  }

  clone(): NameTable {
    const copy = new NameTable();
    for (const { parent, name, entry } of this.all()) copy.set(parent, name, entry);
    return copy;
  }
}

/** Up to `limit` slots behind `after`, where `upper` has the last word on the names that it knows. */
export function mergeSlots(
  upper: (after: Name | undefined, limit: number) => readonly NameSlot[],
  lower: (after: Name | undefined, limit: number) => readonly NameSlot[],
  after: Name | undefined,
  limit: number,
): readonly NameSlot[] {
  const above = upper(after, limit);
  const below = lower(after, limit);
  if (above.length === 0) return below;
  if (below.length === 0) return above;
  const merged: NameSlot[] = [];
  let i = 0;
  let j = 0;
  // `limit` steps at most: a side that gave fewer than `limit` slots has no more behind its last one.
  while (merged.length < limit && (i < above.length || j < below.length)) {
    const a = above[i];
    const b = below[j];
    const order = a === undefined ? 1 : b === undefined ? -1 : compareNames(a.name, b.name);
    if (a !== undefined && order <= 0) {
      merged.push(a);
      i++;
      if (order === 0) j++;
    } else if (b !== undefined) {
      merged.push(b);
      j++;
    }
  }
  return merged;
}

/** Index of the first name behind `after`. */
function firstBehind(sorted: readonly Name[], after: Name): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareNames(sorted[middle] as Name, after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
