/**
 * Which operations may run beside each other: not two on one path, and none inside a tree that is being moved or
 * deleted. Few run at a time, so a list is enough.
 */

import { isWithin, type RemotePath } from '../remote/index.js';

export interface PathClaim {
  readonly path: RemotePath;
  /** Whether everything below the path is claimed too. */
  readonly tree: boolean;
  /** Only read there: others may do so too. */
  readonly shared?: boolean;
}

export class PathLocks {
  readonly #held = new Set<readonly PathClaim[]>();

  /** Whether none of `claims` is in the way of those held. */
  isFree(claims: readonly PathClaim[]): boolean {
    for (const held of this.#held) {
      for (const one of held) for (const other of claims) if (conflicts(one, other)) return false;
    }
    return true;
  }

  /** Holds `claims`; the function returned lets go of them. */
  hold(claims: readonly PathClaim[]): () => void {
    this.#held.add(claims);
    return () => {
      this.#held.delete(claims);
    };
  }
}

function conflicts(a: PathClaim, b: PathClaim): boolean {
  if (a.shared === true && b.shared === true) return false;
  return a.path === b.path || (a.tree && isWithin(b.path, a.path)) || (b.tree && isWithin(a.path, b.path));
}
