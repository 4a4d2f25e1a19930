/** RemoteStore over HTTP: puts the verbs together. Each verb is in a file of its own. */

import { isLoopbackHost, silentLog } from '../base/index.js';
import type {
  Capabilities,
  ETag,
  MoveOptions,
  Quota,
  ReadOptions,
  RemoteBody,
  RemoteDelivery,
  RemoteEntry,
  RemotePath,
  RemoteStore,
  RequestOptions,
  UploadBody,
  WriteOptions,
  WriteResult,
} from '../remote/index.js';
import { DavClient } from './client.js';
import { CapabilityBook, type DavContext } from './context.js';
import { remove } from './delete.js';
import { TagBook } from './etags.js';
import { deliver, get } from './get.js';
import { mkcol } from './mkcol.js';
import { moveOrCopy } from './move-copy.js';
import { DEFAULT_TIMEOUTS, type SkippedEntry, type WebdavOptions } from './options.js';
import { probe } from './probe.js';
import { list, quota, stat } from './propfind.js';
import { put } from './put.js';
import { Transport } from './transport.js';
import { UrlSpace } from './urls.js';

const DEFAULT_CONNECTIONS = 8;

export class WebdavStore implements RemoteStore {
  readonly #context: DavContext;
  readonly #transport: Transport;

  /** Throws a TypeError for a URL that cannot be used. */
  constructor(options: WebdavOptions) {
    const { clock, random, log = silentLog } = options;
    const urls = new UrlSpace(options.url);
    if (options.insecureHttp !== true) refuseOpenHttp(urls);
    const timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
    this.#transport = new Transport({
      origin: urls.origin,
      ca: options.ca,
      auth: options.auth,
      userAgent: options.userAgent,
      clock,
      timeouts,
      maxConnections: options.maxConnections ?? DEFAULT_CONNECTIONS,
      log,
      startThread: options.startThread,
      onResponse: options.onResponse,
    });
    this.#context = {
      client: new DavClient(urls.base, this.#transport),
      urls,
      tags: new TagBook(clock),
      found: new CapabilityBook(options.capabilities, (capabilities) => {
        log.debug({ capabilities }, 'server capabilities');
        options.onCapabilities?.(capabilities);
      }),
      clock,
      random,
      retry: { clock, random, deadlineMs: timeouts.retryMs },
      onSkippedEntry: (entry: SkippedEntry) => {
        log.warn({ ...entry }, 'an entry of the server cannot be shown');
        options.onSkippedEntry?.(entry);
      },
    };
  }

  /** The root's URL, with a slash at its end. */
  get url(): string {
    return this.#context.urls.base;
  }

  get capabilities(): Capabilities {
    return this.#context.found.current;
  }

  /** Requests at a time. A body that is being read counts until its end. */
  get maxConnections(): number {
    return this.#transport.maxConnections;
  }

  set maxConnections(limit: number) {
    this.#transport.maxConnections = limit;
  }

  /** Requests that run now, to the end of their bodies. */
  get running(): number {
    return this.#transport.running;
  }

  list(dir: RemotePath, options?: RequestOptions): AsyncIterable<readonly RemoteEntry[]> {
    return list(this.#context, dir, options);
  }

  stat(path: RemotePath, options?: RequestOptions): Promise<RemoteEntry> {
    return stat(this.#context, path, options);
  }

  read(path: RemotePath, options?: ReadOptions): Promise<RemoteBody> {
    return get(this.#context, path, options);
  }

  deliver(path: RemotePath, options?: ReadOptions): Promise<RemoteDelivery> {
    return deliver(this.#context, path, options);
  }

  write(path: RemotePath, body: UploadBody, options: WriteOptions): Promise<WriteResult> {
    return put(this.#context, path, body, options);
  }

  makeDirectory(path: RemotePath, options?: RequestOptions): Promise<void> {
    return mkcol(this.#context, path, options);
  }

  remove(
    path: RemotePath,
    options?: RequestOptions & { readonly etag?: ETag; readonly directory?: boolean },
  ): Promise<void> {
    return remove(this.#context, path, options);
  }

  move(from: RemotePath, to: RemotePath, options: RequestOptions & MoveOptions): Promise<void> {
    return moveOrCopy(this.#context, 'MOVE', from, to, options);
  }

  copy(from: RemotePath, to: RemotePath, options: RequestOptions & MoveOptions): Promise<void> {
    return moveOrCopy(this.#context, 'COPY', from, to, options);
  }

  quota(options?: RequestOptions): Promise<Quota | undefined> {
    return quota(this.#context, options);
  }

  probe(options?: RequestOptions): Promise<Capabilities> {
    return probe(this.#context, options);
  }

  /** Starts the thread that takes deliveries, which else starts with the first of them. */
  startThread(): Promise<void> {
    return this.#transport.startThread();
  }

  close(): Promise<void> {
    return this.#transport.close();
  }
}

/** Throws a TypeError for a URL that cannot be used. */
export function createWebdavStore(options: WebdavOptions): WebdavStore {
  return new WebdavStore(options);
}

/** The last line of defence; a person is told by the configuration, in better words. */
function refuseOpenHttp({ base }: UrlSpace): void {
  const { protocol, hostname } = new URL(base);
  if (protocol === 'https:' || isLoopbackHost(hostname)) return;
  throw new TypeError(
    `Cannot send a password over plain http to ${hostname}: use https, or allow it by insecureHttp`,
  );
}
