/** Goes through the tree that the mount shows, for whoever names things by path or asks for whole trees. */

import { abortable, forEachLimited, type Ino, type Name, ROOT_INO, toName } from '../base/index.js';
import { isRemoteError, type RemoteError } from '../remote/index.js';
import type { FileRecord, StateStore } from '../state/index.js';
import { SyncError } from './errors.js';
import type { Events } from './events.js';
import type { Refresher } from './refresher.js';
import { shownPath } from './server-tree.js';

const LISTINGS_AT_ONCE = 6;
/** Names looked at in one turn of the event loop: under 5 ms. */
const NAMES_PER_TURN = 512;

const turn = () => new Promise((resolve) => setImmediate(resolve));

export class TreeWalk {
  readonly #state: StateStore;
  readonly #refresher: Refresher;
  readonly #events: Events;

  constructor(deps: {
    readonly state: StateStore;
    readonly refresher: Refresher;
    readonly events: Events;
  }) {
    this.#state = deps.state;
    this.#refresher = deps.refresher;
    this.#events = deps.events;
  }

  /** See `SyncControl.inoOfPath`. */
  async inoOfPath(path: string, signal?: AbortSignal): Promise<Ino> {
    let at: Ino = ROOT_INO;
    for (const part of path.split('/').filter((each) => each !== '')) {
      const node = this.#state.get(at);
      if (node?.kind !== 'dir')
        throw new SyncError(
          'not-a-directory',
          `Cannot find "${path}": "${shownPath(this.#state, at) ?? at}" is no directory.`,
        );
      const name = toName(part);
      const child = name === undefined ? undefined : await this.#child(at, name, path, signal);
      if (child === undefined)
        throw new SyncError('not-found', `Cannot find "${path}": there is no "${part}".`);
      const found = this.#state.get(child);
      at = found?.kind === 'alias' ? found.target : child;
    }
    return at;
  }

  async #child(
    dir: Ino,
    name: Name,
    path: string,
    signal: AbortSignal | undefined,
  ): Promise<Ino | undefined> {
    try {
      await this.#refresher.listed(dir, signal === undefined ? undefined : { signal });
    } catch (error) {
      throw isRemoteError(error) ? asSyncError(error, `find "${path}"`) : error;
    }
    return this.#state.localChild(dir, name);
  }

  /** See `SyncControl.refreshTree`. */
  async refreshTree(root: Ino, recursive: boolean, signal?: AbortSignal): Promise<number> {
    const node = this.#state.get(root);
    if (node?.local === undefined) throw new SyncError('not-found', `Cannot list inode ${root}: it is gone.`);
    const path = shownPath(this.#state, root) ?? '/';
    if (node.kind !== 'dir')
      throw new SyncError('not-a-directory', `Cannot list "${path}": it is no directory.`);
    let count = 0;
    for (let level: readonly Ino[] = [root]; level.length > 0; ) {
      const next: Ino[] = [];
      await forEachLimited(level, LISTINGS_AT_ONCE, async (dir) => {
        signal?.throwIfAborted();
        if (await this.#refresh(dir, dir === root, signal)) count += 1;
        if (!recursive) return;
        for await (const child of this.children(dir, signal)) {
          if (this.#state.get(child)?.kind === 'dir') next.push(child);
        }
      });
      level = next;
    }
    return count;
  }

  /** Whether there was anything to list. */
  async #refresh(dir: Ino, isRoot: boolean, signal: AbortSignal | undefined): Promise<boolean> {
    const node = this.#state.get(dir);
    // What is not on the server yet has no listing.
    if (node?.kind !== 'dir' || node.base === undefined) return false;
    const path = shownPath(this.#state, dir) ?? '/';
    try {
      await abortable(this.#refresher.refreshAnew(dir), signal);
      return true;
    } catch (error) {
      if (!isRemoteError(error)) throw error;
      const told = asSyncError(error, `list "${path}"`);
      if (isRoot || (told instanceof SyncError && told.code === 'offline')) throw told;
      // One directory that may not be looked into must not hide the others.
      this.#events.trouble(error.code, error.message, path);
      return false;
    }
  }

  /** All files below a directory, or the file itself, as far as they are known; each name of a file counts. */
  async *files(root: Ino, signal?: AbortSignal): AsyncGenerator<FileRecord> {
    for (const stack = [root]; ; ) {
      const at = stack.pop();
      if (at === undefined) return;
      const node = this.#state.get(at);
      const file = node?.kind === 'alias' ? this.#state.get(node.target) : node;
      if (file?.kind === 'file') yield file;
      else if (node?.kind === 'dir') for await (const child of this.children(at, signal)) stack.push(child);
    }
  }

  /** Nodes that a directory shows, in turns. */
  async *children(dir: Ino, signal?: AbortSignal): AsyncGenerator<Ino> {
    let seen = 0;
    for (const { local } of this.#state.entries(dir)) {
      seen += 1;
      if (seen % NAMES_PER_TURN === 0) {
        await turn();
        signal?.throwIfAborted();
      }
      if (local !== undefined && local !== ROOT_INO) yield local;
    }
  }
}

/** What the server's trouble is to whoever asked for something by hand. */
function asSyncError(error: RemoteError, what: string): SyncError | RemoteError {
  if (error.isOffline || error.code === 'unauthorized' || error.code === 'throttled')
    return new SyncError('offline', `Cannot ${what}: the server cannot be used now. ${error.message}`, {
      cause: error,
    });
  if (error.code === 'not-found')
    return new SyncError('not-found', `Cannot ${what}: the server no longer has it.`, { cause: error });
  return error;
}
