/** Looks for changes that were left behind: due at no time, waiting for nothing that is still to come. */

import type { Ino } from '../base/index.js';
import type { Decision } from './decide.js';

/** What the executor knows of its nodes. */
export interface SweepView {
  readonly pending: Iterable<Ino>;
  /** Due, running, or waiting for a place. */
  isScheduled(ino: Ino): boolean;
  /** Waiting for another node. */
  isBlocked(ino: Ino): boolean;
  /** Due or running. */
  isMoving(ino: Ino): boolean;
  decide(ino: Ino): Decision;
}

/** Nodes to be looked at again. `isMistake`: nobody would have come back to it. */
export function findLeftBehind(view: SweepView): { readonly ino: Ino; readonly isMistake: boolean }[] {
  const found: { ino: Ino; isMistake: boolean }[] = [];
  for (const ino of view.pending) {
    if (view.isScheduled(ino)) continue;
    const decision = view.decide(ino);
    if (decision.kind === 'clean' || decision.kind === 'hold') continue;
    const isWaiting = decision.kind === 'wait' && view.isBlocked(ino);
    if (isWaiting && decision.on.some((other) => view.isMoving(other))) continue;
    found.push({ ino, isMistake: !isWaiting });
  }
  return found;
}
