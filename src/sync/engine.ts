/** The synchronisation as one object: builds its parts and answers the file system above. */

import type { Clock, Ino, Interruptible, Log } from '../base/index.js';
import type { ContentStore } from '../content/index.js';
import { isRemoteError, type Quota, type RemoteError, type RemoteStore } from '../remote/index.js';
import type { StateStore } from '../state/index.js';
import type { Invalidation, Sync, Usage, Written } from './api.js';
import { CacheControl } from './cache-control.js';
import { Capacity } from './capacity.js';
import { CarryOut } from './carry-out.js';
import { type CloneOptions, Clones } from './clones.js';
import { Conflicts } from './conflicts.js';
import { Connectivity, type ConnectivityState } from './connectivity.js';
import type {
  CacheCheck,
  ConflictChoice,
  ConflictInfo,
  ConnectionInfo,
  PinInfo,
  QueueEntryInfo,
  QueueSummary,
  Rates,
  SyncControl,
  SyncEvent,
  Trouble,
} from './control.js';
import { Courtesy } from './courtesy.js';
import { Doubts } from './doubts.js';
import type { TreeContext } from './effects.js';
import { Events } from './events.js';
import { Executor } from './executor.js';
import { Fetcher } from './fetcher.js';
import { LineMeter } from './line-meter.js';
import { Pins } from './pins.js';
import { RateMeter } from './rates.js';
import { Refresher } from './refresher.js';
import { placePath, shownPath } from './server-tree.js';
import { Siblings } from './siblings.js';
import { TakenNames } from './taken-names.js';
import { TreeEditor } from './tree-editor.js';
import { TreeWalk } from './tree-walk.js';
import { wholeVersion } from './upload-source.js';
import { WriteSessions } from './write-sessions.js';

export interface SyncDeps {
  readonly state: StateStore;
  readonly content: ContentStore;
  readonly store: RemoteStore;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  /** Where the room on the server is asked for; the store's own quota when absent. */
  readonly capacity?: () => Promise<Quota | undefined>;
}

/** Read at each use: they may change while it runs. */
export interface SyncOptions extends CloneOptions {
  readonly hostName: string;
  readonly owner: TreeContext['owner'];
  /** How long a listing is taken as true. */
  readonly freshnessMs: number;
  readonly uploadDelayMs: number;
  /** How often a file that stays open for writing is uploaded from a copy. */
  readonly copyIntervalMs: number;
  readonly maxConnections: number;
  /** What is fetched of a file that is opened to be read, in bytes; the kernel's smallest read-ahead when absent. */
  readonly openedBytes?: number;
}

/** What a reader asks for first: the kernel's smallest read-ahead. */
const FIRST_BYTES = 128 * 1024;

const NOTHING_IN_USE: Usage = {
  isOpen: () => false,
  holdsVersion: () => false,
  hasWritableHandle: () => false,
  isWrittenUnseen: () => false,
  observe: () => undefined,
  markCopied: () => true,
  isInUse: () => false,
};

/** Whether uploads are paused, as it is kept over restarts. */
const PAUSED_KEY = 'sync:paused';

export class SyncEngine implements Sync, SyncControl {
  readonly #deps: SyncDeps;
  readonly #options: SyncOptions;
  readonly #editor: TreeEditor;
  readonly #connectivity: Connectivity;
  readonly #refresher: Refresher;
  readonly #fetcher: Fetcher;
  readonly #siblings: Siblings;
  readonly #sessions: WriteSessions;
  readonly #executor: Executor;
  readonly #clones: Clones;
  readonly #capacity: Capacity;
  readonly #events: Events;
  readonly #rates: RateMeter;
  readonly #walk: TreeWalk;
  readonly #pins: Pins;
  readonly #conflicts: Conflicts;
  readonly #cache: CacheControl;
  readonly #courtesy: Courtesy;
  readonly #takenNames: TakenNames;
  #usage: Usage = NOTHING_IN_USE;

  constructor(deps: SyncDeps, options: SyncOptions) {
    this.#deps = deps;
    this.#options = options;
    const { state, content, store, clock, random, log } = deps;
    const usage: Usage = {
      // A body in use is open, even where no handle is: a truncation by path, an upload.
      isOpen: (ino) => this.#usage.isOpen(ino) || content.peek(ino) !== undefined,
      holdsVersion: (ino) => this.#usage.holdsVersion(ino) || content.peek(ino) !== undefined,
      hasWritableHandle: (ino) => this.#usage.hasWritableHandle(ino),
      isWrittenUnseen: (ino) => this.#usage.isWrittenUnseen(ino),
      observe: () => this.#usage.observe(),
      markCopied: (ino) => this.#usage.markCopied(ino),
      isInUse: (ino) => this.#usage.isInUse(ino),
    };
    this.#takenNames = new TakenNames(state);
    const doubts = new Doubts(state, () => clock.nowMs());
    this.#editor = new TreeEditor(state, content, {
      usage,
      hostName: options.hostName,
      takenNames: this.#takenNames,
      doubts,
      owner: options.owner,
      nowMs: () => clock.nowMs(),
      nowNs: () => clock.nowNs(),
      wholeVersion: (ino, version) => wholeVersion(content, ino, version),
    });
    const editor = this.#editor;
    this.#capacity = new Capacity({ clock, log, ask: deps.capacity ?? (() => store.quota()) });
    const events = new Events(clock, log);
    const rates = new RateMeter(clock);
    const connectivity = new Connectivity(clock, random, log, () => this.#connectionChanged());
    const meter = new LineMeter();
    const refresher = new Refresher({ state, store, editor, connectivity, doubts, clock, log }, options);
    const fetcher = new Fetcher({ state, content, store, connectivity, meter, rates, clock, log });
    this.#siblings = new Siblings({ state, content, fetcher, connectivity, log }, options);
    const sessions = new WriteSessions({ state, content, fetcher, editor, clock, usage });
    const carryOut = new CarryOut({
      state,
      content,
      store,
      editor,
      refresher,
      fetcher,
      sessions,
      usage,
      doubts,
      rates,
      log,
      onUploaded: (ino, place, bytes) => {
        this.#capacity.uploaded(bytes);
        const path = shownPath(state, ino) ?? placePath(state, place);
        if (path !== undefined) events.emit({ type: 'uploaded', path, bytes });
      },
    });
    const courtesy = new Courtesy(clock);
    this.#courtesy = courtesy;
    this.#executor = new Executor(
      {
        state,
        editor,
        refresher,
        sessions,
        carryOut,
        connectivity,
        events,
        usage,
        courtesy,
        clock,
        random,
        log,
      },
      options,
    );
    this.#clones = new Clones({ ...deps, editor, sessions, executor: this.#executor, connectivity }, options);
    this.#connectivity = connectivity;
    this.#refresher = refresher;
    this.#fetcher = fetcher;
    this.#sessions = sessions;
    this.#events = events;
    this.#rates = rates;
    const walk = new TreeWalk({ state, refresher, events });
    this.#walk = walk;
    const pins = new Pins({ state, content, fetcher, refresher, connectivity, walk, events, clock, log });
    this.#pins = pins;
    this.#cache = new CacheControl({ state, content, editor, walk, pins, events, usage });
    this.#conflicts = new Conflicts(state, editor);
    editor.onConflict((conflict) => {
      const info = this.#conflicts.describe(conflict);
      if (info !== undefined) events.emit({ type: 'conflict', path: info.path, copy: info.copy });
    });
  }

  #connectionChanged(): void {
    const { connection } = this;
    this.#events.emit({ type: 'connection', connection });
    const state = this.#connectivity.state;
    if (state.kind === 'online') this.#pins.lookThrough();
    else this.#events.trouble(state.error.code, state.error.message);
  }

  /** Takes up what an earlier run left, and begins to carry changes up. */
  start(options: { readonly powerLoss: boolean } = { powerLoss: false }): void {
    const { log } = this.#deps;
    this.#takenNames.keepOnly((ino) => this.#usage.hasWritableHandle(ino));
    const interrupted = this.#sessions.recover(options.powerLoss);
    if (interrupted.length > 0) {
      const files = interrupted.map((ino) => shownPath(this.#deps.state, ino) ?? `/(inode ${ino})`);
      log.warn(
        { files },
        'written to when the daemon died: kept here, not uploaded until written again or touched',
      );
      for (const path of files)
        this.#events.trouble(
          'interrupted-write',
          `"${path}" was being written to when the daemon died. It is kept here, and not uploaded until it is written again or touched.`,
          path,
        );
    }
    this.#executor.start(this.#deps.state.getMeta(PAUSED_KEY) === true);
    this.#refresher.start();
    this.#capacity.start();
    this.#pins.start();
  }

  /** Stops requests under way; what is not on the server stays in the cache. */
  async close(): Promise<void> {
    this.#capacity.close();
    this.#pins.close();
    this.#refresher.close();
    this.#siblings.close();
    this.#fetcher.close();
    this.#sessions.close();
    await this.#executor.close();
  }

  setUsage(usage: Usage): void {
    this.#usage = usage;
  }

  /** Whether listings or bytes are on their way here. */
  get isReceiving(): boolean {
    return this.#refresher.isListing || this.#fetcher.isFetching;
  }

  /** A program was answered, by whatever is here: what is carried up gives way to programs that ask on and on. */
  noteRequest(): void {
    this.#courtesy.noteRequest();
  }

  onInvalidate(listener: (event: Invalidation) => void): void {
    this.#editor.onInvalidate(listener);
  }

  /** Has a directory listed before anybody asks for it, and not watched for that. */
  foresee(dir: Ino): void {
    this.#refresher.foresee(dir);
  }

  listed(dir: Ino, request?: Interruptible, enumerate = false): Promise<void> | undefined {
    return this.#refresher.listed(dir, request, enumerate);
  }

  fresh(file: Ino, request?: Interruptible, reads = false): Promise<void> | undefined {
    this.#siblings.opened(file);
    const asking = this.#refresher.fresh(file, request);
    if (!reads) return asking;
    return asking === undefined ? this.#begin(file, request) : asking.then(() => this.#begin(file, request));
  }

  /** Fetches the beginning of a file of which nothing is here, which its reader wants next anyway. */
  #begin(file: Ino, request: Interruptible | undefined): Promise<void> | undefined {
    const { state, content, log } = this.#deps;
    const node = state.get(file);
    if (node?.kind !== 'file' || node.content === 'staged' || node.base === undefined) return undefined;
    if (node.size === 0 || this.#connectivity.waitMs > 0) return undefined;
    const { etag, size } = node.base;
    // A body in use is one whose reader began before.
    if (content.peek(file) !== undefined) return undefined;
    const body = content.acquireClean(file, { etag, size });
    const wanted = Math.min(size, this.#options.openedBytes ?? FIRST_BYTES);
    const pending =
      body.presentBytes > 0 || wanted === 0 ? undefined : this.present(file, 0, wanted, request);
    if (pending === undefined) {
      content.release(file);
      return undefined;
    }
    return (
      pending
        .catch((error: unknown) => {
          if (!isRemoteError(error)) throw error;
          log.debug(
            { code: error.code, path: error.path },
            'the beginning of a file was not fetched before its open',
          );
        })
        // The open that follows takes the body over, with what is still under way for it.
        .finally(() => setImmediate(() => content.release(file)))
    );
  }

  present(file: Ino, start: number, end: number, request?: Interruptible): Promise<void> | undefined {
    return this.#fetcher.present(file, start, end, request)?.catch(async (error: unknown) => {
      // Whoever looks the name up again is to find what the server has now.
      if (isRemoteError(error, 'changed', 'not-found')) await this.#refresher.recheck(file);
      throw error;
    });
  }

  created(file: Ino): void {
    this.#sessions.created(file);
  }

  beginWrite(file: Ino, keepBytes: number, request?: Interruptible): Promise<void> | undefined {
    return this.#sessions.beginWrite(file, keepBytes, request);
  }

  commitWrite(file: Ino, written: Written, stillOpen: boolean): void {
    this.#sessions.commitWrite(file, written, stillOpen);
  }

  clone(from: Ino, to: Ino, request?: Interruptible): Promise<boolean> | undefined {
    return this.#clones.clone(from, to, request);
  }

  isRead(file: Ino): boolean {
    return this.#sessions.isRead(file);
  }

  whenUnread(file: Ino, request?: Interruptible): Promise<void> | undefined {
    return this.#sessions.whenUnread(file, request);
  }

  beginUnseen(file: Ino, keepBytes: number): void {
    this.#sessions.beginUnseen(file, keepBytes);
  }

  wroteUnseen(file: Ino): void {
    this.#sessions.wroteUnseen(file);
  }

  unwritten(file: Ino): void {
    this.#sessions.unwritten(file);
    this.#executor.writersGone(file);
  }

  fsynced(file: Ino): void {
    this.#executor.copyWanted(file);
  }

  writersGone(file: Ino): void {
    this.#sessions.writersGone(file);
    this.#executor.writersGone(file);
  }

  unused(ino: Ino): void {
    if (!this.#usage.isOpen(ino)) this.#fetcher.forget(ino);
    if (!this.#usage.isInUse(ino)) this.#editor.bury(ino);
  }

  settled(ino: Ino, request?: Interruptible): Promise<void> {
    return this.#executor.settled(ino, request);
  }

  drained(signal?: AbortSignal): Promise<void> {
    return this.#executor.drained(signal);
  }

  quota(): Quota | undefined {
    return this.#capacity.quota;
  }

  quotaSettling(): Promise<void> | undefined {
    return this.#capacity.settling;
  }

  /** Lists a directory anew, whatever its age. */
  refresh(dir: Ino): Promise<void> {
    return this.#refresher.refresh(dir);
  }

  /** The server was asked and answers, by other credentials or at another address: all requests may be made again. */
  reachable(): void {
    this.#connectivity.succeeded();
    this.#executor.retryNow();
  }

  /** A request that was made outside the engine found the server unusable: its own need not find that out. */
  failed(error: RemoteError): void {
    this.#connectivity.failed(error);
  }

  /** Something was put right, such as the password: what waits for the server is tried now. */
  retryNow(): void {
    this.#connectivity.retryNow();
    this.#executor.retryNow();
  }

  pendingCount(): number {
    return this.#executor.pendingCount;
  }

  get connectivity(): ConnectivityState {
    return this.#connectivity.state;
  }

  get connection(): ConnectionInfo {
    const { state } = this.#connectivity;
    if (state.kind === 'online') return state;
    return { kind: state.kind, reason: state.error.message, retryAtMs: state.retryAtMs };
  }

  entries(limit: number): QueueEntryInfo[] {
    return this.#executor.entries(limit);
  }

  summary(): QueueSummary {
    return this.#executor.summary();
  }

  get paused(): boolean {
    return this.#executor.paused;
  }

  pause(): void {
    this.#deps.state.setMeta(PAUSED_KEY, true);
    this.#executor.pause();
  }

  resume(): void {
    this.#deps.state.setMeta(PAUSED_KEY, undefined);
    this.#executor.resume();
  }

  onEvent(listener: (event: SyncEvent) => void): () => void {
    return this.#events.on(listener);
  }

  get troubles(): readonly Trouble[] {
    return this.#events.troubles;
  }

  rates(): Rates {
    return this.#rates.rates;
  }

  refreshTree(dir: Ino, recursive: boolean, signal?: AbortSignal): Promise<number> {
    return this.#walk.refreshTree(dir, recursive, signal);
  }

  inoOfPath(path: string, signal?: AbortSignal): Promise<Ino> {
    return this.#walk.inoOfPath(path, signal);
  }

  pin(ino: Ino): void {
    this.#pins.pin(ino);
  }

  unpin(ino: Ino): void {
    this.#pins.unpin(ino);
  }

  pins(signal?: AbortSignal): Promise<PinInfo[]> {
    return this.#pins.list(signal);
  }

  get pinCount(): number {
    return this.#pins.size;
  }

  evict(ino?: Ino, signal?: AbortSignal): Promise<number> {
    return this.#cache.evict(ino, signal);
  }

  conflicts(): ConflictInfo[] {
    return this.#conflicts.list();
  }

  resolveConflict(copy: Ino, keep: ConflictChoice): void {
    this.#conflicts.resolve(copy, keep);
  }

  verify(signal?: AbortSignal): Promise<CacheCheck> {
    return this.#cache.verify(signal);
  }

  /** Throws where what is kept in memory is not what the state says. */
  checkInvariants(): void {
    this.#executor.checkInvariants();
  }
}
