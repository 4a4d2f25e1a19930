/** One change that waits for the server, as it is shown to people. Pure. */

import { assertNever, type Ino } from '../base/index.js';
import { contentGen, type NodeRecord, type StateView } from '../state/index.js';
import { uploadBytes } from './backlog.js';
import type { QueueEntryInfo, QueueOperation, QueueState } from './control.js';
import type { Decision, Op } from './decide.js';
import { isCopyOnServer } from './original.js';
import type { Progress } from './progress.js';
import type { Failure } from './retries.js';
import { placePath, samePlace, shownPath } from './server-tree.js';

/** What is known of a node beside the trees. */
export interface LiveItem {
  readonly running: { readonly op: Op; readonly progress: Progress } | undefined;
  readonly failure: Failure | undefined;
  /** Why uploads of its size wait. */
  readonly hold: Error | undefined;
  readonly paused: boolean;
  readonly dueAtMs: number | undefined;
}

export function describeItem(view: StateView, ino: Ino, decision: Decision, live: LiveItem): QueueEntryInfo {
  const op = live.running?.op ?? (decision.kind === 'run' ? decision.op : undefined);
  const operation = operationOf(view, ino, op);
  const isUpload = operation === 'upload';
  const totalBytes = live.running?.progress.totalBytes || uploadBytes(view, ino);
  const lastError = live.failure?.error.message ?? live.hold?.message;
  return {
    ino,
    path: pathOf(view, ino),
    operation,
    state: stateOf(decision, live),
    ...(isUpload ? { bytesTotal: totalBytes } : {}),
    ...(isUpload && live.running !== undefined ? { bytesDone: live.running.progress.sentBytes } : {}),
    retries: live.failure?.count ?? 0,
    ...(lastError === undefined ? {} : { lastError }),
    ...(live.dueAtMs === undefined || live.running !== undefined || live.paused
      ? {}
      : { dueAtMs: live.dueAtMs }),
  };
}

function stateOf(decision: Decision, live: LiveItem): QueueState {
  if (live.running !== undefined) return 'running';
  switch (decision.kind) {
    case 'hold':
      return 'held';
    case 'wait':
      return 'waiting';
    case 'run':
    case 'clean':
      if (live.paused) return 'paused';
      return live.hold === undefined ? 'due' : 'waiting';
    default:
      return assertNever(decision);
  }
}

function operationOf(view: StateView, ino: Ino, op: Op | undefined): QueueOperation {
  const node = view.get(ino);
  // Another node steps aside for this one first.
  const own = op?.ino === ino ? op : undefined;
  switch (own?.kind) {
    case undefined:
      return node === undefined ? 'other' : expectedOf(view, node);
    case 'mkcol':
      return 'create-directory';
    case 'put':
      return isCopyOnServer(view, node) ? 'copy' : 'upload';
    case 'move':
    case 'step-aside':
      return 'move';
    case 'delete':
    case 'delete-tree':
      return 'delete';
    case 'reconcile':
      return 'check';
    default:
      return assertNever(own);
  }
}

/** What is to be done in the end about a node that waits. */
function expectedOf(view: StateView, node: NodeRecord): QueueOperation {
  const { local, base } = node;
  if (local === undefined) return 'delete';
  if (base === undefined) {
    if (node.kind === 'dir') return 'create-directory';
    return isCopyOnServer(view, node) ? 'copy' : 'upload';
  }
  if (!samePlace(local, base)) return 'move';
  return contentGen(node, view) === base.gen ? 'other' : 'upload';
}

function pathOf(view: StateView, ino: Ino): string {
  const path = shownPath(view, ino);
  if (path !== undefined) return path;
  // An upload whose end is not known, of a file that was deleted here meanwhile.
  const node = view.get(ino);
  const attempt = node === undefined || node.kind === 'dir' ? undefined : node.attempt;
  return (attempt === undefined ? undefined : placePath(view, attempt.place)) ?? `/(inode ${ino})`;
}
