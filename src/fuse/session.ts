/**
 * A session on one `/dev/fuse` descriptor: negotiates, dispatches requests to the handlers, answers, and ends. It
 * owns the descriptor from construction on. It mounts nothing (mount.ts) and knows no file.
 */

import { endianness } from 'node:os';
import { performance } from 'node:perf_hooks';
import { type Clock, SystemClock } from '../base/index.js';
import { DEFAULT_MAX_PAGES, DEV_IOC, FUSE_MAJOR, FUSE_ROOT_ID, MAX_MAX_PAGES, PAGE_BYTES } from './abi.js';
import { BufferPool, type Lease } from './buffers.js';
import { Call } from './call.js';
import { Device, type DeviceError } from './device.js';
import { ERRNO, FuseError, MalformedRequest } from './errno.js';
import { decodeInit, initOut, type Negotiated, negotiate } from './init.js';
import { BACKING_MAP, BATCH_FORGET_IN, FORGET_IN, FORGET_ONE, INIT_OUT, INTERRUPT_IN } from './layouts.js';
import { ioctl } from './libc.js';
import { LostRequests } from './lost-requests.js';
import { Message, uniqueNumber, type Wire } from './message.js';
import { Notifier } from './notify.js';
import { type Answering, OP, OPCODES, type OpcodeRow, opcodeRow, type Serve } from './opcodes.js';
import { printReply, printRequest } from './print.js';
import { Reply } from './reply.js';
import type { SessionConfig, SessionCounters, SessionEnd, SessionOptions } from './session-config.js';

/** Room for a reply without data; a longer reply has a buffer of its own. */
const SCRATCH_BYTES = 16 * 1024;
/** Reply buffers for directory listings and small reads, and for reads of 128 KiB. */
const REPLY_SIZES = [8 * 1024, 36 * 1024, 132 * 1024] as const;
/** What a WRITE has in front of its data, rounded up to a page. */
const WRITE_HEAD_BYTES = PAGE_BYTES;

/** FUSE_NOTIFY_INC_EPOCH, linux/fuse.h. */
const EPOCH_MINOR = 44;
const TWO_32 = 2 ** 32;

type Phase = 'new' | 'running' | 'ending' | 'ended';

function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

export class FuseSession {
  readonly counters: SessionCounters = { requests: 0, malformed: 0, undelivered: 0, interrupts: 0 };
  readonly notify: Notifier;
  /** Resolves once INIT is answered. */
  readonly ready: Promise<Negotiated>;
  /** Resolves when the session is over and its descriptor let go. */
  readonly closed: Promise<SessionEnd>;

  readonly #config: SessionConfig;
  readonly #options: SessionOptions;
  readonly #clock: Clock;
  readonly #device: Device;
  readonly #pool: BufferPool;
  readonly #receiveBytes: number;
  readonly #maxInFlight: number;
  readonly #serve: readonly (Serve | undefined)[];
  readonly #scratch: Lease;
  readonly #reply: Reply;
  readonly #wire: { setxattrExtended: boolean; maxReplyBytes: number } & Wire;
  readonly #inFlight = new Map<number, Call>();
  readonly #answering: Answering;
  readonly #setReady: (negotiated: Negotiated) => void;
  readonly #setClosed: (end: SessionEnd) => void;

  #phase: Phase = 'new';
  #message: Message | undefined;
  /** The request whose handler runs right now. */
  #current: Call | undefined;
  #negotiated: Negotiated | undefined;
  #onDrained: (() => void) | undefined;
  /** Where the kernel cannot ask again: what an earlier process left unanswered. */
  #lost: LostRequests | undefined;

  constructor(config: SessionConfig) {
    if (endianness() !== 'LE') throw new Error('The FUSE driver needs a little-endian machine');
    const options = config.options ?? {};
    this.#config = config;
    this.#options = options;
    this.#clock = config.clock ?? new SystemClock();
    const maxBytes = Math.min(options.maxWriteBytes ?? Number.POSITIVE_INFINITY, MAX_MAX_PAGES * PAGE_BYTES);
    const transferBytes = Math.max(maxBytes, DEFAULT_MAX_PAGES * PAGE_BYTES);
    this.#receiveBytes = transferBytes + WRITE_HEAD_BYTES;
    this.#pool = new BufferPool(
      [...REPLY_SIZES, this.#receiveBytes],
      options.maxHeldBytes ?? 64 * 1024 * 1024,
    );
    this.#maxInFlight = options.maxInFlight ?? 4096;
    this.#wire = { setxattrExtended: false, maxReplyBytes: transferBytes };
    this.#scratch = new BufferPool([], SCRATCH_BYTES).take(SCRATCH_BYTES);
    this.#reply = new Reply(this.#scratch);
    this.#serve = OPCODES.reduce<(Serve | undefined)[]>((table, row) => {
      table[row.number] = row.bind(config.handlers);
      return table;
    }, []);
    this.#answering = { begin: (call) => this.#begin(call), send: (call) => this.#send(call, 0) };
    const ready = deferred<Negotiated>();
    const closed = deferred<SessionEnd>();
    this.ready = ready.promise;
    this.closed = closed.promise;
    this.#setReady = ready.resolve;
    this.#setClosed = closed.resolve;
    this.#device = new Device(
      config.fd,
      {
        takeBuffer: () => this.#takeBuffer(),
        onRequest: (length) => this.#onRequest(length),
        onEnd: (error) => this.#onDeviceEnd(error),
        isAwaited: config.isAwaited ?? (() => false),
      },
      { lingerMicros: options.lingerMicros ?? 50 },
    );
    this.notify = new Notifier({
      fd: config.fd,
      clock: this.#clock,
      isBusy: (nodeId) => this.#isBusy(nodeId),
      maxQueued: options.maxQueuedNotifications ?? 65_536,
      get trace() {
        return config.trace;
      },
    });
    if (config.resume !== undefined) this.#settle(config.resume);
  }

  /** What was negotiated; undefined until the kernel has sent INIT. */
  get negotiated(): Negotiated | undefined {
    return this.#negotiated;
  }

  /** Requests in work. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Bytes of buffers in use, for status. */
  get heldBytes(): number {
    return this.#pool.heldBytes;
  }

  start(): void {
    if (this.#phase !== 'new') throw new Error('session was started before');
    this.#phase = 'running';
    const { resume } = this.#config;
    if (resume !== undefined && !(resume.flags.has('HAS_RESEND') && this.notify.resendNow())) {
      this.#lost = new LostRequests((unique) => this.#answerLost(unique));
    }
    // Names that an earlier process meant to take back are asked for again.
    if ((resume?.minor ?? 0) >= EPOCH_MINOR) this.#expireEntries();
    this.#device.start();
  }

  /**
   * Ends the session without an unmount. Handlers in work are interrupted and waited for within `closeWaitMs`, then the
   * descriptor is closed, which makes the mount dead where no one else holds it. With `keepDescriptor` handlers may
   * finish undisturbed within that time, the descriptor stays open, and requests left unanswered are
   * for the next reader to ask for (RESEND).
   */
  async close(options?: { readonly keepDescriptor: boolean }): Promise<SessionEnd> {
    await this.#end({ reason: 'closed' }, options?.keepDescriptor ?? false);
    return this.closed;
  }

  /**
   * Registers an open file for FOPEN.PASSTHROUGH (FUSE_DEV_IOC_BACKING_OPEN): its id, above 0, or a negative errno: EPERM
   * without CAP_SYS_ADMIN, ELOOP where the file's own file system is stacked, EOPNOTSUPP. The id stays registered in the
   * kernel, also for another session on this descriptor, until {@link closeBacking}.
   */
  openBacking(fd: number): number {
    const map = Buffer.alloc(BACKING_MAP.size);
    map.writeInt32LE(fd, BACKING_MAP.at.fd);
    return ioctl(this.#config.fd, DEV_IOC.BACKING_OPEN, map);
  }

  /** Takes a registration back (FUSE_DEV_IOC_BACKING_CLOSE); 0, or a negative errno. What is open stays open. */
  closeBacking(id: number): number {
    const argument = Buffer.alloc(4);
    argument.writeUInt32LE(id);
    return ioctl(this.#config.fd, DEV_IOC.BACKING_CLOSE, argument);
  }

  #takeBuffer(): Buffer | undefined {
    if (this.#message === undefined) {
      if (this.#pool.exhausted) return undefined;
      this.#message = new Message(this.#pool.take(this.#receiveBytes), this.#wire);
    }
    return this.#inFlight.size < this.#maxInFlight ? this.#message.bytes : undefined;
  }

  /** True when the request has been answered, or needs no answer. */
  #onRequest(length: number): boolean {
    const message = this.#message;
    if (message === undefined) throw new Error('request without a buffer');
    this.counters.requests++;
    if (!message.load(length)) {
      this.counters.malformed++;
      this.#config.trace?.(`-> [malformed: ${length} bytes]`);
      return true;
    }
    if (this.#lost !== undefined) {
      this.#lost.endBelow(message.unique);
      this.#lost = undefined;
    }
    const row = opcodeRow(message.opcode);
    this.#config.trace?.(printRequest(message, row));
    try {
      message.checkLengths();
      if (row?.by === 'driver') {
        this.#serveDriver(message, row);
        return true;
      }
      return this.#serveHandler(message, row);
    } catch (error) {
      // Only what comes before a Call exists: lengths, and the driver's own requests.
      this.#refuse(message, row, error);
      return true;
    }
  }

  #serveHandler(message: Message, row: OpcodeRow | undefined): boolean {
    const call = new Call(message, message.nodeId, this.#pool);
    call.once = row?.once ?? false;
    if (this.#config.onAnswered !== undefined) call.startedMs = performance.now();
    const serve = this.#serve[message.opcode];
    if (serve === undefined) {
      this.#begin(call);
      this.#send(call, ERRNO[row?.missing ?? 'ENOSYS']);
      return true;
    }
    let pending: Promise<void> | undefined;
    this.#current = call;
    try {
      pending = serve(message, call, this.#answering);
    } catch (error) {
      this.#fail(call, error);
    }
    this.#current = undefined;
    if (pending === undefined) {
      this.notify.settled();
      return true;
    }
    this.#inFlight.set(call.unique, call);
    if (row?.data) {
      call.hold(message.lease);
      this.#message = undefined;
    }
    pending.catch((error: unknown) => this.#fail(call, error));
    return false;
  }

  #serveDriver(message: Message, row: OpcodeRow): void {
    switch (row.number) {
      case OP.INIT:
        this.#init(message);
        break;
      case OP.FORGET: {
        const at = message.struct(FORGET_IN);
        this.#forget(message.nodeId, message.u53(at + FORGET_IN.at.nlookup, 'EINVAL'));
        break;
      }
      case OP.BATCH_FORGET: {
        const count = message.u32(message.struct(BATCH_FORGET_IN) + BATCH_FORGET_IN.at.count);
        for (let index = 0; index < count; index++) {
          const at = message.struct(FORGET_ONE);
          const nodeId = message.u53(at + FORGET_ONE.at.nodeid, 'ESTALE');
          this.#forget(nodeId, message.u53(at + FORGET_ONE.at.nlookup, 'EINVAL'));
        }
        break;
      }
      case OP.INTERRUPT: {
        const at = message.struct(INTERRUPT_IN) + INTERRUPT_IN.at.unique;
        this.counters.interrupts++;
        // One that is not in work has been answered already: the kernel sends it after the request was read.
        this.#inFlight.get(uniqueNumber(message.u32(at), message.u32(at + 4)))?.interrupt();
        break;
      }
      case OP.DESTROY: {
        const call = new Call(message, 0, this.#pool);
        this.#begin(call);
        this.#send(call, 0);
        void this.#end({ reason: 'unmounted' }, false);
        break;
      }
      default: // NOTIFY_REPLY: nothing is ever retrieved.
        break;
    }
  }

  #init(message: Message): void {
    const length = message.remaining;
    const offer = decodeInit(message.view, message.struct({ name: 'fuse_init_in', size: 16 }), length);
    const call = new Call(message, 0, this.#pool);
    const reply = this.#begin(call);
    if (offer.major > FUSE_MAJOR) {
      // The header tells: answer with the own major version and expect another INIT.
      INIT_OUT.encode(reply.view, reply.struct(INIT_OUT.size), { major: FUSE_MAJOR });
      this.#send(call, 0);
      return;
    }
    try {
      const negotiated = negotiate(offer, this.#options, this.#config.handlers.readdirplus !== undefined);
      INIT_OUT.encode(reply.view, reply.struct(INIT_OUT.size), initOut(negotiated, this.#options));
      this.#settle(negotiated);
      this.#send(call, 0);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#send(call, ERRNO.EPROTO);
      void this.#end({ reason: 'failed', error }, false);
    }
  }

  #settle(negotiated: Negotiated): void {
    this.#negotiated = negotiated;
    this.#wire.setxattrExtended = negotiated.flags.has('SETXATTR_EXT');
    this.#setReady(negotiated);
  }

  #begin(call: Call): Reply {
    this.#reply.reset(call.replyLease ?? this.#scratch);
    return this.#reply;
  }

  #fail(call: Call, error: unknown): void {
    let errno: number = ERRNO.EIO;
    if (error instanceof MalformedRequest) this.counters.malformed++;
    if (error instanceof FuseError) errno = error.errno;
    else if (!call.interrupted) this.#report(error, opcodeRow(call.opcode)?.name ?? 'unknown');
    this.#takeBack(call);
    this.#begin(call);
    this.#send(call, call.interrupted ? ERRNO.EINTR : errno);
  }

  /** Answers a message for which no Call was made. */
  #refuse(message: Message, row: OpcodeRow | undefined, error: unknown): void {
    if (error instanceof MalformedRequest) this.counters.malformed++;
    if (!(error instanceof FuseError)) this.#report(error, row?.name ?? 'unknown');
    if (row !== undefined && !row.answered) return;
    const call = new Call(message, 0, this.#pool);
    this.#begin(call);
    this.#send(call, error instanceof FuseError ? error.errno : ERRNO.EIO);
  }

  /** Sends the reply under construction, and lets the call's buffers go. */
  #send(call: Call, errno: number): void {
    if (call.abandoned) this.#takeBack(call);
    else this.#write(call, errno);
    call.release();
    if (this.#inFlight.delete(call.unique)) this.#settledOne();
  }

  #write(call: Call, errno: number): void {
    const reply = this.#reply;
    const { onAnswered, trace } = this.#config;
    reply.finish(call.uniqueLow, call.uniqueHigh, errno);
    if (trace !== undefined) {
      const row = opcodeRow(call.opcode);
      const asksSize = row?.outData === 'bytes' && call.wantedBytes === 0 && reply.tail === undefined;
      const isXattr = row?.name === 'GETXATTR' || row?.name === 'LISTXATTR';
      trace(printReply(row, call.unique, errno, reply, asksSize && isXattr));
    }
    const status = this.#device.reply(reply.bytes, reply.length, reply.tail);
    if (status !== 0) this.#undelivered(call, status);
    // Where the descriptor was given away the kernel still waits, and asks the next process.
    if (call.once && status !== ERRNO.ENODEV)
      this.#tell('answered', () => this.#config.handlers.answered?.(call.unique));
    onAnswered?.(opcodeRow(call.opcode)?.name ?? 'unknown', performance.now() - call.startedMs, errno);
  }

  #settledOne(): void {
    this.notify.settled();
    if (this.#inFlight.size === 0) this.#onDrained?.();
    if (!this.#pool.exhausted) this.#device.resume();
  }

  #undelivered(call: Call, errno: number): void {
    this.counters.undelivered++;
    this.#takeBack(call);
    // A connection that ends has no handles; the next process, if there is one, has this one's.
    if (errno === ERRNO.ENOENT && call.opened !== 0)
      this.#tell('unclaimed', () => this.#config.handlers.unclaimed?.(call.opened));
    if (errno === ERRNO.ENOENT || errno === ERRNO.ENODEV) return;
    this.#report(
      new Error(`The kernel refused a reply (errno ${errno})`),
      opcodeRow(call.opcode)?.name ?? 'unknown',
    );
  }

  /** Gives back the references that the reply would have handed to the kernel. */
  #takeBack(call: Call): void {
    if (call.handedOver !== 0) this.#forget(call.handedOver, 1);
    call.handedOver = 0;
    for (const nodeId of call.entries?.handedOver.splice(0) ?? []) this.#forget(nodeId, 1);
  }

  #forget(nodeId: number, count: number): void {
    if (nodeId === FUSE_ROOT_ID) return;
    this.#tell('FORGET', () => this.#config.handlers.forget?.(nodeId, count));
  }

  /** Tells the handlers what needs no answer. */
  #tell(operation: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#report(error, operation);
    }
  }

  #report(error: unknown, operation: string): void {
    this.#config.onUnexpectedError(error, operation);
  }

  /** An interrupted call is what most programs make again by themselves. False when the session is over. */
  #answerLost(unique: number): boolean {
    if (this.#phase !== 'running') return false;
    this.#reply.reset(this.#scratch);
    this.#reply.finish(unique % TWO_32, Math.floor(unique / TWO_32), ERRNO.EINTR);
    // The kernel does not know most of them any more.
    this.#device.reply(this.#reply.bytes, this.#reply.length, undefined);
    return true;
  }

  #expireEntries(): void {
    this.notify.expireAllEntries().catch((error: unknown) => this.#report(error, 'NOTIFY_INC_EPOCH'));
  }

  #isBusy(nodeId: number): boolean {
    if (this.#current?.nodeId === nodeId || this.#current?.otherNodeId === nodeId) return true;
    for (const call of this.#inFlight.values()) {
      if (call.nodeId === nodeId || call.otherNodeId === nodeId) return true;
    }
    return false;
  }

  #onDeviceEnd(error: DeviceError | undefined): void {
    void this.#end(error === undefined ? { reason: 'unmounted' } : { reason: 'failed', error }, false);
  }

  async #end(end: SessionEnd, keepDescriptor: boolean): Promise<void> {
    if (this.#phase === 'ending' || this.#phase === 'ended') return;
    this.#phase = 'ending';
    await this.#device.stop();
    if (!keepDescriptor) for (const call of this.#inFlight.values()) call.interrupt();
    await this.#drain();
    if (keepDescriptor) this.#device.detach();
    else {
      this.#abandonInFlight();
      await this.#device.close();
    }
    await this.notify.close();
    this.#phase = 'ended';
    this.#tell('DESTROY', () => this.#config.handlers.destroy?.(keepDescriptor));
    this.#setClosed(end);
  }

  /**
   * Answers for handlers that did not stop in time. Their callers would learn it from the closed descriptor, but a
   * notification that waits in the kernel for one of them keeps that open.
   */
  #abandonInFlight(): void {
    for (const call of this.#inFlight.values()) {
      this.#reply.reset(this.#scratch);
      this.#write(call, ERRNO.EINTR);
      call.abandoned = true;
    }
  }

  /** Resolves when nothing is in work, or the waiting time is over. */
  async #drain(): Promise<void> {
    if (this.#inFlight.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(this.#options.closeWaitMs ?? 5000, resolve);
      this.#onDrained = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}
