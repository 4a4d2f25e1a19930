/** One request while it is being answered: who asks, how it is cancelled, and which buffers it holds. */

import { OUT_HEADER_BYTES } from './abi.js';
import type { BufferPool, Lease } from './buffers.js';
import type { DirentWriter } from './dirents.js';
import type { RequestContext } from './handlers.js';
import type { Message } from './message.js';

export class Call implements RequestContext {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly unique: number;
  readonly uniqueLow: number;
  readonly uniqueHigh: number;
  readonly opcode: number;
  readonly nodeId: number;
  readonly resent: boolean;
  /** A second directory that the request changes (RENAME, LINK), 0 when there is none. */
  otherNodeId = 0;
  /** The size that GETXATTR or LISTXATTR asked for. */
  wantedBytes = 0;
  /** The node that the encoded reply hands to the kernel, 0 when none. */
  handedOver = 0;
  /** The open file that the encoded reply hands to the kernel, 0 when none. */
  opened = 0;
  /** The entries that the reply hands to the kernel (READDIRPLUS). */
  entries: DirentWriter | undefined;
  /** When the request was taken, for the observer; 0 when nobody observes. */
  startedMs = 0;
  /** See `OpcodeRow.once`. */
  once = false;
  interrupted = false;
  /** The session answered in the handler's stead, at its end; what the handler still says is dropped. */
  abandoned = false;
  readonly #pool: BufferPool;
  #reply: Lease | undefined;
  #received: Lease | undefined;
  #controller: AbortController | undefined;

  constructor(message: Message, nodeId: number, pool: BufferPool) {
    this.uid = message.uid;
    this.gid = message.gid;
    this.pid = message.pid;
    this.unique = message.unique;
    this.uniqueLow = message.uniqueLow;
    this.uniqueHigh = message.uniqueHigh;
    this.opcode = message.opcode;
    this.resent = message.resent;
    this.nodeId = nodeId;
    this.#pool = pool;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.interrupted) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  interrupt(): void {
    this.interrupted = true;
    this.#controller?.abort();
  }

  /** A reply buffer of this request's own, for a handler that fills it. */
  room(bodyBytes: number): Lease {
    this.#reply ??= this.#pool.take(OUT_HEADER_BYTES + bodyBytes);
    return this.#reply;
  }

  /** The reply buffer that {@link room} made, if it did. */
  get replyLease(): Lease | undefined {
    return this.#reply;
  }

  /** Keeps the receive buffer until the request is answered. */
  hold(received: Lease): void {
    this.#received = received;
  }

  /** Gives all buffers back. */
  release(): void {
    if (this.#reply !== undefined) this.#pool.give(this.#reply);
    if (this.#received !== undefined) this.#pool.give(this.#received);
    this.#reply = undefined;
    this.#received = undefined;
  }
}
