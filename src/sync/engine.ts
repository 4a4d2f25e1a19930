/** The synchronisation as one object: builds its parts and answers the file system above. */

import { abortable, type Clock, type Ino, type Log, type Ns } from '../base/index.js';
import type { ContentStore } from '../content/index.js';
import { isRemoteError, type Quota, type RemoteStore } from '../remote/index.js';
import type { StateStore } from '../state/index.js';
import type { Invalidation, Sync, Usage } from './api.js';
import { Capacity } from './capacity.js';
import { CarryOut } from './carry-out.js';
import { Connectivity, type ConnectivityState } from './connectivity.js';
import type { TreeContext } from './effects.js';
import { Executor, type QueueItem } from './executor.js';
import { Fetcher } from './fetcher.js';
import { LineMeter } from './line-meter.js';
import { Refresher } from './refresher.js';
import { localPath } from './server-tree.js';
import { Siblings } from './siblings.js';
import { TreeEditor } from './tree-editor.js';
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

export interface SyncOptions {
  readonly hostName: string;
  readonly owner: TreeContext['owner'];
  /** How long a listing is taken as true. */
  readonly freshnessMs: number;
  readonly uploadDelayMs: number;
  /** How often a file that stays open for writing is uploaded from a copy. */
  readonly copyIntervalMs: number;
  readonly maxConnections: number;
}

/** What a reader asks for first: the kernel's smallest read-ahead. */
const FIRST_BYTES = 128 * 1024;

const NOTHING_IN_USE: Usage = {
  isOpen: () => false,
  hasWritableHandle: () => false,
  isInUse: () => false,
};

export class SyncEngine implements Sync {
  readonly #deps: SyncDeps;
  readonly #editor: TreeEditor;
  readonly #connectivity: Connectivity;
  readonly #refresher: Refresher;
  readonly #fetcher: Fetcher;
  readonly #siblings: Siblings;
  readonly #sessions: WriteSessions;
  readonly #executor: Executor;
  readonly #capacity: Capacity;
  #usage: Usage = NOTHING_IN_USE;

  constructor(deps: SyncDeps, options: SyncOptions) {
    this.#deps = deps;
    const { state, content, store, clock, random, log } = deps;
    const usage: Usage = {
      // A body in use is open, even where no handle is: a truncation by path, an upload.
      isOpen: (ino) => this.#usage.isOpen(ino) || content.peek(ino) !== undefined,
      hasWritableHandle: (ino) => this.#usage.hasWritableHandle(ino),
      isInUse: (ino) => this.#usage.isInUse(ino),
    };
    this.#editor = new TreeEditor(state, content, {
      usage,
      hostName: options.hostName,
      owner: options.owner,
      nowMs: () => clock.nowMs(),
      nowNs: () => clock.nowNs(),
      isWhole: (ino, version) => {
        const { isComplete } = content.acquireClean(ino, version);
        content.release(ino);
        return isComplete;
      },
    });
    const editor = this.#editor;
    this.#capacity = new Capacity({ clock, log, ask: deps.capacity ?? (() => store.quota()) });
    const connectivity = new Connectivity(clock, random, log);
    const meter = new LineMeter();
    const refresher = new Refresher({ state, store, editor, connectivity, clock, log }, options);
    const fetcher = new Fetcher({ state, content, store, connectivity, meter, clock, log });
    this.#siblings = new Siblings({ state, content, fetcher, connectivity, log });
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
      log,
      onUploaded: (sizeBytes) => this.#capacity.uploaded(sizeBytes),
    });
    this.#executor = new Executor(
      { state, editor, refresher, sessions, carryOut, connectivity, usage, clock, random, log },
      options,
    );
    this.#connectivity = connectivity;
    this.#refresher = refresher;
    this.#fetcher = fetcher;
    this.#sessions = sessions;
  }

  /** Takes up what an earlier run left, and begins to carry changes up. */
  start(options: { readonly powerLoss: boolean } = { powerLoss: false }): void {
    const { log } = this.#deps;
    const interrupted = this.#sessions.recover(options.powerLoss);
    if (interrupted.length > 0) {
      const files = interrupted.map((ino) => localPath(this.#deps.state, ino) ?? `inode ${ino}`);
      log.warn(
        { files },
        'written to when the daemon died: kept here, not uploaded until written again or touched',
      );
    }
    this.#executor.start();
    this.#refresher.start();
    this.#capacity.start();
  }

  /** Stops requests under way; what is not on the server stays in the cache. */
  async close(): Promise<void> {
    this.#capacity.close();
    this.#refresher.close();
    this.#siblings.close();
    this.#fetcher.close();
    await this.#executor.close();
  }

  setUsage(usage: Usage): void {
    this.#usage = usage;
  }

  onInvalidate(listener: (event: Invalidation) => void): void {
    this.#editor.onInvalidate(listener);
  }

  listed(dir: Ino, signal?: AbortSignal, enumerate = false): Promise<void> | undefined {
    return this.#refresher.listed(dir, signal, enumerate);
  }

  fresh(file: Ino, signal?: AbortSignal, reads = false): Promise<void> | undefined {
    this.#siblings.opened(file);
    const asking = this.#refresher.fresh(file, signal);
    if (!reads) return asking;
    return asking === undefined ? this.#begin(file, signal) : asking.then(() => this.#begin(file, signal));
  }

  /** Fetches the beginning of a file of which nothing is here, which its reader wants next anyway. */
  #begin(file: Ino, signal: AbortSignal | undefined): Promise<void> | undefined {
    const { state, content, log } = this.#deps;
    const node = state.get(file);
    if (node?.kind !== 'file' || node.content === 'staged' || node.base === undefined) return undefined;
    if (node.size === 0 || this.#connectivity.waitMs > 0) return undefined;
    const { etag, size } = node.base;
    // A body in use is one whose reader began before.
    if (content.peek(file) !== undefined) return undefined;
    const body = content.acquireClean(file, { etag, size });
    const pending =
      body.presentBytes > 0 ? undefined : this.present(file, 0, Math.min(size, FIRST_BYTES), signal);
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

  present(file: Ino, start: number, end: number, signal?: AbortSignal): Promise<void> | undefined {
    return this.#fetcher.present(file, start, end, signal)?.catch(async (error: unknown) => {
      // Whoever looks the name up again is to find what the server has now.
      if (isRemoteError(error, 'changed', 'not-found')) await this.#refresher.recheck(file);
      throw error;
    });
  }

  beginWrite(file: Ino, keepBytes: number, signal?: AbortSignal): Promise<void> | undefined {
    return this.#sessions.beginWrite(file, keepBytes, signal);
  }

  commitWrite(
    file: Ino,
    attributes: { readonly size: number; readonly mtime: Ns; readonly ctime: Ns },
    stillOpen: boolean,
  ): void {
    this.#sessions.commitWrite(file, attributes, stillOpen);
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

  settled(ino: Ino, signal?: AbortSignal): Promise<void> {
    return abortable(this.#executor.settled(ino), signal);
  }

  drained(signal?: AbortSignal): Promise<void> {
    return abortable(this.#executor.drained(), signal);
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

  /** Something was put right, such as the password: what waits for the server is tried now. */
  retryNow(): void {
    this.#connectivity.retryNow();
    this.#executor.retryNow();
  }

  /** What the server does not have yet as the mount shows it. */
  queue(): QueueItem[] {
    return this.#executor.queue();
  }

  pendingCount(): number {
    return this.#executor.pending().length;
  }

  get connectivity(): ConnectivityState {
    return this.#connectivity.state;
  }
}
