/** What the trees stand on: tables that are read by key and changed by whole sets of changes. */

import type { Ino, Name } from '../base/index.js';
import { StateError } from './errors.js';
import type { NameSlot, NameTable } from './name-table.js';
import type { NameEntry, NodeRecord } from './records.js';

/** What one transaction changes; `undefined` as a value removes. */
export interface Changes {
  readonly nodes: ReadonlyMap<Ino, NodeRecord | undefined>;
  readonly names: NameTable;
  readonly dirty: ReadonlyMap<Ino, boolean>;
  readonly meta: ReadonlyMap<string, unknown>;
}

export interface Backing {
  node(ino: Ino): NodeRecord | undefined;
  name(parent: Ino, name: Name): NameEntry | undefined;
  /** Up to `limit` names of a directory in order, behind `after`; slots without an entry are names that are gone. */
  names(parent: Ino, after: Name | undefined, limit: number): readonly NameSlot[];
  meta(key: string): unknown;
  /** Applies all or, when it throws (`StateError`), nothing. */
  commit(changes: Changes): void;
  allDirty(): Iterable<Ino>;
  allNodes(): Iterable<NodeRecord>;
  allNames(): Iterable<{ readonly parent: Ino; readonly entry: NameEntry }>;
  durable(): Promise<void>;
  close(): Promise<void>;
}

/** Keys of `meta` that the state layer keeps for itself begin with this. */
export const OWN_META_PREFIX = 'state:';

/** The key, where an owner of a value may use it. Throws `StateError` 'misuse'. */
export function checkedMetaKey(key: string): string {
  if (key === '' || key.startsWith(OWN_META_PREFIX))
    throw new StateError('misuse', `"${key}" is no key for a value`);
  return key;
}

/** Every inode number up to this one may have been given out. */
export const META_HIGH_WATER = `${OWN_META_PREFIX}ino`;
/** Requests of the kernel that were carried out (origin-marks.ts). */
export const META_ORIGINS = `${OWN_META_PREFIX}origins`;
