/** Which places and paths an operation touches. */

import type { Ino } from '../base/index.js';
import type { RemotePath } from '../remote/index.js';
import type { Place, StateView } from '../state/index.js';
import type { Op } from './decide.js';
import { originalOf } from './original.js';
import type { PathClaim } from './path-locks.js';
import { placePath, serverPath } from './server-tree.js';

export function placesOf(op: Op): Place[] {
  return op.kind === 'move' || op.kind === 'step-aside' ? [op.from, op.to] : [op.place];
}

/** Whether what is below the node goes with it. */
export function touchesTree(view: StateView, op: Op): boolean {
  if (op.kind === 'delete-tree') return true;
  return (op.kind === 'move' || op.kind === 'step-aside') && view.get(op.ino)?.kind === 'dir';
}

/** The paths that an operation touches; undefined when one of them is not there any more. */
export function claimsOf(view: StateView, op: Op): PathClaim[] | undefined {
  const tree = touchesTree(view, op);
  const claims: PathClaim[] = [];
  for (const place of placesOf(op)) {
    const path = placePath(view, place);
    if (path !== undefined) claims.push({ path, tree });
    // In a directory that is not there nothing can be: the question needs no request.
    else if (op.kind !== 'reconcile') return undefined;
  }
  const source = op.kind === 'put' && op.replaces === undefined ? sourceOf(view, op.ino) : undefined;
  if (source !== undefined) claims.push({ path: source, tree: false, shared: true });
  return claims;
}

/** Where the server is to copy a node's content from: nobody moves, replaces or deletes that meanwhile. */
function sourceOf(view: StateView, ino: Ino): RemotePath | undefined {
  const node = view.get(ino);
  const original = node === undefined ? undefined : originalOf(view, node);
  return original === undefined ? undefined : serverPath(view, original.ino);
}
