/** Brings the files on disk in step with what the nodes say, once at the start, after a crash at any moment. */

import * as fs from 'node:fs';
import type { Ino } from '../base/index.js';
import type { ETag } from '../remote/index.js';
import { type Layout, moveTo, unlinkIfThere } from './layout.js';
import type { CleanEntry } from './presence.js';

/** What a node says of its content. */
export type NodeContent =
  | { readonly kind: 'staged' }
  /** The version of its base. */
  | { readonly kind: 'clean'; readonly etag: ETag | undefined; readonly size: number }
  /** There is no such node. */
  | { readonly kind: 'unknown' };

export interface ReconcileReport {
  /** Staged files of nodes that are clean: their upload was confirmed, or nothing was changed yet. Clean now. */
  readonly madeClean: readonly Ino[];
  /** Clean files that had become staged, but for the move. Staged now. */
  readonly madeStaged: readonly Ino[];
  /**
   * Staged files that no node wants, or of another size than the node's, and clean files of nodes that have no staged
   * file, where it is not known that they are complete. Kept under this path.
   */
  readonly lostAndFound: readonly { readonly ino: Ino; readonly path: string }[];
  /** Clean files that no node or no entry knows: deleted. */
  readonly deletedClean: number;
  /**
   * The machine went down without a clean end: bytes of staged files that were not synced may be missing in them.
   */
  readonly powerLoss: boolean;
}

export interface ReconcileTarget {
  readonly layout: Layout;
  readonly entries: ReadonlyMap<Ino, CleanEntry>;
  addWhole(ino: Ino, etag: ETag | undefined, size: number, generation: string): void;
  /** Forgets a clean entry. */
  forget(ino: Ino): void;
  addStaged(ino: Ino, size: number): void;
  removeStaged(ino: Ino): void;
  nextGeneration(): string;
}

const FILES_PER_TURN = 256;
const turn = () => new Promise((resolve) => setImmediate(resolve));

export async function reconcileFiles(
  target: ReconcileTarget,
  nodeOf: (ino: Ino) => NodeContent,
  powerLoss: boolean,
): Promise<ReconcileReport> {
  const { layout } = target;
  const madeClean: Ino[] = [];
  const madeStaged: Ino[] = [];
  const lostAndFound: { ino: Ino; path: string }[] = [];
  let deletedClean = 0;
  let seen = 0;
  const keep = (ino: Ino, path: string) => {
    const kept = layout.lostAndFound(ino);
    moveTo(path, kept);
    lostAndFound.push({ ino, path: kept });
  };

  for (const { ino, path } of [...layout.stagedFiles()]) {
    if (++seen % FILES_PER_TURN === 0) await turn();
    const node = nodeOf(ino);
    if (node.kind === 'staged') continue;
    const { size } = fs.statSync(path);
    target.removeStaged(ino);
    if (node.kind === 'clean' && node.size === size) {
      // Whichever of the two it was: these are the bytes of the base version.
      const generation = target.nextGeneration();
      target.forget(ino);
      moveTo(path, layout.clean(ino, generation));
      target.addWhole(ino, node.etag, size, generation);
      madeClean.push(ino);
    } else if (size === 0) {
      // It was empty before it became a copy of which nothing is here yet.
      unlinkIfThere(path);
    } else {
      keep(ino, path);
    }
  }

  const found = new Set<Ino>();
  for (const { ino, generation, path } of [...layout.cleanFiles()]) {
    if (++seen % FILES_PER_TURN === 0) await turn();
    const entry = target.entries.get(ino);
    const isKnown = entry?.generation === generation;
    const node = nodeOf(ino);
    if (isKnown && node.kind === 'clean') {
      found.add(ino);
    } else if (node.kind === 'staged' && !fs.existsSync(layout.staged(ino))) {
      if (isKnown && entry.presentBytes === entry.size) {
        moveTo(path, layout.staged(ino));
        target.forget(ino);
        target.addStaged(ino, entry.size);
        madeStaged.push(ino);
      } else {
        keep(ino, path);
      }
    } else {
      unlinkIfThere(path);
      deletedClean++;
    }
  }
  for (const ino of [...target.entries.keys()]) if (!found.has(ino)) target.forget(ino);
  return { madeClean, madeStaged, lostAndFound, deletedClean, powerLoss };
}
