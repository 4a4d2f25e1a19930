/**
 * Files and trees that are to be on this machine whole: what is missing of them is fetched behind everything else, and
 * nothing of them is evicted. A pin is kept by inode number, so it goes along with a rename; where another file takes
 * the name of a pinned one (a save by temporary file and rename, a new version of an open file), the pin passes to it.
 *
 * INVARIANT: a pinned node that the mount shows and that is not all here is in a queue, being fetched, or waits for the
 * next look through all pins.
 */

import {
  type Clock,
  type Ino,
  isAbortError,
  type Log,
  type Name,
  ROOT_INO,
  type Timer,
} from '../base/index.js';
import type { ContentStore } from '../content/index.js';
import { isRemoteError, type RemoteErrorCode } from '../remote/index.js';
import type { FileRecord, Place, StateStore } from '../state/index.js';
import type { Connectivity } from './connectivity.js';
import type { PinInfo } from './control.js';
import { SyncError } from './errors.js';
import type { Events } from './events.js';
import type { Fetcher } from './fetcher.js';
import type { Refresher } from './refresher.js';
import { shownPath } from './server-tree.js';
import type { TreeWalk } from './tree-walk.js';

const PINS_KEY = 'sync:pins';
const PINS_MAX = 1_000;
const FETCHES_AT_ONCE = 2;
/** Changes that come together are looked at together. */
const GATHER_MS = 100;
/** After trouble, and for what nobody told of: how often all pins are looked through. */
const FIRST_LOOK_MS = 30_000;
const LONGEST_LOOK_MS = 3_600_000;

/** Trouble that is told elsewhere, or that the next listing settles. */
const PASSING: ReadonlySet<RemoteErrorCode> = new Set<RemoteErrorCode>([
  'unauthorized',
  'throttled',
  'changed',
  'not-found',
]);

type Row = readonly [ino: Ino, parent: Ino, name: Name];

export class Pins {
  readonly #state: StateStore;
  readonly #content: ContentStore;
  readonly #fetcher: Fetcher;
  readonly #refresher: Refresher;
  readonly #connectivity: Connectivity;
  readonly #walk: TreeWalk;
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #log: Log;
  /** With the place that each has, by which its successor is known. */
  readonly #pins = new Map<Ino, Place>();
  /** Directories to be looked through, and files that may have to be fetched. */
  readonly #dirs = new Set<Ino>();
  readonly #files = new Set<Ino>();
  /** Directories below pins that were looked through: what changes in them is told. */
  readonly #known = new Set<Ino>();
  readonly #stop = new AbortController();
  #running = 0;
  /** What all that runs may still bring here. */
  #fetchingBytes = 0;
  #transfers = 0;
  /** What comes next fits only when one of the transfers has ended. */
  #isCrowded = false;
  #look: Timer | undefined;
  /** Something could not be fetched since the last look, and in how many looks in a row that was so. */
  #hadTrouble = false;
  #troubledLooks = 0;
  #gather: Timer | undefined;
  /** What is pinned does not fit: told once, until something fits again. */
  #isFull = false;
  #started = false;

  constructor(deps: {
    readonly state: StateStore;
    readonly content: ContentStore;
    readonly fetcher: Fetcher;
    readonly refresher: Refresher;
    readonly connectivity: Connectivity;
    readonly walk: TreeWalk;
    readonly events: Events;
    readonly clock: Clock;
    readonly log: Log;
  }) {
    this.#state = deps.state;
    this.#content = deps.content;
    this.#fetcher = deps.fetcher;
    this.#refresher = deps.refresher;
    this.#connectivity = deps.connectivity;
    this.#walk = deps.walk;
    this.#events = deps.events;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#content.keep((ino) => this.has(ino));
    this.#state.onCommit((changed) => this.#onCommit(changed));
  }

  start(): void {
    this.#started = true;
    for (const [ino, parent, name] of (this.#state.getMeta(PINS_KEY) ?? []) as readonly Row[])
      this.#pins.set(ino, { parent, name });
    this.#follow([...this.#pins.keys()]);
    this.lookThrough();
  }

  close(): void {
    this.#stop.abort();
    this.#look?.cancel();
    this.#gather?.cancel();
  }

  get size(): number {
    return this.#pins.size;
  }

  /** Whether a node is pinned, or lies below a pinned directory. */
  has(ino: Ino): boolean {
    if (this.#pins.size === 0) return false;
    const node = this.#state.get(ino);
    if (node?.kind === 'file') return [ino, ...node.aliases].some((name) => this.#isBelow(name));
    return this.#isBelow(node?.kind === 'alias' ? node.target : ino) || this.#isBelow(ino);
  }

  #isBelow(ino: Ino): boolean {
    for (let at = ino; ; ) {
      const local = this.#state.get(at)?.local;
      if (local === undefined) return false;
      if (this.#pins.has(at)) return true;
      if (at === ROOT_INO) return false;
      at = local.parent;
    }
  }

  /** See `SyncControl.pin`. */
  pin(ino: Ino): void {
    const node = this.#state.get(ino);
    const path = shownPath(this.#state, ino) ?? `inode ${ino}`;
    if (node?.local === undefined) throw new SyncError('not-found', `Cannot pin "${path}": it is gone.`);
    if (node.kind !== 'file' && node.kind !== 'dir')
      throw new SyncError('not-a-file', `Cannot pin "${path}": it is no file and no directory.`);
    if (this.#pins.has(ino)) return;
    if (this.#pins.size >= PINS_MAX)
      throw new SyncError(
        'limit',
        `Cannot pin "${path}": ${PINS_MAX} things are pinned. Pin a directory instead.`,
      );
    this.#pins.set(ino, { parent: node.local.parent, name: node.local.name });
    this.#save();
    this.#isFull = false;
    (node.kind === 'dir' ? this.#dirs : this.#files).add(ino);
    this.#pump();
  }

  /** See `SyncControl.unpin`. */
  unpin(ino: Ino): void {
    if (!this.#pins.delete(ino)) {
      const path = shownPath(this.#state, ino) ?? `inode ${ino}`;
      throw new SyncError('not-found', `Cannot unpin "${path}": it is not pinned itself.`);
    }
    this.#save();
    this.#known.clear();
    this.lookThrough();
  }

  /** See `SyncControl.pins`. */
  async list(signal?: AbortSignal): Promise<PinInfo[]> {
    const list: PinInfo[] = [];
    for (const ino of [...this.#pins.keys()]) {
      const sum = { files: 0, bytes: 0, presentBytes: 0 };
      for await (const file of this.#walk.files(ino, signal)) {
        sum.files += 1;
        sum.bytes += file.size;
        sum.presentBytes += this.#presentBytes(file);
      }
      const path = shownPath(this.#state, ino);
      if (path !== undefined && this.#pins.has(ino)) list.push({ ino, path, ...sum });
    }
    return list;
  }

  /** Looks at all that is pinned, since something of it may be missing without anyone having told. */
  lookThrough(): void {
    this.#known.clear();
    for (const ino of this.#pins.keys())
      (this.#state.get(ino)?.kind === 'dir' ? this.#dirs : this.#files).add(ino);
    this.#pump();
  }

  #save(): void {
    const rows = [...this.#pins].map(([ino, { parent, name }]): Row => [ino, parent, name]);
    this.#state.setMeta(PINS_KEY, rows.length === 0 ? undefined : rows);
  }

  #onCommit(changed: readonly Ino[]): void {
    if (!this.#started || this.#pins.size === 0 || this.#stop.signal.aborted) return;
    this.#follow(changed.filter((ino) => this.#pins.has(ino)));
    for (const ino of changed) this.#note(ino);
    if (this.#dirs.size + this.#files.size === 0 || this.#gather !== undefined) return;
    this.#gather = this.#clock.after(GATHER_MS, () => {
      this.#gather = undefined;
      this.#pump();
    });
  }

  /** Pins go along with their nodes, or pass to what took the name; those of which neither is left end. */
  #follow(pinned: readonly Ino[]): void {
    let isChanged = false;
    for (const ino of pinned) {
      const place = this.#pins.get(ino);
      const local = this.#state.get(ino)?.local;
      if (place === undefined || (local?.parent === place.parent && local.name === place.name)) continue;
      isChanged = true;
      if (local !== undefined) {
        this.#pins.set(ino, { parent: local.parent, name: local.name });
        continue;
      }
      this.#pins.delete(ino);
      const name = this.#state.localChild(place.parent, place.name);
      const heir = name === undefined ? undefined : this.#state.get(name);
      if (heir === undefined || heir.kind === 'symlink') continue;
      const inode = heir.kind === 'alias' ? heir.target : heir.ino;
      this.#pins.set(inode, place);
      (heir.kind === 'dir' ? this.#dirs : this.#files).add(inode);
    }
    if (isChanged) this.#save();
  }

  #note(ino: Ino): void {
    const node = this.#state.get(ino);
    if (node?.kind === 'dir') {
      const isPinned = this.#isBelow(ino);
      if (isPinned && !this.#known.has(ino)) this.#dirs.add(ino);
      // It may come back later, with all that is below it.
      else if (!isPinned && this.#known.has(ino)) this.#known.clear();
      return;
    }
    const file = node?.kind === 'alias' ? this.#state.get(node.target) : node;
    if (file?.kind === 'file' && this.#missingBytes(file) > 0 && this.has(file.ino))
      this.#files.add(file.ino);
  }

  #presentBytes(file: FileRecord): number {
    if (file.content === 'staged') return file.size;
    return this.#content.presentBytes(file.ino, { etag: file.base?.etag, size: file.size });
  }

  /** What is to be fetched of a file; 0 where that cannot be. */
  #missingBytes(file: FileRecord): number {
    if (file.content === 'staged' || file.base === undefined) return 0;
    return file.size - this.#presentBytes(file);
  }

  #pump(): void {
    while (this.#started && this.#running < FETCHES_AT_ONCE && !this.#stop.signal.aborted) {
      // When the server can be reached again, all is looked through.
      if (this.#connectivity.waitMs > 0) this.#noteTrouble();
      if (this.#connectivity.waitMs > 0 || this.#isFull || this.#isCrowded) break;
      const [file] = this.#files;
      const [dir] = file === undefined ? this.#dirs : [];
      if (file === undefined && dir === undefined) break;
      this.#running += 1;
      const work = file === undefined ? this.#lookInto(dir as Ino) : this.#fetch(file);
      work
        .catch((error: unknown) => this.#failed((file ?? dir) as Ino, error))
        .finally(() => {
          this.#running -= 1;
          this.#pump();
        });
    }
    if (this.#pins.size > 0 && !this.#stop.signal.aborted) this.#armLook();
  }

  #armLook(): void {
    if (this.#look !== undefined) return;
    const backOffMs = Math.min(LONGEST_LOOK_MS, FIRST_LOOK_MS * 2 ** Math.min(this.#troubledLooks, 16));
    this.#look = this.#clock.after(this.#hadTrouble ? backOffMs : LONGEST_LOOK_MS, () => {
      this.#look = undefined;
      this.#troubledLooks = this.#hadTrouble ? this.#troubledLooks + 1 : 0;
      this.#hadTrouble = false;
      this.#isFull = false;
      this.lookThrough();
    });
  }

  /** What is missing now is looked at again sooner. */
  #noteTrouble(): void {
    if (this.#hadTrouble) return;
    this.#hadTrouble = true;
    this.#look?.cancel();
    this.#look = undefined;
  }

  /** The reader of a pinned file would be told; nobody reads now, so it is only tried again. */
  #failed(ino: Ino, error: unknown): void {
    if (isAbortError(error) || this.#stop.signal.aborted) return;
    this.#noteTrouble();
    const path = shownPath(this.#state, ino);
    if (isRemoteError(error)) {
      this.#log.debug({ code: error.code, path }, 'what is pinned was not fetched');
      if (!error.isOffline && !PASSING.has(error.code)) this.#events.trouble(error.code, error.message, path);
      return;
    }
    this.#log.error({ err: error, path }, 'what is pinned was not fetched');
    this.#events.trouble('failed', error instanceof Error ? error.message : String(error), path);
  }

  async #lookInto(dir: Ino): Promise<void> {
    this.#dirs.delete(dir);
    const node = this.#state.get(dir);
    if (node?.kind !== 'dir' || !this.#isBelow(dir)) return;
    if (node.listedAtMs === undefined && node.base !== undefined) await this.#refresher.refresh(dir);
    // What comes while this looks through is told by its commit.
    this.#known.add(dir);
    for await (const child of this.#walk.children(dir, this.#stop.signal)) {
      const record = this.#state.get(child);
      if (record?.kind === 'dir') {
        if (!this.#known.has(child)) this.#dirs.add(child);
        continue;
      }
      const file = record?.kind === 'alias' ? this.#state.get(record.target) : record;
      if (file?.kind === 'file' && this.#missingBytes(file) > 0) this.#files.add(file.ino);
    }
  }

  async #fetch(ino: Ino): Promise<void> {
    this.#files.delete(ino);
    const node = this.#state.get(ino);
    if (node?.kind !== 'file' || !this.has(ino)) return;
    const missing = this.#missingBytes(node);
    if (missing <= 0) return;
    this.#fetchingBytes += missing;
    try {
      // What others are fetching needs its room too.
      if (await this.#content.makeRoom(this.#fetchingBytes)) {
        await this.#fetchVersion(node);
        return;
      }
    } finally {
      this.#fetchingBytes -= missing;
    }
    this.#files.add(ino);
    if (this.#transfers > 0) this.#isCrowded = true;
    else this.#tellFull(ino);
  }

  async #fetchVersion(node: FileRecord): Promise<void> {
    const { ino } = node;
    // While room was made another version may have come, or a program to write to the file.
    const file = this.#state.get(ino);
    const open = this.#content.peek(ino);
    if (file?.kind !== 'file' || file.content !== 'clean' || file.base?.etag !== node.base?.etag) return;
    if (file.size !== node.size || (open !== undefined && open.etag !== file.base?.etag)) return;
    this.#content.acquireClean(ino, { etag: file.base?.etag, size: file.size });
    this.#transfers += 1;
    try {
      await this.#fetcher.wholeBehind(ino, this.#stop.signal);
    } catch (error) {
      if (isRemoteError(error, 'changed', 'not-found')) await this.#refresher.recheck(ino);
      throw error;
    } finally {
      this.#transfers -= 1;
      this.#isCrowded = false;
      this.#content.release(ino);
      if (this.#content.peek(ino) === undefined) this.#fetcher.forget(ino);
    }
  }

  #tellFull(ino: Ino): void {
    this.#noteTrouble();
    if (this.#isFull) return;
    this.#isFull = true;
    const path = shownPath(this.#state, ino);
    const message =
      'What is pinned does not fit into the cache. Raise cache-size, free room on the disk, or unpin something.';
    this.#log.warn({ path }, message);
    this.#events.trouble('pins-exceed-cache', message, path);
  }
}
