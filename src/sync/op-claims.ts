/** Which places and paths an operation touches. */

import type { Place, StateView } from '../state/index.js';
import type { Op } from './decide.js';
import type { PathClaim } from './path-locks.js';
import { placePath } from './server-tree.js';

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
  return claims;
}
