/**
 * The hosts of the stand-in, each with a loopback address of its own as the real ones have names of their own, and the
 * record of all that they receive.
 */

import {
  createServer as createPlainServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TestChain } from './test-ca.js';
import type { HostName, ReceivedRequest } from './types.js';

/** All of 127/8 is this machine. `plain` is the node over http. */
const ADDRESSES: Readonly<Record<HostName, string>> = {
  api: '127.0.0.11',
  node: '127.0.0.12',
  issuer: '127.0.0.13',
  other: '127.0.0.14',
  plain: '127.0.0.12',
};

export const CERTIFICATE_NAMES = [...new Set(Object.values(ADDRESSES))].map((address) => `IP:${address}`);

export type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** One listening host. */
export class Host {
  readonly name: HostName;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #origin = '';

  /** `chain` absent: plain http. `answer` may reject when the client went away. */
  constructor(name: HostName, chain: TestChain | undefined, record: Recorder, answer: () => Answer) {
    this.name = name;
    // "TLS 1.2 or later only".
    this.#server =
      chain === undefined
        ? createPlainServer()
        : createTlsServer({ key: chain.key, cert: chain.cert, minVersion: 'TLSv1.2' });
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      record.add(name, request, response);
      // Clients that go away are part of the tests.
      request.on('error', () => response.destroy());
      response.on('error', () => request.destroy());
      answer()(request, response).catch(() => response.destroy());
    });
  }

  /** Without a slash at the end. */
  get origin(): string {
    return this.#origin;
  }

  get authority(): string {
    return new URL(this.#origin).host;
  }

  /** On a free port the first time, later on the same one. */
  async listen(): Promise<void> {
    const port = this.#origin === '' ? 0 : Number(new URL(this.#origin).port);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, ADDRESSES[this.name], resolve);
    });
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a server has no port');
    this.#origin = `${this.name === 'plain' ? 'http' : 'https'}://${address.address}:${address.port}`;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
  }
}

export class Recorder {
  readonly #requests: ReceivedRequest[] = [];
  readonly #startMs = performance.now();

  add(host: HostName, incoming: IncomingMessage, outgoing: ServerResponse): void {
    const entry: ReceivedRequest = {
      host,
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: { ...incoming.headers },
      atMs: performance.now() - this.#startMs,
      bodyBytes: 0,
      status: undefined,
    };
    this.#requests.push(entry);
    countBody(incoming, entry);
    outgoing.once('finish', () => {
      entry.status = outgoing.statusCode;
    });
  }

  list(host: HostName | undefined): readonly ReceivedRequest[] {
    return host === undefined ? [...this.#requests] : this.#requests.filter((entry) => entry.host === host);
  }

  clear(): void {
    this.#requests.length = 0;
  }
}

/** Counts what whoever answers takes, without making the body flow. */
function countBody(incoming: IncomingMessage, entry: ReceivedRequest): void {
  const push = incoming.push.bind(incoming);
  incoming.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    entry.bodyBytes += chunk?.length ?? 0;
    return push(chunk, encoding);
  };
}
