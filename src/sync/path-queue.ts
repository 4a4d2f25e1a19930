/** Nodes that wait for a path which another operation is using, and who may go ahead of them. */

import type { Ino } from '../base/index.js';
import { type PathClaim, PathLocks } from './path-locks.js';

export class PathQueue {
  readonly #locks = new PathLocks();
  /** With the trees they will claim, so that others do not get ahead for ever. */
  readonly #waiting = new Map<Ino, readonly PathClaim[]>();

  get size(): number {
    return this.#waiting.size;
  }

  has(ino: Ino): boolean {
    return this.#waiting.has(ino);
  }

  /** Whether a node may have these paths now; where not, it is noted as waiting for them. */
  mayTake(ino: Ino, claims: readonly PathClaim[]): boolean {
    if (this.#locks.isFree(claims) && this.#leftByOthers(ino).isFree(claims)) return true;
    this.#waiting.set(ino, claims);
    return false;
  }

  /** The function returned lets go of them. */
  hold(claims: readonly PathClaim[]): () => void {
    return this.#locks.hold(claims);
  }

  /** Takes out all who wait, for them to try again. */
  takeAll(): Ino[] {
    const waiting = [...this.#waiting.keys()];
    this.#waiting.clear();
    return waiting;
  }

  #leftByOthers(asked: Ino): PathLocks {
    const ahead = new PathLocks();
    for (const [ino, reserved] of this.#waiting) {
      if (ino !== asked && reserved.some((claim) => claim.tree)) ahead.hold(reserved);
    }
    return ahead;
  }
}
