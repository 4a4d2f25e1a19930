/**
 * The server of the control socket: who may connect, what a request must look like, which method of the service it
 * goes to, and how the answer is written. It knows no daemon.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type * as z from 'zod';
import { type Clock, type Log, sleep } from '../base/index.js';
import { Admission } from './admission.js';
import { EventStream } from './event-stream.js';
import { openPeers, type Peers } from './peer.js';
import { makeProblem, PROBLEM_TYPE, RequestError, rawAnswer } from './problems.js';
import { requestOf } from './request.js';
import { findRoute, type RouteMatch } from './route-table.js';
import type { Problem } from './schema.js';
import type { CallContext, ControlService, Subscribe, TextAnswer } from './service.js';
import { claimSocketPlace, type SocketPlace } from './socket-place.js';

export interface ControlLimits {
  /** That are served at the same time. */
  readonly maxConnections: number;
  readonly maxBodyBytes: number;
  /** From the first byte, or the connection, to the end of the headers. */
  readonly headersTimeoutMs: number;
  /** To the end of the body. */
  readonly requestTimeoutMs: number;
  readonly maxListeners: number;
  /** Of one listener of events. */
  readonly maxBufferedBytes: number;
  readonly heartbeatMs: number;
}

export const DEFAULT_LIMITS: ControlLimits = {
  maxConnections: 64,
  maxBodyBytes: 128 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 20_000,
  maxListeners: 16,
  maxBufferedBytes: 1024 * 1024,
  heartbeatMs: 15_000,
};

export interface ControlServerOptions {
  /** Absolute path of the socket; its directory is made if its parent is there. */
  readonly path: string;
  readonly service: ControlService;
  /** What an error of the service tells the caller; undefined for what nobody foresaw. */
  readonly problemOf: (error: unknown) => Problem | undefined;
  readonly log: Log;
  readonly clock: Clock;
  readonly limits?: Partial<ControlLimits>;
}

export interface ControlServer {
  readonly path: string;
  /** Ends what is under way, and removes the socket. */
  close(): Promise<void>;
}

/**
 * Connections that the kernel lets wait to be accepted; it cuts this to its own limit (net.core.somaxconn). Beyond it
 * connect(2) fails at once with EAGAIN, so that a program which connects without end locks everybody else out.
 */
const BACKLOG = 4096;
/** How often Node looks for connections past their time limits. */
const CHECK_EVERY_MS = 2_000;
const MAX_HEADER_BYTES = 16 * 1024;
/** For requests under way at the end. */
const CLOSE_GRACE_MS = 2_000;

/** Listens; rejects with `UserError` 'control-socket' where that cannot be. */
export async function startControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const peers = await openPeers();
  const place = await claimSocketPlace(options.path);
  const server = new RunningServer(options, place, peers);
  try {
    await server.listen();
  } catch (error) {
    await place.release();
    throw error;
  }
  return server;
}

class RunningServer implements ControlServer {
  readonly #options: ControlServerOptions;
  readonly #limits: ControlLimits;
  readonly #place: SocketPlace;
  readonly #admission: Admission;
  readonly #http: Server;
  readonly #closing = new AbortController();
  readonly #streams = new Set<EventStream>();
  /** Requests under way. */
  readonly #active = new Set<Promise<void>>();

  constructor(options: ControlServerOptions, place: SocketPlace, peers: Peers) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#place = place;
    this.#admission = new Admission({ ...options, peers, maxConnections: this.#limits.maxConnections });
    const { headersTimeoutMs, requestTimeoutMs } = this.#limits;
    this.#http = createServer(
      {
        headersTimeout: headersTimeoutMs,
        requestTimeout: requestTimeoutMs,
        connectionsCheckingInterval: Math.min(CHECK_EVERY_MS, headersTimeoutMs),
        maxHeaderSize: MAX_HEADER_BYTES,
      },
      (request, response) => {
        const serving = this.#serve(request, response)
          .catch((error: unknown) => {
            options.log.error({ err: error }, 'a control request could not be answered');
            response.destroy();
          })
          .finally(() => this.#active.delete(serving));
        this.#active.add(serving);
      },
    );
    this.#http.maxConnections = this.#admission.mostSockets;
    // What one connection can ask for is bounded, and who asks has its answer.
    this.#http.maxRequestsPerSocket = 1;
    // In the place of Node's own listeners, so that nothing is spent on those who are not served.
    const serveHttp = this.#http.listeners('connection');
    this.#http.removeAllListeners('connection');
    this.#http.on('connection', (socket: Socket) => {
      if (!this.#admission.admit(socket)) return;
      for (const listener of serveHttp) listener.call(this.#http, socket);
    });
    this.#http.on('clientError', (error, socket) => refuseGarbage(error, socket as Socket));
  }

  get path(): string {
    return this.#place.path;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#http.once('error', reject);
      this.#http.listen({ path: this.path, backlog: BACKLOG }, () => {
        this.#http.removeListener('error', reject);
        resolve();
      });
    });
    this.#http.on('error', (error) =>
      this.#options.log.error({ err: error }, 'the control socket has trouble'),
    );
    await this.#place.protect();
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new RequestError('closing', 'The daemon is ending'));
    for (const stream of this.#streams) stream.end();
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    // Work is told to stop by its signal; what ends the daemon by being done gets its answer out.
    await Promise.race([Promise.all(this.#active), sleep(this.#options.clock, CLOSE_GRACE_MS)]);
    // Answers are short and written at once; what is left is idle or does not read.
    setImmediate(() => {
      this.#http.closeAllConnections();
      this.#admission.close();
    });
    await closed;
    await this.#place.release();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => {
      if (!response.writableFinished) gone.abort(new DOMException('The client went away', 'AbortError'));
    });
    const signal = AbortSignal.any([gone.signal, this.#closing.signal]);
    // A client that goes away in the middle of its body is told of by `response`; nobody else listens.
    request.on('error', () => undefined);
    try {
      if (request.headers.origin !== undefined) {
        throw new RequestError('browser', 'Requests of web pages are refused');
      }
      const match = findRoute(request.method ?? '', request.url ?? '');
      const input = await requestOf(request, match, this.#limits.maxBodyBytes);
      this.#admission.hasAsked(request.socket);
      await this.#dispatch(match, input, response, signal);
    } catch (error) {
      if (gone.signal.aborted) return;
      this.#answerProblem(response, error, request);
    }
  }

  async #dispatch(
    match: RouteMatch,
    input: unknown,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const { name, route } = match;
    this.#options.log.debug({ route: name }, 'control request');
    const context: CallContext = {
      signal,
      afterAnswer: (then) => {
        if (response.closed) setImmediate(then);
        else response.once('close', then);
      },
    };
    // The schema of the very route has checked the input, which the types cannot follow through a table.
    const method = this.#options.service[name].bind(this.#options.service) as (
      request: unknown,
      context: CallContext,
    ) => unknown;
    if (route.kind === 'stream' && this.#streams.size >= this.#limits.maxListeners) {
      throw new RequestError(
        'too-many-listeners',
        `There are ${this.#limits.maxListeners} listeners already`,
        { advice: 'End one of them, or ask for the status from time to time.' },
      );
    }
    const answer = await method(input, context);
    switch (route.kind) {
      case 'json':
        send(
          response,
          route.status ?? 200,
          'application/json',
          JSON.stringify(checked(route.answer, answer)),
        );
        break;
      case 'text': {
        const { contentType, text } = answer as TextAnswer;
        send(response, 200, contentType, text);
        break;
      }
      case 'stream':
        signal.throwIfAborted();
        this.#stream(response, route.answer, answer as Subscribe<{ readonly type: string }>);
        break;
    }
  }

  #stream(
    response: ServerResponse,
    schema: z.ZodType,
    subscribe: Subscribe<{ readonly type: string }>,
  ): void {
    const { clock } = this.#options;
    const { heartbeatMs, maxBufferedBytes } = this.#limits;
    const stream = new EventStream(response, { clock, heartbeatMs, maxBufferedBytes });
    this.#streams.add(stream);
    const unsubscribe = subscribe((event) => {
      const parsed = schema.safeParse(event);
      if (parsed.success) stream.send(event.type, parsed.data);
      else
        this.#options.log.error({ type: event.type, err: parsed.error }, 'an event is not as it should be');
    });
    const forget = () => {
      this.#streams.delete(stream);
      unsubscribe();
    };
    if (response.closed) forget();
    else response.on('close', forget);
  }

  #answerProblem(response: ServerResponse, error: unknown, request: IncomingMessage): void {
    const problem = this.#problemOf(error, request);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const headers = error instanceof RequestError ? error.headers : {};
    // What is left of a body is not read.
    const rest = request.complete ? {} : { connection: 'close' };
    send(response, problem.status, PROBLEM_TYPE, JSON.stringify(problem), { ...headers, ...rest });
  }

  #problemOf(error: unknown, { method, url }: IncomingMessage): Problem {
    if (error instanceof RequestError) return error.problem;
    const known = this.#options.problemOf(error);
    if (known !== undefined) return known;
    this.#options.log.error({ err: error, method, url }, 'a control request failed unexpectedly');
    return makeProblem({
      status: 500,
      code: 'unexpected',
      detail: 'An error of infinimount itself',
      advice: 'The log says more; please report it.',
    });
  }
}

/** Only what the schema names goes out, and never something else than it says. */
function checked(schema: z.ZodType, answer: unknown): unknown {
  return schema.parse(answer);
}

function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(text);
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': body.length,
    'cache-control': 'no-store',
    ...headers,
  });
  response.end(body);
}

/** An answer to what is no request. */
function refuseGarbage(error: NodeJS.ErrnoException, socket: Socket): void {
  if (socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, detail] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'The headers are too long']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'The request did not come in time']
        : [400, 'This is no HTTP request'];
  const answer = rawAnswer(makeProblem({ status, code: 'bad-request', detail }));
  socket.end(answer, () => socket.destroy());
}
