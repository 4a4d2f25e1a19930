/** A successful answer of the server: status, headers and a body that ends well or with an error, never short in silence. */

import type { Dispatcher } from 'undici';
import { type GatedFile, shutGate, writeGated } from '../base/index.js';
import { isRemoteError, type RemoteError } from '../remote/index.js';
import { FileWriteError, type ThreadBody, UnwantedBodyError } from './body-thread.js';
import { exchangeError, makeError, type RequestSubject } from './error-map.js';
import { type HeaderMap, parseLength } from './headers.js';
import { type DavResponse, MultistatusError, readMultistatus } from './multistatus.js';
import type { Watchdog } from './watchdog.js';

/** Where the bytes are: in a stream of this thread, or with the thread for bodies. */
export type ReplyBody =
  | { readonly kind: 'stream'; readonly stream: Dispatcher.ResponseData['body'] }
  | { readonly kind: 'elsewhere'; readonly body: ThreadBody };

export interface ReplyParts {
  readonly subject: RequestSubject;
  readonly status: number;
  readonly headers: HeaderMap;
  /** The URL that answered, after redirects. */
  readonly url: string;
  readonly body: ReplyBody;
  readonly watchdog: Watchdog;
  readonly idleMs: number;
  /** Called once with the bytes received, when the exchange is over either way. */
  readonly onEnd: (receivedBytes: number, error: unknown) => void;
}

/** What is read of a body that nobody wants, before its connection is given up instead. */
const DRAIN_BYTES = 64 * 1024;

export class Reply {
  readonly status: number;
  readonly headers: HeaderMap;
  readonly url: string;
  readonly #parts: ReplyParts;
  #state: 'fresh' | 'reading' | 'over' = 'fresh';
  #receivedBytes = 0;
  /** Why the body was lost before anybody read it. */
  #failure: RemoteError | undefined;

  constructor(parts: ReplyParts) {
    this.#parts = parts;
    this.status = parts.status;
    this.headers = parts.headers;
    this.url = parts.url;
    // A body that nobody takes up must not hold its connection for ever.
    parts.watchdog.arm('idle', parts.idleMs);
    parts.watchdog.signal.addEventListener('abort', () => this.#onAbort(), { once: true });
  }

  /** Bytes announced by Content-Length. */
  get length(): number | undefined {
    return parseLength(this.headers['content-length']);
  }

  /** The body, once, where it is in this thread. Rejects with RemoteError; leaving the loop early closes the connection. */
  chunks(): AsyncGenerator<Uint8Array> {
    const { body } = this.#parts;
    if (body.kind === 'elsewhere') throw new Error('a body in another thread is not read in this one');
    return this.#take(body.stream, ({ length }) => length);
  }

  /**
   * The responses of a multistatus, once, as the bytes arrive. Rejects with RemoteError or {@link MultistatusError}; leaving
   * the loop early closes the connection.
   */
  async *responses(): AsyncGenerator<readonly DavResponse[]> {
    const { body } = this.#parts;
    if (body.kind === 'stream') yield* readMultistatus(this.chunks());
    else {
      for await (const { responses } of this.#take(body.body.responses(), ({ bytes }) => bytes)) {
        if (responses.length > 0) yield responses;
      }
    }
  }

  /** The parts of the body, once, each within its deadline. */
  async *#take<T>(parts: AsyncIterable<T>, bytesOf: (part: T) => number): AsyncGenerator<T> {
    const { watchdog, idleMs, subject } = this.#parts;
    this.#begin();
    let failure: unknown;
    const iterator = parts[Symbol.asyncIterator]();
    try {
      for (;;) {
        watchdog.arm('idle', idleMs);
        const next = await iterator.next();
        watchdog.disarm();
        if (next.done === true) break;
        this.#receivedBytes += bytesOf(next.value);
        yield next.value;
      }
      this.#checkLength();
    } catch (error) {
      failure = error;
      if (error instanceof MultistatusError) throw error;
      failure = exchangeError(subject, this.#reasonOf(error), { started: true, sent: true });
      throw failure;
    } finally {
      this.#destroy();
      this.#end(failure);
    }
  }

  /**
   * Writes the body into `file` from `position` on, once. Rejects with RemoteError, or with the ErrnoException of the
   * file; the gate is shut then.
   */
  async saveTo(
    file: GatedFile,
    position: number,
    onProgress: (start: number, end: number) => void,
  ): Promise<void> {
    const { body } = this.#parts;
    try {
      if (body.kind === 'elsewhere') await this.#saveElsewhere(body.body, file, position, onProgress);
      else await this.#saveHere(file, position, onProgress);
    } catch (error) {
      if (error instanceof FileWriteError) throw error.cause;
      throw error instanceof UnwantedBodyError ? this.#unwanted(error) : error;
    } finally {
      shutGate(file.gate);
    }
  }

  /** Gives the body up with its connection, where reading it to its end may take long. */
  abandon(): void {
    if (this.#state !== 'fresh') return;
    this.#destroy();
    this.#end(undefined);
  }

  /** Reads and drops what is left, so that the connection can be used again; gives it up where that is much. */
  async discard(): Promise<void> {
    const { body } = this.#parts;
    if (body.kind === 'elsewhere') {
      await this.#takeElsewhere(() => body.body.drain(DRAIN_BYTES));
      return;
    }
    let left = DRAIN_BYTES;
    for await (const chunk of this.chunks()) {
      left -= chunk.length;
      if (left < 0) break;
    }
  }

  /**
   * Ends an exchange whose headers say all: the body is dropped, and one that breaks off changes nothing about the answer.
   */
  async settle(): Promise<void> {
    try {
      await this.discard();
    } catch (error) {
      if (!isRemoteError(error) || error.code === 'aborted') throw error;
    }
  }

  async #saveHere(
    file: GatedFile,
    position: number,
    onProgress: (start: number, end: number) => void,
  ): Promise<void> {
    let at = position;
    for await (const chunk of this.chunks()) {
      const written = writeGated(file, chunk, at);
      if (written !== 'written') throw new UnwantedBodyError(written);
      onProgress(at, at + chunk.length);
      at += chunk.length;
    }
  }

  #saveElsewhere(
    body: ThreadBody,
    file: GatedFile,
    position: number,
    onProgress: (start: number, end: number) => void,
  ): Promise<void> {
    return this.#takeElsewhere(async () => {
      await body.save(file, position, (end) => {
        const start = position + this.#receivedBytes;
        this.#receivedBytes = end - position;
        this.#parts.watchdog.arm('idle', this.#parts.idleMs);
        onProgress(start, end);
      });
      this.#checkLength();
    });
  }

  async #takeElsewhere(work: () => Promise<void>): Promise<void> {
    const { watchdog, idleMs, subject } = this.#parts;
    this.#begin();
    watchdog.arm('idle', idleMs);
    let failure: unknown;
    try {
      await work();
    } catch (error) {
      failure = error;
      if (error instanceof FileWriteError || error instanceof UnwantedBodyError) throw error;
      failure = exchangeError(subject, this.#reasonOf(error), { started: true, sent: true });
      throw failure;
    } finally {
      this.#destroy();
      this.#end(failure);
    }
  }

  #begin(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#state !== 'fresh') throw new Error('the body of an answer is read once');
    this.#state = 'reading';
  }

  #destroy(): void {
    const { body, watchdog } = this.#parts;
    if (body.kind === 'elsewhere') body.body.destroy(toError(watchdog.signal.reason));
    else body.stream.on('error', ignoreLateError).destroy();
  }

  #unwanted({ reason, message }: UnwantedBodyError): RemoteError {
    const code = reason === 'shut' ? 'aborted' : 'protocol';
    return makeError(this.#parts.subject, { code, found: message });
  }

  #checkLength(): void {
    const { length } = this;
    if (length === undefined || length === this.#receivedBytes) return;
    throw makeError(this.#parts.subject, {
      code: 'interrupted',
      found: `${this.#receivedBytes} of ${length} bytes came`,
    });
  }

  /** An aborted stream fails with an error of its own; the reason says why. */
  #reasonOf(error: unknown): unknown {
    const { signal } = this.#parts.watchdog;
    return signal.aborted ? signal.reason : error;
  }

  #onAbort(): void {
    const { watchdog, subject } = this.#parts;
    if (this.#state === 'over') return;
    this.#destroy();
    if (this.#state === 'fresh') {
      this.#failure = exchangeError(subject, watchdog.signal.reason, { started: true, sent: true });
      this.#end(this.#failure);
    }
  }

  #end(error: unknown): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#parts.watchdog.close();
    this.#parts.onEnd(this.#receivedBytes, error);
  }
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('called off', { cause: reason });
}

/** After the verdict on a body is known, what its stream still has to say changes nothing. */
function ignoreLateError(): void {}
