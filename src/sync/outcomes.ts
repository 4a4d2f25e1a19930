/** What is made of an operation's end: who has to know of it, and how long its node is left alone. */

import type { Clock, Log } from '../base/index.js';
import { isRemoteError, type RemoteErrorCode } from '../remote/index.js';
import type { Base, StateView } from '../state/index.js';
import { uploadBytes } from './backlog.js';
import { isStopped } from './carry-out.js';
import type { Concurrency } from './concurrency.js';
import type { Connectivity } from './connectivity.js';
import type { Op } from './decide.js';
import type { Events } from './events.js';
import type { Progress } from './progress.js';
import { isPassing, type Retries } from './retries.js';
import { shownPath } from './server-tree.js';
import type { SpaceHold } from './space-hold.js';
import { Superseded } from './superseded.js';

/** An operation under way. */
export interface Running {
  readonly op: Op;
  readonly abort: AbortController;
  readonly progress: Progress;
  readonly beganAtMs: number;
  /** Of the node, as it was then. */
  readonly base: Base | undefined;
}

/** What a server answers, or does, that has too much to do. */
const COMPLAINTS: ReadonlySet<RemoteErrorCode> = new Set<RemoteErrorCode>([
  'throttled',
  'timeout',
  'server',
  'interrupted',
]);
/** An upload up to this size takes as long as its request. */
const BRIEF_BYTES = 64 * 1024;

export interface OutcomeDeps {
  readonly state: StateView;
  readonly retries: Retries;
  readonly space: SpaceHold;
  readonly concurrency: Concurrency;
  readonly connectivity: Connectivity;
  readonly events: Events;
  readonly clock: Clock;
  readonly log: Log;
  /** A change is carried up when nothing more happened to the node for this long. */
  readonly uploadDelayMs: number;
}

export interface Verdict {
  /** Milliseconds to leave the node alone. */
  readonly delayMs: number;
  /** What whoever waits for the node is told; undefined where it may still succeed soon. */
  readonly refusal: Error | undefined;
}

export class Outcomes {
  readonly #deps: OutcomeDeps;

  constructor(deps: OutcomeDeps) {
    this.#deps = deps;
  }

  succeeded(running: Running): void {
    const { retries, connectivity, concurrency, space, clock } = this.#deps;
    const { op } = running;
    retries.forget(op.ino);
    connectivity.succeeded();
    concurrency.succeeded(running.beganAtMs, clock.nowMs(), isBrief(running));
    if (op.kind === 'put') space.succeeded(op.ino);
    else if (op.kind === 'delete' || op.kind === 'delete-tree') space.freed();
  }

  failed(running: Running, error: unknown): Verdict {
    const { retries, connectivity, concurrency, uploadDelayMs, clock } = this.#deps;
    const { op, abort, beganAtMs } = running;
    if (error instanceof Superseded) return wait(retries.superseded(op.ino, error));
    // A program writes again, and that is what will be uploaded next; or uploads were paused.
    if (isStopped(error, abort.signal)) return wait(uploadDelayMs);
    if (isRemoteError(error)) {
      if (COMPLAINTS.has(error.code)) concurrency.complained(beganAtMs, clock.nowMs());
      if (connectivity.failed(error)) return wait(connectivity.waitMs);
    }
    const cause = error instanceof Error ? error : new Error(String(error));
    const delayMs = retries.failed(op.ino, cause);
    if (op.kind === 'put' && isRemoteError(error, 'no-space')) {
      const { space, state } = this.#deps;
      const isNews = space.refused(running.progress.totalBytes || uploadBytes(state, op.ino), error);
      if (isNews) this.#tell(op, cause, 'no room on the server; uploads that do not fit are kept here');
      // It is looked at again at once, and then waits with the others.
      return { delayMs: 0, refusal: cause };
    }
    this.#tell(op, cause, 'a change could not be carried to the server; it is kept here', delayMs);
    return { delayMs, refusal: isPassing(cause) ? undefined : cause };
  }

  #tell(op: Op, error: Error, what: string, delayMs?: number): void {
    const { state, events, log } = this.#deps;
    const path = shownPath(state, op.ino);
    const retry = delayMs === undefined ? {} : { retryInMs: Math.round(delayMs) };
    const fields = { ino: op.ino, op: op.kind, path, ...retry, reason: error.message };
    if (isRemoteError(error)) log.warn(fields, what);
    else log.error({ ...fields, err: error }, what);
    events.trouble(isRemoteError(error) ? error.code : 'failed', error.message, path);
  }
}

function wait(delayMs: number): Verdict {
  return { delayMs, refusal: undefined };
}

/** Whether how long it took tells of the server, not of how much there was to send, to list or to copy. */
function isBrief({ op, progress }: Running): boolean {
  switch (op.kind) {
    case 'mkcol':
    case 'move':
    case 'step-aside':
    case 'delete':
      return true;
    case 'put':
      return progress.totalBytes > 0 && progress.totalBytes <= BRIEF_BYTES;
    case 'delete-tree':
    case 'reconcile':
      return false;
  }
}
