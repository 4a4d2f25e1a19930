/**
 * Notifications: what the driver tells the kernel of its own accord, above all that cached entries, attributes or
 * data are no longer true.
 *
 * **Why they are never written from the main thread.** The kernel runs a notification inside write(2), and takes locks
 * there: INVAL_ENTRY and DELETE take the directory's inode lock, which a LOOKUP, CREATE, UNLINK, RENAME or READDIR of
 * that directory holds while it waits for our reply; INVAL_INODE with a range and STORE wait for page locks, which a
 * READ in flight holds. A synchronous write would wait for a reply that only the waiting thread can send, for ever.
 *
 * So notifications stand in a bounded queue, and one at a time is written on the thread pool. In addition one waits
 * here, without a thread, as long as this process works on a request for the same node, at most `MAX_HOLD_MS`: that keeps
 * the pool's threads free, and keeps the window small in which a killed process would leave a thread behind in the
 * kernel. A handler may queue notifications; it must not await them before it has answered.
 */

import { write } from 'node:fs';
import type { Clock, Timer } from '../base/index.js';
import { EXPIRE_ONLY, NOTIFY, OUT_HEADER_BYTES } from './abi.js';
import { ERRNO, errnoName } from './errno.js';
import {
  NOTIFY_DELETE_OUT,
  NOTIFY_INVAL_ENTRY_OUT,
  NOTIFY_INVAL_INODE_OUT,
  NOTIFY_STORE_OUT,
  OUT_HEADER,
} from './layouts.js';
import { writeFrom } from './libc.js';
import type { Fields, PartialValues, Struct } from './struct.js';

/** Then a held notification is written all the same: a busy directory must not keep stale entries for ever. */
const MAX_HOLD_MS = 2000;

/**
 * What became of a notification. `absent`: the kernel does not know the node or name, so there was nothing to drop;
 * `busy`: the entry is a mount point or not empty (DELETE); `unsupported`: the kernel has no such notification;
 * `overflow`: the queue was full and nothing was sent; `closed`: the session is over.
 */
export type NotifyOutcome = 'done' | 'absent' | 'busy' | 'unsupported' | 'overflow' | 'closed';

/** The kernel refused a notification for a reason that the protocol does not name. */
export class NotifyError extends Error {
  override readonly name = 'NotifyError';
  readonly errno: number;

  constructor(what: string, errno: number) {
    super(`Cannot send the notification ${what}: ${errnoName(errno)}`);
    this.errno = errno;
  }
}

export interface NotifierDeps {
  readonly fd: number;
  readonly clock: Clock;
  /** Whether this process works on a request for the node. */
  isBusy(nodeId: number): boolean;
  /** How many notifications may wait. */
  readonly maxQueued: number;
  readonly trace: ((line: string) => void) | undefined;
}

interface Item {
  readonly what: string;
  readonly bytes: Buffer;
  readonly nodes: readonly number[];
  readonly resolve: (outcome: NotifyOutcome) => void;
  readonly reject: (error: Error) => void;
  heldSinceMs: number | undefined;
}

function toOutcome(errno: number): NotifyOutcome | undefined {
  switch (errno) {
    case ERRNO.ENOENT:
    case ERRNO.ENOTDIR:
      return 'absent';
    case ERRNO.EBUSY:
    case ERRNO.ENOTEMPTY:
      return 'busy';
    case ERRNO.EINVAL:
    case ERRNO.ENOSYS:
    case ERRNO.EOPNOTSUPP:
      return 'unsupported';
    case ERRNO.ENODEV:
    case ERRNO.ENOTCONN:
    case ERRNO.EPERM:
    case ERRNO.EBADF:
      return 'closed';
    default:
      return undefined;
  }
}

export class Notifier {
  readonly #deps: NotifierDeps;
  readonly #queue: Item[] = [];
  #writing: Promise<void> | undefined;
  #timer: Timer | undefined;
  #closed = false;

  constructor(deps: NotifierDeps) {
    this.#deps = deps;
  }

  /** How many wait to be written. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Drops the node's attributes and all its cached data. */
  invalInode(nodeId: number): Promise<NotifyOutcome> {
    return this.invalData(nodeId, 0, 0);
  }

  /** Drops the node's attributes only. */
  invalAttr(nodeId: number): Promise<NotifyOutcome> {
    return this.invalData(nodeId, -1, 0);
  }

  /** Drops attributes and cached data from `offset`, `length` bytes; length 0 is to the end. */
  invalData(nodeId: number, offset: number, length: number): Promise<NotifyOutcome> {
    const body = { ino: BigInt(nodeId), off: BigInt(offset), len: BigInt(length) };
    const nodes = offset < 0 ? [] : [nodeId];
    return this.#send('INVAL_INODE', NOTIFY.INVAL_INODE, NOTIFY_INVAL_INODE_OUT, body, nodes);
  }

  /**
   * Drops the entry `name` of a directory, a remembered "no such name" as well, with everything cached below it.
   * `expireOnly` (7.38) lets it expire instead: the next use asks again, open files and mounts below stay.
   */
  invalEntry(
    parent: number,
    name: string,
    options?: { readonly expireOnly: boolean },
  ): Promise<NotifyOutcome> {
    const text = Buffer.from(`${name}\0`);
    const flags = options?.expireOnly ? EXPIRE_ONLY : 0;
    const body = { parent: BigInt(parent), namelen: text.length - 1, flags };
    return this.#send('INVAL_ENTRY', NOTIFY.INVAL_ENTRY, NOTIFY_INVAL_ENTRY_OUT, body, [parent], text);
  }

  /** Says that `name`, node `child`, was deleted: like invalEntry, and watchers (inotify) are told. */
  deleted(parent: number, child: number, name: string): Promise<NotifyOutcome> {
    const text = Buffer.from(`${name}\0`);
    const body = { parent: BigInt(parent), child: BigInt(child), namelen: text.length - 1 };
    return this.#send('DELETE', NOTIFY.DELETE, NOTIFY_DELETE_OUT, body, [parent, child], text);
  }

  /** Puts data into the page cache. */
  store(nodeId: number, offset: number, data: Uint8Array): Promise<NotifyOutcome> {
    const body = { nodeid: BigInt(nodeId), offset: BigInt(offset), size: data.length };
    return this.#send('STORE', NOTIFY.STORE, NOTIFY_STORE_OUT, body, [nodeId], data);
  }

  /** Asks for every request again that an earlier reader took and never answered (7.40). */
  resend(): Promise<NotifyOutcome> {
    return this.#send('RESEND', NOTIFY.RESEND, undefined, {}, []);
  }

  /**
   * As {@link resend}, at once: what was unanswered is then read before anything else. False when the kernel refuses.
   * The kernel takes no lock for it that could wait for an answer of ours (fuse_resend, fs/fuse/dev.c).
   */
  resendNow(): boolean {
    const bytes = Buffer.alloc(OUT_HEADER_BYTES);
    const header = { len: bytes.length, error: NOTIFY.RESEND, unique: 0n };
    OUT_HEADER.encode(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, header);
    this.#deps.trace?.('<- NOTIFY_RESEND');
    return writeFrom(this.#deps.fd, bytes, bytes.length) >= 0;
  }

  /** Lets every remembered name expire, so that its next use asks again; what is open stays (7.44). */
  expireAllEntries(): Promise<NotifyOutcome> {
    return this.#send('INC_EPOCH', NOTIFY.INC_EPOCH, undefined, {}, []);
  }

  /** Tries held notifications again; called when a request has been answered. */
  settled(): void {
    if (this.#queue.length > 0) this.#pump();
  }

  /** Gives up what waits, and resolves when no thread is inside a notification. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    for (const item of this.#queue.splice(0)) item.resolve('closed');
    await this.#writing;
  }

  #send<F extends Fields>(
    what: string,
    code: number,
    layout: Struct<F> | undefined,
    body: PartialValues<F>,
    nodes: readonly number[],
    tail?: Uint8Array,
  ): Promise<NotifyOutcome> {
    if (this.#closed) return Promise.resolve('closed');
    if (this.#queue.length >= this.#deps.maxQueued) return Promise.resolve('overflow');
    const size = OUT_HEADER_BYTES + (layout?.size ?? 0);
    const bytes = Buffer.alloc(size + (tail?.length ?? 0));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    // A reply to request 0 whose error is positive is a notification (fuse_dev_do_write, fs/fuse/dev.c).
    OUT_HEADER.encode(view, 0, { len: bytes.length, error: code, unique: 0n });
    layout?.encode(view, OUT_HEADER_BYTES, body);
    if (tail !== undefined) bytes.set(tail, size);
    this.#deps.trace?.(`<- NOTIFY_${what} ${layout?.print(view, OUT_HEADER_BYTES) ?? ''}`);
    return new Promise((resolve, reject) => {
      this.#queue.push({ what, bytes, nodes, resolve, reject, heldSinceMs: undefined });
      this.#pump();
    });
  }

  /** Takes the first item that may be written: order matters only between notifications of one node. */
  #next(): Item | undefined {
    const nowMs = this.#deps.clock.nowMs();
    const held = new Set<number>();
    let wakeMs = Number.POSITIVE_INFINITY;
    for (const [index, item] of this.#queue.entries()) {
      const waits = item.nodes.some((node) => held.has(node) || this.#deps.isBusy(node));
      const sinceMs = item.heldSinceMs ?? nowMs;
      if (!waits || nowMs - sinceMs >= MAX_HOLD_MS) {
        this.#queue.splice(index, 1);
        return item;
      }
      item.heldSinceMs = sinceMs;
      wakeMs = Math.min(wakeMs, sinceMs + MAX_HOLD_MS);
      for (const node of item.nodes) held.add(node);
    }
    this.#timer?.cancel();
    this.#timer = Number.isFinite(wakeMs)
      ? this.#deps.clock.after(wakeMs - nowMs, () => this.#pump())
      : undefined;
    return undefined;
  }

  #pump(): void {
    if (this.#writing !== undefined || this.#closed) return;
    const item = this.#next();
    if (item === undefined) return;
    this.#writing = new Promise((done) => {
      write(this.#deps.fd, item.bytes, 0, item.bytes.length, null, (error) => {
        this.#writing = undefined;
        this.#finish(item, error);
        done();
        this.#pump();
      });
    });
  }

  #finish(item: Item, error: NodeJS.ErrnoException | null): void {
    if (error === null) {
      item.resolve('done');
      return;
    }
    const errno = -(error.errno ?? -ERRNO.EIO);
    const outcome = toOutcome(errno);
    this.#deps.trace?.(`-> NOTIFY_${item.what} ${errnoName(errno)}`);
    if (outcome === undefined) item.reject(new NotifyError(item.what, errno));
    else item.resolve(outcome);
  }
}
