/** Reading the trees: what the committed state and a transaction have in common. */

import { type Ino, type Name, ROOT_INO } from '../base/index.js';
import type { NameSlot } from './name-table.js';
import type { NameEntry, NodeRecord } from './records.js';
import type { StateView } from './store.js';

/** Names that one step of a walk reads ahead; fewer after a change, so that a walk that changes what it walks stays cheap. */
const FIRST_BATCH = 16;
const LARGEST_BATCH = 1024;

export abstract class TreeView implements StateView {
  abstract get(ino: Ino): NodeRecord | undefined;
  abstract dirty(): Iterable<Ino>;
  abstract get dirtyCount(): number;
  protected abstract slot(parent: Ino, name: Name): NameEntry | undefined;
  protected abstract slots(parent: Ino, after: Name | undefined, limit: number): readonly NameSlot[];
  /** Changes whenever any name may have changed. */
  protected abstract get version(): number;

  localChild(parent: Ino, name: Name): Ino | undefined {
    return this.slot(parent, name)?.local;
  }

  baseChild(parent: Ino, name: Name): Ino | undefined {
    return this.slot(parent, name)?.base;
  }

  *entries(parent: Ino, after?: Name, expected = FIRST_BATCH): Generator<NameEntry> {
    let last = after;
    let limit = expected;
    for (;;) {
      const version = this.version;
      const batch = this.slots(parent, last, limit);
      let stale = false;
      for (const { name, entry } of batch) {
        last = name;
        if (entry !== undefined) yield entry;
        stale = this.version !== version;
        if (stale) break;
      }
      if (stale) limit = FIRST_BATCH;
      else if (batch.length < limit) return;
      else limit = Math.min(limit * 2, LARGEST_BATCH);
    }
  }

  hasLocalChildren(parent: Ino): boolean {
    for (const entry of this.entries(parent)) if (entry.local !== undefined) return true;
    return false;
  }

  hasBaseChildren(parent: Ino): boolean {
    for (const entry of this.entries(parent)) if (entry.base !== undefined) return true;
    return false;
  }
}

/** Whether a node is the root or hangs below it in the tree; false in a cycle and below a node without a place. */
export function reachesRoot(view: StateView, ino: Ino, tree: 'local' | 'base'): boolean {
  const seen = new Set<Ino>();
  let at = ino;
  while (at !== ROOT_INO) {
    if (seen.has(at)) return false;
    seen.add(at);
    const place = view.get(at)?.[tree];
    if (place === undefined) return false;
    at = place.parent;
  }
  return true;
}
