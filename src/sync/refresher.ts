/**
 * Keeps the remote tree known: first listings, refreshes of stale ones behind the reader, the check before an open,
 * and polling of what is in use. It reads from the server and merges; it never changes anything there.
 *
 * A listing tells of a moment somewhere between its request and its answer. Names that an operation of ours touches in
 * that time are left out of the merge, and a listing of a directory that moves meanwhile is made anew.
 */

import { LRUCache } from 'lru-cache';
import {
  abortable,
  type Clock,
  forEachLimited,
  type Ino,
  type Interruptible,
  type Log,
  type Name,
  Pacer,
  ROOT_INO,
  type Timer,
} from '../base/index.js';
import {
  isRemoteError,
  joinRemote,
  PROBE_PREFIX,
  type RemoteEntry,
  RemoteError,
  type RemotePath,
  type RemoteStore,
} from '../remote/index.js';
import type { DirRecord, Place, StateStore } from '../state/index.js';
import { maxAhead } from './ahead-limit.js';
import type { Connectivity } from './connectivity.js';
import type { Doubts } from './doubts.js';
import { isSameVersion, type Merge, type SeenEntry } from './merge.js';
import { isBelowInBase, serverPath } from './server-tree.js';
import type { TreeEditor } from './tree-editor.js';
import { WalkAhead } from './walk-ahead.js';
import { decodeXSym, XSYM_SIZE_BYTES } from './xsym.js';

export interface RefresherOptions {
  /** How long a listing is taken as true. */
  readonly freshnessMs: number;
  readonly maxConnections: number;
}

/**
 * Entries merged in one transaction: a compromise between commits and the time a request may have to wait. The rest, and
 * what a small directory has in all, goes with the word that it is listed.
 */
const MERGE_BATCH = 32;
/** Names looked through for those that vanished, before others may have their turn. */
const LOOKED_THROUGH_AT_ONCE = 128;
const LINK_READS_AT_ONCE = 8;
/** Names that are looked for one by one when a listing came back empty. */
const DOUBTED_MAX = 4;
/** Times a listing is made anew because its directory was being moved. */
const MAX_TRIES = 5;
/** Directories that are polled, and for how long after their last use. */
const POLLED_MAX = 64;
const POLLED_FOR_MS = 5 * 60_000;
const LONGEST_POLL_MS = 60_000;
/**
 * Of the time that goes by, a directory's listings take one part in so many at most: one of 100,000 files is 40 MB, and
 * would come every half a minute.
 */
const LISTING_SHARE = 20;
const TIMED_MAX = 256;

/** A directory is listed for the tags of what was uploaded into it when it was quiet for this long, or after this long. */
const CONFIRM_QUIET_MS = 500;
const CONFIRM_LONGEST_MS = 10_000;

/** A name that the server had, as far as was known. */
interface Known {
  readonly name: Name;
  readonly ino: Ino;
}

/** A listing (or a look at one name) under way. */
interface Watch {
  readonly dir: Ino;
  /** Names that an operation of ours touched since the request. */
  readonly touched: Set<Name>;
  /** The directory moved, or something above it. */
  outdated: boolean;
}

/** An operation of ours under way. */
interface Change {
  readonly places: readonly Place[];
  /** The directory that moves or goes, with all below it. */
  readonly tree: Ino | undefined;
  readonly ended: Promise<void>;
}

export class Refresher {
  readonly #state: StateStore;
  readonly #store: RemoteStore;
  readonly #editor: TreeEditor;
  readonly #connectivity: Connectivity;
  readonly #doubts: Doubts;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #options: RefresherOptions;
  readonly #flights = new Map<Ino, Promise<void>>();
  readonly #watches = new Set<Watch>();
  /** Names in directories, and directory trees, that operations are changing right now. */
  readonly #changing = new Set<Change>();
  /** Directories that hold uploads whose tag the answer did not tell: when they are to be listed for it. */
  readonly #confirming = new Map<Ino, { readonly sinceMs: number; timer: Timer }>();
  /** Directories by last use, oldest first. */
  readonly #used = new Map<Ino, number>();
  /** How long the last listing took, in ms. */
  readonly #tookMs = new LRUCache<Ino, number>({ max: TIMED_MAX });
  readonly #walkAhead: WalkAhead;
  /** The stale directory of the file that was opened last. */
  #lookedInto: Ino | undefined;
  #closed = false;

  constructor(
    deps: {
      readonly state: StateStore;
      readonly store: RemoteStore;
      readonly editor: TreeEditor;
      readonly connectivity: Connectivity;
      readonly doubts: Doubts;
      readonly clock: Clock;
      readonly log: Log;
    },
    options: RefresherOptions,
  ) {
    this.#state = deps.state;
    this.#store = deps.store;
    this.#editor = deps.editor;
    this.#connectivity = deps.connectivity;
    this.#doubts = deps.doubts;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#options = options;
    this.#walkAhead = new WalkAhead({
      state: deps.state,
      list: (dir) => this.refresh(dir).catch((error: unknown) => this.#logFailure(dir, error)),
      isListing: (dir) => this.#flights.has(dir),
      mayAsk: () => deps.connectivity.waitMs === 0,
      atOnce: () => maxAhead(options),
    });
  }

  /** Starts polling. */
  start(): void {
    this.#armPoll();
  }

  close(): void {
    this.#closed = true;
    this.#walkAhead.close();
  }

  get isListing(): boolean {
    return this.#flights.size > 0;
  }

  listed(dir: Ino, request?: Interruptible, enumerate = false): Promise<void> | undefined {
    const node = this.#state.get(dir);
    if (node?.kind !== 'dir' || node.base === undefined || node.local === undefined) return undefined;
    this.#noteUse(dir);
    if (node.listedAtMs === undefined) {
      const listing = this.refresh(dir);
      if (enumerate) this.#walkAhead.opened(node);
      return abortable(listing, request?.signal);
    }
    if (enumerate) this.#walkAhead.opened(node);
    this.#refreshIfDue(node);
    return undefined;
  }

  /** Has a directory listed that nobody has asked for yet, where it never was or is due again. */
  foresee(dir: Ino): void {
    const node = this.#state.get(dir);
    if (node?.kind === 'dir' && node.base !== undefined) this.#refreshIfDue(node);
  }

  fresh(file: Ino, request?: Interruptible): Promise<void> | undefined {
    const node = this.#state.get(file);
    if (node?.base === undefined || node.local === undefined || node.kind === 'dir') return undefined;
    const dir = this.#state.get(node.base.parent);
    if (dir?.kind !== 'dir' || !this.#isStale(dir) || this.#connectivity.waitMs > 0) return undefined;
    // Who opens a second file most likely goes on: one listing spares a round trip for each.
    if (this.#lookedInto === dir.ino) this.#refreshBehind(dir.ino);
    this.#lookedInto = dir.ino;
    return abortable(this.#lookAt(dir.ino, node.base.name), request?.signal);
  }

  /** Asks for the file's name, whatever the age of its listing: the version that was known is not there any more. */
  recheck(file: Ino): Promise<void> {
    const base = this.#state.get(file)?.base;
    return base === undefined ? Promise.resolve() : this.#lookAt(base.parent, base.name);
  }

  /** Lists a directory anew; those who ask while it is under way share it. */
  refresh(dir: Ino): Promise<void> {
    const flying = this.#flights.get(dir);
    if (flying !== undefined) return flying;
    const sinceMs = this.#clock.nowMs();
    const flight = this.#list(dir).finally(() => {
      this.#tookMs.set(dir, this.#clock.nowMs() - sinceMs);
      this.#flights.delete(dir);
      this.#walkAhead.settled(dir);
    });
    this.#flights.set(dir, flight);
    return flight;
  }

  /** As {@link refresh}, but a listing that is under way already may have been made too early to do. */
  async refreshAnew(dir: Ino): Promise<void> {
    // Whoever waits for that one is told of its failure.
    await this.#flights.get(dir)?.catch(() => undefined);
    await this.refresh(dir);
  }

  /**
   * Tells that an operation begins to change names (and, for a directory, the tree below it). Returns the function
   * that tells its end.
   */
  beginChange(places: readonly Place[], tree: Ino | undefined): () => void {
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const change: Change = { places, tree, ended };
    this.#changing.add(change);
    const touch = () => {
      for (const watch of this.#watches) this.#touch(watch, change);
    };
    touch();
    return () => {
      touch();
      this.#changing.delete(change);
      end();
    };
  }

  /** The operation that is moving or deleting `dir` or something above it. */
  #changeOf(dir: Ino): Change | undefined {
    for (const change of this.#changing) {
      if (change.tree !== undefined && isBelowInBase(this.#state, dir, change.tree)) return change;
    }
    return undefined;
  }

  #touch(watch: Watch, { places, tree }: Change): void {
    for (const place of places) if (place.parent === watch.dir) watch.touched.add(place.name);
    if (tree !== undefined && isBelowInBase(this.#state, watch.dir, tree)) watch.outdated = true;
  }

  #watch(dir: Ino): Watch {
    const watch: Watch = { dir, touched: new Set(), outdated: false };
    this.#watches.add(watch);
    for (const change of this.#changing) this.#touch(watch, change);
    return watch;
  }

  async #list(dir: Ino): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      for (let change = this.#changeOf(dir); change !== undefined; change = this.#changeOf(dir))
        await change.ended;
      const path = serverPath(this.#state, dir);
      if (path === undefined || this.#closed) return;
      this.#connectivity.check();
      const watch = this.#watch(dir);
      try {
        if (await this.#listOnce(dir, path, watch)) return;
      } catch (error) {
        if (!isRemoteError(error)) throw error;
        this.#connectivity.failed(error);
        if (!watch.outdated) {
          if (error.code !== 'not-found' || dir === ROOT_INO) throw error;
          this.#editor.merge((merge) => merge.gone(dir));
          return;
        }
      } finally {
        this.#watches.delete(watch);
      }
      if (attempt === MAX_TRIES) {
        const context = { method: 'PROPFIND', path, outcome: 'none' as const };
        throw new RemoteError('locked', `Cannot list "${path}": it is moved again and again`, context);
      }
    }
  }

  /** Whether the listing was taken in whole. */
  async #listOnce(dir: Ino, path: RemotePath, watch: Watch): Promise<boolean> {
    const seenNames = new Set<Name>();
    const pacer = new Pacer();
    // What appears in an empty directory meanwhile is of this listing, or touched by an operation of ours.
    const mayVanish = !this.#state.entries(dir)[Symbol.iterator]().next().done;
    let waiting: SeenEntry[] = [];
    for await (const batch of this.#store.list(path)) {
      const entries = batch.filter(
        (entry) => entry.name !== undefined && !entry.name.startsWith(PROBE_PREFIX),
      );
      const targets = await this.#readLinks(dir, path, entries);
      for (const entry of entries) {
        seenNames.add(entry.name as Name);
        waiting.push({ entry, linkTarget: targets.get(entry) });
      }
      while (waiting.length >= MERGE_BATCH) {
        if (watch.outdated || this.#closed) return false;
        const some = waiting.slice(0, MERGE_BATCH);
        waiting = waiting.slice(MERGE_BATCH);
        this.#editor.merge((merge) => mergeEntries(merge, watch, some));
        await pacer.pause();
      }
    }
    this.#connectivity.succeeded();
    if (watch.outdated || this.#closed) return false;
    const vanished = mayVanish ? await this.#findVanished(dir, seenNames, pacer) : [];
    const hidden = await this.#findHidden(path, vanished, seenNames.size === 0);
    for (let start = 0; start === 0 || start < vanished.length; start += MERGE_BATCH) {
      if (watch.outdated || this.#closed) return false;
      const isLast = start + MERGE_BATCH >= vanished.length;
      this.#editor.merge((merge, tx) => {
        if (start === 0) mergeEntries(merge, watch, waiting);
        for (const { name, ino } of vanished.slice(start, start + MERGE_BATCH)) {
          const gone = !hidden.has(name) && !watch.touched.has(name) && tx.baseChild(dir, name) === ino;
          if (gone) merge.gone(ino);
        }
        const node = tx.get(dir);
        if (isLast && node?.kind === 'dir') tx.put({ ...node, listedAtMs: this.#clock.nowMs() });
      });
      await pacer.pause();
    }
    return true;
  }

  /** What was known of `dir` and is not among `seen`; whoever acts on it looks again. */
  async #findVanished(dir: Ino, seen: ReadonlySet<Name>, pacer: Pacer): Promise<readonly Known[]> {
    const vanished: Known[] = [];
    let from: Name | undefined;
    for (let isLast = false; !isLast; ) {
      isLast = true;
      let count = 0;
      for (const { name, base } of this.#state.entries(dir, from)) {
        from = name;
        if (base !== undefined && base !== ROOT_INO && !seen.has(name)) vanished.push({ name, ino: base });
        count += 1;
        isLast = count < LOOKED_THROUGH_AT_ONCE;
        if (!isLast) break;
      }
      await pacer.pause();
    }
    return vanished;
  }

  /**
   * Names that a listing leaves out although they are there: some servers (nginx with dav-ext) never list what begins
   * with a dot, others list what was uploaded a while later, and a listing that lost all it had is doubted as well.
   */
  async #findHidden(
    path: RemotePath,
    vanished: readonly Known[],
    isEmpty: boolean,
  ): Promise<ReadonlySet<Name>> {
    const hidden = new Set<Name>();
    const isExpected = ({ name, ino }: Known) => name.startsWith('.') || this.#doubts.isUnseen(ino);
    const doubted = vanished.filter((known, index) => isExpected(known) || (isEmpty && index < DOUBTED_MAX));
    await forEachLimited(doubted, LINK_READS_AT_ONCE, async ({ name }) => {
      if ((await this.look(joinRemote(path, name))) !== undefined) hidden.add(name);
    });
    if (isEmpty && doubted.some((known) => !isExpected(known) && hidden.has(known.name))) {
      throw new RemoteError(
        'protocol',
        `Cannot list "${path}": the server lists nothing, but has files there`,
        {
          method: 'PROPFIND',
          path,
          outcome: 'none',
        },
      );
    }
    return hidden;
  }

  /** An upload into `dir` was answered without a tag: one listing tells those of a whole burst. */
  confirmSoon(dir: Ino): void {
    const nowMs = this.#clock.nowMs();
    const before = this.#confirming.get(dir);
    before?.timer.cancel();
    const sinceMs = before?.sinceMs ?? nowMs;
    const delayMs = Math.min(CONFIRM_QUIET_MS, Math.max(0, sinceMs + CONFIRM_LONGEST_MS - nowMs));
    const timer = this.#clock.after(delayMs, () => {
      this.#confirming.delete(dir);
      if (!this.#closed && this.#connectivity.waitMs === 0) this.#refreshBehind(dir);
    });
    this.#confirming.set(dir, { sinceMs, timer });
  }

  /** Asks for one name, and merges what is there. Trouble with the connection leaves what is known as it is. */
  async #lookAt(dir: Ino, name: Name): Promise<void> {
    const parent = serverPath(this.#state, dir);
    if (parent === undefined) return;
    const watch = this.#watch(dir);
    try {
      const seen = await this.look(joinRemote(parent, name));
      if (watch.outdated || watch.touched.has(name)) return;
      this.#editor.merge((merge, tx) => {
        const known = tx.baseChild(dir, name);
        if (seen !== undefined) merge.entry(dir, name, seen);
        else if (known !== undefined) merge.gone(known);
      });
    } catch (error) {
      if (!isRemoteError(error)) throw error;
      this.#connectivity.failed(error);
      this.#log.debug({ code: error.code, path: error.path }, 'opened without asking the server first');
    } finally {
      this.#watches.delete(watch);
    }
  }

  /** What the server has at a path now, or undefined. Rejects with `RemoteError`. */
  async look(path: RemotePath, signal?: AbortSignal): Promise<SeenEntry | undefined> {
    let entry: RemoteEntry;
    try {
      entry = await this.#store.stat(path, signal === undefined ? {} : { signal });
    } catch (error) {
      if (isRemoteError(error, 'not-found')) return undefined;
      throw error;
    }
    this.#connectivity.succeeded();
    const linkTarget = mayBeLink(entry) ? await this.#readLink(path, entry) : undefined;
    return { entry, linkTarget };
  }

  /** The targets of those new entries that stand for symbolic links. */
  async #readLinks(
    dir: Ino,
    path: RemotePath,
    entries: readonly RemoteEntry[],
  ): Promise<ReadonlyMap<RemoteEntry, string>> {
    const targets = new Map<RemoteEntry, string>();
    const candidates = entries.filter((entry) => mayBeLink(entry) && !this.#isKnown(dir, entry));
    if (candidates.length === 0) return targets;
    await forEachLimited(candidates, LINK_READS_AT_ONCE, async (entry) => {
      const target = await this.#readLink(joinRemote(path, entry.name as Name), entry);
      if (target !== undefined) targets.set(entry, target);
    });
    return targets;
  }

  #isKnown(dir: Ino, entry: RemoteEntry): boolean {
    const ino = this.#state.baseChild(dir, entry.name as Name);
    const base = ino === undefined ? undefined : this.#state.get(ino)?.base;
    return base !== undefined && isSameVersion(base, entry);
  }

  async #readLink(path: RemotePath, entry: RemoteEntry): Promise<string | undefined> {
    try {
      const body = await this.#store.read(path, entry.etag === undefined ? {} : { etag: entry.etag });
      const chunks: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of body.chunks) {
        size += chunk.length;
        if (size > XSYM_SIZE_BYTES) return undefined;
        chunks.push(chunk);
      }
      return decodeXSym(Buffer.concat(chunks));
    } catch (error) {
      // It changed or went since the listing: the next listing tells.
      if (isRemoteError(error, 'changed', 'not-found', 'forbidden')) return undefined;
      throw error;
    }
  }

  #isStale(dir: DirRecord): boolean {
    return dir.listedAtMs === undefined || this.#clock.nowMs() - dir.listedAtMs >= this.#options.freshnessMs;
  }

  /** Whether it is stale, and to be listed again where nobody waits for that. */
  #isDue(dir: DirRecord): boolean {
    const ageMs = this.#clock.nowMs() - (dir.listedAtMs ?? 0);
    return this.#isStale(dir) && ageMs >= (this.#tookMs.get(dir.ino) ?? 0) * LISTING_SHARE;
  }

  #refreshIfDue(dir: DirRecord): void {
    if (this.#isDue(dir) && this.#connectivity.waitMs === 0) this.#refreshBehind(dir.ino);
  }

  #refreshBehind(dir: Ino): void {
    this.refresh(dir).catch((error: unknown) => this.#logFailure(dir, error));
  }

  #logFailure(dir: Ino, error: unknown): void {
    if (isRemoteError(error))
      this.#log.debug({ dir, code: (error as RemoteError).code }, 'listing not refreshed');
    else this.#log.error({ dir, err: error }, 'listing not refreshed');
  }

  #noteUse(dir: Ino): void {
    this.#used.delete(dir);
    this.#used.set(dir, this.#clock.nowMs());
    if (this.#used.size > POLLED_MAX) {
      const oldest = this.#used.keys().next();
      if (!oldest.done) this.#used.delete(oldest.value);
    }
  }

  #armPoll(): void {
    // Which directories are due is looked up: a freshness that is made shorter is not to wait for the longer one.
    this.#clock.after(Math.min(this.#options.freshnessMs, LONGEST_POLL_MS), () => {
      if (this.#closed) return;
      this.#poll()
        .catch((error: unknown) => this.#logFailure(ROOT_INO, error))
        .finally(() => this.#armPoll());
    });
  }

  async #poll(): Promise<void> {
    const sinceMs = this.#clock.nowMs() - POLLED_FOR_MS;
    for (const [dir, usedAtMs] of [...this.#used]) {
      if (this.#closed || this.#connectivity.waitMs > 0) return;
      const node = this.#state.get(dir);
      if (usedAtMs < sinceMs || node?.kind !== 'dir') this.#used.delete(dir);
      else if (node.base !== undefined && this.#isDue(node)) {
        await this.refresh(dir).catch((error: unknown) => this.#logFailure(dir, error));
      }
    }
  }
}

function mergeEntries(merge: Merge, { dir, touched }: Watch, seen: readonly SeenEntry[]): void {
  for (const each of seen) {
    const name = each.entry.name as Name;
    if (!touched.has(name)) merge.entry(dir, name, each);
  }
}

function mayBeLink(entry: RemoteEntry): boolean {
  return entry.kind === 'file' && entry.size === XSYM_SIZE_BYTES;
}
