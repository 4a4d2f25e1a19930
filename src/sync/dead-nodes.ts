/** Nodes that are in no tree of this side any more: how they come about, and when they are forgotten. */

import type { Ino, Ns } from '../base/index.js';
import type { FileRecord, NodeRecord, StateTransaction } from '../state/index.js';
import type { Usage } from './api.js';
import type { Effects } from './effects.js';

/**
 * Forgets a node that is in neither tree, unless something still holds on to it: a handle, the kernel, a further name,
 * or an upload whose end is not known.
 */
export function buryIfDead(tx: StateTransaction, effects: Effects, usage: Usage, ino: Ino): void {
  const node = tx.get(ino);
  if (node === undefined || !isDead(node) || usage.isInUse(ino)) return;
  if (node.kind === 'alias') {
    const target = tx.get(node.target);
    tx.remove(ino);
    if (target?.kind === 'file') {
      tx.put({ ...target, aliases: target.aliases.filter((alias) => alias !== ino) });
      buryIfDead(tx, effects, usage, target.ino);
    }
    return;
  }
  if (node.kind === 'file') {
    if (node.aliases.length > 0) return;
    effects.discard(ino);
  }
  tx.remove(ino);
}

/** Whether nothing in the trees keeps the node. */
export function isDead(node: NodeRecord): boolean {
  return (
    node.local === undefined && node.base === undefined && (node.kind === 'dir' || node.attempt === undefined)
  );
}

/** A file without a name and without bytes here, for what the server has, or may have, of one that was forgotten. */
export function deadFile(ino: Ino, size: number, gen: number, now: Ns): FileRecord {
  return {
    ino,
    kind: 'file',
    local: undefined,
    base: undefined,
    remote: undefined,
    mode: 0,
    uid: 0,
    gid: 0,
    atime: now,
    mtime: now,
    ctime: now,
    size,
    gen,
    content: 'clean',
    writing: false,
    interrupted: false,
    attempt: undefined,
    aliases: [],
  };
}
