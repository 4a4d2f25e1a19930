/** Small servers and clocks for the tests of src/auth and src/infinicloud. */

import { createServer as createPlain, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTls, type ServerOptions } from 'node:https';
import { makeTestChain, type TestChain } from '../../support/infinicloud/test-ca.js';

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface SmallServer {
  /** Without a slash at the end. */
  readonly origin: string;
  readonly host: string;
  readonly received: Received[];
  stop(): Promise<void>;
}

export type Answer = (request: Received, response: ServerResponse) => void;

const running = new Set<() => Promise<void>>();

/** Has {@link stopServers} end a server that a test made itself. */
export function stopAfterwards(stop: () => Promise<void>): void {
  running.add(stop);
}

/** Ends all servers that a test started: the hook of each suite. */
export async function stopServers(): Promise<void> {
  const stops = [...running];
  running.clear();
  await Promise.all(stops.map((stop) => stop()));
}

let chain: Promise<TestChain> | undefined;

/** One authority for all tests of a file, and a certificate of it for 127.0.0.1. */
export function testChain(): Promise<TestChain> {
  chain ??= makeTestChain(['IP:127.0.0.1']);
  return chain;
}

/** A server on a free port of 127.0.0.1, until {@link stopServers}; over TLS unless `plain`. */
export async function startServer(
  answer: Answer,
  options: { readonly plain?: boolean; readonly tls?: ServerOptions } = {},
): Promise<SmallServer> {
  const received: Received[] = [];
  const listener = (incoming: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { method = '', url = '', headers } = incoming;
      const request = { method, url, headers, body: Buffer.concat(chunks).toString() };
      received.push(request);
      answer(request, response);
    });
  };
  const { key, cert } = await testChain();
  const server =
    options.plain === true ? createPlain(listener) : createTls({ key, cert, ...options.tls }, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('a TCP server has a port');
  const host = `127.0.0.1:${address.port}`;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  stopAfterwards(stop);
  return { origin: `${options.plain === true ? 'http' : 'https'}://${host}`, host, received, stop };
}

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
