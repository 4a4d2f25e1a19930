/**
 * The WebDAV side of the node: who may do what below `/dav/`, `/backup/` and `/v2/dav/`; the work itself is Apache's.
 * Lines quoted are of INFINICLOUD.md.
 */

import { readdir, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Account } from './account.js';
import { forward, type Upstream } from './dav-proxy.js';
import type { OAuthServer } from './oauth-server.js';
import { reply } from './reply.js';
import { answerNodeHost, BASIC_CHALLENGE, isNodeCall } from './rest.js';

const BEARER_CHALLENGE = 'Bearer realm="InfiniCLOUD"';
/** "Used space is after compression and includes snapshots (official), so it is not the sum of the files". */
const SNAPSHOT_BYTES = 123_456_789;

export interface NodeHostParts {
  readonly account: Account;
  readonly oauth: OAuthServer;
  /** Holds the folders `dav` and `backup`. */
  readonly storage: string;
  readonly upstream: Upstream;
  readonly overQuotaStatus: 500 | 507;
}

export class NodeHost {
  uploadRate: number | undefined;
  readonly #parts: NodeHostParts;
  #uploads = new AbortController();

  constructor(parts: NodeHostParts) {
    this.#parts = parts;
  }

  /** Uploads with bearer tokens under way get their 401 in the middle of the body. */
  cutUploads(): void {
    this.#uploads.abort();
    this.#uploads = new AbortController();
  }

  async usedBytes(): Promise<number> {
    return SNAPSHOT_BYTES + (await treeBytes(this.#parts.storage));
  }

  async answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { account, oauth } = this.#parts;
    const { method = '', url: path = '/', headers } = incoming;
    if (isNodeCall(path)) {
      const answer = await answerNodeHost({ method, path, headers }, account, () => this.usedBytes());
      return reply(incoming, outgoing, answer);
    }
    if (path.startsWith('/v2/')) {
      // "BASIC on a `/v2/` URL gives 400".
      if (/^basic /i.test(headers.authorization ?? '')) return reply(incoming, outgoing, { status: 400 });
      // "`/v2/dav/` with OAuth2 credentials only".
      if (!path.startsWith('/v2/dav/')) return reply(incoming, outgoing, { status: 404 });
      if (!(await oauth.hasAccessToken(headers.authorization))) return refuseBearer(incoming, outgoing);
      return this.#serve(incoming, outgoing, true);
    }
    if (!path.startsWith('/dav/') && !path.startsWith('/backup/')) {
      return reply(incoming, outgoing, { status: 404 });
    }
    // "A PROPFIND may come back as 200 with an HTML page when apps connection is off or the URL is wrong".
    if (method === 'PROPFIND' && !account.appsConnection) return reply(incoming, outgoing, LOGIN_PAGE);
    // "`/dav/` and `/backup/` on the node with BASIC"; "no Digest": the challenge names nothing else.
    if (!account.hasBasicCredentials(headers.authorization)) {
      return reply(incoming, outgoing, { status: 401, headers: { 'www-authenticate': BASIC_CHALLENGE } });
    }
    return this.#serve(incoming, outgoing, false);
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse, isBearer: boolean): Promise<void> {
    const { account, upstream, overQuotaStatus } = this.#parts;
    if (incoming.method === 'PROPFIND' && account.htmlInsteadOf207) {
      return reply(incoming, outgoing, LOGIN_PAGE);
    }
    const cut = this.#uploads.signal;
    const uploadRate = this.uploadRate;
    // "Over quota may show as 500 rather than 507".
    if (incoming.method === 'PUT' && (await this.#isOverQuota(incoming))) {
      return reply(incoming, outgoing, { status: overQuotaStatus });
    }
    const signal = isBearer && incoming.method === 'PUT' ? cut : new AbortController().signal;
    try {
      await forward(incoming, outgoing, upstream, { uploadRate, signal });
    } catch (error) {
      if (!signal.aborted || outgoing.headersSent) throw error;
      await refuseBearer(incoming, outgoing);
    }
  }

  async #isOverQuota(incoming: IncomingMessage): Promise<boolean> {
    const length = Number(incoming.headers['content-length'] ?? 0);
    return (await this.usedBytes()) + length > this.#parts.account.quotaBytes;
  }
}

const LOGIN_PAGE = {
  status: 200,
  headers: { 'content-type': 'text/html; charset=utf-8' },
  text: '<!DOCTYPE html><html><head><title>InfiniCLOUD</title></head><body>Please log in.</body></html>',
} as const;

/** RFC 6750 section 3: the error code only where a token was sent. */
function refuseBearer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const challenge =
    incoming.headers.authorization === undefined
      ? BEARER_CHALLENGE
      : `${BEARER_CHALLENGE}, error="invalid_token"`;
  return reply(incoming, outgoing, { status: 401, headers: { 'www-authenticate': challenge } });
}

async function treeBytes(dir: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) bytes += await treeBytes(path);
    // A file may go away between the listing and the look at it.
    else if (entry.isFile()) bytes += (await stat(path).catch(() => undefined))?.size ?? 0;
  }
  return bytes;
}
