/** Hard links: an inode lives in the record of one of its names; the others are alias records that point to it. */

import type { Ino } from '../base/index.js';
import type { AliasRecord, FileRecord } from './records.js';
import type { StateTransaction, StateView } from './store.js';

/** Names of a file in the local tree, st_nlink of stat(2). */
export function linkCount(file: FileRecord, view: StateView): number {
  let count = file.local === undefined ? 0 : 1;
  for (const alias of file.aliases) if (view.get(alias)?.local !== undefined) count += 1;
  return count;
}

/**
 * Lets a file with several names live on under another one: its present name passes to the alias's record, which the
 * caller then gives up like any other. What the server has, and what is under way to it, passes along with the names;
 * where the other name was never uploaded, the file keeps what the server has of it (unless `baseGone`), so that a MOVE
 * brings it there.
 * Returns the node that has the old name now, or undefined when the file has no other name.
 */
export function passName(tx: StateTransaction, file: FileRecord, baseGone = false): Ino | undefined {
  const alias = file.aliases
    .map((ino) => tx.get(ino))
    .find((node): node is AliasRecord => node?.kind === 'alias' && node.local !== undefined);
  if (alias === undefined) return undefined;
  const keepsBase = alias.base === undefined && !baseGone;
  tx.put({ ...file, local: alias.local, ...serverSide(keepsBase ? file : alias) });
  tx.put({ ...alias, local: file.local, ...serverSide(keepsBase ? alias : file) });
  return alias.ino;
}

function serverSide({ base, remote, attempt }: FileRecord | AliasRecord) {
  return { base, remote, attempt };
}
