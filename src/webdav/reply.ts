/** A successful answer of the server: status, headers and a body that ends well or with an error, never short in silence. */

import type { Dispatcher } from 'undici';
import { isRemoteError, type RemoteError } from '../remote/index.js';
import { exchangeError, makeError, type RequestSubject } from './error-map.js';
import { type HeaderMap, parseLength } from './headers.js';
import type { Watchdog } from './watchdog.js';

export interface ReplyParts {
  readonly subject: RequestSubject;
  readonly status: number;
  readonly headers: HeaderMap;
  /** The URL that answered, after redirects. */
  readonly url: string;
  readonly body: Dispatcher.ResponseData['body'];
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

  /** The body, once. Rejects with RemoteError; leaving the loop early closes the connection. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    const { body, watchdog, idleMs, subject } = this.#parts;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#state !== 'fresh') throw new Error('the body of an answer is read once');
    this.#state = 'reading';
    let failure: unknown;
    const iterator: AsyncIterator<Uint8Array> = body[Symbol.asyncIterator]();
    try {
      for (;;) {
        watchdog.arm('idle', idleMs);
        const next = await iterator.next();
        watchdog.disarm();
        if (next.done === true) break;
        this.#receivedBytes += next.value.length;
        yield next.value;
      }
      this.#checkLength();
    } catch (error) {
      failure = exchangeError(subject, this.#reasonOf(error), { started: true, sent: true });
      throw failure;
    } finally {
      body.on('error', ignoreLateError).destroy();
      this.#end(failure);
    }
  }

  /** Gives the body up with its connection, where reading it to its end may take long. */
  abandon(): void {
    if (this.#state !== 'fresh') return;
    this.#parts.body.on('error', ignoreLateError).destroy();
    this.#end(undefined);
  }

  /** Reads and drops what is left, so that the connection can be used again; gives it up where that is much. */
  async discard(): Promise<void> {
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
    const { body, watchdog, subject } = this.#parts;
    if (this.#state === 'over') return;
    body.on('error', ignoreLateError).destroy();
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

/** After the verdict on a body is known, what its stream still has to say changes nothing. */
function ignoreLateError(): void {}
