/**
 * The thread that takes large bodies: GET over a pool of its own, each chunk written into its file where it arrives. It
 * decides nothing: what is asked, with which credentials, how long, and whether the answer is the right one, is said
 * by the thread that started it (body-thread.ts).
 */

import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Dispatcher } from 'undici';
import { type GatedFile, systemErrorCode, writeGated } from '../base/index.js';
import type { FromThread, ThreadFailure, ToThread } from './body-thread-messages.js';
import { ConnectionPool, type PoolOptions } from './connection-pool.js';

/** Progress is told this often: a message costs both threads more than a chunk does. */
const TELL_EVERY_MS = 1;
const TELL_EVERY_BYTES = 256 * 1024;

/** What becomes of the bytes that come. */
type Use =
  /** Not said yet; the connection rests. */
  | { readonly kind: 'undecided' }
  | { readonly kind: 'save'; readonly file: GatedFile; at: number }
  | { readonly kind: 'drain'; left: number };

class Request implements Dispatcher.DispatchHandler {
  readonly #id: number;
  readonly #thread: BodyServer;
  #controller: Dispatcher.DispatchController | undefined;
  #use: Use = { kind: 'undecided' };
  #isOver = false;

  constructor(id: number, thread: BodyServer) {
    this.#id = id;
    this.#thread = thread;
  }

  use(use: Use): void {
    this.#use = use;
    this.#controller?.resume();
  }

  /** Ends it without a word. */
  abort(): void {
    this.#isOver = true;
    this.#thread.forget(this.#id);
    this.#controller?.abort(new Error('called off'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isOver) controller.abort(new Error('called off'));
    else this.#thread.tell({ kind: 'started', id: this.#id });
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    if (status < 200) return;
    controller.pause();
    this.#thread.tell({ kind: 'head', id: this.#id, status, headers });
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return;
    const use = this.#use;
    switch (use.kind) {
      case 'undecided':
        this.#fail({ kind: 'line', code: undefined, message: 'bytes came while the connection rested' });
        return;
      case 'drain':
        use.left -= chunk.length;
        if (use.left >= 0) return;
        this.#end();
        this.#controller?.abort(new Error('the rest is not wanted'));
        return;
      case 'save':
        this.#save(use, chunk);
        return;
    }
  }

  onResponseEnd(): void {
    if (!this.#isOver) this.#end();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    if (this.#isOver) return;
    this.#fail({ kind: 'line', code: systemErrorCode(error), message: error.message });
  }

  #save(use: Extract<Use, { kind: 'save' }>, chunk: Buffer): void {
    try {
      const written = writeGated(use.file, chunk, use.at);
      if (written !== 'written') {
        this.#fail({ kind: written });
        return;
      }
      use.at += chunk.length;
      this.#thread.noteProgress(this.#id, use.at, chunk.length);
    } catch (error) {
      this.#fail({ kind: 'file', ...describe(error) });
    }
  }

  #end(): void {
    this.#thread.tellProgress();
    this.#thread.tell({ kind: 'end', id: this.#id });
    this.#isOver = true;
    this.#thread.forget(this.#id);
  }

  #fail(failure: ThreadFailure): void {
    this.#thread.tellProgress();
    this.#thread.tell({ kind: 'failed', id: this.#id, failure });
    this.abort();
  }
}

class BodyServer {
  readonly #port: MessagePort;
  readonly #pool: ConnectionPool;
  readonly #requests = new Map<number, Request>();
  /** How far files are written, by request, as far as that was not told. */
  readonly #ends = new Map<number, number>();
  #untoldBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(port: MessagePort, options: PoolOptions) {
    this.#port = port;
    this.#pool = new ConnectionPool(options);
    port.on('message', (message: ToThread) => this.#hear(message));
    this.tell({ kind: 'ready' });
  }

  tell(message: FromThread): void {
    this.#port.postMessage(message);
  }

  noteProgress(id: number, end: number, bytes: number): void {
    this.#ends.set(id, end);
    this.#untoldBytes += bytes;
    if (this.#untoldBytes >= TELL_EVERY_BYTES) this.tellProgress();
    else this.#timer ??= setTimeout(() => this.tellProgress(), TELL_EVERY_MS);
  }

  tellProgress(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#untoldBytes = 0;
    if (this.#ends.size === 0) return;
    this.tell({ kind: 'progress', ends: [...this.#ends].flat() });
    this.#ends.clear();
  }

  forget(id: number): void {
    this.#requests.delete(id);
    this.#ends.delete(id);
  }

  #hear(message: ToThread): void {
    if (message.kind === 'open') {
      const request = new Request(message.id, this);
      this.#requests.set(message.id, request);
      this.#pool.dispatch({ path: message.path, method: 'GET', headers: message.headers }, request);
      return;
    }
    // What ended meanwhile has been told of.
    const request = this.#requests.get(message.id);
    switch (message.kind) {
      case 'save':
        request?.use({ kind: 'save', file: message.file, at: message.position });
        return;
      case 'drain':
        request?.use({ kind: 'drain', left: message.limit });
        return;
      case 'abort':
        request?.abort();
        return;
    }
  }
}

function describe(error: unknown): {
  readonly code: string | undefined;
  readonly errno: number | undefined;
  readonly message: string;
} {
  const message = error instanceof Error ? error.message : String(error);
  const errno = error instanceof Error && 'errno' in error ? error.errno : undefined;
  return { code: systemErrorCode(error), errno: typeof errno === 'number' ? errno : undefined, message };
}

if (parentPort !== null) new BodyServer(parentPort, workerData as PoolOptions);
