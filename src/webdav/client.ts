/**
 * The `webdav` package as the issuer of the verbs, over our transport. The package has one global point to put another
 * transport in (its patcher); requests that carry one of our exchanges go to that exchange's own transport, all others
 * on to fetch as before.
 */

import { AuthType, createClient, getPatcher, type Response, type WebDAVClient } from 'webdav';
import { makeError, type RequestSubject } from './error-map.js';
import type { Reply } from './reply.js';
import type { Exchange, Transport } from './transport.js';

/** One request on its way through the package: what it is, who carries it, and what came back. */
class Passage {
  readonly #exchange: Exchange;
  readonly #transport: Transport;
  #reply: Reply | undefined;

  constructor(exchange: Exchange, transport: Transport) {
    this.#exchange = exchange;
    this.#transport = transport;
  }

  get reply(): Reply {
    if (this.#reply === undefined) throw new Error('the webdav package answered without asking');
    return this.#reply;
  }

  async run(options: PackageRequest): Promise<Pick<Response, 'status' | 'ok'>> {
    const { subject } = this.#exchange;
    this.#reply = await this.#transport.perform({
      ...this.#exchange,
      subject: { ...subject, method: options.method },
      url: options.url,
      headers: options.headers ?? {},
    });
    // The package throws at statuses from 400 on; those that come this far are expected by the caller.
    return { status: 200, ok: true };
  }
}

/** The part of the package's request options that is used here (types.d.ts, RequestOptionsWithState). */
interface PackageRequest {
  readonly url: string;
  readonly method: string;
  readonly headers?: Record<string, string>;
  readonly data?: unknown;
  readonly signal?: AbortSignal;
}

/** Issues WebDAV requests for one store. */
export class DavClient {
  readonly #client: WebDAVClient;
  readonly #transport: Transport;

  constructor(base: string, transport: Transport) {
    routeRequests();
    this.#client = createClient(base, { authType: AuthType.None });
    this.#transport = transport;
  }

  /** Resolves with an answer of status 2xx or expected; rejects with RemoteError. */
  async send(exchange: Exchange): Promise<Reply> {
    const passage = new Passage(exchange, this.#transport);
    await this.#client.customRequest('/', {
      // The package's own encoding of paths knows neither double backslashes nor !'()*.
      url: exchange.url,
      method: exchange.subject.method,
      headers: { ...exchange.headers },
      data: { passage },
      ...(exchange.signal === undefined ? {} : { signal: exchange.signal }),
    });
    await refusePage(exchange.subject, passage.reply);
    return passage.reply;
  }
}

/**
 * A captive portal, or a server under maintenance, answers every request by a page and 200. A change is then not taken
 * as done: what is there has to be looked up. Servers that do as they are told say 201 or 204, with or without a page.
 */
async function refusePage(subject: RequestSubject, reply: Reply): Promise<void> {
  const type = reply.headers['content-type'];
  if (!subject.changes || reply.status !== 200 || !/^text\/html\b/i.test(type ?? '')) return;
  await reply.discard();
  throw makeError(subject, {
    code: 'not-webdav',
    found: `the server answered 200 with ${type}, which says nothing of the change`,
    advice: 'check that the network asks for no login and the server is not under maintenance',
    status: 200,
    outcome: 'unknown',
  });
}

/** Puts the routing in place; doing it again changes nothing. */
function routeRequests(): void {
  getPatcher().patch('request', async (options: unknown) => {
    if (!isPackageRequest(options)) throw new TypeError('the webdav package asks without a URL');
    const passage = passageOf(options.data);
    if (passage !== undefined) return passage.run(options);
    return fetch(options.url, {
      method: options.method,
      ...(options.headers === undefined ? {} : { headers: options.headers }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(isFetchBody(options.data) ? { body: options.data } : {}),
    });
  });
}

function isPackageRequest(options: unknown): options is PackageRequest {
  return typeof options === 'object' && options !== null && 'url' in options && 'method' in options;
}

function passageOf(data: unknown): Passage | undefined {
  if (typeof data !== 'object' || data === null || !('passage' in data)) return undefined;
  return data.passage instanceof Passage ? data.passage : undefined;
}

function isFetchBody(data: unknown): data is string | Uint8Array<ArrayBuffer> {
  return typeof data === 'string' || data instanceof Uint8Array;
}
