/** Conflicts as people see them: which there are, and what is to become of them. */

import type { Ino, Ns } from '../base/index.js';
import {
  detach,
  type NodeRecord,
  type Place,
  type StateStore,
  type StateTransaction,
} from '../state/index.js';
import { type ConflictRecord, readConflicts, removeConflict } from './conflict-records.js';
import type { ConflictChoice, ConflictInfo } from './control.js';
import { buryIfDead } from './dead-nodes.js';
import type { Effects, TreeContext } from './effects.js';
import { SyncError } from './errors.js';
import { shownPath } from './server-tree.js';
import type { TreeEditor } from './tree-editor.js';

export class Conflicts {
  readonly #state: StateStore;
  readonly #editor: TreeEditor;

  constructor(state: StateStore, editor: TreeEditor) {
    this.#state = state;
    this.#editor = editor;
  }

  /** See `SyncControl.conflicts`. */
  list(): ConflictInfo[] {
    return readConflicts(this.#state).flatMap((conflict) => {
      const info = this.describe(conflict);
      return info === undefined ? [] : [info];
    });
  }

  /** Undefined where the copy is gone. */
  describe({ ino, place, atMs }: ConflictRecord): ConflictInfo | undefined {
    if (this.#state.get(ino)?.local === undefined) return undefined;
    const copy = shownPath(this.#state, ino);
    const parent = shownPath(this.#state, place.parent);
    if (copy === undefined) return undefined;
    const path = parent === undefined || parent === '/' ? `/${place.name}` : `${parent}/${place.name}`;
    return { ino, path, copy, atMs };
  }

  /** See `SyncControl.resolveConflict`. */
  resolve(copy: Ino, keep: ConflictChoice): void {
    const conflict = readConflicts(this.#state).find(({ ino }) => ino === copy || this.#isNameOf(ino, copy));
    const node = conflict === undefined ? undefined : this.#state.get(conflict.ino);
    if (conflict === undefined || node?.local === undefined)
      throw new SyncError('not-a-conflict', `Cannot resolve a conflict of inode ${copy}: there is none.`);
    if (keep !== 'both' && node.kind === 'dir') throw this.#isDirectory(node);
    this.#editor.edit((tx, effects, context) => {
      if (keep === 'local') this.#replace(tx, effects, context, conflict);
      else if (keep === 'server') takeAway(tx, effects, context, conflict.ino);
      removeConflict(tx, conflict.ino);
    });
  }

  /** Whoever looks a further name of a file up finds the file. */
  #isNameOf(ino: Ino, file: Ino): boolean {
    const node = this.#state.get(ino);
    return node?.kind === 'alias' && node.target === file;
  }

  /** A rename of the copy over the original. */
  #replace(
    tx: StateTransaction,
    effects: Effects,
    context: TreeContext,
    { ino, place }: ConflictRecord,
  ): void {
    const { parent } = place;
    const dir = tx.get(parent);
    if (dir?.kind !== 'dir' || dir.local === undefined)
      throw new SyncError('not-found', `Cannot put "${place.name}" back: its directory is gone.`);
    const original = tx.localChild(parent, place.name);
    if (original !== undefined) {
      const node = tx.get(original);
      if (node?.kind === 'dir') throw this.#isDirectory(node);
      takeAway(tx, effects, context, original);
    }
    const node = tx.get(ino);
    if (node?.local === undefined) return;
    const from = node.local;
    tx.put({ ...node, local: place });
    for (const each of new Set([from.parent, parent])) touch(tx, effects, each, context.nowNs());
    effects.invalidateEntry(from);
    effects.invalidateEntry(place);
  }

  #isDirectory(node: NodeRecord): SyncError {
    const path = shownPath(this.#state, node.ino) ?? `inode ${node.ino}`;
    return new SyncError(
      'not-a-file',
      `Cannot replace or remove "${path}": it is a directory. Move what is in it, then keep both.`,
    );
  }
}

/** Removes a name as unlink(2) does. */
function takeAway(tx: StateTransaction, effects: Effects, context: TreeContext, ino: Ino): void {
  const node = tx.get(ino);
  if (node?.local === undefined) return;
  const place: Place = node.local;
  const now = context.nowNs();
  const loose = detach(tx, node, now);
  touch(tx, effects, place.parent, now);
  effects.invalidateDeleted(place, node.kind === 'alias' ? node.target : node.ino);
  for (const each of loose) buryIfDead(tx, effects, context.usage, each);
}

function touch(tx: StateTransaction, effects: Effects, dir: Ino, now: Ns): void {
  const node = tx.get(dir);
  if (node?.kind !== 'dir') return;
  tx.put({ ...node, mtime: now, ctime: now });
  effects.invalidateInode(dir);
}
