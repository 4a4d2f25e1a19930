/**
 * Large bodies and listings off the thread that answers the kernel: the other thread (body-thread-worker.ts) makes the
 * request and writes the file or reads the XML; this one is told how far it is, or what it says. Started when the first
 * body is asked for, and of no use until it runs; one that dies fails its requests and is started anew, a few times.
 */

import { Worker } from 'node:worker_threads';
import { abandonGate, type GatedFile, isBeingWritten, type Log, shutGate } from '../base/index.js';
import type { FromThread, ThreadFailure, ToThread } from './body-thread-messages.js';
import { type DavResponse, MultistatusError } from './multistatus.js';
import type { PoolOptions } from './pool-options.js';

/** Starts the thread; `data` becomes its workerData. */
export type StartThread = (data: PoolOptions) => Worker;

/** A thread that dies more often does so for a reason that stays. */
const MAX_DEATHS = 3;

/**
 * MiB. Chunks are garbage as soon as they are written: a small nursery is emptied sooner, with 20 MB less resident. The
 * rest holds HTTP, TLS and its certificates, some 10 MiB.
 */
const HEAP_LIMITS = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 };

/** Bytes could not be written into the file: the reason is `cause`, an ErrnoException. */
export class FileWriteError extends Error {
  override readonly name = 'FileWriteError';
}

/** The body is not wanted any more, or not of the size that the file has. */
export class UnwantedBodyError extends Error {
  override readonly name = 'UnwantedBodyError';
  readonly reason: 'shut' | 'beyond';

  constructor(reason: 'shut' | 'beyond') {
    super(reason === 'shut' ? 'the file takes no more bytes' : 'more bytes came than the file has');
    this.reason = reason;
  }
}

/** The thread ended, or its connection did; `code` as in `systemErrorCode`. */
class ThreadError extends Error {
  override readonly name = 'ThreadError';
  readonly code: string | undefined;

  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

export interface BodyRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent along, in one piece. */
  readonly content?: Uint8Array;
  /** An answer of 207 is parsed as it comes. */
  readonly parses?: boolean;
  readonly signal: AbortSignal;
  /** Called when the request is written to a connection. */
  readonly onStart: () => void;
}

export interface BodyAnswer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: ThreadBody;
}

/** Responses of a multistatus, and the bytes that they came with. */
export interface ResponseBatch {
  readonly bytes: number;
  readonly responses: readonly DavResponse[];
}

/** Who hears what the thread says of one request. */
interface Listener {
  started(): void;
  head(answer: BodyAnswer): void;
  progress(end: number): void;
  responses(batch: ResponseBatch): void;
  end(): void;
  failed(error: Error): void;
}

export class BodyThread {
  readonly #options: PoolOptions;
  readonly #start: StartThread;
  readonly #log: Log;
  readonly #listeners = new Map<number, Listener>();
  /** Of the files that the thread may be writing into. */
  readonly #gates = new Set<Int32Array>();
  #worker: Worker | undefined;
  #isReady = false;
  readonly #whenReady: Array<() => void> = [];
  #isClosed = false;
  #deaths = 0;
  #lastId = 0;

  constructor(options: PoolOptions, log: Log, start: StartThread = startThread) {
    this.#options = options;
    this.#log = log;
    this.#start = start;
  }

  /** Whether it takes requests now, and is not held up by a disk that takes its time. */
  get isFree(): boolean {
    if (!this.#isReady) return false;
    for (const gate of this.#gates) if (isBeingWritten(gate)) return false;
    return true;
  }

  /** Whether it takes requests now; if not, it soon will. */
  get isReady(): boolean {
    if (this.#worker === undefined) this.#launch();
    return this.#isReady;
  }

  /** Starts it, and resolves when it takes requests or cannot be had. */
  started(): Promise<void> {
    return new Promise((resolve) => {
      if (this.isReady || this.#worker === undefined) resolve();
      else this.#whenReady.push(resolve);
    });
  }

  /** One request: resolves with the head of the answer, rejects as `Dispatcher.request` does. */
  request({
    method,
    path,
    headers,
    content,
    parses = false,
    signal,
    onStart,
  }: BodyRequest): Promise<BodyAnswer> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const id = ++this.#lastId;
      const onAbort = () => {
        this.#forget(id);
        this.#tell({ kind: 'abort', id });
        reject(signal.reason);
      };
      const settle = () => signal.removeEventListener('abort', onAbort);
      this.#listen(id, {
        ...SILENT,
        started: onStart,
        head: (answer) => {
          settle();
          resolve(answer);
        },
        failed: (error) => {
          settle();
          reject(error);
        },
      });
      signal.addEventListener('abort', onAbort, { once: true });
      this.#tell({ kind: 'open', id, method, path, headers, content, parses });
    });
  }

  /** Ends the thread; requests under way fail. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    // First: a thread that is ended in the middle of a write cannot say that the write is over.
    for (const gate of [...this.#gates]) {
      try {
        this.#shut(gate);
      } catch (error) {
        this.#log.error({ err: error }, 'a body is still being written while its thread is ended');
      }
    }
    this.#lose();
    await worker?.terminate();
  }

  #launch(): void {
    if (this.#isClosed || this.#deaths >= MAX_DEATHS) return;
    const worker = this.#start(this.#options);
    this.#worker = worker;
    worker.unref();
    worker.on('message', (message: FromThread) => {
      if (worker === this.#worker) this.#hear(message);
    });
    worker.on('error', (error) => this.#log.error({ err: error }, 'the thread for bodies failed'));
    worker.on('exit', () => {
      if (worker !== this.#worker) return;
      this.#deaths += 1;
      for (const gate of this.#gates) abandonGate(gate);
      this.#gates.clear();
      this.#lose();
    });
  }

  #lose(): void {
    this.#worker = undefined;
    this.#isReady = false;
    this.#settleStart();
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    for (const listener of listeners) {
      listener.failed(new ThreadError('the thread for bodies ended', 'UND_ERR_DESTROYED'));
    }
  }

  #settleStart(): void {
    for (const settle of this.#whenReady.splice(0)) settle();
  }

  #hear(message: FromThread): void {
    switch (message.kind) {
      case 'ready':
        this.#isReady = true;
        if (message.refusal !== undefined)
          this.#log.debug(
            { reason: message.refusal },
            'the thread for bodies does not give way to the other',
          );
        this.#settleStart();
        return;
      case 'progress':
        for (let at = 0; at < message.ends.length; at += 2) {
          this.#listeners.get(message.ends[at] ?? 0)?.progress(message.ends[at + 1] ?? 0);
        }
        return;
      case 'responses':
        this.#listeners.get(message.id)?.responses(message);
        return;
      case 'started':
        this.#listeners.get(message.id)?.started();
        return;
      case 'head': {
        const { id, status, headers, isParsed } = message;
        this.#listeners.get(id)?.head({ statusCode: status, headers, body: this.#bodyOf(id, isParsed) });
        return;
      }
      case 'end':
        this.#take(message.id)?.end();
        return;
      case 'failed':
        this.#take(message.id)?.failed(errorOf(message.failure));
        return;
    }
  }

  #bodyOf(id: number, isParsed: boolean): ThreadBody {
    const line: Line = {
      listen: (listener) => this.#listen(id, listener),
      tell: (order) => this.#tell({ ...order, id }),
      save: (file, position) => {
        this.#gates.add(file.gate);
        this.#tell({ kind: 'save', id, file, position });
      },
      shut: (gate) => this.#shut(gate),
      forget: () => this.#forget(id),
    };
    return new ThreadBody(line, isParsed);
  }

  #shut(gate: Int32Array): void {
    shutGate(gate);
    this.#gates.delete(gate);
  }

  #tell(message: ToThread): void {
    this.#worker?.postMessage(message);
  }

  /** A request under way keeps the process alive, as its socket would. */
  #listen(id: number, listener: Listener): void {
    this.#listeners.set(id, listener);
    this.#worker?.ref();
  }

  #take(id: number): Listener | undefined {
    const listener = this.#listeners.get(id);
    this.#forget(id);
    return listener;
  }

  #forget(id: number): void {
    this.#listeners.delete(id);
    if (this.#listeners.size === 0) this.#worker?.unref();
  }
}

type Order = ToThread extends infer Message
  ? Message extends { readonly kind: 'more' | 'drain' | 'abort' }
    ? Omit<Message, 'id'>
    : never
  : never;

interface Line {
  listen(listener: Listener): void;
  tell(order: Order): void;
  /** Has the body written into the file, until its gate is shut by {@link shut}. */
  save(file: GatedFile, position: number): void;
  shut(gate: Int32Array): void;
  forget(): void;
}

/** The body of an answer, waiting in the other thread. To be saved, parsed or drained, once, or destroyed. */
export class ThreadBody {
  readonly #line: Line;
  /** It is on its way as responses already. */
  readonly #isParsed: boolean;
  /** Nothing more comes: it ended, failed or was destroyed, the last two with a reason. */
  #isOver = false;
  #failure: Error | undefined;
  /** What came and was not taken. */
  #batches: ResponseBatch[] = [];
  #onProgress: (end: number) => void = () => undefined;
  #wake: () => void = () => undefined;

  constructor(line: Line, isParsed: boolean) {
    this.#line = line;
    this.#isParsed = isParsed;
    line.listen({
      ...SILENT,
      progress: (end) => this.#onProgress(end),
      responses: (batch) => {
        this.#batches.push(batch);
        this.#wake();
      },
      end: () => this.#settle(undefined),
      failed: (error) => this.#settle(error),
    });
  }

  /**
   * Resolves when the body is in the file from `position` on; `onProgress` is told how far it is. Rejects with what
   * undici fails with, {@link FileWriteError} or {@link UnwantedBodyError}; the gate is shut then.
   */
  async save(file: GatedFile, position: number, onProgress: (end: number) => void): Promise<void> {
    this.#onProgress = (end) => {
      try {
        onProgress(end);
      } catch (error) {
        this.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    };
    try {
      if (!this.#isOver) this.#line.save(file, position);
      await this.#over();
    } finally {
      this.#line.shut(file.gate);
    }
  }

  /**
   * The responses of a multistatus as its bytes arrive, where the request said that it {@link BodyRequest.parses}. Rejects with
   * what undici fails with, or {@link MultistatusError}. Whoever leaves the loop early destroys the body.
   */
  async *responses(): AsyncGenerator<ResponseBatch> {
    for (;;) {
      const batch = this.#batches.shift();
      if (batch !== undefined) {
        yield batch;
        if (!this.#isOver) this.#line.tell({ kind: 'more' });
      } else if (this.#isOver) {
        if (this.#failure !== undefined) throw this.#failure;
        return;
      } else await this.#news();
    }
  }

  /** Reads what is left, up to `limit` bytes, and drops it. */
  async drain(limit: number): Promise<void> {
    if (this.#isParsed) {
      this.destroy(new Error('not wanted'));
      return;
    }
    if (!this.#isOver) this.#line.tell({ kind: 'drain', limit });
    await this.#over();
  }

  /** Ends the connection where the body is not over; whoever waits for it is told `reason`. */
  destroy(reason: Error): void {
    if (this.#isOver) return;
    this.#line.forget();
    this.#line.tell({ kind: 'abort' });
    this.#batches = [];
    this.#settle(reason);
  }

  #settle(failure: Error | undefined): void {
    this.#isOver = true;
    this.#failure = failure;
    this.#wake();
  }

  async #over(): Promise<void> {
    while (!this.#isOver) await this.#news();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

const SILENT: Listener = {
  started: () => undefined,
  head: () => undefined,
  progress: () => undefined,
  responses: () => undefined,
  end: () => undefined,
  failed: () => undefined,
};

function errorOf(failure: ThreadFailure): Error {
  switch (failure.kind) {
    case 'line':
      return new ThreadError(failure.message, failure.code);
    case 'file': {
      const { message, code, errno } = failure;
      const cause = Object.assign(new Error(message), { code, errno, syscall: 'write' });
      return new FileWriteError(message, { cause });
    }
    case 'multistatus':
      return new MultistatusError(failure.message);
    case 'shut':
    case 'beyond':
      return new UnwantedBodyError(failure.kind);
  }
}

function startThread(data: PoolOptions): Worker {
  return new Worker(new URL('./body-thread-worker.js', import.meta.url), {
    workerData: data,
    resourceLimits: HEAP_LIMITS,
  });
}
