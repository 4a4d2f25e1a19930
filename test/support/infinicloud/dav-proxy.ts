/** Passes a WebDAV request on to the Apache behind the stand-in, streaming both bodies. It knows no account. */

import { once } from 'node:events';
import {
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
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
  { signal, uploadRate }: ForwardOptions,
): Promise<void> {
  const onward = request(upstream.origin + (incoming.url ?? '/'), {
    method: incoming.method,
    headers: requestHeaders(incoming.headers, upstream),
    agent: false,
    signal,
  });
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    onward.once('response', resolve);
    onward.on('error', reject);
  });
  // A client that goes away in the middle of its body must not leave a finished file behind.
  incoming.once('close', () => {
    if (!incoming.complete) onward.destroy(new Error('the client went away'));
  });
  // What goes wrong while sending shows in the answer, which may also come before the body is through.
  send(incoming, onward, uploadRate).catch((error: Error) => onward.destroy(error));
  const response = await answer;
  outgoing.writeHead(response.statusCode ?? 502, answerHeaders(response.headers, upstream));
  await pipeline(response, outgoing);
}

/** Sends the body on, as fast as `rate` and the receiver allow, and leaves `incoming` open for an answer to it. */
async function send(
  incoming: IncomingMessage,
  onward: ClientRequest,
  rate: number | undefined,
): Promise<void> {
  const closed = new Promise((resolve) => onward.once('close', resolve));
  for await (const chunk of incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    if (rate !== undefined)
      await Promise.race([delay((chunk.length / rate) * 1000, undefined, { ref: false }), closed]);
    if (onward.destroyed) return;
    if (!onward.write(chunk)) await Promise.race([once(onward, 'drain'), closed]);
  }
  onward.end();
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
