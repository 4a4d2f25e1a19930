/**
 * The reader and writer of one `/dev/fuse` descriptor: takes requests as they come and sends replies. It knows no
 * opcode.
 *
 * The descriptor is non-blocking. A wake-up drains it; before going to sleep after a drain, the reader lingers, because a
 * program that was just answered mostly asks again at once, and waking through the thread pool costs more than the whole
 * request: for some tens of microseconds it reads again and again (a processor that fell asleep takes longer than that to
 * wake), then as long on ppoll(2); not where other work is about to need the thread. After that one poll(2) on the thread
 * pool waits for the descriptor and for an eventfd.
 * The eventfd ends the wait: a read(2) blocked in the pool could not be ended, and Node joins the pool's threads when the
 * process exits, so it would never exit.
 *
 * While the main thread is busy with other things it does not wait for word from the pool, whose thread needs a
 * processor to give it: each round of the event loop looks at the descriptor itself.
 *
 * The reader returns to the event loop after `TURN_REQUESTS` requests or `TURN_MS` milliseconds, so that timers and
 * the network are served under load.
 */

import { closeSync, writevSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { ERRNO, errnoName } from './errno.js';
import { eventFd, PollSet, readInto, setNonBlocking, timespec, writeFrom } from './libc.js';

const TURN_REQUESTS = 128;
const TURN_MS = 2;
/** A reply's data up to this size is copied behind its header; beyond it writev is cheaper. */
const COPY_LIMIT_BYTES = 4096;
/** Reads that fail transiently in a row before the device counts as broken. */
const MAX_TRANSIENT_READS = 1000;

/** The device failed in a way that the protocol does not know; the session is over. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError';
  readonly errno: number;

  constructor(what: string, errno: number) {
    super(`Cannot ${what} the FUSE device: ${errnoName(errno)}`);
    this.errno = errno;
  }
}

export interface DeviceEvents {
  /** A buffer for the next request; undefined while too much is held: the reader stops until `resume()`. */
  takeBuffer(): Buffer | undefined;
  /** `length` bytes of a request are in the buffer last taken. True when it was answered at once. */
  onRequest(length: number): boolean;
  /** Whether other work is about to need the thread. */
  isAwaited(): boolean;
  /** The kernel has closed the connection (unmount or abort), or the device failed. Called once. */
  onEnd(error?: DeviceError): void;
}

type State = 'new' | 'running' | 'paused' | 'waiting' | 'ended';

export class Device {
  readonly fd: number;
  readonly #events: DeviceEvents;
  readonly #wakeFd: number;
  readonly #pollSet: PollSet;
  readonly #lingerSet: PollSet;
  readonly #lingerTime: Buffer | undefined;
  readonly #spinMs: number;
  readonly #wakeAtExit = () => this.#wake();
  #state: State = 'new';
  #closed = false;
  #transientReads = 0;
  /** Whether a thread of the pool polls the descriptor. */
  #isPolled = false;
  #isLookArmed = false;
  /** Resolves when no thread of the pool polls the descriptor any more. */
  #idle: Promise<void> = Promise.resolve();

  constructor(fd: number, events: DeviceEvents, options: { readonly lingerMicros: number }) {
    const nonBlocking = setNonBlocking(fd);
    if (nonBlocking < 0) throw new DeviceError('use', -nonBlocking);
    const wakeFd = eventFd();
    if (wakeFd < 0) throw new DeviceError('make an eventfd for', -wakeFd);
    this.fd = fd;
    this.#events = events;
    this.#wakeFd = wakeFd;
    this.#pollSet = new PollSet([fd, wakeFd]);
    this.#lingerSet = new PollSet([fd]);
    this.#lingerTime = options.lingerMicros > 0 ? timespec(options.lingerMicros) : undefined;
    // On the only processor it would keep the very program from asking.
    this.#spinMs = availableParallelism() > 1 ? options.lingerMicros / 1000 : 0;
  }

  start(): void {
    if (this.#state !== 'new') throw new Error('device was started before');
    process.on('exit', this.#wakeAtExit);
    this.#state = 'running';
    this.#turn();
  }

  /** Goes on reading after `takeBuffer` had none. */
  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    setImmediate(() => this.#turn());
  }

  /** Stops reading; the descriptor stays open. Resolves when the pool's thread has let go of it. */
  async stop(): Promise<void> {
    this.#end();
    await this.#idle;
  }

  /** Gives the descriptor away, still open: later replies are not sent. Call it after `stop()`. */
  detach(): void {
    this.#closed = true;
  }

  /** Stops reading and closes the descriptor. */
  async close(): Promise<void> {
    await this.stop();
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.fd);
  }

  /**
   * Sends a reply: `length` bytes of `bytes`, then `tail`. Returns 0, or the errno: ENOENT when the kernel no longer
   * waits for it, ENODEV when the connection is closed.
   */
  reply(bytes: Buffer, length: number, tail: Uint8Array | undefined): number {
    // The number may be another file's by now.
    if (this.#closed) return ERRNO.ENODEV;
    let size = length;
    if (tail !== undefined && tail.length > 0) {
      if (tail.length > COPY_LIMIT_BYTES || length + tail.length > bytes.length) {
        return this.#writeBoth(bytes.subarray(0, length), tail);
      }
      bytes.set(tail, length);
      size += tail.length;
    }
    let written = writeFrom(this.fd, bytes, size);
    while (written === -ERRNO.EINTR) written = writeFrom(this.fd, bytes, size);
    return written < 0 ? -written : 0;
  }

  #writeBoth(head: Uint8Array, tail: Uint8Array): number {
    try {
      writevSync(this.fd, [head, tail]);
      return 0;
    } catch (error) {
      const { errno } = error as NodeJS.ErrnoException;
      if (errno === undefined) throw error;
      return -errno;
    }
  }

  /** `goesOn`: the turn before ended for the sake of others, and the next request may come any moment. */
  #turn(goesOn = false): void {
    if (this.#state !== 'running') return;
    const endMs = performance.now() + TURN_MS;
    let waitsForUs = false;
    /** Until when to read again and again; undefined while there was something to read. */
    let spinEndMs: number | undefined;
    for (let count = 0; count < TURN_REQUESTS; count++) {
      const buffer = this.#events.takeBuffer();
      if (buffer === undefined) {
        this.#state = 'paused';
        return;
      }
      const length = readInto(this.fd, buffer, buffer.length);
      if (length > 0) {
        this.#transientReads = 0;
        spinEndMs = undefined;
        if (!this.#events.onRequest(length)) waitsForUs = true;
        if (this.#state !== 'running') return;
        if (performance.now() >= endMs) break;
      } else if (length === -ERRNO.EAGAIN) {
        // A reply that is still to come out of a promise must not wait behind a look at the device.
        if (waitsForUs) break;
        const lingers = (count > 0 || goesOn) && !this.#events.isAwaited();
        const nowMs = performance.now();
        spinEndMs ??= nowMs + this.#spinMs;
        if (lingers && nowMs < spinEndMs) count--;
        else if (!lingers || !this.#linger()) {
          this.#wait();
          return;
        }
      } else if (!this.#survives(length === 0 ? ERRNO.ENODATA : -length)) return;
    }
    setImmediate(() => this.#turn(!waitsForUs));
  }

  /** Waits a little for the next request. Whether one is there. */
  #linger(): boolean {
    return this.#lingerTime !== undefined && this.#lingerSet.waitHere(this.#lingerTime) > 0;
  }

  /** Whether reading may go on after it failed with `errno`; if not, the device has ended. */
  #survives(errno: number): boolean {
    switch (errno) {
      case ERRNO.EINTR:
      case ERRNO.ENOENT: // The request was withdrawn while it was copied (fuse_dev_do_read, fs/fuse/dev.c).
        this.#transientReads++;
        if (this.#transientReads <= MAX_TRANSIENT_READS) return true;
        this.#fail(new DeviceError('read', errno));
        return false;
      case ERRNO.ENODEV:
      case ERRNO.ECONNABORTED:
        this.#fail(undefined);
        return false;
      default:
        this.#fail(new DeviceError('read', errno));
        return false;
    }
  }

  #wait(): void {
    this.#state = 'waiting';
    this.#armLook();
    if (this.#isPolled) return;
    this.#isPolled = true;
    this.#idle = this.#pollSet.wait().then(
      (ready) => {
        this.#isPolled = false;
        if (this.#state !== 'waiting') return;
        if (ready < 0 && ready !== -ERRNO.EINTR) this.#fail(new DeviceError('wait for', -ready));
        else this.#wakeUp();
      },
      () => this.#fail(new DeviceError('wait for', ERRNO.EIO)),
    );
  }

  /** An immediate without a reference runs once in each round of the event loop and keeps none from sleeping. */
  #armLook(): void {
    if (this.#isLookArmed) return;
    this.#isLookArmed = true;
    setImmediate(() => {
      this.#isLookArmed = false;
      if (this.#state === 'waiting') this.#wakeUp();
    }).unref();
  }

  #wakeUp(): void {
    this.#state = 'running';
    this.#turn();
  }

  #fail(error: DeviceError | undefined): void {
    this.#end();
    this.#events.onEnd(error);
  }

  #end(): void {
    if (this.#state === 'ended') return;
    const wasStarted = this.#state !== 'new';
    this.#state = 'ended';
    if (wasStarted) process.off('exit', this.#wakeAtExit);
    if (this.#isPolled) this.#wake();
    void this.#idle.finally(() => closeSync(this.#wakeFd));
  }

  #wake(): void {
    const one = Buffer.alloc(8);
    one.writeUInt8(1);
    writeFrom(this.#wakeFd, one, one.length);
  }
}
