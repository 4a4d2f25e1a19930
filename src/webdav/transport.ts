/**
 * One HTTP exchange: a free slot, credentials, deadlines, redirects within the origin, one more try after a rotated
 * password, and the answer's status. It repeats nothing else; that is for whoever knows what is asked.
 */

import type { AuthHeaders, AuthProvider } from '../auth/index.js';
import { abortable, type Clock, type Log } from '../base/index.js';
import { RemoteError, type UploadBody } from '../remote/index.js';
import { type BodyRequest, BodyThread, type StartThread } from './body-thread.js';
import { ConnectionPool, type TracedRequest } from './connection-pool.js';
import { exchangeError, makeError, type RequestSubject, statusError } from './error-map.js';
import { toHeaderMap } from './headers.js';
import type { ResponseInfo, Timeouts } from './options.js';
import { Reply, type ReplyBody } from './reply.js';
import { Slots } from './slots.js';
import { uploadChunks } from './upload-source.js';
import { Watchdog } from './watchdog.js';

export interface TransportOptions {
  readonly origin: string;
  readonly ca: string | undefined;
  readonly auth: AuthProvider;
  readonly userAgent: string;
  readonly clock: Clock;
  readonly timeouts: Timeouts;
  readonly maxConnections: number;
  readonly log: Log;
  readonly startThread: StartThread | undefined;
  readonly onResponse: ((info: ResponseInfo) => void) | undefined;
}

export interface Exchange {
  readonly subject: RequestSubject;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: UploadBody;
  readonly signal?: AbortSignal;
  readonly onProgress?: (sentBytes: number) => void;
  readonly onSent?: () => void;
  /**
   * The thread for bodies may take it: to parse a multistatus, where it runs and is free, or to save a body, where it is to run
   * from now on.
   */
  readonly thread?: 'parse' | 'save';
  /** How many times as long as usual the answer may take; 1 when absent. */
  readonly patience?: number;
  /** Statuses beside 2xx that the caller reads itself. */
  readonly expect?: readonly number[];
  /** A redirect that only adds a slash says that the resource is a collection; the caller reads it itself. */
  readonly expectsSlashRedirect?: boolean;
}

/** Redirects in a row that are followed. */
const MAX_REDIRECTS = 5;
/** Followed for what only reads. */
const READ_REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Followed for changes: only these promise that the method stays (RFC 9110 section 15.4). */
const CHANGE_REDIRECTS: ReadonlySet<number> = new Set([307, 308]);

const NOTHING = new Uint8Array(0);

/** The head of an answer, from whichever thread asked. */
interface Head {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: ReplyBody;
}

/** What one attempt came to. */
type Attempt =
  | { readonly kind: 'reply'; readonly reply: Reply }
  | { readonly kind: 'redirect'; readonly url: string }
  | {
      readonly kind: 'unauthorized';
      readonly sent: AuthHeaders;
      readonly challenge: string | undefined;
      readonly error: RemoteError;
    };

export class Transport {
  readonly #options: TransportOptions;
  readonly #pool: ConnectionPool;
  readonly #thread: BodyThread;
  readonly #slots: Slots;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#slots = new Slots(options.maxConnections);
    const pool = { origin: options.origin, ca: options.ca, connectMs: options.timeouts.connectMs };
    this.#pool = new ConnectionPool(pool);
    this.#thread = new BodyThread(pool, options.log, options.startThread);
  }

  get maxConnections(): number {
    return this.#slots.limit;
  }

  set maxConnections(limit: number) {
    this.#slots.limit = limit;
  }

  /** Requests that run now, to the end of their bodies. */
  get running(): number {
    return this.#slots.taken;
  }

  /** Resolves with an answer whose status is 2xx or expected; rejects with RemoteError. */
  async perform(exchange: Exchange): Promise<Reply> {
    const { subject } = exchange;
    let { url } = exchange;
    let redirects = 0;
    let mayTryAgain = true;
    for (;;) {
      const attempt = await this.#attempt(exchange, url);
      if (attempt.kind === 'reply') return attempt.reply;
      if (attempt.kind === 'redirect') {
        redirects += 1;
        if (redirects > MAX_REDIRECTS) {
          throw makeError(subject, { code: 'protocol', found: 'the server redirects without end' });
        }
        url = attempt.url;
        continue;
      }
      if (!mayTryAgain || !(await this.#hasNewer(exchange, url, attempt))) throw attempt.error;
      mayTryAgain = false;
    }
  }

  /** Starts the thread for large bodies; resolves when it takes them, or cannot. */
  startThread(): Promise<void> {
    return this.#thread.started();
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool.close(), this.#thread.close()]);
  }

  /** What the thread for bodies would send along; undefined where that does not take the exchange. */
  #contentForThread({ thread, body }: Exchange): Uint8Array | undefined {
    if (thread === undefined) return undefined;
    if (thread === 'save' ? !this.#thread.isReady : !this.#thread.isFree) return undefined;
    const content = body === undefined || body.size === 0 ? NOTHING : body.open();
    return content instanceof Uint8Array ? content : undefined;
  }

  async #askHere(request: TracedRequest): Promise<Head> {
    const { statusCode, headers, body } = await this.#pool.request(request);
    return { statusCode, headers, body: { kind: 'stream', stream: body } };
  }

  async #askThere(request: BodyRequest): Promise<Head> {
    const { statusCode, headers, body } = await this.#thread.request(request);
    return { statusCode, headers, body: { kind: 'elsewhere', body } };
  }

  /** Whether there are newer credentials than those refused. */
  async #hasNewer(
    { subject, signal }: Exchange,
    url: string,
    { sent, challenge }: Extract<Attempt, { kind: 'unauthorized' }>,
  ): Promise<boolean> {
    const request = { method: subject.method, url };
    try {
      return await abortable(
        Promise.resolve(this.#options.auth.onUnauthorized(request, sent, challenge)),
        signal,
      );
    } catch (error) {
      throw exchangeError(subject, error, { started: false, sent: false });
    }
  }

  async #attempt(exchange: Exchange, url: string): Promise<Attempt> {
    const { clock, timeouts, auth } = this.#options;
    const { subject, body } = exchange;
    const progress = { started: false, sent: body === undefined || body.size === 0 };
    const watchdog = new Watchdog(clock, exchange.signal);
    const meter = new Meter(subject, clock.nowMs(), this.#options);
    let release: (() => void) | undefined;
    try {
      release = await this.#slots.acquire(watchdog.signal);
      meter.beginMs = clock.nowMs();
      const request = { method: subject.method, url };
      const credentials = await abortable(Promise.resolve(auth.authorize(request)), watchdog.signal);
      const answerMs = (subject.changes ? timeouts.changeMs : timeouts.headersMs) * (exchange.patience ?? 1);
      watchdog.arm('connect', timeouts.connectMs);
      const { pathname, search } = new URL(url);
      const content = this.#contentForThread(exchange);
      const head = {
        path: pathname + search,
        method: subject.method,
        headers: { 'user-agent': this.#options.userAgent, ...exchange.headers, ...credentials },
        signal: watchdog.signal,
        onStart: () => {
          progress.started = true;
          // What goes out with its head, or has nothing behind it: from here on the server may have taken it.
          if (content !== undefined || body?.size === 0) {
            progress.sent = true;
            meter.sentBytes = content?.length ?? 0;
            exchange.onSent?.();
          }
          if (progress.sent) watchdog.arm('headers', answerMs);
          else watchdog.arm('idle', timeouts.idleMs);
        },
      };
      const response =
        content !== undefined
          ? await this.#askThere({
              ...head,
              ...(content.length === 0 ? {} : { content }),
              parses: exchange.thread === 'parse',
            })
          : await this.#askHere({
              ...head,
              ...(body === undefined || body.size === 0
                ? {}
                : {
                    body: asRequestBody(
                      uploadChunks(body, {
                        onProgress: (sentBytes) => {
                          meter.sentBytes = sentBytes;
                          if (!progress.sent) watchdog.arm('idle', timeouts.idleMs);
                          exchange.onProgress?.(sentBytes);
                        },
                        onSent: () => {
                          progress.sent = true;
                          watchdog.arm('headers', answerMs);
                          exchange.onSent?.();
                        },
                      }),
                    ),
                  }),
            });
      const headers = toHeaderMap(response.headers);
      meter.answered(response.statusCode, clock.nowMs());
      const giveBack = release;
      const reply = new Reply({
        subject,
        status: response.statusCode,
        headers,
        url,
        body: response.body,
        watchdog,
        idleMs: timeouts.idleMs,
        onEnd: (receivedBytes, error) => {
          giveBack();
          meter.end(clock.nowMs(), receivedBytes, error);
        },
      });
      return await this.#judge(exchange, reply, credentials);
    } catch (error) {
      const reason = watchdog.signal.aborted ? watchdog.signal.reason : error;
      const failure = exchangeError(subject, reason, progress);
      watchdog.close();
      release?.();
      meter.end(clock.nowMs(), 0, failure);
      throw failure;
    }
  }

  async #judge(exchange: Exchange, reply: Reply, credentials: AuthHeaders): Promise<Attempt> {
    const { subject } = exchange;
    const { status, headers } = reply;
    const isExpected = exchange.expect?.includes(status) === true;
    const isSlash = exchange.expectsSlashRedirect === true && addsSlash(reply);
    if (status >= 200 && status < 300) this.#options.auth.onAccepted?.(credentials);
    if ((status >= 200 && status < 300) || isExpected || isSlash) return { kind: 'reply', reply };
    await reply.settle();
    const followed = subject.changes ? CHANGE_REDIRECTS : READ_REDIRECTS;
    if (followed.has(status)) return { kind: 'redirect', url: this.#redirectTarget(subject, reply) };
    const error = statusError(subject, status, headers, this.#options.clock.nowMs());
    if (status === 401) {
      return { kind: 'unauthorized', sent: credentials, challenge: headers['www-authenticate'], error };
    }
    throw error;
  }

  #redirectTarget(subject: RequestSubject, { url, status, headers }: Reply): string {
    const location = headers.location ?? '';
    if (!URL.canParse(location, url)) {
      throw makeError(subject, {
        code: 'protocol',
        found: `the server answered ${status} without a place to go`,
        status,
      });
    }
    const target = new URL(location, url);
    if (target.origin !== this.#options.origin) {
      throw makeError(subject, {
        code: 'redirect-refused',
        found: `the server redirects to ${target.origin}`,
        advice: 'the password is sent nowhere else; use the URL of that server if it is yours',
        status,
      });
    }
    return target.href;
  }
}

/** Whether an answer is a redirect to the same URL with a slash at its end. */
function addsSlash({ url, status, headers }: Reply): boolean {
  const location = headers.location ?? '';
  return (
    READ_REDIRECTS.has(status) && URL.canParse(location, url) && new URL(location, url).href === `${url}/`
  );
}

/** undici takes any async iterable as a body; its types know only streams. */
function asRequestBody(chunks: AsyncIterable<Uint8Array>): never {
  return chunks as never;
}

/** Times and counts one attempt, and reports it once. */
class Meter {
  sentBytes = 0;
  beginMs: number;
  readonly #subject: RequestSubject;
  readonly #queuedAtMs: number;
  readonly #report: TransportOptions['onResponse'];
  #status: number | undefined;
  #answeredAtMs: number | undefined;
  #reported = false;

  constructor(subject: RequestSubject, nowMs: number, { onResponse }: TransportOptions) {
    this.#subject = subject;
    this.#queuedAtMs = nowMs;
    this.beginMs = nowMs;
    this.#report = onResponse;
  }

  answered(status: number, nowMs: number): void {
    this.#status = status;
    this.#answeredAtMs = nowMs;
  }

  end(nowMs: number, receivedBytes: number, error: unknown): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#report?.({
      method: this.#subject.method,
      path: this.#subject.path,
      status: this.#status,
      error: error instanceof RemoteError ? error.code : undefined,
      queuedMs: this.beginMs - this.#queuedAtMs,
      headersMs: (this.#answeredAtMs ?? nowMs) - this.beginMs,
      totalMs: nowMs - this.beginMs,
      sentBytes: this.sentBytes,
      receivedBytes,
    });
  }
}
