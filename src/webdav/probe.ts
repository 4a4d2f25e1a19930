/**
 * Finds out what the server honours. One request to the root, then a file in a directory of its own, which is removed
 * whatever happens, with what the server keeps beside the file for it (mod_dav_fs: a `.DAV` folder for the property):
 *
 * 1. `OPTIONS` of the root: the `DAV` header says whether there are locks (class 2); at the same time
 *    `MKCOL` of the probe's directory and `PUT` of its file with 16 bytes: whether the answer carries an ETag. A server
 *    that refuses them is taken as read-only and nothing more is tried.
 * 2. `GET` of two bytes (206 where ranges are served) and, at the same time, `PROPPATCH` of a property of our own.
 * 3. `PUT` with `If-None-Match: *`, then `PUT` with an `If-Match` that cannot match: 412 where they are honoured. One after
 *    the other, since a server that honours neither would have two writers on one file.
 * 4. `DELETE` of the probe's directory.
 */

import { type Name, toName } from '../base/index.js';
import {
  type Capabilities,
  isRemoteError,
  joinRemote,
  PROBE_PREFIX,
  REMOTE_ROOT,
  RemoteError,
  type RemotePath,
  type RequestOptions,
} from '../remote/index.js';
import type { DavContext } from './context.js';
import type { RequestSubject } from './error-map.js';
import { parseTag } from './etags.js';
import { readResponses } from './propfind.js';
import type { Reply } from './reply.js';
import type { Exchange } from './transport.js';

const PROBE_FILE = 'probe';
const PROBE_TEXT = Buffer.from('infinimount test');
const IMPOSSIBLE_TAG = '"infinimount-no-such-version"';
const PROPERTY_UPDATE = Buffer.from(
  '<?xml version="1.0" encoding="utf-8"?>\n<propertyupdate xmlns="DAV:"><set><prop>' +
    '<probe xmlns="https://infinimount.invalid/ns">1</probe></prop></set></propertyupdate>',
);

/** Rejects when the server cannot be reached or refuses the credentials; a read-only server is no error. */
export async function probe(context: DavContext, { signal }: RequestOptions = {}): Promise<Capabilities> {
  const prober = new Prober(context, signal);
  const [locks, hasDirectory] = await Promise.all([prober.hasLocks(), prober.makeDirectory()]);
  context.found.learn({ lock: locks });
  if (!hasDirectory) return context.found.current;
  try {
    if (!(await prober.makeFile())) return context.found.current;
    const [ranges, deadProperties] = await Promise.all([prober.servesRange(), prober.keepsProperty()]);
    const ifNoneMatch = await prober.refusesWrite({ 'if-none-match': '*' });
    const ifMatch = await prober.refusesWrite({ 'if-match': IMPOSSIBLE_TAG });
    context.found.learn({ ifNoneMatch, ifMatch, ranges, deadProperties });
  } finally {
    await prober.removeDirectory();
  }
  return context.found.current;
}

class Prober {
  readonly #context: DavContext;
  readonly #signal: AbortSignal | undefined;
  readonly #directory: RemotePath;
  readonly #path: RemotePath;

  constructor(context: DavContext, signal: AbortSignal | undefined) {
    this.#context = context;
    this.#signal = signal;
    const suffix = Math.floor(context.random() * 2 ** 48).toString(36);
    this.#directory = joinRemote(REMOTE_ROOT, nameOf(`${PROBE_PREFIX}${suffix}`));
    this.#path = joinRemote(this.#directory, nameOf(PROBE_FILE));
  }

  async hasLocks(): Promise<boolean | undefined> {
    const reply = await this.#try('OPTIONS', REMOTE_ROOT, {});
    await reply?.settle();
    const classes = reply?.headers.dav;
    return classes?.split(',').some((each) => each.trim() === '2');
  }

  async makeDirectory(): Promise<boolean> {
    const reply = await this.#try('MKCOL', this.#directory, {});
    await reply?.settle();
    return reply?.status === 201;
  }

  async makeFile(): Promise<boolean> {
    const reply = await this.#try('PUT', this.#path, { 'if-none-match': '*' }, PROBE_TEXT);
    if (reply === undefined) return false;
    await reply.settle();
    this.#context.found.learn({ etagOnPut: parseTag(reply.headers.etag) !== undefined });
    return true;
  }

  /** Whether a write with a condition that fails is refused. */
  async refusesWrite(condition: Readonly<Record<string, string>>): Promise<boolean | undefined> {
    const reply = await this.#try('PUT', this.#path, condition, PROBE_TEXT, [412]);
    await reply?.settle();
    return reply === undefined ? undefined : reply.status === 412;
  }

  async servesRange(): Promise<boolean | undefined> {
    const reply = await this.#try('GET', this.#path, { range: 'bytes=1-2' });
    await reply?.settle();
    return reply === undefined ? undefined : reply.status === 206;
  }

  async keepsProperty(): Promise<boolean> {
    const headers = { 'content-type': 'application/xml; charset=utf-8' };
    const reply = await this.#try('PROPPATCH', this.#path, headers, PROPERTY_UPDATE);
    if (reply?.status !== 207) {
      await reply?.settle();
      return false;
    }
    let isKept = false;
    for await (const responses of readResponses(this.#subject('PROPPATCH', this.#path), reply)) {
      isKept ||= responses.some(({ status }) => status >= 200 && status < 300);
    }
    return isKept;
  }

  /** Not called off with the rest: the directory must not stay behind. */
  async removeDirectory(): Promise<void> {
    const reply = await this.#context.client.send({
      subject: this.#subject('DELETE', this.#directory),
      url: this.#context.urls.urlOf(this.#directory, true),
      headers: { depth: 'infinity' },
      expect: [404],
    });
    await reply.settle();
  }

  /** Undefined where the server answers with a refusal; rejects where it does not answer or refuses the credentials. */
  async #try(
    method: string,
    path: RemotePath,
    headers: Readonly<Record<string, string>>,
    content?: Uint8Array,
    expect: readonly number[] = [],
  ): Promise<Reply | undefined> {
    const exchange: Exchange = {
      subject: this.#subject(method, path),
      url: this.#context.urls.urlOf(path, path !== this.#path),
      headers: content === undefined ? headers : { 'content-length': String(content.length), ...headers },
      ...(content === undefined ? {} : { body: { size: content.length, open: () => content } }),
      expect,
      ...(this.#signal === undefined ? {} : { signal: this.#signal }),
    };
    try {
      return await this.#context.client.send(exchange);
    } catch (error) {
      const isRefusal = error instanceof RemoteError && error.status !== undefined;
      if (isRefusal && !isRemoteError(error, 'unauthorized')) return undefined;
      throw error;
    }
  }

  #subject(method: string, path: RemotePath): RequestSubject {
    return {
      method,
      action: 'probe',
      path,
      changes: method === 'MKCOL' || method === 'PUT' || method === 'DELETE' || method === 'PROPPATCH',
    };
  }
}

function nameOf(text: string): Name {
  const name = toName(text);
  if (name === undefined) throw new Error(`the probe cannot be called "${text}"`);
  return name;
}
