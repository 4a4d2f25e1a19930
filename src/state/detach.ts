/** Taking a name away: what unlink(2), rmdir(2) and a rename over a name have in common. Within a transaction only. */

import type { Ino, Ns } from '../base/index.js';
import { passName } from './links.js';
import type { AliasRecord, NodeRecord } from './records.js';
import type { StateTransaction } from './store.js';

/**
 * Takes a node out of the local tree. Its record stays, for the server to be told and for whoever has it open; the
 * layer below forgets it when neither is left. Returns the nodes that may have become forgettable.
 */
export function detach(tx: StateTransaction, node: NodeRecord, now: Ns): readonly Ino[] {
  if (node.kind === 'alias') return detachAlias(tx, node, now);
  // A file with other names lives on under one of them, whose record then has the name that goes.
  const passed = node.kind === 'file' ? passName(tx, node) : undefined;
  const alias = passed === undefined ? undefined : tx.get(passed);
  if (alias?.kind === 'alias') return detachAlias(tx, alias, now);
  tx.put({ ...node, local: undefined, ctime: now });
  return [node.ino];
}

function detachAlias(tx: StateTransaction, alias: AliasRecord, now: Ns): readonly Ino[] {
  // Nothing of it can be on the server: it never was anything but a name here.
  const forgettable = alias.base === undefined && alias.attempt === undefined;
  const target = tx.get(alias.target);
  if (target?.kind === 'file') {
    const aliases = forgettable ? target.aliases.filter((ino) => ino !== alias.ino) : target.aliases;
    tx.put({ ...target, aliases, ctime: now });
  }
  if (forgettable) {
    tx.remove(alias.ino);
    return [alias.target];
  }
  tx.put({ ...alias, local: undefined });
  return [alias.ino, alias.target];
}
