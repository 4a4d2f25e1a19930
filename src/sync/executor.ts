/**
 * Decides when something is carried to the server: keeps what is due in order, asks the planner at the last moment,
 * runs as much in parallel as paths and the server allow, and comes back to what failed. It knows nodes and times,
 * not verbs.
 *
 * INVARIANTS
 * - At most one operation runs for a node, and none beside one whose paths are in its way.
 * - A dirty node is due, waiting for another node, waiting for a path or a slot, running, or held by a program.
 */

import type { Clock, Ino, Log } from '../base/index.js';
import { isRemoteError } from '../remote/index.js';
import { isDirty, type StateStore } from '../state/index.js';
import type { Usage } from './api.js';
import { type CarryOut, isStopped, type Progress } from './carry-out.js';
import { Concurrency } from './concurrency.js';
import type { Connectivity } from './connectivity.js';
import { type Decision, decide, type Op, type PlanContext } from './decide.js';
import { DueQueue } from './due-queue.js';
import { isDead } from './effects.js';
import { type PathClaim, PathLocks } from './path-locks.js';
import type { Refresher } from './refresher.js';
import { placePath, serverPath } from './server-tree.js';
import { Superseded } from './superseded.js';
import type { TreeEditor } from './tree-editor.js';
import type { WriteSessions } from './write-sessions.js';

export interface ExecutorOptions {
  /** A change is carried up when nothing more happened to the node for this long. */
  readonly uploadDelayMs: number;
  /** A file that stays open for writing is uploaded from a copy this often at most. */
  readonly copyIntervalMs: number;
  readonly maxConnections: number;
}

/** A node that keeps changing is carried up after this many times the delay all the same. */
const LONGEST_DELAY_FACTOR = 20;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 300_000;
/** What the server refuses for a reason of its own is tried again this late at first. */
const FIRST_REFUSED_RETRY_MS = 15_000;
/** How long after a local change a program counts as busy, and how many uploads run beside it. */
const FOREGROUND_MS = 20;
const FOREGROUND_SLOTS = 2;
/** How often it is looked whether a change was left behind. */
const SWEEP_EVERY_MS = 60_000;
const LONGEST_SUPERSEDED_DELAY_MS = 5_000;

interface Running {
  readonly op: Op;
  readonly abort: AbortController;
  readonly progress: Progress;
}

interface Failure {
  readonly count: number;
  readonly error: Error;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface QueueItem {
  readonly ino: Ino;
  readonly running: Op['kind'] | undefined;
  readonly progress: Progress | undefined;
  readonly retries: number;
  readonly lastError: string | undefined;
}

export class Executor {
  readonly #state: StateStore;
  readonly #editor: TreeEditor;
  readonly #refresher: Refresher;
  readonly #sessions: WriteSessions;
  readonly #carryOut: CarryOut;
  readonly #connectivity: Connectivity;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #log: Log;
  readonly #options: ExecutorOptions;

  readonly #locks = new PathLocks();
  readonly #concurrency: Concurrency;
  readonly #context: PlanContext;

  readonly #due: DueQueue;
  /** When a node's present run of local changes began. */
  readonly #changingSinceMs = new Map<Ino, number>();
  readonly #openSinceMs = new Map<Ino, number>();
  /** Files for which a program asked for a copy that is not due yet. */
  readonly #copyPromised = new Set<Ino>();
  /** Blocking node -> nodes that wait for it. */
  readonly #blocked = new Map<Ino, Set<Ino>>();
  /** Nodes that wait for a path, with the trees they will claim, so that others do not get ahead for ever. */
  readonly #pathBlocked = new Map<Ino, readonly PathClaim[]>();
  readonly #slotBlocked = new Set<Ino>();
  readonly #running = new Map<Ino, Running>();
  readonly #again = new Set<Ino>();
  readonly #failures = new Map<Ino, Failure>();
  /** How often in a row an operation of a node was given up for a new decision. */
  readonly #superseded = new Map<Ino, number>();
  readonly #settleWaiters = new Map<Ino, Set<Waiter>>();
  readonly #drainWaiters = new Set<Waiter>();
  #lastChangeMs = Number.NEGATIVE_INFINITY;
  #started = false;
  #closed = false;

  constructor(
    deps: {
      readonly state: StateStore;
      readonly editor: TreeEditor;
      readonly refresher: Refresher;
      readonly sessions: WriteSessions;
      readonly carryOut: CarryOut;
      readonly connectivity: Connectivity;
      readonly usage: Usage;
      readonly clock: Clock;
      readonly random: () => number;
      readonly log: Log;
    },
    options: ExecutorOptions,
  ) {
    this.#state = deps.state;
    this.#editor = deps.editor;
    this.#refresher = deps.refresher;
    this.#sessions = deps.sessions;
    this.#carryOut = deps.carryOut;
    this.#connectivity = deps.connectivity;
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#log = deps.log;
    this.#options = options;
    this.#due = new DueQueue(deps.clock, () => this.#pump());
    this.#concurrency = new Concurrency(options.maxConnections);
    const { usage } = deps;
    this.#context = {
      hasWriter: (ino) => usage.hasWritableHandle(ino),
      copyDue: (ino) => this.#sessions.isCopyDue(ino),
    };
    this.#state.onCommit((changed) => this.#onCommit(changed));
  }

  /** Begins with whatever differs. */
  start(): void {
    this.#started = true;
    const nowMs = this.#clock.nowMs();
    for (const ino of [...this.#state.dirty()]) {
      const node = this.#state.get(ino);
      if (node !== undefined && isDead(node)) this.#editor.bury(ino);
      else this.#schedule(ino, nowMs);
    }
    this.#arm();
    this.#clock.after(SWEEP_EVERY_MS, () => this.#sweep());
  }

  /**
   * Looks whether a change was left behind: due at no time, waiting for nothing that is still to come. That would be a
   * mistake of this class; it is told, and mended.
   */
  #sweep(): void {
    if (this.#closed) return;
    const waiting = new Set([...this.#blocked.values()].flatMap((nodes) => [...nodes]));
    for (const ino of this.pending()) {
      const known =
        this.#due.has(ino) ||
        this.#running.has(ino) ||
        this.#slotBlocked.has(ino) ||
        this.#pathBlocked.has(ino);
      const decision = known ? undefined : this.#decide(ino);
      if (decision === undefined || decision.kind === 'hold') continue;
      if (decision.kind === 'wait' && waiting.has(ino)) {
        const isMoving = decision.on.some((other) => this.#due.has(other) || this.#running.has(other));
        if (isMoving) continue;
      } else {
        this.#log.warn(
          { ino, path: serverPath(this.#state, ino) },
          'a change had been left behind; it is taken up again',
        );
      }
      this.#schedule(ino, this.#clock.nowMs());
    }
    this.#arm();
    this.#clock.after(SWEEP_EVERY_MS, () => this.#sweep());
  }

  /** Nodes that the server does not have as the mount shows them. */
  pending(): Ino[] {
    return [...this.#state.dirty()].filter((ino) => this.#decide(ino).kind !== 'clean');
  }

  queue(): QueueItem[] {
    return this.pending().map((ino) => {
      const running = this.#running.get(ino);
      const failure = this.#failures.get(ino);
      return {
        ino,
        running: running?.op.kind,
        progress: running?.progress,
        retries: failure?.count ?? 0,
        lastError: failure?.error.message,
      };
    });
  }

  /** Makes a node due at once, with what it waits for. */
  expedite(ino: Ino): void {
    const nowMs = this.#clock.nowMs();
    const seen = new Set([ino]);
    // Nodes that are added on the way are visited too.
    for (const node of seen) {
      this.#schedule(node, nowMs, true);
      const decision = this.#decide(node);
      if (decision.kind === 'wait') for (const other of decision.on) seen.add(other);
    }
    this.#arm();
  }

  /** Makes everything due at once that waits for the server. */
  retryNow(): void {
    const nowMs = this.#clock.nowMs();
    for (const ino of this.pending()) this.#schedule(ino, nowMs, true);
    this.#arm();
  }

  /** A program asked for the file's safety while it goes on writing. */
  copyWanted(ino: Ino): void {
    if (this.#copyPromised.has(ino)) return;
    this.#copyPromised.add(ino);
    const since = this.#openSinceMs.get(ino);
    const nowMs = this.#clock.nowMs();
    if (since === undefined) this.#openSinceMs.set(ino, nowMs);
    const atMs = Math.max(nowMs + this.#options.uploadDelayMs, (since ?? 0) + this.#options.copyIntervalMs);
    this.#clock.after(Math.max(0, atMs - nowMs), () => {
      this.#copyPromised.delete(ino);
      const node = this.#state.get(ino);
      if (this.#closed || node?.kind !== 'file' || !this.#context.hasWriter(ino)) return;
      this.#openSinceMs.set(ino, this.#clock.nowMs());
      this.#sessions.allowCopy(ino);
      this.#schedule(ino, this.#clock.nowMs());
      this.#arm();
    });
  }

  /** The last handle that may write went. */
  writersGone(ino: Ino): void {
    const node = this.#state.get(ino);
    if (!this.#started || this.#closed || node?.kind !== 'file') return;
    this.#openSinceMs.delete(ino);
    const nowMs = this.#clock.nowMs();
    for (const held of [ino, ...node.aliases]) {
      const record = this.#state.get(held);
      if (record !== undefined && isDirty(record, this.#state)) this.#postpone(held, nowMs);
    }
    this.#arm();
  }

  settled(ino: Ino): Promise<void> {
    if (this.#decide(ino).kind === 'clean') return Promise.resolve();
    if (this.#closed) return Promise.reject(stopping());
    return new Promise((resolve, reject) => {
      const waiters = this.#settleWaiters.get(ino) ?? new Set();
      waiters.add({ resolve, reject });
      this.#settleWaiters.set(ino, waiters);
      // The close that waits for the upload is not what the upload may wait for.
      this.#allowCopy(ino);
      this.expedite(ino);
    });
  }

  drained(): Promise<void> {
    if (this.#closed) return Promise.reject(stopping());
    return new Promise((resolve, reject) => {
      this.#drainWaiters.add({ resolve, reject });
      for (const ino of this.pending()) this.#schedule(ino, this.#clock.nowMs(), true);
      this.#arm();
      this.#checkDrained();
    });
  }

  /** Starts nothing more, stops what runs, and waits for it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#due.disarm();
    for (const running of this.#running.values()) running.abort.abort();
    while (this.#running.size > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    const waiters = [...this.#settleWaiters.values()].flatMap((each) => [...each]);
    for (const waiter of [...waiters, ...this.#drainWaiters]) waiter.reject(stopping());
  }

  #onCommit(changed: readonly Ino[]): void {
    if (!this.#started || this.#closed) return;
    const nowMs = this.#clock.nowMs();
    const ours = this.#editor.isEditing;
    for (const ino of changed) {
      this.#wake(ino, nowMs);
      const node = this.#state.get(ino);
      if (node === undefined) this.#sessions.forget(ino);
      // What changes a file's content changes what its further names have to bring to the server.
      if (node?.kind === 'file') for (const alias of node.aliases) this.#postpone(alias, nowMs);
      if (node === undefined || !isDirty(node, this.#state)) {
        this.#settle(ino);
        continue;
      }
      if (ours) this.#schedule(ino, nowMs);
      else this.#postpone(ino, nowMs);
    }
    if (!ours) this.#lastChangeMs = nowMs;
    this.#arm();
  }

  /** A local change: carried up when the node has been left alone for a while. */
  #postpone(ino: Ino, nowMs: number): void {
    const since = this.#changingSinceMs.get(ino) ?? nowMs;
    this.#changingSinceMs.set(ino, since);
    const { uploadDelayMs } = this.#options;
    this.#schedule(ino, Math.min(nowMs + uploadDelayMs, since + uploadDelayMs * LONGEST_DELAY_FACTOR), true);
  }

  #wake(ino: Ino, nowMs: number): void {
    const waiting = this.#blocked.get(ino);
    if (waiting === undefined) return;
    this.#blocked.delete(ino);
    for (const other of waiting) this.#schedule(other, nowMs);
  }

  /** `force`: also where it is due at another time already. */
  #schedule(ino: Ino, atMs: number, force = false): void {
    if (this.#running.has(ino)) {
      this.#again.add(ino);
      return;
    }
    if (force || !this.#due.has(ino)) this.#due.set(ino, atMs);
  }

  #arm(): void {
    if (this.#started && !this.#closed) this.#due.arm();
  }

  #pump(): void {
    const nowMs = this.#clock.nowMs();
    while (!this.#closed) {
      const ino = this.#due.take(nowMs);
      if (ino === undefined) break;
      this.#evaluate(ino, nowMs);
    }
    this.#arm();
  }

  #decide(ino: Ino): Decision {
    return decide(this.#state, ino, this.#context);
  }

  #evaluate(ino: Ino, nowMs: number): void {
    if (this.#running.has(ino)) {
      this.#again.add(ino);
      return;
    }
    const decision = this.#decide(ino);
    switch (decision.kind) {
      case 'clean':
        this.#settle(ino);
        return;
      case 'hold':
        if (decision.why === 'open') this.#awaitClose(ino, nowMs);
        else this.#checkDrained();
        return;
      case 'wait':
        for (const other of decision.on) this.#blockOn(other, ino);
        return;
      case 'run':
        this.#tryStart(ino, decision.op, nowMs);
        return;
    }
  }

  /** A file that stays open is uploaded from a copy after a while. */
  #awaitClose(ino: Ino, nowMs: number): void {
    const since = this.#openSinceMs.get(ino) ?? nowMs;
    this.#openSinceMs.set(ino, since);
    const copyAtMs = since + this.#options.copyIntervalMs;
    if (copyAtMs > nowMs) {
      this.#schedule(ino, copyAtMs);
      return;
    }
    this.#openSinceMs.set(ino, nowMs);
    this.#allowCopy(ino);
    this.#schedule(ino, nowMs);
  }

  /** What is copied for a further name is the file that it stands for. */
  #allowCopy(ino: Ino): void {
    const node = this.#state.get(ino);
    if (node?.kind === 'alias') this.#sessions.allowCopy(node.target);
    else if (node?.kind === 'file') this.#sessions.allowCopy(ino);
  }

  #tryStart(asked: Ino, op: Op, nowMs: number): void {
    // Another node steps aside for this one, which is asked again afterwards.
    if (op.ino !== asked) this.#blockOn(op.ino, asked);
    if (this.#running.has(op.ino)) return;
    const waitMs = this.#connectivity.waitMs;
    if (waitMs > 0) {
      this.#schedule(asked, nowMs + waitMs);
      return;
    }
    if (this.#running.size >= this.#slots()) {
      this.#slotBlocked.add(asked);
      return;
    }
    const claims = this.#claims(op);
    if (claims === undefined) {
      this.#schedule(asked, nowMs + this.#options.uploadDelayMs);
      return;
    }
    if (!this.#mayTake(asked, claims)) {
      this.#pathBlocked.set(asked, claims);
      return;
    }
    this.#start(op, claims);
  }

  /** While the line is in doubt, one request finds out for all; while programs make changes, they come first. */
  #slots(): number {
    if (this.#connectivity.state.kind !== 'online') return 1;
    const isBusy = this.#clock.nowMs() - this.#lastChangeMs < FOREGROUND_MS;
    return isBusy ? Math.min(FOREGROUND_SLOTS, this.#concurrency.limit) : this.#concurrency.limit;
  }

  #blockOn(blocker: Ino, ino: Ino): void {
    const waiting = this.#blocked.get(blocker) ?? new Set();
    waiting.add(ino);
    this.#blocked.set(blocker, waiting);
  }

  #mayTake(asked: Ino, claims: readonly PathClaim[]): boolean {
    if (!this.#locks.isFree(claims)) return false;
    const ahead = new PathLocks();
    for (const [ino, reserved] of this.#pathBlocked) {
      if (ino !== asked && reserved.some((claim) => claim.tree)) ahead.hold(reserved);
    }
    return ahead.isFree(claims);
  }

  /** The paths that an operation touches; undefined when one of them is not there any more. */
  #claims(op: Op): PathClaim[] | undefined {
    const tree = this.#movesTree(op);
    const places = op.kind === 'move' || op.kind === 'step-aside' ? [op.from, op.to] : [op.place];
    const paths = places.map((place) => placePath(this.#state, place));
    if (paths.some((path) => path === undefined)) return undefined;
    return paths.flatMap((path) => (path === undefined ? [] : [{ path, tree }]));
  }

  #movesTree(op: Op): boolean {
    if (op.kind === 'delete-tree') return true;
    return (op.kind === 'move' || op.kind === 'step-aside') && this.#state.get(op.ino)?.kind === 'dir';
  }

  #start(op: Op, claims: readonly PathClaim[]): void {
    const { ino } = op;
    const unlock = this.#locks.hold(claims);
    const places = op.kind === 'move' || op.kind === 'step-aside' ? [op.from, op.to] : [op.place];
    const endChange = this.#refresher.beginChange(places, this.#movesTree(op) ? ino : undefined);
    const running: Running = { op, abort: new AbortController(), progress: { sentBytes: 0, totalBytes: 0 } };
    this.#running.set(ino, running);
    this.#changingSinceMs.delete(ino);
    this.#carryOut
      .run(op, running.abort.signal, running.progress)
      .then(
        () => this.#succeeded(ino),
        (error: unknown) => this.#failed(running, error),
      )
      .catch((error: unknown) => this.#log.error({ ino, err: error }, 'the executor failed'))
      .finally(() => {
        unlock();
        endChange();
        this.#finish(ino);
      });
  }

  #succeeded(ino: Ino): void {
    this.#failures.delete(ino);
    this.#superseded.delete(ino);
    this.#connectivity.succeeded();
    this.#concurrency.succeeded();
  }

  #failed(running: Running, error: unknown): void {
    const { op, abort } = running;
    const nowMs = this.#clock.nowMs();
    if (error instanceof Superseded) {
      const count = (this.#superseded.get(op.ino) ?? 0) + 1;
      this.#superseded.set(op.ino, count);
      const backOffMs = Math.min(LONGEST_SUPERSEDED_DELAY_MS, 2 ** Math.min(count, 16));
      this.#dueAfter(op.ino, nowMs + Math.max(error.delayMs, backOffMs));
      return;
    }
    if (isStopped(error, abort.signal)) {
      // A program writes again: that is the next thing that will be uploaded.
      this.#dueAfter(op.ino, nowMs + this.#options.uploadDelayMs);
      return;
    }
    if (isRemoteError(error)) {
      if (error.code === 'throttled' || error.code === 'timeout') this.#concurrency.complained();
      if (this.#connectivity.failed(error)) {
        this.#dueAfter(op.ino, nowMs + this.#connectivity.waitMs);
        return;
      }
    }
    const count = (this.#failures.get(op.ino)?.count ?? 0) + 1;
    const cause = error instanceof Error ? error : new Error(String(error));
    this.#failures.set(op.ino, { count, error: cause });
    const passing = isRemoteError(error) && error.mayRetry;
    const first = passing ? FIRST_RETRY_MS : FIRST_REFUSED_RETRY_MS;
    const delayMs =
      Math.min(LONGEST_RETRY_MS, first * 2 ** Math.min(count - 1, 16)) * (0.5 + this.#random() / 2);
    const path = serverPath(this.#state, op.ino);
    const fields = { ino: op.ino, op: op.kind, path, retryInMs: Math.round(delayMs), reason: cause.message };
    if (isRemoteError(error))
      this.#log.warn(fields, 'a change could not be carried to the server; it is kept here');
    else
      this.#log.error(
        { ...fields, err: cause },
        'a change could not be carried to the server; it is kept here',
      );
    if (!passing) this.#rejectSettle(op.ino, cause);
    this.#dueAfter(op.ino, nowMs + delayMs);
  }

  /** Makes a node that just ran due at a time, whatever was scheduled meanwhile. */
  #dueAfter(ino: Ino, atMs: number): void {
    this.#again.delete(ino);
    this.#due.set(ino, atMs);
  }

  #finish(ino: Ino): void {
    this.#running.delete(ino);
    const nowMs = this.#clock.nowMs();
    const node = this.#state.get(ino);
    const due = this.#due.has(ino);
    if (this.#again.delete(ino) || (!due && node !== undefined && isDirty(node, this.#state)))
      this.#schedule(ino, nowMs);
    this.#wake(ino, nowMs);
    if (this.#closed) return;
    this.#retryPathBlocked(nowMs);
    this.#fillSlots(nowMs);
    this.#pump();
    this.#checkDrained();
  }

  /** Nodes that waited for a path had a slot already: they come before all others. */
  #retryPathBlocked(nowMs: number): void {
    const waiting = [...this.#pathBlocked.keys()];
    this.#pathBlocked.clear();
    for (const ino of waiting) if (!this.#due.has(ino)) this.#evaluate(ino, nowMs);
  }

  /** Nodes that waited for a free slot come before what becomes due now. */
  #fillSlots(nowMs: number): void {
    let left = this.#slotBlocked.size;
    for (const ino of this.#slotBlocked) {
      // What has to wait again comes round at the end.
      if (left === 0 || this.#running.size >= this.#slots()) return;
      left -= 1;
      this.#slotBlocked.delete(ino);
      this.#evaluate(ino, nowMs);
    }
  }

  #settle(ino: Ino): void {
    this.#failures.delete(ino);
    this.#superseded.delete(ino);
    this.#changingSinceMs.delete(ino);
    this.#openSinceMs.delete(ino);
    this.#sessions.copyTaken(ino);
    const waiters = this.#settleWaiters.get(ino);
    if (waiters !== undefined) {
      this.#settleWaiters.delete(ino);
      for (const waiter of waiters) waiter.resolve();
    }
    if (this.#drainWaiters.size > 0) this.#checkDrained();
  }

  #rejectSettle(ino: Ino, error: Error): void {
    const waiters = this.#settleWaiters.get(ino);
    if (waiters === undefined) return;
    this.#settleWaiters.delete(ino);
    for (const waiter of waiters) waiter.reject(error);
  }

  #checkDrained(): void {
    if (this.#drainWaiters.size === 0 || this.#running.size > 0 || this.#due.size > 0) return;
    if (this.#slotBlocked.size > 0 || this.#pathBlocked.size > 0) return;
    const left = this.pending().some((ino) => {
      const decision = this.#decide(ino);
      return decision.kind !== 'hold' || decision.why !== 'interrupted';
    });
    if (left) return;
    for (const waiter of this.#drainWaiters) waiter.resolve();
    this.#drainWaiters.clear();
  }
}

function stopping(): Error {
  return new Error('the daemon is stopping');
}
