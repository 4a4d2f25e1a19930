/**
 * Copies that the server makes of files whose bytes are not here. Until the server has one, it is a clean file of the
 * version that it is copied from, without a base; whoever asked for it waits, since only then nobody can take those bytes
 * away any more. Where that takes too long, or the source is another by now, it is an empty file again.
 */

import { type Clock, type Ino, type Interruptible, sleep } from '../base/index.js';
import type { Body, ContentStore } from '../content/index.js';
import type { StateStore } from '../state/index.js';
import type { Connectivity } from './connectivity.js';
import { SyncError } from './errors.js';
import type { Executor } from './executor.js';
import { isUnfetchedCopy } from './original.js';
import type { TreeEditor } from './tree-editor.js';
import type { WriteSessions } from './write-sessions.js';

/** From this size of what is missing on, a few round trips are less than fetching it. */
const CLONED_FROM_BYTES = 1024 * 1024;
/** How long a copy may wait for its turn, in all; while it runs, the request has a deadline of its own. */
const LONGEST_WAIT_MS = 10_000;
const STEP_MS = 250;

export interface CloneDeps {
  readonly state: StateStore;
  readonly content: ContentStore;
  readonly editor: TreeEditor;
  readonly sessions: WriteSessions;
  readonly executor: Executor;
  readonly connectivity: Connectivity;
  readonly clock: Clock;
}

export interface CloneOptions {
  /** What must be missing of a file for the server to be asked, in bytes; a mebibyte when absent. */
  readonly clonedFromBytes?: number;
}

export class Clones {
  readonly #deps: CloneDeps;
  readonly #options: CloneOptions;

  constructor(deps: CloneDeps, options: CloneOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** See `Sync.clone`. */
  clone(from: Ino, to: Ino, request?: Interruptible): Promise<boolean> | undefined {
    const { state, content, sessions, connectivity, executor, clock } = this.#deps;
    const source = this.#source(from);
    if (source === undefined || connectivity.state.kind !== 'online' || executor.paused) return undefined;
    if (!this.#mayBecomeCopy(to) || sessions.beginWrite(to, 0) !== undefined) return undefined;
    const node = state.get(to);
    if (node?.kind !== 'file') return undefined;
    const now = clock.nowNs();
    const { etag, size } = source;
    const copyOf = { ino: from, etag, gen: node.gen };
    state.transact((tx) =>
      tx.put({ ...node, content: 'clean', writing: false, size, mtime: now, ctime: now, copyOf }),
    );
    content.emptyToClean(to, { etag, size });
    sessions.seal(to, node.gen);
    return this.#waitFor(to, request);
  }

  /** The version of a file that the server has, where too much of it is missing here. */
  #source(from: Ino): { readonly etag: NonNullable<Body['etag']>; readonly size: number } | undefined {
    const { state, content } = this.#deps;
    const node = state.get(from);
    const body = content.peek(from);
    if (node?.kind !== 'file' || node.base === undefined || node.remote !== undefined) return undefined;
    if (node.content !== 'clean' || node.base.gen !== node.gen || node.attempt !== undefined)
      return undefined;
    const { etag, size } = node.base;
    if (etag === undefined || body?.kind !== 'clean' || body.etag !== etag || body.size !== size)
      return undefined;
    const missing = size - body.presentBytes;
    return missing < (this.#options.clonedFromBytes ?? CLONED_FROM_BYTES) ? undefined : { etag, size };
  }

  /** Only a file of which the server knows nothing, under a name that is free there: nothing can be overwritten. */
  #mayBecomeCopy(to: Ino): boolean {
    const { state, content } = this.#deps;
    const node = state.get(to);
    const body = content.peek(to);
    if (node?.kind !== 'file' || node.local === undefined || node.base !== undefined) return false;
    if (node.remote !== undefined || node.attempt !== undefined || node.aliases.length > 0) return false;
    if (state.baseChild(node.local.parent, node.local.name) !== undefined) return false;
    return node.content === 'staged' && body?.kind === 'staged' && body.size === 0;
  }

  async #waitFor(to: Ino, request: Interruptible | undefined): Promise<boolean> {
    const { executor, sessions, clock, connectivity } = this.#deps;
    sessions.cloning(to, true);
    try {
      let outcome: 'made' | 'refused' | undefined;
      const settled = executor.settled(to, request).then(
        () => {
          outcome = 'made';
        },
        (error: unknown) => {
          const isLeft = error instanceof SyncError && error.code === 'stopping';
          if (isLeft || request?.signal.aborted) throw error;
          outcome = 'refused';
        },
      );
      // Where the wait is given up first, nobody is left to be told.
      settled.catch(() => undefined);
      for (let waitedMs = 0; outcome === undefined; ) {
        await Promise.race([settled, sleep(clock, STEP_MS)]);
        if (outcome !== undefined || executor.isRunning(to)) continue;
        waitedMs += STEP_MS;
        const isOver = waitedMs > LONGEST_WAIT_MS || connectivity.state.kind !== 'online';
        if (isOver || !this.#isCopy(to)) break;
      }
      // A refusal of the last attempt may come together with the end of it.
      return outcome === 'made' || !this.#giveUp(to);
    } finally {
      sessions.cloning(to, false);
    }
  }

  #isCopy(to: Ino): boolean {
    return isUnfetchedCopy(this.#deps.state.get(to));
  }

  /** Makes an empty file of it again; false where the server has it meanwhile, or a program has changed it. */
  #giveUp(to: Ino): boolean {
    const node = this.#deps.state.get(to);
    if (node?.kind !== 'file' || (node.content === 'clean' && node.base !== undefined)) return false;
    if (isUnfetchedCopy(node)) this.#deps.editor.confirm((confirm) => confirm.emptied(to, false));
    return true;
  }
}
