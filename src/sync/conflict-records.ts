/** The list of conflicts that nobody has resolved yet, as it is kept beside the trees. */

import type { Ino, Name } from '../base/index.js';
import type { Place, StateTransaction } from '../state/index.js';

/** A version of this machine's that was kept beside the server's. */
export interface ConflictRecord {
  /** The node of this machine's version. */
  readonly ino: Ino;
  /** Where the server's is. */
  readonly place: Place;
  /** Ms since the epoch. */
  readonly atMs: number;
}

const CONFLICTS_KEY = 'sync:conflicts';
/** The oldest go first: their copies stay, and have their name to be known by. */
const CONFLICTS_MAX = 1_000;

type Row = readonly [ino: Ino, parent: Ino, name: Name, atMs: number];

/** What reads the list: the store, or a transaction. */
export interface MetaView {
  getMeta(key: string): unknown;
}

/** Oldest first; the copies may be gone. */
export function readConflicts(view: MetaView): ConflictRecord[] {
  const rows = (view.getMeta(CONFLICTS_KEY) ?? []) as readonly Row[];
  return rows.map(([ino, parent, name, atMs]) => ({ ino, place: { parent, name }, atMs }));
}

export function addConflict(tx: StateTransaction, conflict: ConflictRecord): void {
  const others = readConflicts(tx).filter(
    ({ ino }) => ino !== conflict.ino && tx.get(ino)?.local !== undefined,
  );
  writeConflicts(tx, [...others, conflict].slice(-CONFLICTS_MAX));
}

export function removeConflict(tx: StateTransaction, ino: Ino): void {
  writeConflicts(
    tx,
    readConflicts(tx).filter((conflict) => conflict.ino !== ino),
  );
}

function writeConflicts(tx: StateTransaction, conflicts: readonly ConflictRecord[]): void {
  const rows = conflicts.map(({ ino, place, atMs }): Row => [ino, place.parent, place.name, atMs]);
  tx.setMeta(CONFLICTS_KEY, rows.length === 0 ? undefined : rows);
}
