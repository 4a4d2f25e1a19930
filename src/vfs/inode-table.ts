/**
 * What the running mount knows of inodes beside their records: how often the kernel has looked each one up, how many
 * handles are open, and what writing has made of sizes and times since the record was last committed.
 *
 * INVARIANT: a count in either map is positive; an inode without use is in neither.
 * INVARIANT: unflushed <= writable <= handles; live attributes exist only while a handle is open.
 */

import { type Ino, type Ns, ROOT_INO } from '../base/index.js';
import type { Backed } from './backed.js';

/** Size and times of a file that is being written, ahead of its record. */
export interface LiveAttributes {
  /** Bytes. */
  readonly size: number;
  readonly mtime: Ns;
  readonly ctime: Ns;
}

interface OpenInode {
  handles: number;
  /** Handles that may write. */
  writable: number;
  /** Handles that changed the file and were not flushed since. */
  unflushed: number;
  live: LiveAttributes | undefined;
  /** How the kernel serves all its handles by itself; undefined: this process does. */
  backed: Backed | undefined;
}

const NONE: readonly Ino[] = [];

export class InodeTable {
  readonly #lookups = new Map<Ino, number>();
  readonly #open = new Map<Ino, OpenInode>();
  /** Inodes below it were given to the kernel by an earlier process, who knows how often; 0: there was none. */
  #earlierBelow = 0;
  /** Those of them that the kernel is known to have given back. */
  readonly #givenBack = new Set<Ino>();
  /** Those of them whose cached bytes or names the kernel was told to drop since. */
  readonly #refreshed = new Set<Ino>();
  readonly #backedWriters = new Set<Ino>();
  /** Files that the kernel wrote past its own cache of them. INVARIANT: in use. */
  readonly #bypassed = new Set<Ino>();

  /** The kernel was given one more reference (an entry reply). */
  reference(ino: Ino): void {
    this.#lookups.set(ino, (this.#lookups.get(ino) ?? 0) + 1);
  }

  /**
   * The kernel gave `count` references back. True when the inode is now without any use. Of one that an earlier
   * process gave out the kernel gives back all at once when it drops it, so more than are known of are all there were.
   */
  forget(ino: Ino, count: number): boolean {
    const left = (this.#lookups.get(ino) ?? 0) - count;
    if (left > 0) this.#lookups.set(ino, left);
    else {
      this.#lookups.delete(ino);
      if (ino < this.#earlierBelow) this.#givenBack.add(ino);
      this.#bypassed.delete(ino);
    }
    return !this.isInUse(ino);
  }

  /** Another process served this mount before: the kernel may hold references to any inode below `bound`. */
  takeOver(bound: Ino): void {
    this.#earlierBelow = bound;
  }

  /** Nothing is known of references to it; only the kernel can tell. */
  isDoubtful(ino: Ino): boolean {
    return (
      ino < this.#earlierBelow && ino !== ROOT_INO && !this.#givenBack.has(ino) && !this.#lookups.has(ino)
    );
  }

  /** The kernel says that it does not know the inode. */
  unknownToKernel(ino: Ino): void {
    if (!this.#lookups.has(ino)) this.#givenBack.add(ino);
  }

  /**
   * Whether the kernel may have cached what is no longer true: what an earlier process meant to take back, or what was
   * written past the cache. True once: who asks drops the cache.
   */
  takeCacheDoubt(ino: Ino): boolean {
    if (this.#bypassed.delete(ino)) return true;
    if (ino >= this.#earlierBelow || this.#refreshed.has(ino)) return false;
    this.#refreshed.add(ino);
    return true;
  }

  opened(ino: Ino, writable = false, backed?: Backed): void {
    let open = this.#open.get(ino);
    if (open === undefined) {
      open = { handles: 0, writable: 0, unflushed: 0, live: undefined, backed };
      this.#open.set(ino, open);
    }
    if (open.backed !== backed) throw new Error(`inode ${ino} is served in two ways at a time`);
    if (backed !== undefined && writable) {
      this.#bypassed.add(ino);
      this.#backedWriters.add(ino);
    }
    open.handles += 1;
    if (writable) open.writable += 1;
  }

  /** A flushed handle went. True when it was the last one. */
  closed(ino: Ino, writable = false): boolean {
    const open = this.#opened(ino);
    open.handles -= 1;
    if (writable) open.writable -= 1;
    if (open.writable === 0) this.#backedWriters.delete(ino);
    if (open.handles === 0) this.#open.delete(ino);
    return open.handles === 0;
  }

  /** A handle changed the file for the first time since it was flushed. */
  beganWriting(ino: Ino): void {
    this.#opened(ino).unflushed += 1;
  }

  /** A handle that had changed the file was flushed. */
  flushed(ino: Ino): void {
    this.#opened(ino).unflushed -= 1;
  }

  /** Of an inode that the kernel reads and writes by itself. */
  backed(ino: Ino): Backed | undefined {
    return this.#open.get(ino)?.backed;
  }

  /** Inodes that the kernel may write to by itself, as of now. */
  backedWriters(): readonly Ino[] {
    return this.#backedWriters.size === 0 ? NONE : [...this.#backedWriters];
  }

  live(ino: Ino): LiveAttributes | undefined {
    return this.#open.get(ino)?.live;
  }

  setLive(ino: Ino, live: LiveAttributes | undefined): void {
    this.#opened(ino).live = live;
  }

  /** Inodes whose attributes are ahead of their records. */
  liveInodes(): Ino[] {
    const found: Ino[] = [];
    for (const [ino, open] of this.#open) if (open.live !== undefined) found.push(ino);
    return found;
  }

  isOpen(ino: Ino): boolean {
    return this.#open.has(ino);
  }

  /**
   * Whether some handle changed the file and was not flushed since. One that is open for writing but idle does not
   * count: a close that has to wait for the upload must not be what the upload waits for.
   */
  isOpenForWriting(ino: Ino): boolean {
    return (this.#open.get(ino)?.unflushed ?? 0) > 0;
  }

  hasWritableHandle(ino: Ino): boolean {
    return (this.#open.get(ino)?.writable ?? 0) > 0;
  }

  isInUse(ino: Ino): boolean {
    return ino === ROOT_INO || this.#lookups.has(ino) || this.#open.has(ino) || this.isDoubtful(ino);
  }

  /** References that the kernel holds. */
  lookupCount(ino: Ino): number {
    return this.#lookups.get(ino) ?? 0;
  }

  /** Inodes that the kernel holds references to, as of now. */
  referencedInodes(): Ino[] {
    return [...this.#lookups.keys()];
  }

  /** How many {@link referencedInodes} there are. */
  get referencedCount(): number {
    return this.#lookups.size;
  }

  /** Handles open on an inode: all, and those that {@link isOpenForWriting} means. */
  openCounts(ino: Ino): { readonly handles: number; readonly unflushed: number } {
    const open = this.#open.get(ino);
    return { handles: open?.handles ?? 0, unflushed: open?.unflushed ?? 0 };
  }

  get openInodes(): IterableIterator<Ino> {
    return this.#open.keys();
  }

  /** Throws with the first broken invariant. */
  checkInvariants(): void {
    for (const [ino, count] of this.#lookups) {
      if (!(count > 0)) throw new Error(`inode ${ino}: lookup count ${count}`);
    }
    for (const [ino, { handles, writable, unflushed }] of this.#open) {
      if (!(handles > 0)) throw new Error(`inode ${ino}: ${handles} handles`);
      if (writable < 0 || writable > handles)
        throw new Error(`inode ${ino}: ${writable} writable of ${handles}`);
      if (unflushed < 0 || unflushed > writable)
        throw new Error(`inode ${ino}: ${unflushed} unflushed of ${writable}`);
    }
  }

  #opened(ino: Ino): OpenInode {
    const open = this.#open.get(ino);
    if (open === undefined) throw new Error(`inode ${ino} is not open`);
    return open;
  }
}
