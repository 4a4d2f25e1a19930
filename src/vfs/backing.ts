/**
 * Files that the kernel reads and writes by itself, in their backing files (FUSE passthrough). While such a file is open
 * for writing this process sees no write: it asks the backing file what became of it, at every moment when it matters.
 *
 * The kernel has one way of serving an inode at a time: all handles of it agree, and the first one decides.
 *
 * INVARIANT: what is open this way is whole: a staged body, or a complete clean one that no handle may write to.
 */

import type { Clock, Ino, Timer } from '../base/index.js';
import type { Body } from '../content/index.js';
import type { Sync } from '../sync/index.js';
import type { Backed, BackingId, BackingPort } from './backed.js';
import { VfsError } from './errors.js';
import type { Fh } from './fh.js';
import type { InodeTable } from './inode-table.js';
import type { VfsRequest } from './request.js';

interface Wanted {
  readonly writable: boolean;
  readonly truncate: boolean;
}

/**
 * A time of the backing file that is this close to now is told as now: the kernel's own clock for files ticks in
 * milliseconds, and a file must not seem older than what was made before it.
 */
const CLOCK_TICK_NS = 10_000_000n;
/** How often files that the kernel may write to are looked at, when nobody asks for them. */
const OBSERVE_EVERY_MS = 5_000;

export class BackingFiles {
  readonly #inodes: InodeTable;
  readonly #sync: Sync;
  readonly #clock: Clock;
  /** Absent: this process does all reading and writing. */
  port: BackingPort | undefined;
  #timer: Timer | undefined;
  /** Who has opened a file of which bytes are missing, by handle. */
  readonly #coldReaders = new Map<Fh, number>();

  constructor(deps: { readonly inodes: InodeTable; readonly sync: Sync; readonly clock: Clock }) {
    this.#inodes = deps.inodes;
    this.#sync = deps.sync;
    this.#clock = deps.clock;
  }

  /**
   * Before {@link choose}, until it is undefined: what has to end before the kernel may write to a file that it only reads
   * so far.
   */
  whenWritable(ino: Ino, wanted: Wanted, request?: VfsRequest): Promise<void> | undefined {
    const open = this.#inodes.backed(ino);
    return open === undefined || !wanted.writable ? undefined : this.#sync.whenUnread(ino, request);
  }

  /**
   * How a file that is about to be opened is served: by the kernel from what is returned, or by this process. Where the
   * kernel may write to it the body is staged, and counts as being written. EIO where the kernel reads a file of which
   * bytes were lost.
   */
  choose(body: Body, wanted: Wanted, request?: VfsRequest): Backed | undefined {
    const { ino } = body;
    const open = this.#inodes.backed(ino);
    if (open !== undefined) return this.#join(open, wanted);
    if (this.port === undefined || this.#inodes.isOpen(ino)) return undefined;
    if (!isWorthIt(body, wanted, this.port.leastReadBytes)) return undefined;
    // An upload that reads the body goes on as long as nobody writes, and only this process would see that.
    if (wanted.writable && (this.#sync.isRead(ino) || this.#isCopying(request))) return undefined;
    const backed = this.#register(body);
    if (backed !== undefined && wanted.writable) this.#beginWriting(backed, wanted);
    return backed;
  }

  /** As {@link choose}, for a file that was just made. */
  chooseNew(body: Body, { writable }: Pick<Wanted, 'writable'>, request?: VfsRequest): Backed | undefined {
    const backed = writable && !this.#isCopying(request) ? this.#register(body) : undefined;
    if (backed !== undefined) this.#watch();
    return backed;
  }

  /** Nothing is looked at any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** A file of which bytes are missing was opened to read it: what its reader writes next may be a copy of it. */
  openedCold(fh: Fh, request: VfsRequest | undefined): void {
    if (request?.pid) this.#coldReaders.set(fh, request.pid);
  }

  /** A handle is gone. */
  forget(fh: Fh): void {
    this.#coldReaders.delete(fh);
  }

  /** The kernel has let go of the last handle. */
  close({ id }: Backed): void {
    this.port?.close(id);
  }

  /**
   * Takes note of what the kernel wrote to a file since it was last looked at: size and times are ahead of the record
   * then, and the change counts as one. True when there was any.
   */
  observe(ino: Ino): boolean {
    const backed = this.#inodes.backed(ino);
    if (backed === undefined || !this.#inodes.hasWritableHandle(ino)) return false;
    const { size, mtimeNs, mark } = backed.body.statSync();
    if (mark !== undefined) return false;
    const { seen } = backed;
    if (seen !== undefined && seen.size === size && seen.mtimeNs === mtimeNs) return false;
    backed.seen = { size, mtimeNs };
    backed.touched = true;
    this.#sync.wroteUnseen(ino);
    const now = this.#clock.nowNs();
    const time = now - mtimeNs < CLOCK_TICK_NS ? now : mtimeNs;
    this.#inodes.setLive(ino, { size, mtime: time, ctime: time });
    return true;
  }

  /** {@link observe} of all files. */
  observeAll(): void {
    for (const ino of this.#inodes.backedWriters()) this.observe(ino);
  }

  /** Whether the kernel may write to the file and has not. */
  isUntouched(ino: Ino): boolean {
    this.observe(ino);
    return this.wasUntouched(ino);
  }

  /** {@link isUntouched}, as of the last look. */
  wasUntouched(ino: Ino): boolean {
    return this.#inodes.backed(ino)?.touched === false;
  }

  /**
   * What is in the file is about to be copied: whatever is written from here on shows as another change. False where
   * nothing was written since it was opened.
   */
  markCopied(ino: Ino): boolean {
    const backed = this.#inodes.backed(ino);
    if (backed === undefined) return true;
    if (this.isUntouched(ino)) return false;
    backed.body.setMark('copied');
    backed.seen = undefined;
    return true;
  }

  /** Goes on with a file that an earlier process had registered. */
  adopt(id: BackingId, body: Body): Backed {
    return { id, body, seen: undefined, touched: body.statSync().mark !== 'opened' };
  }

  #join(open: Backed, wanted: Wanted): Backed {
    const { body } = open;
    const { ino } = body;
    if (!body.isComplete) throw new VfsError('EIO', 'bytes of it were lost while it is open', { ino });
    if (!wanted.writable) return open;
    if (this.#inodes.hasWritableHandle(ino)) this.#sync.beginUnseen(ino, body.size);
    else {
      open.seen = undefined;
      open.touched = false;
      this.#beginWriting(open, { truncate: false });
    }
    return open;
  }

  #beginWriting({ body }: Backed, { truncate }: Pick<Wanted, 'truncate'>): void {
    this.#sync.beginUnseen(body.ino, truncate ? 0 : body.size);
    if (!truncate) body.setMark('opened');
    this.#watch();
  }

  /** What is written and never looked at is noticed after a while. */
  #watch(): void {
    this.#timer ??= this.#clock.after(OBSERVE_EVERY_MS, () => {
      this.#timer = undefined;
      this.observeAll();
      if (this.#inodes.backedWriters().length > 0) this.#watch();
    });
  }

  /** A copy may be made by the server, which turns its file into one that is not here: the kernel could not serve that. */
  #isCopying(request: VfsRequest | undefined): boolean {
    if (this.#coldReaders.size === 0 || request === undefined) return false;
    for (const pid of this.#coldReaders.values()) if (pid === request.pid) return true;
    return false;
  }

  #register(body: Body): Backed | undefined {
    const id = this.port?.open(body.fd);
    return id === undefined ? undefined : { id, body, seen: undefined, touched: false };
  }
}

/** Whether the body is one that the kernel can read and write alone, and gains by it. */
function isWorthIt(body: Body, { writable, truncate }: Wanted, leastReadBytes: number): boolean {
  if (writable) return body.isComplete || truncate;
  return body.isComplete && !truncate && body.size >= leastReadBytes;
}
