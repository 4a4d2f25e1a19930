/**
 * The content store on disk. It owns the files, the bodies in use and the index of clean files; where the files are
 * is in layout.ts, what survives a restart in presence.ts, which files go in eviction.ts.
 *
 * INVARIANT: an inode has a staged file or a clean entry, never both, except between two lines of one method.
 */

import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import {
  type Clock,
  type Ino,
  isErrno,
  type Log,
  RangeSet,
  silentLog,
  syncDirectory,
  type Timer,
} from '../base/index.js';
import type { ETag } from '../remote/index.js';
import { CleanIndex } from './clean-index.js';
import { ContentError } from './errors.js';
import { type CacheLimits, Evictor } from './eviction.js';
import { type BodyOwner, FileBody, type Holding, wholeHolding } from './file-body.js';
import { Layout, moveTo, openIn, unlinkIfThere } from './layout.js';
import { copyFileRange, hasWriters, syncfs } from './libc.js';
import { ParkedDescriptors } from './parked-descriptors.js';
import { type CleanEntry, type Left, PresenceRecords, type PresenceTable } from './presence.js';
import {
  type NodeContents,
  type ReconcileReport,
  type ReconcileTarget,
  reconcileFiles,
  type TidyReport,
  tidyFiles,
} from './reconcile.js';
import type { Body, ContentStore, Snapshot } from './store.js';
import { type VerifyOptions, type VerifyReport, type VerifyTarget, verifyFiles } from './verify.js';

/** How long presence may be known in memory alone. */
const WRITE_BACK_DELAY_MS = 3_000;
/** How often the disk is synced while bodies are filled. */
const SYNC_INTERVAL_MS = 30_000;
/** The disk has no copy_file_range(2), or not for these two files. */
const CANNOT_COPY = ['EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EINVAL'];
/** A use that is not newer than this is not worth a write. */
const LAST_USE_GRAIN_MS = 10 * 60_000;

export interface OpenContentOptions {
  /** The content directory; made where it is missing. Nobody else may have it open. */
  readonly dir: string;
  readonly presence: PresenceTable;
  readonly clock: Clock;
  readonly limits: CacheLimits;
  readonly log?: Log;
  /** Changes with each start of the machine; read from /proc when absent. */
  readonly bootId?: string;
}

/** Opens the store. Throws `ContentError` 'disk'. Call {@link FileContentStore.reconcile} before anything else. */
export function openContentStore(options: OpenContentOptions): FileContentStore {
  const layout = new Layout(options.dir);
  try {
    layout.prepare();
    const bootId = options.bootId ?? fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    return new FileContentStore(layout, bootId, options);
  } catch (cause) {
    throw new ContentError('disk', `Cannot open the content directory "${options.dir}"`, undefined, {
      cause,
    });
  }
}

export class FileContentStore implements ContentStore, BodyOwner {
  // Dependencies
  readonly #layout: Layout;
  readonly #records: PresenceRecords;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #evictor: Evictor;
  readonly #dirFd: number;
  // State
  readonly #bodies = new Map<Ino, FileBody>();
  /** INVARIANT: none of a file that is in use. */
  readonly #parked = new ParkedDescriptors();
  readonly #clean: CleanIndex;
  /** Sizes of staged files that are not in use; bodies know their own. */
  readonly #staged = new Map<Ino, number>();
  readonly #left: Left;
  #isKept: (ino: Ino) => boolean = () => false;
  /** Copies that another thread makes. */
  readonly #copying = new Set<Promise<number>>();
  #writeBackTimer: Timer | undefined;
  #syncTimer: Timer | undefined;
  /** Begins the generations of this process's files, so that none is that of an earlier one's. */
  readonly #origin = randomBytes(4).toString('hex');
  #generation = 0;
  #temporaries = 0;
  #damaged = 0;
  #closed = false;

  constructor(
    layout: Layout,
    bootId: string,
    { presence, clock, limits, log = silentLog }: OpenContentOptions,
  ) {
    this.#layout = layout;
    this.#clock = clock;
    this.#log = log;
    this.#dirFd = fs.openSync(layout.dir, 'r');
    const records = new PresenceRecords(
      presence,
      bootId,
      () => this.#clean.totals,
      (err) => log.warn({ err }, 'Cannot note what is cached; it may be fetched again after a restart'),
    );
    this.#records = records;
    this.#left = records.begin();
    this.#clean = new CleanIndex(records, this.#left);
    records.note();
    const { dropped } = this.#left;
    if (dropped > 0)
      log.warn({ files: dropped }, 'Cached files that may have suffered from a power loss are forgotten');
    for (const { ino, path } of layout.stagedFiles()) this.#staged.set(ino, fs.statSync(path).size);
    const target = {
      cleanBytes: () => this.#clean.bytes,
      candidates: () => this.#idle((ino) => !this.#isKept(ino)),
      drop: (ino: Ino) => (this.#isKept(ino) ? 0 : this.evictFile(ino)),
    };
    this.#evictor = new Evictor(limits, layout.dir, target, (err) =>
      log.warn({ err }, 'Cannot evict cached files'),
    );
  }

  /** Clean files that were found damaged since the start. */
  get damagedFiles(): number {
    return this.#damaged;
  }

  peek(ino: Ino): Body | undefined {
    return this.#bodies.get(ino);
  }

  acquireClean(ino: Ino, version: { readonly etag: ETag | undefined; readonly size: number }): Body {
    const open = this.#bodies.get(ino);
    if (open !== undefined) {
      if (open.kind === 'staged') throw misuse(ino, 'its staged body is asked for as a clean one');
      if (open.etag !== version.etag || open.size !== version.size)
        throw misuse(ino, 'its body of another version is in use');
      return this.#use(open);
    }
    if (this.#staged.has(ino)) throw misuse(ino, 'its staged body is asked for as a clean one');
    const entry = this.#clean.get(ino);
    if (entry !== undefined) {
      const body =
        entry.etag === version.etag && entry.size === version.size ? this.#openClean(ino, entry) : undefined;
      if (body !== undefined) return this.#use(body);
      this.#dropClean(ino);
    }
    return this.#use(this.#createClean(ino, version));
  }

  cleanVersion(ino: Ino): { readonly etag: ETag | undefined; readonly size: number } | undefined {
    return this.#clean.get(ino);
  }

  acquireStaged(ino: Ino): Body {
    const open = this.#bodies.get(ino);
    if (open !== undefined) {
      if (open.kind !== 'staged') throw lost(ino);
      return this.#use(open);
    }
    if (!this.#staged.has(ino)) throw lost(ino);
    try {
      const fd = this.#parked.take(ino) ?? fs.openSync(this.#layout.staged(ino), 'r+');
      this.#staged.delete(ino);
      return this.#use(new FileBody(ino, fd, { kind: 'staged' }, this));
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) throw lost(ino, cause);
      throw cause;
    }
  }

  createStaged(ino: Ino): Body {
    const open = this.#bodies.get(ino);
    if (open !== undefined) {
      if (open.discarded) throw misuse(ino, 'its discarded body is staged');
      open.endFillings();
      fs.ftruncateSync(open.fd, 0);
      if (open.kind === 'clean') this.#moveToStaged(open);
      return this.#use(open);
    }
    this.#parked.drop(ino);
    const fd = openIn(this.#layout.staged(ino), 'w+');
    this.#staged.delete(ino);
    this.#dropClean(ino);
    return this.#use(new FileBody(ino, fd, { kind: 'staged' }, this));
  }

  release(ino: Ino): void {
    // Closing took all bodies.
    if (this.#closed) return;
    const body = this.#bodies.get(ino);
    if (body === undefined) throw misuse(ino, 'its body is released but not in use');
    if (body.uses === 1) body.endFillings();
    if (--body.uses > 0) return;
    if (!body.discarded) body.trim();
    this.#bodies.delete(ino);
    if (!body.discarded) {
      if (body.holding.kind === 'staged') this.#staged.set(ino, body.size);
      else this.#keepPresence(body, body.holding);
    }
    if (body.discarded) fs.closeSync(body.fd);
    else this.#parked.park(ino, body.fd);
    this.#evictor.released();
  }

  toStaged(ino: Ino): void {
    const body = this.#bodies.get(ino);
    if (body === undefined || body.kind !== 'clean' || !body.isComplete || body.discarded) {
      throw misuse(ino, 'only a complete clean body in use can be staged');
    }
    this.#moveToStaged(body);
  }

  emptyToClean(ino: Ino, { etag, size }: { readonly etag: ETag; readonly size: number }): void {
    const body = this.#bodies.get(ino);
    if (body?.kind !== 'staged' || body.discarded || body.size > 0)
      throw misuse(ino, 'only an empty staged body in use can become that of a version');
    const generation = this.#nextGeneration();
    fs.ftruncateSync(body.fd, size);
    moveTo(this.#layout.staged(ino), this.#layout.clean(ino, generation));
    this.#clean.set(ino, {
      etag,
      size,
      generation,
      ranges: [],
      presentBytes: 0,
      lastUseMs: this.#clock.nowMs(),
    });
    body.hold({ kind: 'clean', etag, size, generation, present: new RangeSet() });
    this.#writeBackSoon();
  }

  async copyBytes(
    from: { readonly ino: Ino; readonly position: number },
    to: { readonly ino: Ino; readonly position: number },
    length: number,
  ): Promise<number | undefined> {
    const [source, target] = [this.#bodies.get(from.ino), this.#bodies.get(to.ino)];
    if (
      source === undefined ||
      target?.kind !== 'staged' ||
      !source.has(from.position, from.position + length)
    )
      throw misuse(to.ino, 'what is copied into it is not here, or it is not staged');
    // The descriptors stay open until the other thread is done with them, whoever lets go of the bodies meanwhile.
    this.#use(source);
    this.#use(target);
    const copying = copyFileRange(
      { fd: source.fd, position: from.position },
      { fd: target.fd, position: to.position },
      length,
    );
    this.#copying.add(copying);
    try {
      return await copying;
    } catch (error) {
      if (CANNOT_COPY.some((code) => isErrno(error, code))) return undefined;
      throw error;
    } finally {
      this.#copying.delete(copying);
      this.release(from.ino);
      this.release(to.ino);
    }
  }

  toClean(ino: Ino, etag: ETag | undefined): void {
    const body = this.#bodies.get(ino);
    const isStaged = body === undefined ? this.#staged.has(ino) : body.kind === 'staged' && !body.discarded;
    if (!isStaged) throw lost(ino);
    const size = body?.size ?? fs.statSync(this.#layout.staged(ino)).size;
    const generation = this.#nextGeneration();
    moveTo(this.#layout.staged(ino), this.#layout.clean(ino, generation));
    this.#staged.delete(ino);
    body?.hold(wholeHolding(etag, size, generation));
    this.#addWhole(ino, etag, size, generation);
  }

  retag(ino: Ino, etag: ETag): void {
    const entry = this.#clean.get(ino);
    if (entry === undefined || entry.etag === etag) return;
    entry.etag = etag;
    const body = this.#bodies.get(ino);
    if (body?.holding.kind === 'clean') body.hold({ ...body.holding, etag });
    this.#changed(ino, entry);
  }

  separate(ino: Ino): void {
    if (this.#bodies.has(ino)) throw misuse(ino, 'it is in use');
    // A descriptor of our own counts as one of a writer's.
    this.#parked.drop(ino);
    if (!this.#staged.has(ino)) return;
    const path = this.#layout.staged(ino);
    const fd = fs.openSync(path, 'r');
    try {
      if (!hasWriters(fd)) return;
    } finally {
      fs.closeSync(fd);
    }
    const copy = this.#layout.temporary(`${ino}.${++this.#temporaries}`);
    try {
      fs.copyFileSync(path, copy, fs.constants.COPYFILE_FICLONE);
      const { atime, mtime } = fs.statSync(path);
      fs.utimesSync(copy, atime, mtime);
      fs.renameSync(copy, path);
    } catch (err) {
      unlinkIfThere(copy);
      // The end of a mount goes on all the same: the other files want to be kept from their writers too.
      this.#log.error(
        { ino, err },
        'A program goes on writing to a file of a mount that is gone; what it writes may get into what is uploaded',
      );
      return;
    }
    this.#log.warn(
      { ino },
      'A program goes on writing to a file of a mount that is gone; what it writes is lost',
    );
  }

  async snapshot(ino: Ino): Promise<Snapshot> {
    const path = this.#layout.temporary(`${ino}.${++this.#temporaries}`);
    try {
      await fs.promises.copyFile(this.#layout.staged(ino), path, fs.constants.COPYFILE_FICLONE);
    } catch (cause) {
      unlinkIfThere(path);
      if (isErrno(cause, 'ENOENT')) throw lost(ino, cause);
      throw cause;
    }
    const fd = fs.openSync(path, 'r');
    fs.unlinkSync(path);
    return {
      size: fs.fstatSync(fd).size,
      fd,
      readSync: (target, offset, length, position) => fs.readSync(fd, target, offset, length, position),
      close: () => fs.closeSync(fd),
    };
  }

  discard(ino: Ino): void {
    const body = this.#bodies.get(ino);
    if (body?.discarded) return;
    if (body !== undefined) body.discarded = true;
    if (body?.kind === 'staged' || this.#staged.has(ino)) {
      this.#staged.delete(ino);
      this.#parked.drop(ino);
      unlinkIfThere(this.#layout.staged(ino));
    } else {
      this.#dropClean(ino);
    }
  }

  evict(): Promise<number> {
    return this.#evictor.run();
  }

  makeRoom(bytes: number): Promise<boolean> {
    return this.#evictor.makeRoom(bytes);
  }

  keep(isKept: (ino: Ino) => boolean): void {
    this.#isKept = isKept;
  }

  evictFile(ino: Ino): number {
    return this.#bodies.has(ino) ? 0 : this.#dropClean(ino);
  }

  *cleanFiles(): Generator<Ino> {
    for (const [ino] of this.#clean.entries()) yield ino;
  }

  stagedFiles(): readonly Ino[] {
    const open = [...this.#bodies.values()].filter((body) => body.kind === 'staged' && !body.discarded);
    return [...this.#staged.keys(), ...open.map(({ ino }) => ino)];
  }

  presentBytes(ino: Ino, version: { readonly etag: ETag | undefined; readonly size: number }): number {
    const entry = this.#clean.get(ino);
    return entry?.etag === version.etag && entry?.size === version.size ? entry.presentBytes : 0;
  }

  stats(): {
    readonly cleanBytes: number;
    readonly stagedBytes: number;
    readonly cleanFiles: number;
    readonly stagedFiles: number;
  } {
    let stagedBytes = 0;
    let stagedFiles = this.#staged.size;
    for (const size of this.#staged.values()) stagedBytes += size;
    for (const body of this.#bodies.values()) {
      if (body.kind !== 'staged' || body.discarded) continue;
      stagedFiles++;
      stagedBytes += body.size;
    }
    const { files, bytes } = this.#clean.totals;
    return { cleanBytes: bytes, stagedBytes, cleanFiles: files, stagedFiles };
  }

  syncAll(): Promise<void> {
    return this.#sync(false);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#writeBackTimer?.cancel();
    this.#syncTimer?.cancel();
    await this.#evictor.close();
    await Promise.allSettled(this.#copying);
    await this.#sync(true);
    for (const body of this.#bodies.values()) {
      body.endFillings();
      fs.closeSync(body.fd);
    }
    this.#parked.close();
    this.#bodies.clear();
    fs.closeSync(this.#dirFd);
  }

  /** Once, before the first body is taken: repairs what a crash left between the nodes and the files. */
  reconcile(nodes: NodeContents): Promise<ReconcileReport> {
    return reconcileFiles(this.#reconcileTarget(), nodes, this.#left.powerLoss);
  }

  /**
   * After {@link reconcile}, beside all other work: finds out exactly what there is, and removes what nothing knows of.
   * Nothing to do where the process before ended cleanly.
   */
  async tidy(nodes: Pick<NodeContents, 'of'>): Promise<TidyReport> {
    if (this.#clean.totals.isExact) return { lostAndFound: [], deletedClean: 0 };
    const isClosed = () => this.#closed;
    const report = await tidyFiles(this.#reconcileTarget(), nodes, isClosed);
    await this.#clean.recount(isClosed);
    this.#evictor.released();
    return report;
  }

  verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    const target: VerifyTarget = {
      layout: this.#layout,
      clean: this.#idle(),
      staged: [...this.#staged.keys()],
      isCurrent: (ino, { generation }) =>
        !this.#bodies.has(ino) && this.#clean.get(ino)?.generation === generation,
      isStagedIdle: (ino) => this.#staged.has(ino),
      drop: (ino) => {
        this.#damaged++;
        this.#dropClean(ino);
      },
    };
    return verifyFiles(target, options);
  }

  filled(body: FileBody, addedBytes: number): void {
    const entry = this.#clean.get(body.ino);
    if (entry === undefined || body.discarded) return;
    entry.presentBytes += addedBytes;
    this.#changed(body.ino, entry, addedBytes);
    if (body.isComplete) this.#writeBack();
    this.#syncTimer ??= this.#clock.after(SYNC_INTERVAL_MS, () => {
      this.#syncTimer = undefined;
      this.#sync(false).catch((err) => this.#log.error({ err }, 'Cannot sync the cache to the disk'));
    });
    this.#evictor.wake();
  }

  syncName(body: FileBody): void {
    if (body.discarded) return;
    const bucket = dirname(this.#layout.staged(body.ino));
    syncDirectory(bucket);
    syncDirectory(dirname(bucket));
  }

  damaged(body: FileBody, lostBytes: number): void {
    this.#damaged++;
    this.#log.warn({ ino: body.ino }, 'A cached file cannot be read any more; it is fetched again');
    const entry = this.#clean.get(body.ino);
    if (entry === undefined || body.discarded) return;
    entry.presentBytes -= lostBytes;
    this.#changed(body.ino, entry, -lostBytes);
  }

  #use(body: FileBody): Body {
    body.uses++;
    this.#bodies.set(body.ino, body);
    const entry = this.#clean.get(body.ino);
    const now = this.#clock.nowMs();
    if (entry === undefined) return body;
    const isWorthIt = now - entry.lastUseMs > LAST_USE_GRAIN_MS;
    entry.lastUseMs = now;
    if (isWorthIt) this.#changed(body.ino, entry);
    return body;
  }

  /** The body of an entry, or undefined where its file is not what the entry says. */
  #openClean(ino: Ino, entry: CleanEntry): FileBody | undefined {
    let fd: number | undefined;
    try {
      fd = this.#parked.take(ino) ?? fs.openSync(this.#layout.clean(ino, entry.generation), 'r+');
      const found = fs.fstatSync(fd);
      if (found.size === entry.size && found.nlink > 0) {
        const { etag, size, generation, ranges } = entry;
        const present = ranges === 'whole' ? RangeSet.upTo(size) : RangeSet.fromArray(ranges);
        return new FileBody(ino, fd, { kind: 'clean', etag, size, generation, present }, this);
      }
    } catch (err) {
      this.#log.warn({ err, ino }, 'Cannot open a cached file');
    }
    if (fd !== undefined) fs.closeSync(fd);
    this.#damaged++;
    return undefined;
  }

  #createClean(
    ino: Ino,
    { etag, size }: { readonly etag: ETag | undefined; readonly size: number },
  ): FileBody {
    const generation = this.#nextGeneration();
    const fd = openIn(this.#layout.clean(ino, generation), 'w+');
    try {
      fs.ftruncateSync(fd, size);
    } catch (error) {
      fs.closeSync(fd);
      unlinkIfThere(this.#layout.clean(ino, generation));
      throw error;
    }
    const ranges = size === 0 ? 'whole' : [];
    this.#clean.set(ino, { etag, size, generation, ranges, presentBytes: 0, lastUseMs: this.#clock.nowMs() });
    this.#writeBackSoon();
    return new FileBody(ino, fd, { kind: 'clean', etag, size, generation, present: new RangeSet() }, this);
  }

  #moveToStaged(body: FileBody): void {
    if (body.holding.kind !== 'clean') return;
    body.endFillings();
    moveTo(this.#layout.clean(body.ino, body.holding.generation), this.#layout.staged(body.ino));
    this.#clean.delete(body.ino);
    body.hold({ kind: 'staged' });
  }

  #addWhole(ino: Ino, etag: ETag | undefined, size: number, generation: string): void {
    const entry: CleanEntry = {
      etag,
      size,
      generation,
      ranges: 'whole',
      presentBytes: size,
      lastUseMs: this.#clock.nowMs(),
    };
    this.#clean.set(ino, entry);
    this.#writeBackSoon();
    this.#evictor.released();
  }

  /** Deletes a clean file and its entry; returns the bytes that were present. */
  #dropClean(ino: Ino): number {
    this.#parked.drop(ino);
    const entry = this.#clean.get(ino);
    if (entry === undefined) return 0;
    this.#clean.delete(ino);
    unlinkIfThere(this.#layout.clean(ino, entry.generation));
    return entry.presentBytes;
  }

  #nextGeneration(): string {
    return `${this.#origin}${(++this.#generation).toString(16)}`;
  }

  #keepPresence(body: FileBody, holding: Holding & { readonly kind: 'clean' }): void {
    const entry = this.#clean.get(body.ino);
    if (entry === undefined) return;
    entry.ranges = body.isComplete ? 'whole' : holding.present.toArray();
    entry.lastUseMs = this.#clock.nowMs();
  }

  #changed(ino: Ino, entry: CleanEntry, addedBytes = 0): void {
    this.#clean.changed(ino, entry, addedBytes);
    this.#writeBackSoon();
  }

  #writeBackSoon(): void {
    if (this.#closed) return;
    this.#writeBackTimer ??= this.#clock.after(WRITE_BACK_DELAY_MS, () => {
      this.#writeBackTimer = undefined;
      this.#writeBack();
    });
  }

  #writeBack(): void {
    this.#clean.writeBack((ino) => {
      const body = this.#bodies.get(ino);
      if (body?.holding.kind === 'clean' && !body.discarded) this.#keepPresence(body, body.holding);
    });
  }

  /** Clean files that are not in use. */
  *#idle(isAsked: (ino: Ino) => boolean = () => true): Generator<readonly [Ino, CleanEntry]> {
    for (const item of this.#clean.entries()) if (!this.#bodies.has(item[0]) && isAsked(item[0])) yield item;
  }

  #reconcileTarget(): ReconcileTarget {
    return {
      layout: this.#layout,
      entry: (ino) => this.#clean.get(ino),
      entries: () => this.#clean.entries(),
      isInUse: (ino) => this.#bodies.has(ino),
      isOwn: (generation) => generation.startsWith(this.#origin),
      addWhole: (ino, etag, size, generation) => this.#addWhole(ino, etag, size, generation),
      forget: (ino) => this.#clean.delete(ino),
      hasStaged: (ino) => this.#staged.has(ino) || this.#bodies.get(ino)?.kind === 'staged',
      addStaged: (ino, size) => void this.#staged.set(ino, size),
      removeStaged: (ino) => void this.#staged.delete(ino),
      nextGeneration: () => this.#nextGeneration(),
    };
  }

  /** Rejects with `ContentError` 'disk'. */
  async #sync(closing: boolean): Promise<void> {
    this.#writeBack();
    try {
      await this.#records.advance(() => syncfs(this.#dirFd), closing);
    } catch (cause) {
      throw new ContentError('disk', `Cannot sync "${this.#layout.dir}" to the disk`, undefined, { cause });
    }
  }
}

function misuse(ino: Ino, what: string): ContentError {
  return new ContentError('misuse', `node ${ino}: ${what}`, ino);
}

function lost(ino: Ino, cause?: unknown): ContentError {
  return new ContentError('lost', `node ${ino}: its staged file is not there`, ino, { cause });
}
