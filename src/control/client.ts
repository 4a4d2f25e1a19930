/** The client of the control socket: one call a route, every answer checked against the schema. */

import { lstat } from 'node:fs/promises';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createParser } from 'eventsource-parser';
import { quote, systemErrorCode } from '../base/index.js';
import { ControlError } from './errors.js';
import { PROBLEM_TYPE, type RequestFault } from './problems.js';
import { type RouteAnswer, type RouteInput, type RouteName, routeOf } from './routes.js';
import { type ControlEvent, event as eventSchema, problem as problemSchema } from './schema.js';

export interface ControlClientOptions {
  /** Absolute path of the socket. */
  readonly socketPath: string;
  /** For routes that answer at once, and for getting through; work that is waited for has no limit but the signal. Default 10 s. */
  readonly timeoutMs?: number;
}

export interface CallOptions {
  /** Ends the call; of one that waits, the daemon then stops the work behind it. The call rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** Routes that answer once. */
export type CallableRoute = Exclude<RouteName, 'events'>;

const TIMEOUT_MS = 10_000;
/** Between two tries to get through, doubled up to the longest. */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 500;
/** Three heartbeats of the server. */
const SILENCE_LIMIT_MS = 45_000;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Of one event. */
const MAX_EVENT_CHARS = 1024 * 1024;
const CROWDED: RequestFault = 'too-many-connections';
const JSON_TYPE = 'application/json';
const EVENTS_TYPE = 'text/event-stream';

export class ControlClient {
  readonly socketPath: string;
  readonly #timeoutMs: number;

  constructor({ socketPath, timeoutMs }: ControlClientOptions) {
    this.socketPath = socketPath;
    this.#timeoutMs = timeoutMs ?? TIMEOUT_MS;
  }

  /** Calls a route; rejects with {@link ControlError}, or with the signal's reason. */
  async call<N extends CallableRoute>(
    name: N,
    request: RouteInput<N>,
    options: CallOptions = {},
  ): Promise<RouteAnswer<N>> {
    const { answer, waits, kind } = routeOf(name);
    const limit = waits === true ? undefined : AbortSignal.timeout(this.#timeoutMs);
    const signals = [options.signal, limit].filter((signal) => signal !== undefined);
    const signal = signals.length === 0 ? undefined : AbortSignal.any(signals);
    try {
      const response = await this.#reach(name, request, kind === 'json' ? JSON_TYPE : 'text/plain', signal);
      const text = await bodyOf(response);
      const parsed = answer.safeParse(kind === 'text' ? text : parseJson(text));
      if (!parsed.success) throw badAnswer(`the answer to ${name} lacks what it should have`, parsed.error);
      return parsed.data as RouteAnswer<N>;
    } catch (error) {
      throw this.#failure(error, options.signal, limit);
    }
  }

  /** What happens from now on; the first event is the status. Ends when the daemon does, or with the loop. */
  async *events(options: CallOptions = {}): AsyncGenerator<ControlEvent, void, undefined> {
    const silence = new AbortController();
    const signals = [options.signal, silence.signal].filter((signal) => signal !== undefined);
    const timer = setTimeout(() => silence.abort(), SILENCE_LIMIT_MS);
    timer.unref();
    let response: IncomingMessage | undefined;
    try {
      response = await this.#reach('events', {}, EVENTS_TYPE, AbortSignal.any(signals));
      const arrived: ControlEvent[] = [];
      const parser = createParser({
        onEvent: ({ event: type, data }) => {
          const parsed = eventSchema.safeParse(parseJson(data));
          if (parsed.success) arrived.push(parsed.data);
          // A newer daemon has kinds of events that this client need not know.
          else if (KNOWN_EVENTS.has(type ?? '')) throw badAnswer(`an event "${type}" is not as it should be`);
        },
        maxBufferSize: MAX_EVENT_CHARS,
        onError: (error) => {
          if (error.type === 'max-buffer-size-exceeded') throw badAnswer('an event does not end', error);
        },
      });
      response.setEncoding('utf8');
      for await (const chunk of response) {
        timer.refresh();
        parser.feed(String(chunk));
        yield* arrived.splice(0);
      }
    } catch (error) {
      // The daemon ends its streams when it goes; that is the end, not a fault.
      if (response?.complete === true) return;
      throw this.#failure(error, options.signal, silence.signal);
    } finally {
      clearTimeout(timer);
      response?.destroy();
    }
  }

  /** {@link #open}, again and again where the daemon is too busy to take the request. */
  async #reach(
    name: RouteName,
    request: unknown,
    accept: string,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    const untilMs = performance.now() + this.#timeoutMs;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        return await this.#open(name, request, accept, signal);
      } catch (error) {
        if (!mayTryAgain(error, name) || performance.now() + pauseMs >= untilMs) throw error;
        // Many callers that were turned away together must not come back together.
        await delay(pauseMs * (0.5 + Math.random() / 2), undefined, signal === undefined ? {} : { signal });
      }
    }
  }

  async #open(
    name: RouteName,
    request: unknown,
    accept: string,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    await requireTrusted(this.socketPath);
    signal?.throwIfAborted();
    const { method, path } = routeOf(name);
    const isQuery = method === 'GET';
    const query = isQuery ? queryOf(request) : '';
    const body = isQuery ? undefined : Buffer.from(JSON.stringify(request));
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent: ClientRequest = httpRequest({
        socketPath: this.socketPath,
        method,
        path: `${path}${query}`,
        agent: false,
        headers: {
          // Required by HTTP/1.1; there is no host behind a path.
          host: 'localhost',
          accept,
          ...(body === undefined ? {} : { 'content-type': JSON_TYPE, 'content-length': body.length }),
        },
        ...(signal === undefined ? {} : { signal }),
      });
      sent.on('response', resolve);
      sent.on('error', reject);
      sent.end(body);
    });
    const { status = 200 } = routeOf(name);
    if (response.statusCode === status) return response;
    throw refusal(response.statusCode ?? 0, response.headers['content-type'], await bodyOf(response));
  }

  #failure(error: unknown, caller: AbortSignal | undefined, limit: AbortSignal | undefined): unknown {
    if (error instanceof ControlError) return error;
    if (caller?.aborted === true) return caller.reason;
    if (limit?.aborted === true) {
      return new ControlError('timeout', `No answer from the daemon on ${quote(this.socketPath)}`);
    }
    const where = `of the mount at ${quote(this.socketPath)}`;
    switch (systemErrorCode(error)) {
      case 'EAGAIN':
        return busy(`The daemon ${where} has more connections waiting than it can take`, error);
      case 'ENOENT':
      case 'ECONNREFUSED':
      case 'ENOTDIR':
        return new ControlError('no-daemon', `There is no daemon ${where}`, { cause: error });
      case 'EACCES':
      case 'EPERM':
        return new ControlError('denied', `The control socket ${where} is not open to you`, { cause: error });
      case 'ECONNRESET':
      case 'EPIPE':
      case 'ERR_STREAM_PREMATURE_CLOSE':
        return new ControlError('disconnected', `The daemon ${where} went away before it answered`, {
          cause: error,
        });
      default:
        return badAnswer('what answers does not speak HTTP as it should', error);
    }
  }
}

/**
 * Whether the request had no effect for sure, and may have one in a moment: it was never connected (EAGAIN: the queue of
 * connections is full), was never there as a whole (EPIPE), was turned away for the crowd, or changes nothing anyway.
 */
function mayTryAgain(error: unknown, name: RouteName): boolean {
  if (error instanceof ControlError) return error.code === 'busy';
  switch (systemErrorCode(error)) {
    case 'EAGAIN':
    case 'EPIPE':
      return true;
    case 'ECONNRESET':
      return routeOf(name).method === 'GET';
    default:
      return false;
  }
}

const KNOWN_EVENTS: ReadonlySet<string> = new Set(
  eventSchema.options.flatMap((option) => [...option.shape.type.values]),
);

/**
 * What is sent may be a password: whoever made the directory or the socket could have put a program of theirs there.
 * Root trusts the user whose mount it asks.
 */
async function requireTrusted(socketPath: string): Promise<void> {
  const uid = process.getuid?.() ?? 0;
  if (uid === 0) return;
  for (const path of [dirname(socketPath), socketPath]) {
    const owner = (await lstat(path)).uid;
    if (owner === uid || owner === 0) continue;
    throw new ControlError(
      'untrusted',
      `Cannot use the control socket ${quote(socketPath)}: ${quote(path)} is the user ${owner}'s`,
    );
  }
}

function queryOf(request: unknown): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(request ?? {})) {
    if (value !== undefined) query.set(key, String(value));
  }
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw badAnswer('the answer does not end');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badAnswer('the answer is no JSON', error);
  }
}

function refusal(status: number, contentType: string | undefined, body: string): ControlError {
  const parsed =
    contentType?.startsWith(PROBLEM_TYPE) === true ? problemSchema.safeParse(parseJson(body)) : undefined;
  if (parsed?.success !== true) return badAnswer(`the status is ${status}, and no problem is told`);
  const { title, detail, advice } = parsed.data;
  if (parsed.data.code === CROWDED) return busy(`The daemon turns callers away: ${detail ?? title}`);
  const message = [detail ?? title, advice].filter((part) => part !== undefined && part !== '').join('. ');
  return new ControlError('refused', message, { problem: parsed.data });
}

function busy(message: string, cause?: unknown): ControlError {
  return new ControlError('busy', message, { cause });
}

function badAnswer(found: string, cause?: unknown): ControlError {
  return new ControlError('bad-answer', `Cannot understand the daemon: ${found}`, { cause });
}
