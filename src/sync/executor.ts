/**
 * Decides when something is carried to the server: keeps what is due in order, asks the planner at the last moment,
 * runs as much in parallel as paths and the server allow, and comes back to what failed. It knows nodes and times,
 * not verbs.
 *
 * INVARIANTS
 * - At most one operation runs for a node, and none beside one whose paths are in its way.
 * - A dirty node is due, waiting for another node, waiting for a path or a slot, running, or held by a program.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Clock, Ino, Interruptible, Log } from '../base/index.js';
import { isDirty, type StateStore } from '../state/index.js';
import type { Usage } from './api.js';
import { Backlog, uploadBytes } from './backlog.js';
import { BlockedNodes } from './blocked-nodes.js';
import type { CarryOut } from './carry-out.js';
import { Concurrency } from './concurrency.js';
import type { Connectivity } from './connectivity.js';
import type { QueueEntryInfo, QueueSummary } from './control.js';
import { CopyTimes } from './copy-times.js';
import type { Courtesy } from './courtesy.js';
import { isDead } from './dead-nodes.js';
import { type Decision, decide, type Op, type PlanContext } from './decide.js';
import { DueQueue } from './due-queue.js';
import { SyncError } from './errors.js';
import type { Events } from './events.js';
import { claimsOf, placesOf, touchesTree } from './op-claims.js';
import { isCopyOnServer } from './original.js';
import { Outcomes, type Running } from './outcomes.js';
import type { PathClaim } from './path-locks.js';
import { PathQueue } from './path-queue.js';
import { describeItem } from './queue-view.js';
import type { Refresher } from './refresher.js';
import { Retries } from './retries.js';
import { shownPath } from './server-tree.js';
import { type OperationSize, Slots, sizeOf } from './slots.js';
import { SpaceHold } from './space-hold.js';
import { Superseded } from './superseded.js';
import { findLeftBehind } from './sweep.js';
import type { TreeEditor } from './tree-editor.js';
import { Waiters } from './waiters.js';
import type { WriteSessions } from './write-sessions.js';

export interface ExecutorDeps {
  readonly state: StateStore;
  readonly editor: TreeEditor;
  readonly refresher: Refresher;
  readonly sessions: WriteSessions;
  readonly carryOut: CarryOut;
  readonly connectivity: Connectivity;
  readonly events: Events;
  readonly usage: Usage;
  readonly courtesy: Courtesy;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

export interface ExecutorOptions {
  /** A change is carried up when nothing more happened to the node for this long. */
  readonly uploadDelayMs: number;
  /** A file that stays open for writing is uploaded from a copy this often at most. */
  readonly copyIntervalMs: number;
  readonly maxConnections: number;
}

/** A node that keeps changing is carried up after this many times the delay all the same. */
const LONGEST_DELAY_FACTOR = 20;
/** How often it is looked whether a change was left behind. */
const SWEEP_EVERY_MS = 60_000;
/** What an upload still has to send at most to be finished when uploads are paused. */
const FINISHED_BYTES = 256 * 1024;

export class Executor {
  readonly #deps: ExecutorDeps;
  readonly #state: StateStore;
  readonly #clock: Clock;
  readonly #options: ExecutorOptions;

  readonly #backlog: Backlog;
  readonly #concurrency: Concurrency;
  readonly #slots: Slots;
  readonly #context: PlanContext;
  readonly #retries: Retries;
  readonly #space: SpaceHold;
  readonly #copies: CopyTimes;
  readonly #outcomes: Outcomes;

  readonly #due: DueQueue;
  /** When a node's present run of local changes began. */
  readonly #changingSinceMs = new Map<Ino, number>();
  readonly #blocked = new BlockedNodes();
  readonly #paths = new PathQueue();
  readonly #running = new Map<Ino, Running>();
  readonly #again = new Set<Ino>();
  readonly #settling = new Waiters<Ino>();
  readonly #draining = new Waiters<'all'>();
  #paused = false;
  #started = false;
  #closed = false;

  constructor(deps: ExecutorDeps, options: ExecutorOptions) {
    this.#deps = deps;
    this.#state = deps.state;
    this.#clock = deps.clock;
    this.#options = options;
    this.#backlog = new Backlog(deps.state);
    this.#due = new DueQueue(deps.clock, () => this.#pump());
    const concurrency = new Concurrency(options.maxConnections);
    this.#concurrency = concurrency;
    this.#slots = new Slots({ ...deps, concurrency });
    this.#retries = new Retries(deps.random);
    this.#space = new SpaceHold(deps.clock, (nodes) => this.#scheduleNow(nodes));
    this.#copies = new CopyTimes(deps, options);
    this.#outcomes = new Outcomes({
      ...deps,
      retries: this.#retries,
      space: this.#space,
      concurrency,
      uploadDelayMs: options.uploadDelayMs,
    });
    const { usage, courtesy } = deps;
    courtesy.onFree = () => this.#goOn();
    this.#context = {
      hasWriter: (ino) => usage.hasWritableHandle(ino),
      copyDue: (ino) => this.#deps.sessions.isCopyDue(ino),
    };
    this.#state.onCommit((changed) => this.#onCommit(changed));
  }

  /** Begins with whatever differs. `paused`: but carries nothing up before {@link resume}. */
  start(paused: boolean): void {
    this.#started = true;
    this.#paused = paused;
    const nowMs = this.#clock.nowMs();
    this.#backlog.load();
    for (const ino of [...this.#state.dirty()]) {
      const node = this.#state.get(ino);
      if (node !== undefined && isDead(node)) this.#deps.editor.bury(ino);
      else this.#schedule(ino, nowMs);
    }
    this.#arm();
    this.#clock.after(SWEEP_EVERY_MS, () => this.#sweep());
  }

  /** A change that was left behind would be a mistake of this class; it is told, and mended. */
  #sweep(): void {
    if (this.#closed) return;
    const blocked = this.#blocked.all();
    const found = findLeftBehind({
      pending: this.#backlog,
      isScheduled: (ino) =>
        this.#isMoving(ino) || this.#slots.isWaiting(ino) || this.#paths.has(ino) || this.#space.has(ino),
      isBlocked: (ino) => blocked.has(ino),
      isMoving: (ino) => this.#isMoving(ino),
      decide: (ino) => this.#decide(ino),
    });
    for (const { ino, isMistake } of found) {
      if (isMistake)
        this.#deps.log.warn(
          { ino, path: shownPath(this.#state, ino) },
          'a change had been left behind; it is taken up again',
        );
      this.#schedule(ino, this.#clock.nowMs());
    }
    this.#arm();
    this.#clock.after(SWEEP_EVERY_MS, () => this.#sweep());
  }

  #isMoving(ino: Ino): boolean {
    return this.#due.has(ino) || this.#running.has(ino);
  }

  /** Nodes that the server does not have as the mount shows them. */
  get pendingCount(): number {
    return this.#backlog.size;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Whether something is being carried out for the node. */
  isRunning(ino: Ino): boolean {
    return this.#running.has(ino);
  }

  /** See `SyncControl.entries`. */
  entries(limit: number): QueueEntryInfo[] {
    const shown = new Set<Ino>();
    for (const nodes of [this.#running.keys(), this.#retries.nodes(), this.#backlog]) {
      for (const ino of nodes) {
        if (shown.size >= limit) break;
        if (this.#running.has(ino) || this.#backlog.has(ino)) shown.add(ino);
      }
    }
    return [...shown].map((ino) =>
      describeItem(this.#state, ino, this.#decide(ino), {
        running: this.#running.get(ino),
        failure: this.#retries.of(ino),
        hold: this.#space.has(ino) ? this.#space.error : undefined,
        paused: this.#paused,
        dueAtMs: this.#due.atMs(ino),
      }),
    );
  }

  /** See `SyncControl.summary`. */
  summary(): QueueSummary {
    let bytesDone = 0;
    for (const { progress } of this.#running.values()) bytesDone += progress.sentBytes;
    return {
      pending: this.#backlog.size,
      running: this.#running.size,
      failing: this.#retries.size,
      bytes: this.#backlog.bytes,
      bytesDone,
      ...(this.#space.error === undefined ? {} : { full: this.#space.error.message }),
    };
  }

  checkInvariants(): void {
    this.#backlog.checkInvariants();
  }

  /** See `SyncControl.pause`. */
  pause(): void {
    this.#paused = true;
    this.#due.disarm();
    for (const { op, progress, abort } of this.#running.values()) {
      const totalBytes = progress.totalBytes || uploadBytes(this.#state, op.ino);
      // A question to the server may fetch a whole file to compare it.
      const isFinishing = progress.isSent || totalBytes - progress.sentBytes <= FINISHED_BYTES;
      if (op.kind === 'reconcile' || !isFinishing) abort.abort();
    }
    this.#settling.rejectAll(paused());
    this.#draining.rejectAll(paused());
  }

  resume(): void {
    this.#paused = false;
    if (!this.#started || this.#closed) return;
    this.#goOn();
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
    this.#space.end();
    this.#scheduleNow(this.#backlog);
  }

  #scheduleNow(nodes: Iterable<Ino>): void {
    const nowMs = this.#clock.nowMs();
    for (const ino of nodes) this.#schedule(ino, nowMs, true);
    this.#arm();
  }

  /** A program asked for the file's safety while it goes on writing. */
  copyWanted(ino: Ino): void {
    this.#copies.wanted(ino, () => {
      const node = this.#state.get(ino);
      if (this.#closed || node?.kind !== 'file' || !this.#context.hasWriter(ino)) return false;
      this.#schedule(ino, this.#clock.nowMs());
      this.#arm();
      return true;
    });
  }

  /** The last handle that may write went. */
  writersGone(ino: Ino): void {
    const node = this.#state.get(ino);
    if (!this.#started || this.#closed || node?.kind !== 'file') return;
    this.#copies.forget(ino);
    const nowMs = this.#clock.nowMs();
    for (const held of [ino, ...node.aliases]) {
      const record = this.#state.get(held);
      if (record !== undefined && isDirty(record, this.#state)) this.#postpone(held, nowMs);
    }
    this.#arm();
  }

  /** See `Sync.settled`. */
  settled(ino: Ino, request?: Interruptible): Promise<void> {
    if (this.#decide(ino).kind === 'clean') return Promise.resolve();
    if (this.#closed) return Promise.reject(stopping());
    if (this.#paused) return Promise.reject(paused());
    const waiting = this.#settling.wait(ino, request?.signal);
    // The close that waits for the upload is not what the upload may wait for.
    this.#copies.allow(ino);
    this.#deps.courtesy.hurry();
    this.expedite(ino);
    return waiting;
  }

  /** See `Sync.drained`. */
  drained(signal?: AbortSignal): Promise<void> {
    if (this.#closed) return Promise.reject(stopping());
    const waiting = this.#draining.wait('all', signal);
    this.#deps.courtesy.hurry();
    this.#scheduleNow(this.#backlog);
    this.#checkDrained();
    if (this.#paused) this.#draining.rejectAll(paused());
    return waiting;
  }

  /** Starts nothing more, stops what runs, and waits for it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#due.disarm();
    this.#space.close();
    for (const running of this.#running.values()) running.abort.abort();
    while (this.#running.size > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    this.#settling.rejectAll(stopping());
    this.#draining.rejectAll(stopping());
  }

  #onCommit(changed: readonly Ino[]): void {
    if (!this.#started) return;
    this.#backlog.update(changed);
    if (this.#closed) return;
    const nowMs = this.#clock.nowMs();
    const ours = this.#deps.editor.isEditing;
    for (const ino of changed) {
      this.#wake(ino, nowMs);
      const node = this.#state.get(ino);
      if (node === undefined) this.#deps.sessions.forget(ino);
      if (node?.local === undefined) this.#stopUpload(ino);
      // What changes a file's content changes what its further names have to bring to the server.
      if (node?.kind === 'file') for (const alias of node.aliases) this.#postpone(alias, nowMs);
      if (node === undefined || !isDirty(node, this.#state)) {
        this.#settle(ino);
        continue;
      }
      if (ours) this.#schedule(ino, nowMs);
      else this.#postpone(ino, nowMs);
    }
    this.#arm();
  }

  /** Nobody wants what is being sent any more: it was deleted, or replaced by another file. */
  #stopUpload(ino: Ino): void {
    const running = this.#running.get(ino);
    if (running?.op.kind !== 'put') return;
    if (!running.progress.isSent) running.abort.abort();
  }

  /** A local change: carried up when the node has been left alone for a while. */
  #postpone(ino: Ino, nowMs: number): void {
    const since = this.#changingSinceMs.get(ino) ?? nowMs;
    this.#changingSinceMs.set(ino, since);
    const { uploadDelayMs } = this.#options;
    this.#schedule(ino, Math.min(nowMs + uploadDelayMs, since + uploadDelayMs * LONGEST_DELAY_FACTOR), true);
  }

  #wake(ino: Ino, nowMs: number): void {
    for (const other of this.#blocked.take(ino)) this.#schedule(other, nowMs);
  }

  /** `force`: also where it is due at another time already. */
  #schedule(ino: Ino, atMs: number, force = false): void {
    if (this.#running.has(ino)) {
      this.#again.add(ino);
      return;
    }
    if (force || !this.#due.has(ino)) this.#due.set(ino, atMs);
  }

  get #isActive(): boolean {
    return this.#started && !this.#closed && !this.#paused;
  }

  #arm(): void {
    if (this.#isActive && !this.#deps.courtesy.isHolding) this.#due.arm();
  }

  /** Whether programs come first now; then {@link #goOn} is called again. Whoever waits for the server comes before them. */
  #givesWay(): boolean {
    if (this.#settling.size > 0 || this.#draining.size > 0) return false;
    return this.#deps.courtesy.givesWay();
  }

  /** Begins what may be begun. */
  #goOn(): void {
    if (!this.#isActive || this.#givesWay()) return;
    const nowMs = this.#clock.nowMs();
    this.#retryPathBlocked(nowMs);
    this.#fillSlots(nowMs);
    this.#pump();
    this.#checkDrained();
  }

  #pump(): void {
    if (this.#isActive && this.#givesWay()) return;
    const nowMs = this.#clock.nowMs();
    while (this.#isActive) {
      const ino = this.#due.take(nowMs);
      if (ino === undefined) break;
      this.#evaluate(ino, nowMs);
    }
    this.#arm();
  }

  #decide(ino: Ino): Decision {
    return decide(this.#state, ino, this.#context);
  }

  /** `isAhead`: it had its turn already, and comes before others that wait for a slot. */
  #evaluate(ino: Ino, nowMs: number, isAhead = false): void {
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
        if (decision.why === 'open') this.#schedule(ino, this.#copies.next(ino));
        else this.#checkDrained();
        return;
      case 'wait':
        for (const other of decision.on) this.#blocked.add(other, ino);
        return;
      case 'run':
        this.#tryStart(ino, decision.op, nowMs, isAhead);
        return;
    }
  }

  #tryStart(asked: Ino, op: Op, nowMs: number, isAhead: boolean): void {
    // Another node steps aside for this one, which is asked again afterwards.
    if (op.ino !== asked) this.#blocked.add(op.ino, asked);
    if (this.#running.has(op.ino)) return;
    const waitMs = this.#deps.connectivity.waitMs;
    if (waitMs > 0) {
      this.#schedule(asked, nowMs + waitMs);
      return;
    }
    if (op.kind === 'put' && this.#space.holds(op.ino, uploadBytes(this.#state, op.ino))) {
      this.#settling.reject(op.ino, this.#space.error);
      return;
    }
    this.#concurrency.max = this.#options.maxConnections;
    const size = this.#sizeOf(op);
    if (!this.#slots.hasRoom(size)) {
      this.#slots.wait(asked, size, isAhead);
      return;
    }
    const claims = claimsOf(this.#state, op);
    if (claims === undefined) {
      this.#schedule(asked, nowMs + this.#options.uploadDelayMs);
      return;
    }
    if (this.#paths.mayTake(asked, claims)) this.#start(op, claims);
  }

  #start(op: Op, claims: readonly PathClaim[]): void {
    const { ino } = op;
    const unlock = this.#paths.hold(claims);
    const giveBack = this.#slots.take(this.#sizeOf(op));
    const tree = touchesTree(this.#state, op) ? ino : undefined;
    const endChange = this.#deps.refresher.beginChange(placesOf(op), tree);
    const running: Running = {
      op,
      abort: new AbortController(),
      progress: { sentBytes: 0, totalBytes: 0, isSent: false },
      beganAtMs: this.#clock.nowMs(),
      base: this.#state.get(ino)?.base,
    };
    this.#running.set(ino, running);
    this.#changingSinceMs.delete(ino);
    this.#deps.carryOut
      .run(op, running.abort.signal, running.progress)
      .then(
        () => this.#succeeded(running),
        (error: unknown) => this.#failed(running, error),
      )
      .catch((error: unknown) => this.#deps.log.error({ ino, err: error }, 'the executor failed'))
      .finally(() => {
        unlock();
        giveBack();
        endChange();
        this.#finish(ino);
      });
  }

  #succeeded(running: Running): void {
    const { op } = running;
    // What nothing came of is not done again at once: a server that contradicts itself would be asked without end.
    const isUnchanged = isDeepStrictEqual(this.#state.get(op.ino)?.base, running.base);
    const next = isUnchanged ? this.#decide(op.ino) : undefined;
    if (next?.kind === 'run' && isDeepStrictEqual(next.op, op))
      this.#failed(running, new Superseded('nothing came of it'));
    else this.#outcomes.succeeded(running);
  }

  #failed(running: Running, error: unknown): void {
    const { ino } = running.op;
    const { delayMs, refusal } = this.#outcomes.failed(running, error);
    if (refusal !== undefined) this.#settling.reject(ino, refusal);
    this.#dueAfter(ino, this.#clock.nowMs() + delayMs);
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
    this.#goOn();
  }

  /** Nodes that waited for a path had a slot already: they come before all others. */
  #retryPathBlocked(nowMs: number): void {
    for (const ino of this.#paths.takeAll()) if (!this.#due.has(ino)) this.#evaluate(ino, nowMs, true);
  }

  /** Nodes that waited for a free slot come before what becomes due now. */
  #fillSlots(nowMs: number): void {
    this.#slots.fill((ino, isAhead) => this.#evaluate(ino, nowMs, isAhead));
  }

  /** What the server copies itself takes nothing of the line. */
  #sizeOf(op: Op): OperationSize {
    if (op.kind !== 'put' || isCopyOnServer(this.#state, this.#state.get(op.ino))) return 'small';
    return sizeOf(uploadBytes(this.#state, op.ino));
  }

  #settle(ino: Ino): void {
    this.#retries.forget(ino);
    this.#space.forget(ino);
    this.#changingSinceMs.delete(ino);
    this.#copies.forget(ino);
    this.#deps.sessions.copyTaken(ino);
    this.#settling.resolve(ino);
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (this.#draining.size === 0 || this.#running.size > 0 || this.#due.size > 0) return;
    if (this.#slots.waiting > 0 || this.#paths.size > 0) return;
    for (const ino of this.#backlog) {
      const decision = this.#decide(ino);
      if (decision.kind !== 'hold' || decision.why !== 'interrupted') return;
    }
    this.#draining.resolve('all');
  }
}

function stopping(): SyncError {
  return new SyncError('stopping', 'the daemon is stopping');
}

function paused(): SyncError {
  return new SyncError('paused', 'Nothing is carried to the server: uploads are paused. Resume them first.');
}
