/** The state store's interface. Reads and transactions are synchronous: a request needs no lock between the two. */

import type { Ino, Name } from '../base/index.js';
import type { OriginMarks } from './origin-marks.js';
import type { NameEntry, NodeRecord } from './records.js';

/** Read access to the trees; inside a transaction it sees the transaction's own changes. */
export interface StateView {
  get(ino: Ino): NodeRecord | undefined;
  /** The node that the local tree has under this name. */
  localChild(parent: Ino, name: Name): Ino | undefined;
  /** The node that the base tree has under this name. */
  baseChild(parent: Ino, name: Name): Ino | undefined;
  /**
   * Entries of a directory in both trees in a stable order (by name, in code points; see `compareNames`), from `after`
   * (exclusive) on. Changes made between two steps are seen: each step yields the next name of that moment.
   * `expected`: how many the caller most likely takes.
   */
  entries(parent: Ino, after?: Name, expected?: number): Iterable<NameEntry>;
  /** Whether the directory has any local child, or any base child. */
  hasLocalChildren(parent: Ino): boolean;
  hasBaseChildren(parent: Ino): boolean;
  /** Nodes whose descriptions differ, or that are in no tree any more (see `isDirty`), in ino order. */
  dirty(): Iterable<Ino>;
  readonly dirtyCount: number;
}

export interface StateTransaction extends StateView {
  /** A new inode number, never given out before. */
  allocate(): Ino;
  /** Stores a record; the name indexes and the dirty set follow from it. */
  put(record: NodeRecord): void;
  /** Forgets a node. */
  remove(ino: Ino): void;
  /** As {@link StateStore.getMeta} and {@link StateStore.setMeta}, committed with the rest. */
  getMeta(key: string): unknown;
  setMeta(key: string, value: unknown): void;
  /** Notes that a request of the kernel is carried out by this transaction, and the node that it is about. */
  markDone(origin: number, ino: Ino): void;
}

export interface StateStore extends StateView {
  /**
   * Runs `change` and commits all of it or, when it throws, nothing. On return the change survives a SIGKILL of the
   * process; after {@link durable} it survives a power loss.
   */
  transact<T>(change: (tx: StateTransaction) => T): T;
  /** Called after each commit with the nodes that were put or removed. */
  onCommit(listener: (changed: readonly Ino[]) => void): void;
  /** Which requests of the kernel were carried out and may come again. */
  readonly origins: OriginMarks;
  /** Resolves when all that was committed so far is on the disk. */
  durable(): Promise<void>;
  /** Small values that are not nodes (server capabilities, counters), JSON-like; journaled as well. */
  getMeta(key: string): unknown;
  setMeta(key: string, value: unknown): void;
  /** Throws with a description of the first broken invariant (indexes agree with records, aliases agree, no cycle, ...). */
  checkInvariants(): void;
  close(): Promise<void>;
}

/** The content generation of what a node's upload would send. */
export function contentGen(record: NodeRecord, view: StateView): number {
  switch (record.kind) {
    case 'file':
    case 'symlink':
      return record.gen;
    case 'dir':
      return 0;
    case 'alias': {
      const target = view.get(record.target);
      return target?.kind === 'file' ? target.gen : 0;
    }
  }
}

/**
 * Whether something is left to do about a node: the server has something else than the mount shows, or has said
 * something that was not yet taken in, or nothing but a handle keeps the node any more.
 */
export function isDirty(record: NodeRecord, view: StateView): boolean {
  const { local, base } = record;
  if (record.remote !== undefined || local === undefined || base === undefined) return true;
  if (record.kind !== 'dir' && record.attempt !== undefined) return true;
  if (local.parent !== base.parent || local.name !== base.name) return true;
  return contentGen(record, view) !== base.gen;
}
