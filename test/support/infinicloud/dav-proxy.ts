/** Passes a WebDAV request on to the Apache behind the stand-in, streaming both bodies. It knows no account. */

import { type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';

export interface Upstream {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  /** The `authorization` header that it wants. */
  readonly authorization: string;
  /** How clients name this host; put in and taken out of the headers that carry addresses. */
  readonly publicOrigin: string;
}

export interface ForwardOptions {
  /** Bytes a second; undefined for no limit. */
  readonly uploadRate: number | undefined;
  /** When it fires, the request is given up: nothing of it takes effect, and the caller answers. */
  readonly signal: AbortSignal;
}

/** Resolves when the answer went out; rejects, with nothing answered, when `signal` fired before the server's answer. */
export async function forward(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  upstream: Upstream,
  options: ForwardOptions,
): Promise<void> {
  const { signal } = options;
  const answered = new AbortController();
  const onward = request(upstream.origin + (incoming.url ?? '/'), {
    method: incoming.method,
    headers: requestHeaders(incoming.headers, upstream),
    agent: false,
    signal,
  });
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    onward.once('response', resolve);
    onward.once('error', reject);
  });
  // A client that goes away in the middle of its body must not leave a finished file behind.
  incoming.once('close', () => {
    if (!incoming.complete) onward.destroy(new Error('the client went away'));
  });
  const sending = pipeline(incoming, pace(options.uploadRate), onward, { signal: answered.signal });
  // What goes wrong while sending shows in the answer, which may also come before the body is through.
  sending.catch(() => undefined);
  const response = await answer;
  outgoing.writeHead(response.statusCode ?? 502, answerHeaders(response.headers, upstream));
  await pipeline(response, outgoing);
  answered.abort();
}

/** "send `Destination` with the same host and scheme as the request": another one stays, and the server refuses it. */
function requestHeaders(headers: IncomingHttpHeaders, upstream: Upstream): IncomingHttpHeaders {
  const { destination, if: condition } = headers;
  const inner = (text: string) => text.replaceAll(upstream.publicOrigin, upstream.origin);
  return {
    ...headers,
    host: new URL(upstream.origin).host,
    authorization: upstream.authorization,
    connection: 'close',
    ...(typeof destination === 'string' ? { destination: inner(destination) } : {}),
    ...(typeof condition === 'string' ? { if: inner(condition) } : {}),
  };
}

function answerHeaders(headers: IncomingHttpHeaders, upstream: Upstream): IncomingHttpHeaders {
  const { connection: _connection, 'keep-alive': _keepAlive, location, ...others } = headers;
  if (location === undefined) return others;
  return { ...others, location: location.replaceAll(upstream.origin, upstream.publicOrigin) };
}

/** Lets a body through at `rate` bytes a second. */
function pace(rate: number | undefined): (body: AsyncIterable<Buffer>) => AsyncIterable<Buffer> {
  return async function* paced(body) {
    for await (const chunk of body) {
      if (rate !== undefined) await delay((chunk.length / rate) * 1000);
      yield chunk;
    }
  };
}
