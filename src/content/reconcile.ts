/**
 * Brings the files on disk in step with what the nodes say, after a crash at any moment. What a program might ask for
 * is put right at the start, and takes as long as there are changes that the server does not have; what only takes up
 * room is looked for afterwards, in short turns.
 */

import * as fs from 'node:fs';
import { type Ino, Pacer } from '../base/index.js';
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

/** What is asked of the nodes. */
export interface NodeContents {
  of(ino: Ino): NodeContent;
  /** Nodes that say staged, but for those that differ in nothing else from what the server has. */
  staged(): Iterable<Ino>;
}

/** A file that belongs to nothing, and where it is kept. */
export interface KeptFile {
  readonly ino: Ino;
  readonly path: string;
}

export interface ReconcileReport {
  /** Staged files of nodes that are clean: their upload was confirmed, or nothing was changed yet. Clean now. */
  readonly madeClean: readonly Ino[];
  /** Clean files that had become staged, but for the move. Staged now. */
  readonly madeStaged: readonly Ino[];
  /** Staged files that no node wants, or of another size than the node's. */
  readonly lostAndFound: readonly KeptFile[];
  /**
   * The machine went down without a clean end: bytes of staged files that were not synced may be missing in them.
   */
  readonly powerLoss: boolean;
}

export interface TidyReport {
  /** Clean files of nodes that have no staged file, where it is not known that they are complete. */
  readonly lostAndFound: readonly KeptFile[];
  /** Clean files that no node or no entry knows: deleted. */
  readonly deletedClean: number;
}

export interface ReconcileTarget {
  readonly layout: Layout;
  entry(ino: Ino): CleanEntry | undefined;
  entries(): Iterable<readonly [Ino, CleanEntry]>;
  isInUse(ino: Ino): boolean;
  /** Whether this process made the file. */
  isOwn(generation: string): boolean;
  addWhole(ino: Ino, etag: ETag | undefined, size: number, generation: string): void;
  /** Forgets a clean entry. */
  forget(ino: Ino): void;
  hasStaged(ino: Ino): boolean;
  addStaged(ino: Ino, size: number): void;
  removeStaged(ino: Ino): void;
  nextGeneration(): string;
}

/** Once, before the first body is taken. */
export async function reconcileFiles(
  target: ReconcileTarget,
  nodes: NodeContents,
  powerLoss: boolean,
): Promise<ReconcileReport> {
  const { layout } = target;
  const madeClean: Ino[] = [];
  const madeStaged: Ino[] = [];
  const lostAndFound: KeptFile[] = [];
  const pacer = new Pacer();
  for (const { ino, path } of [...layout.stagedFiles()]) {
    await pacer.pause();
    const node = nodes.of(ino);
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
      lostAndFound.push(keepApart(layout, ino, path));
    }
  }
  for (const ino of nodes.staged()) {
    await pacer.pause();
    const entry = target.hasStaged(ino) ? undefined : target.entry(ino);
    if (entry === undefined || entry.presentBytes < entry.size) continue;
    const path = layout.clean(ino, entry.generation);
    if (!fs.existsSync(path)) continue;
    moveTo(path, layout.staged(ino));
    target.forget(ino);
    target.addStaged(ino, entry.size);
    madeStaged.push(ino);
  }
  return { madeClean, madeStaged, lostAndFound, powerLoss };
}

/** Beside all other work; ends early once `isClosed` says so. */
export async function tidyFiles(
  target: ReconcileTarget,
  nodes: Pick<NodeContents, 'of'>,
  isClosed: () => boolean,
): Promise<TidyReport> {
  const { layout } = target;
  const lostAndFound: KeptFile[] = [];
  let deletedClean = 0;
  const pacer = new Pacer();
  for (const { ino, generation, path } of layout.cleanFiles()) {
    await pacer.pause();
    if (isClosed()) return { lostAndFound, deletedClean };
    if (target.isOwn(generation) || target.isInUse(ino)) continue;
    const isKnown = target.entry(ino)?.generation === generation;
    const node = nodes.of(ino);
    if (isKnown && node.kind === 'clean') continue;
    if (node.kind === 'staged' && !target.hasStaged(ino)) {
      // It may have been moved since the directory was read.
      if (fs.existsSync(path)) lostAndFound.push(keepApart(layout, ino, path));
    } else {
      unlinkIfThere(path);
      deletedClean++;
    }
    if (isKnown) target.forget(ino);
  }
  for (const [ino, { generation }] of target.entries()) {
    await pacer.pause();
    if (isClosed()) break;
    const isGone =
      target.entry(ino)?.generation === generation && !fs.existsSync(layout.clean(ino, generation));
    if (isGone && !target.isInUse(ino)) target.forget(ino);
  }
  return { lostAndFound, deletedClean };
}

function keepApart(layout: Layout, ino: Ino, path: string): KeptFile {
  const kept = layout.lostAndFound(ino);
  moveTo(path, kept);
  return { ino, path: kept };
}
