/**
 * What has to hold before a file's bytes change: the body is whole and staged, nothing is reading it for an upload,
 * and the change counts as a new content generation. And what is committed afterwards.
 */

import { createHash } from 'node:crypto';
import { abortable, type Clock, type Ino, type Interruptible, type Timer } from '../base/index.js';
import { type BodyStat, ContentError, type ContentStore } from '../content/index.js';
import { type FileRecord, type StateStore, withoutCopy } from '../state/index.js';
import type { Usage, Written } from './api.js';
import type { Fetcher } from './fetcher.js';
import type { TreeEditor } from './tree-editor.js';

/** A file up to this size is read once more before it is changed: 256 KiB at 1 GB/s are 0.3 ms. */
const DIGEST_BYTES = 256 * 1024;
/** How long after a close its release may take. */
const RELEASE_WAIT_MS = 500;

/** An upload that reads a body in place, or a copy that is being made of it. */
interface Reader {
  /** Asks it to stop; undefined where it must be waited for. */
  readonly stop: (() => void) | undefined;
  readonly done: Promise<void>;
}

export class WriteSessions {
  readonly #state: StateStore;
  readonly #content: ContentStore;
  readonly #fetcher: Fetcher;
  readonly #editor: TreeEditor;
  readonly #clock: Clock;
  readonly #usage: Usage;
  /** Files whose next write needs no preparation. */
  readonly #ready = new Set<Ino>();
  /**
   * The generation that writing has begun here and that no upload has begun with: the next change is a part of it. Any
   * other, such as one from before a crash, may be on the server already.
   */
  readonly #begun = new Map<Ino, number>();
  /** A file and its further names may be uploaded side by side. */
  readonly #readers = new Map<Ino, Set<Reader>>();
  /** Files open for writing that may be uploaded from a copy, with the time of the last copy. */
  readonly #copyDue = new Set<Ino>();
  /** Closes of which nobody knows yet whether they were the last; see {@link #doubt}. */
  readonly #doubts = new Map<Ino, { readonly gen: number; readonly timer: Timer }>();
  readonly #cloned = new Set<Ino>();

  constructor(deps: {
    readonly state: StateStore;
    readonly content: ContentStore;
    readonly fetcher: Fetcher;
    readonly editor: TreeEditor;
    readonly clock: Clock;
    readonly usage: Usage;
  }) {
    this.#state = deps.state;
    this.#content = deps.content;
    this.#fetcher = deps.fetcher;
    this.#editor = deps.editor;
    this.#clock = deps.clock;
    this.#usage = deps.usage;
  }

  /** See `Sync.created`. */
  created(file: Ino): void {
    const node = this.#state.get(file);
    if (node?.kind !== 'file' || !node.writing) return;
    this.#begun.set(file, node.gen);
    this.#ready.add(file);
  }

  /** See `Sync.beginWrite`. */
  beginWrite(file: Ino, keepBytes: number, request?: Interruptible): Promise<void> | undefined {
    if (this.#ready.has(file)) return undefined;
    return this.#prepare(file, keepBytes, request);
  }

  #prepare(file: Ino, keepBytes: number, request: Interruptible | undefined): Promise<void> | undefined {
    const unread = this.whenUnread(file, request);
    if (unread !== undefined) return unread.then(() => this.beginWrite(file, keepBytes, request));
    const node = this.#state.get(file);
    if (node?.kind !== 'file') throw new Error(`inode ${file} is written to but is no file`);
    let digest: Partial<FileRecord> = {};
    if (node.content === 'clean') {
      const isMissed = keepBytes > 0 && this.#content.peek(file)?.isComplete === false;
      if (isMissed)
        return this.#fetcher.whole(file, request).then(() => this.beginWrite(file, keepBytes, request));
      digest = this.#digestBefore(node);
      this.#stage(file, keepBytes);
    }
    const writing = this.#asWriting({ ...node, ...digest });
    this.#state.transact((tx) => tx.put(writing));
    this.#begun.set(file, writing.gen);
    this.#ready.add(file);
    return undefined;
  }

  isRead(file: Ino): boolean {
    return this.#readers.has(file);
  }

  /** See `Sync.whenUnread`. */
  whenUnread(file: Ino, request?: Interruptible): Promise<void> | undefined {
    const readers = this.#readers.get(file);
    if (readers === undefined) return undefined;
    for (const reader of readers) reader.stop?.();
    const done = Promise.all([...readers].map((reader) => reader.done));
    return abortable(done, request?.signal).then(() => undefined);
  }

  /** See `Sync.beginUnseen`. */
  beginUnseen(file: Ino, keepBytes: number): void {
    const node = this.#state.get(file);
    if (node?.kind !== 'file' || this.isRead(file)) throw new Error(`inode ${file} cannot be written unseen`);
    const digest = node.content === 'clean' ? this.#digestBefore(node) : {};
    if (node.content === 'clean') this.#stage(file, keepBytes);
    else if (node.writing) return;
    this.#state.transact((tx) => tx.put({ ...node, ...digest, content: 'staged', writing: true }));
  }

  /** See `Sync.wroteUnseen`. */
  wroteUnseen(file: Ino): void {
    const node = this.#state.get(file);
    if (node?.kind !== 'file') return;
    if (node.content !== 'staged') throw new Error(`inode ${file} was written to and is not staged`);
    const writing = this.#asWriting(node);
    if (node.writing && writing.gen === node.gen) return;
    this.#state.transact((tx) => tx.put(writing));
    this.#begun.set(file, writing.gen);
  }

  #stage(file: Ino, keepBytes: number): void {
    if (keepBytes > 0) this.#content.toStaged(file);
    else {
      this.#content.createStaged(file);
      this.#content.release(file);
    }
  }

  #asWriting(node: FileRecord): FileRecord {
    const goesOn = node.writing && this.#begun.get(node.ino) === node.gen;
    const gen = goesOn ? node.gen : node.gen + 1;
    return { ...withoutCopy(node), content: 'staged', writing: true, gen };
  }

  /** The digest of what is about to be changed, if it is a small file: a save that changes nothing is told by it. */
  #digestBefore(node: FileRecord): Partial<FileRecord> {
    const { base } = node;
    const body = this.#content.peek(node.ino);
    if (base === undefined || base.sha256 !== undefined || base.gen !== node.gen) return {};
    if (body === undefined || !body.isComplete || body.size !== base.size) return {};
    if (body.size === 0 || body.size > DIGEST_BYTES) return {};
    const bytes = Buffer.allocUnsafe(body.size);
    body.readSync(bytes, 0, bytes.length, 0);
    return { base: { ...base, sha256: createHash('sha256').update(bytes).digest('hex') } };
  }

  /** See `Sync.commitWrite`. */
  commitWrite(file: Ino, { copyOf, ...attributes }: Written, stillOpen: boolean): void {
    const node = this.#state.get(file);
    if (node?.kind !== 'file') return;
    const writing = stillOpen && node.writing;
    if (!writing) this.#ready.delete(file);
    const interrupted = node.interrupted && writing;
    const source = copyOf === undefined || writing ? {} : { copyOf: { ...copyOf, gen: node.gen } };
    const committed: FileRecord = { ...node, ...attributes, writing, interrupted, ...source };
    this.#state.transact((tx) => tx.put(committed));
    if (!writing) {
      this.#settle(committed);
      if (this.#usage.hasWritableHandle(file)) this.#doubt(file, committed.gen);
    }
    this.#editor.written(file);
  }

  /**
   * A close was told, but a handle that may write is still there. Most often its release is on the way; where it does
   * not come, the close was that of a duplicate, and the file counts as being written again: a crash must not make a
   * whole one of it.
   */
  #doubt(file: Ino, gen: number): void {
    this.#doubts.get(file)?.timer.cancel();
    const timer = this.#clock.after(RELEASE_WAIT_MS, () => this.#decide(file, gen));
    this.#doubts.set(file, { gen, timer });
  }

  #decide(file: Ino, gen: number): void {
    this.#doubts.delete(file);
    const node = this.#state.get(file);
    if (node?.kind !== 'file' || node.content !== 'staged' || node.gen !== gen || node.writing) return;
    if (this.#usage.hasWritableHandle(file)) this.#state.transact((tx) => tx.put({ ...node, writing: true }));
  }

  /** The state is about to close. What is in doubt is decided by the handles that are left for the next daemon. */
  close(): void {
    for (const [file, { gen, timer }] of this.#doubts) {
      timer.cancel();
      this.#decide(file, gen);
    }
  }

  /** The last handle that may write went: what was written is whole. */
  writersGone(file: Ino): void {
    this.#editor.writersGone(file);
    const node = this.#state.get(file);
    if (node?.kind !== 'file') return;
    this.#ready.delete(file);
    const committed: FileRecord = node.writing ? { ...node, writing: false, interrupted: false } : node;
    if (node.writing) this.#state.transact((tx) => tx.put(committed));
    this.#settle(committed);
  }

  /** See `Sync.unwritten`. */
  unwritten(file: Ino): void {
    this.#editor.writersGone(file);
    const node = this.#state.get(file);
    if (node?.kind !== 'file' || !node.writing) {
      this.writersGone(file);
      return;
    }
    this.#ready.delete(file);
    const before: FileRecord = { ...node, writing: false };
    this.#state.transact((tx) => tx.put(before));
    this.#settle(before);
  }

  /** A copy made earlier may already have brought everything to the server. */
  #settle(node: FileRecord): void {
    this.#copyDue.delete(node.ino);
    this.#begun.delete(node.ino);
    // Whoever may still write to it without being seen needs it staged.
    if (this.#usage.isWrittenUnseen(node.ino)) return;
    if (node.content !== 'staged' || node.base === undefined || node.base.gen !== node.gen) return;
    const { etag } = node.base;
    this.#editor.confirm((_, tx) => tx.put({ ...node, content: 'clean' }));
    this.#content.toClean(node.ino, etag);
  }

  /** The body's content of this generation is about to be read for an upload. */
  seal(file: Ino, gen: number): void {
    if (this.#begun.get(file) === gen) this.#begun.delete(file);
    this.#ready.delete(file);
  }

  /** Registers who reads the body in place until `done` settles; writers stop it, or wait for it. */
  readWhile(file: Ino, done: Promise<void>, stop: (() => void) | undefined): void {
    const readers = this.#readers.get(file) ?? new Set();
    const ended = () => {
      readers.delete(reader);
      if (readers.size === 0) this.#readers.delete(file);
    };
    // Who made the promise deals with its rejection.
    const reader: Reader = { stop, done: done.then(ended, ended) };
    readers.add(reader);
    this.#readers.set(file, readers);
    this.#ready.delete(file);
  }

  allowCopy(file: Ino): void {
    this.#copyDue.add(file);
  }

  copyTaken(file: Ino): void {
    this.#copyDue.delete(file);
  }

  isCopyDue(file: Ino): boolean {
    return this.#copyDue.has(file) || this.#cloned.has(file);
  }

  /** While a program waits for the server to make its file, that is carried there though the file is open. */
  cloning(file: Ino, isWaiting: boolean): void {
    if (isWaiting) this.#cloned.add(file);
    else this.#cloned.delete(file);
  }

  /** The node is gone. */
  forget(file: Ino): void {
    this.#ready.delete(file);
    this.#begun.delete(file);
    this.#copyDue.delete(file);
  }

  /**
   * After a crash: files that a program had open for writing keep what reached the disk, with size and time from the
   * backing file, and are held back, since nobody knows whether they are whole. After a power loss so are those of
   * which the disk has less than was written. Where the mount was taken over, whoever has a file open goes on with it.
   */
  recover(powerLoss: boolean): readonly Ino[] {
    const suspect: FileRecord[] = [];
    const uploaded: FileRecord[] = [];
    // What a copy brought to the server, before the daemon died, differs from it in nothing but where it is kept.
    for (const ino of new Set([...this.#state.dirty(), ...this.#content.stagedFiles()])) {
      const node = this.#state.get(ino);
      if (node?.kind !== 'file' || node.content !== 'staged') continue;
      if (this.#usage.hasWritableHandle(ino)) continue;
      if (node.base?.gen === node.gen) {
        if (powerLoss || this.#isOnServer(node)) uploaded.push(node);
        else suspect.push({ ...node, gen: node.gen + 1 });
      } else if (node.writing || !this.#isThere(node) || (powerLoss && !this.#isWholeOnDisk(node)))
        suspect.push(node);
    }
    for (const node of suspect) {
      // A program may go on writing on the mount that is gone.
      this.#content.separate(node.ino);
      if (!powerLoss && this.#isUntouched(node)) {
        const before: FileRecord = { ...node, writing: false };
        this.#editor.confirm((_, tx) => tx.put(before));
        this.#settle(before);
        continue;
      }
      this.#editor.confirm((_, tx) =>
        tx.put({ ...node, ...this.#onDisk(node), writing: false, interrupted: true }),
      );
    }
    for (const node of uploaded) this.#settleUploaded(node, node.base?.size ?? node.size, powerLoss);
    return suspect.map((node) => node.ino);
  }

  /**
   * The server has all of it: what is here is that version, or is not needed. After a power loss nobody knows what the disk
   * has of what was written since, and nobody was promised that. The record's own size may be that of an earlier commit.
   */
  #settleUploaded(node: FileRecord, size: number, powerLoss: boolean): void {
    const whole: FileRecord = { ...node, ...this.#onDisk(node), size, writing: false };
    if (!powerLoss && this.#isThere(node)) {
      this.#settle(whole);
      return;
    }
    this.#editor.confirm((_, tx) => tx.put({ ...whole, content: 'clean' }));
    this.#content.discard(node.ino);
  }

  #isThere(node: FileRecord): boolean {
    try {
      this.#content.acquireStaged(node.ino);
    } catch (error) {
      if (error instanceof ContentError && error.code === 'lost') return false;
      throw error;
    }
    this.#content.release(node.ino);
    return true;
  }

  /** Size and time as the backing file has them; a file that is lost keeps what its record says. */
  #onDisk(node: FileRecord): Partial<FileRecord> {
    if (!this.#isThere(node)) return {};
    const { size, mtimeNs, mark } = this.#stat(node);
    return { size, mtime: mark === undefined ? mtimeNs : node.mtime, ctime: this.#clock.nowNs() };
  }

  /**
   * Whether the server has all that was written: where the kernel wrote by itself only the mark can tell. What is not
   * there is not missed.
   */
  #isOnServer(node: FileRecord): boolean {
    return !this.#isThere(node) || this.#stat(node).mark !== undefined;
  }

  /** Whether a program had opened it for writing and not written when everything ended. */
  #isUntouched(node: FileRecord): boolean {
    return node.writing && this.#isThere(node) && this.#stat(node).mark === 'opened';
  }

  #stat(node: FileRecord): BodyStat {
    const stat = this.#content.acquireStaged(node.ino).statSync();
    this.#content.release(node.ino);
    return stat;
  }

  /** A file whose end was never written out is shorter than its record says, or has a hole where there was none. */
  #isWholeOnDisk(node: FileRecord): boolean {
    const body = this.#content.acquireStaged(node.ino);
    const whole =
      body.size === node.size && body.seekDataHole(0, 'hole') === (node.size === 0 ? -1 : node.size);
    this.#content.release(node.ino);
    return whole;
  }
}
