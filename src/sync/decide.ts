/**
 * The planner: what is to be done next about one node, derived from the three trees. A pure function: whoever runs
 * the answer asks again afterwards, so a plan never goes stale and a crash leaves nothing to replay.
 *
 * Order follows from true dependencies only: a directory exists before what is in it, a name is free before it is
 * taken, a directory is emptied of what survives it before it is deleted. Where those run in a circle (two names
 * swapped), one of the nodes in the way steps aside under a name of ours.
 */

import { type Ino, type Name, ROOT_INO } from '../base/index.js';
import {
  type Base,
  contentGen,
  type DirRecord,
  type NodeRecord,
  type Place,
  type StateView,
} from '../state/index.js';
import { isBelowInBase, isFileLike, samePlace } from './server-tree.js';

/** One change of the server. */
export type Op =
  | { readonly kind: 'mkcol'; readonly ino: Ino; readonly place: Place }
  /** `replaces`: the node whose version holds the name now, given up locally. */
  | { readonly kind: 'put'; readonly ino: Ino; readonly place: Place; readonly replaces: Ino | undefined }
  | {
      readonly kind: 'move';
      readonly ino: Ino;
      readonly from: Place;
      readonly to: Place;
      readonly replaces: Ino | undefined;
    }
  /** Out of another node's way, to a name of ours in the same directory. */
  | { readonly kind: 'step-aside'; readonly ino: Ino; readonly from: Place; readonly to: Place }
  | { readonly kind: 'delete'; readonly ino: Ino; readonly place: Place }
  | { readonly kind: 'delete-tree'; readonly ino: Ino; readonly place: Place }
  /** Something is not as the base says, or nobody knows: ask the server, then adopt or keep both. */
  | { readonly kind: 'reconcile'; readonly ino: Ino; readonly place: Place };

export type Decision =
  | { readonly kind: 'clean' }
  | { readonly kind: 'run'; readonly op: Op }
  /** Nothing can be done before one of these nodes has changed. */
  | { readonly kind: 'wait'; readonly on: readonly Ino[] }
  /** A program has it open for writing, or died while it had. */
  | { readonly kind: 'hold'; readonly why: 'open' | 'interrupted' };

/** What the planner must know beside the trees. */
export interface PlanContext {
  /** Whether a program has the file open that may write. */
  hasWriter(ino: Ino): boolean;
  /** Whether the file may be uploaded all the same, from a copy. */
  copyDue(ino: Ino): boolean;
}

const CLEAN: Decision = { kind: 'clean' };

/** What is to be done next about `ino`. */
export function decide(view: StateView, ino: Ino, context: PlanContext): Decision {
  const first = decideAlone(view, ino, context);
  // Nobody wants a name in a directory that is to be deleted, so what is in it can be in no circle.
  if (first.kind !== 'wait' || isInDeletedDir(view, ino)) return first;
  const circle = findCircle(view, ino, context);
  if (circle === undefined) return first;
  const aside = stepAside(view, circle);
  return aside === undefined ? first : { kind: 'run', op: aside };
}

function decideAlone(view: StateView, ino: Ino, context: PlanContext): Decision {
  const node = view.get(ino);
  if (node === undefined || ino === ROOT_INO) return CLEAN;
  const uncertain = uncertainPlace(node);
  if (uncertain !== undefined) return { kind: 'run', op: { kind: 'reconcile', ino, place: uncertain } };
  if (node.local === undefined) {
    if (node.base === undefined) return CLEAN;
    return node.kind === 'dir'
      ? decideDeletedDir(view, node, node.base)
      : decideDeletedFile(view, node, node.base);
  }
  if (node.base === undefined) return decideNew(view, node, node.local, context);
  if (!samePlace(node.local, node.base)) return decideMoved(view, node, node.base, node.local);
  if (contentGen(node, view) === node.base.gen) return CLEAN;
  return (
    heldBack(view, node, context) ?? run({ kind: 'put', ino, place: placeOf(node.base), replaces: undefined })
  );
}

/** Where an upload's answer was lost, or where a listing saw another version than the base. */
function uncertainPlace(node: NodeRecord): Place | undefined {
  if (node.kind !== 'dir' && node.attempt !== undefined) return node.attempt.place;
  return node.remote !== undefined && node.base !== undefined ? placeOf(node.base) : undefined;
}

function decideDeletedFile(view: StateView, node: NodeRecord, base: Base): Decision {
  // Its directory is to be deleted with all that is in it.
  if (isDeletedDir(view, base.parent)) return wait(base.parent);
  const heir = localAt(view, base);
  // A file that takes the name replaces this one in the same request.
  if (heir !== undefined && isFileLike(heir) && !samePlace(heir.local, heir.base)) return wait(heir.ino);
  return run({ kind: 'delete', ino: node.ino, place: placeOf(base) });
}

function decideDeletedDir(view: StateView, node: DirRecord, base: Base): Decision {
  if (isDeletedDir(view, base.parent)) return wait(base.parent);
  const survivors: Ino[] = [];
  collectSurvivors(view, node.ino, survivors);
  if (survivors.length > 0) return { kind: 'wait', on: survivors };
  return run({ kind: 'delete-tree', ino: node.ino, place: placeOf(base) });
}

/** Nodes below `dir` on the server that live on elsewhere; stops at a handful, since one is enough to wait. */
function collectSurvivors(view: StateView, dir: Ino, into: Ino[]): void {
  for (const entry of view.entries(dir)) {
    if (entry.base === undefined) continue;
    const child = view.get(entry.base);
    if (child === undefined) continue;
    if (child.local !== undefined) into.push(child.ino);
    else if (child.kind === 'dir') collectSurvivors(view, child.ino, into);
    if (into.length >= MAX_WAITS) return;
  }
}

const MAX_WAITS = 16;

function decideNew(view: StateView, node: NodeRecord, local: Place, context: PlanContext): Decision {
  const held = heldBack(view, node, context);
  if (held !== undefined) return held;
  if (!isOnServer(view, local.parent)) return wait(local.parent);
  const occupant = baseAt(view, local);
  if (node.kind === 'dir') {
    return occupant === undefined ? run({ kind: 'mkcol', ino: node.ino, place: local }) : wait(occupant.ino);
  }
  if (occupant === undefined) return run({ kind: 'put', ino: node.ino, place: local, replaces: undefined });
  if (!mayReplace(occupant)) return wait(occupant.ino);
  return run({ kind: 'put', ino: node.ino, place: local, replaces: occupant.ino });
}

function decideMoved(view: StateView, node: NodeRecord, base: Base, local: Place): Decision {
  if (!isOnServer(view, local.parent)) return wait(local.parent);
  if (node.kind === 'dir' && isBelowInBase(view, local.parent, node.ino)) {
    return { kind: 'wait', on: misplacedBetween(view, local.parent, node.ino) };
  }
  const occupant = baseAt(view, local);
  const from = placeOf(base);
  if (occupant === undefined)
    return run({ kind: 'move', ino: node.ino, from, to: local, replaces: undefined });
  if (node.kind === 'dir' || !mayReplace(occupant)) return wait(occupant.ino);
  return run({ kind: 'move', ino: node.ino, from, to: local, replaces: occupant.ino });
}

/** Whether a file may be written over this node: it is a file that the local tree has given up. */
function mayReplace(occupant: NodeRecord): boolean {
  return isFileLike(occupant) && occupant.local === undefined && uncertainPlace(occupant) === undefined;
}

/** The nodes on the way up from `from` to `to` in the base tree that belong elsewhere: one of them must go first. */
function misplacedBetween(view: StateView, from: Ino, to: Ino): Ino[] {
  const found: Ino[] = [];
  for (let at = from; at !== to && at !== ROOT_INO; ) {
    const node = view.get(at);
    if (node?.base === undefined) break;
    if (!samePlace(node.local, node.base)) found.push(at);
    at = node.base.parent;
  }
  return found;
}

/** A file that is not finished is not uploaded, unless from a copy. */
function heldBack(view: StateView, node: NodeRecord, context: PlanContext): Decision | undefined {
  const file = node.kind === 'alias' ? view.get(node.target) : node;
  if (file?.kind !== 'file') return undefined;
  if (file.interrupted) return { kind: 'hold', why: 'interrupted' };
  if ((file.writing || context.hasWriter(file.ino)) && !context.copyDue(file.ino))
    return { kind: 'hold', why: 'open' };
  return undefined;
}

/**
 * Follows who waits for whom from `start`; returns the nodes of the circle that `start` is part of, in order, or
 * undefined when there is none.
 */
function findCircle(view: StateView, start: Ino, context: PlanContext): Ino[] | undefined {
  const seen = new Set<Ino>();
  const path: Ino[] = [];
  const visit = (ino: Ino): boolean => {
    if (path.length > 0 && ino === start) return true;
    if (seen.has(ino)) return false;
    seen.add(ino);
    const decision = decideAlone(view, ino, context);
    if (decision.kind !== 'wait') return false;
    path.push(ino);
    if (decision.on.some(visit)) return true;
    path.pop();
    return false;
  };
  return visit(start) ? path : undefined;
}

/**
 * Breaks a circle: of the nodes in it whose name on the server is wanted by the one before, the one with the lowest
 * number steps aside, whichever node of the circle is asked.
 */
function stepAside(view: StateView, circle: readonly Ino[]): Op | undefined {
  const inTheWay = circle.filter((candidate, index) => {
    const wanting = view.get(circle[(index + circle.length - 1) % circle.length] as Ino);
    const base = view.get(candidate)?.base;
    return base !== undefined && wanting?.local !== undefined && samePlace(wanting.local, base);
  });
  const ino = inTheWay.reduce<Ino | undefined>(
    (least, next) => (least !== undefined && least < next ? least : next),
    undefined,
  );
  const base = ino === undefined ? undefined : view.get(ino)?.base;
  if (ino === undefined || base === undefined) return undefined;
  return { kind: 'step-aside', ino, from: placeOf(base), to: freeAside(view, base.parent, ino) };
}

/** A name of an earlier life of this mount may be there still. */
function freeAside(view: StateView, parent: Ino, ino: Ino): Place {
  for (let count = 1; ; count += 1) {
    const name = `.infinimount-aside-${ino}${count === 1 ? '' : `-${count}`}` as Name;
    if (view.baseChild(parent, name) === undefined && view.localChild(parent, name) === undefined)
      return { parent, name };
  }
}

function isDeletedDir(view: StateView, dir: Ino): boolean {
  return view.get(dir)?.local === undefined;
}

function isInDeletedDir(view: StateView, ino: Ino): boolean {
  const node = view.get(ino);
  return node?.local === undefined && node?.base !== undefined && isDeletedDir(view, node.base.parent);
}

function isOnServer(view: StateView, dir: Ino): boolean {
  return dir === ROOT_INO || view.get(dir)?.base !== undefined;
}

function localAt(view: StateView, place: Place): NodeRecord | undefined {
  const ino = view.localChild(place.parent, place.name);
  return ino === undefined ? undefined : view.get(ino);
}

function baseAt(view: StateView, place: Place): NodeRecord | undefined {
  const ino = view.baseChild(place.parent, place.name);
  return ino === undefined ? undefined : view.get(ino);
}

function placeOf(place: Place): Place {
  return { parent: place.parent, name: place.name };
}

function run(op: Op): Decision {
  return { kind: 'run', op };
}

function wait(on: Ino): Decision {
  return { kind: 'wait', on: [on] };
}
