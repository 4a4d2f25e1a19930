/**
 * An HTTP proxy on loopback that plays scripted faults between a client and a WebDAV server: rules choose requests by
 * method, path and number, actions spoil them. It records every request that it saw.
 */

import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

export type FaultAction =
  /** Nothing more after so many bytes of the response's body; with 0, no headers either. */
  | { readonly kind: 'stall-response'; readonly afterBytes: number }
  /** The connection is reset after so many bytes of the response's body; with 0, before the headers. */
  | { readonly kind: 'cut-response'; readonly afterBytes: number }
  /** The connection is reset after so many bytes of the request's body; the server sees a cut request. */
  | { readonly kind: 'cut-request'; readonly afterBytes: number }
  /** The server does it, the answer never arrives: the connection is reset. */
  | { readonly kind: 'lose-answer' }
  /** An answer made up here; the server never hears of the request. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      /** Without waiting for the request's body, as a server that has seen enough. */
      readonly early?: boolean;
    }
  /** Content-Length promises so many bytes more than come. */
  | { readonly kind: 'wrong-length'; readonly extraBytes: number }
  /** The headers of the server's answer are changed; `undefined` removes one. */
  | { readonly kind: 'change-headers'; readonly headers: Readonly<Record<string, string | undefined>> }
  /** `ETag: "x"` becomes `ETag: W/"x"`, and getetag likewise. */
  | { readonly kind: 'weaken-tags' }
  | { readonly kind: 'delay'; readonly ms: number };

export interface FaultRule {
  readonly method?: string;
  /** Matched against the request target as it came, percent-encoded. */
  readonly path?: string | RegExp;
  /** Only the nth request that matches (1 is the first); all of them when absent. */
  readonly nth?: number;
  readonly action: FaultAction;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Bytes of the body that arrived. */
  bodyBytes: number;
  /** What was played, `none` where the request went through. */
  readonly fault: FaultAction['kind'] | 'none';
}

export interface FaultProxy {
  readonly port: number;
  readonly url: string;
  readonly seen: readonly SeenRequest[];
  setRules(rules: readonly FaultRule[]): void;
  clearSeen(): void;
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Actions by their usual names. */
export const faults = {
  unauthorized: { kind: 'answer', status: 401, headers: { 'www-authenticate': 'Basic realm="test"' } },
  preconditionFailed: { kind: 'answer', status: 412 },
  locked: { kind: 'answer', status: 423 },
  serverError: { kind: 'answer', status: 500 },
  badGateway: { kind: 'answer', status: 502 },
  unavailable: { kind: 'answer', status: 503 },
  insufficientStorage: { kind: 'answer', status: 507 },
  htmlPage: {
    kind: 'answer',
    status: 200,
    headers: { 'content-type': 'text/html; charset=utf-8' },
    body: '<!DOCTYPE html><html><head><title>Welcome</title></head><body>Log in</body></html>',
  },
} as const satisfies Record<string, FaultAction>;

export function throttled(retryAfter: string): FaultAction {
  return { kind: 'answer', status: 429, headers: { 'retry-after': retryAfter } };
}

export function redirect(status: number, location: string): FaultAction {
  return { kind: 'answer', status, headers: { location } };
}

interface CountedRule {
  readonly rule: FaultRule;
  matches: number;
}

/** `targetPort`: the server on loopback behind the proxy; absent where every request is answered by a rule. */
export async function startFaultProxy(options: {
  readonly targetPort?: number;
  readonly basePath?: string;
  readonly rules?: readonly FaultRule[];
}): Promise<FaultProxy> {
  const seen: SeenRequest[] = [];
  let rules: CountedRule[] = [];
  const setRules = (list: readonly FaultRule[]) => {
    rules = list.map((rule) => ({ rule, matches: 0 }));
  };
  setRules(options.rules ?? []);

  const server = createServer((incoming, outgoing) => {
    const action = chooseAction(rules, incoming);
    const record: SeenRequest = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: incoming.headers,
      bodyBytes: 0,
      fault: action?.kind ?? 'none',
    };
    seen.push(record);
    incoming.on('data', (chunk: Buffer) => {
      record.bodyBytes += chunk.length;
    });
    // Clients that go away are part of the play.
    incoming.on('error', () => outgoing.destroy());
    outgoing.on('error', () => incoming.destroy());
    play(action, incoming, outgoing, options.targetPort).catch(() => incoming.socket.resetAndDestroy());
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return {
    port: address.port,
    url: `http://127.0.0.1:${address.port}${options.basePath ?? '/dav/'}`,
    seen,
    setRules,
    clearSeen: () => {
      seen.length = 0;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function chooseAction(rules: readonly CountedRule[], incoming: IncomingMessage): FaultAction | undefined {
  const path = incoming.url ?? '';
  let chosen: FaultAction | undefined;
  for (const counted of rules) {
    const { rule } = counted;
    if (rule.method !== undefined && rule.method !== incoming.method) continue;
    if (typeof rule.path === 'string' && rule.path !== path) continue;
    if (rule.path instanceof RegExp && !rule.path.test(path)) continue;
    // Every rule counts, the first one that is due plays.
    counted.matches += 1;
    if (rule.nth === undefined || rule.nth === counted.matches) chosen ??= rule.action;
  }
  return chosen;
}

async function play(
  action: FaultAction | undefined,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  targetPort: number | undefined,
): Promise<void> {
  if (action?.kind === 'answer') {
    incoming.resume();
    if (action.early !== true && !incoming.complete)
      await new Promise((resolve) => incoming.once('end', resolve));
    const body = action.body ?? '';
    outgoing.writeHead(action.status, { 'content-length': Buffer.byteLength(body), ...action.headers });
    outgoing.end(body);
    return;
  }
  if (action?.kind === 'delay') await delay(action.ms);
  if (targetPort === undefined) throw new Error('no rule answers, and there is no server');
  const answer = await forward(action, incoming, targetPort);
  if (action?.kind === 'lose-answer') {
    answer.resume();
    await new Promise((resolve) => answer.once('end', resolve));
    incoming.socket.resetAndDestroy();
    return;
  }
  await passBack(action, answer, incoming, outgoing);
}

function forward(
  action: FaultAction | undefined,
  incoming: IncomingMessage,
  targetPort: number,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { method, url, headers } = incoming;
    const onward = request(
      { host: '127.0.0.1', port: targetPort, method, path: url, headers, agent: false },
      resolve,
    );
    onward.on('error', reject);
    let left = action?.kind === 'cut-request' ? action.afterBytes : Number.POSITIVE_INFINITY;
    incoming.on('data', (chunk: Buffer) => {
      if (chunk.length > left) {
        incoming.pause();
        onward.write(chunk.subarray(0, left), () => onward.destroy());
        incoming.socket.resetAndDestroy();
        return;
      }
      left -= chunk.length;
      if (!onward.write(chunk)) {
        incoming.pause();
        onward.once('drain', () => incoming.resume());
      }
    });
    incoming.on('end', () => onward.end());
    incoming.on('close', () => {
      if (!incoming.complete) onward.destroy();
    });
  });
}

async function passBack(
  action: FaultAction | undefined,
  answer: IncomingMessage,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const isStall = action?.kind === 'stall-response';
  const isCut = action?.kind === 'cut-response';
  const limit = isStall || isCut ? action.afterBytes : Number.POSITIVE_INFINITY;
  const stop = () => {
    answer.destroy();
    if (isCut) incoming.socket.resetAndDestroy();
  };
  if (limit === 0) {
    stop();
    return;
  }
  outgoing.writeHead(answer.statusCode ?? 502, changedHeaders(action, answer.headers));
  let left = limit;
  answer.on('error', () => outgoing.destroy());
  // A client that goes away takes the server's answer with it, also while it is slow to read.
  const gone = new Promise<void>((resolve) => outgoing.once('close', resolve));
  outgoing.once('close', () => answer.destroy());
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    const bytes = action?.kind === 'weaken-tags' ? weakenTags(chunk) : chunk;
    if (bytes.length >= left) {
      await new Promise((resolve) => outgoing.write(bytes.subarray(0, left), resolve));
      stop();
      return;
    }
    left -= bytes.length;
    if (!outgoing.write(bytes)) {
      await Promise.race([new Promise((resolve) => outgoing.once('drain', resolve)), gone]);
    }
  }
  // A body that is shorter than promised can only end with its connection.
  if (action?.kind === 'wrong-length') incoming.socket.end();
  else outgoing.end();
}

function changedHeaders(action: FaultAction | undefined, headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const changed: IncomingHttpHeaders = { ...headers };
  delete changed.connection;
  delete changed['keep-alive'];
  if (action?.kind === 'wrong-length') {
    changed['content-length'] = String(Number(headers['content-length'] ?? 0) + action.extraBytes);
  }
  if (action?.kind === 'weaken-tags') {
    if (headers.etag?.startsWith('"') === true) changed.etag = `W/${headers.etag}`;
    // The body grows by what is put in.
    delete changed['content-length'];
  }
  if (action?.kind === 'change-headers') {
    for (const [name, value] of Object.entries(action.headers)) {
      if (value === undefined) delete changed[name];
      else changed[name] = value;
    }
  }
  return changed;
}

function weakenTags(chunk: Buffer): Buffer {
  return Buffer.from(chunk.toString('latin1').replaceAll('getetag>"', 'getetag>W/"'), 'latin1');
}
