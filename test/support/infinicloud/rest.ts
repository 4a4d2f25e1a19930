/** The two calls of the REST API that are documented, answered from the account. Lines quoted are of INFINICLOUD.md. */

import type { IncomingHttpHeaders } from 'node:http';
import type { Account } from './account.js';

export interface RestRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export interface RestAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export const BASIC_CHALLENGE = 'Basic realm="InfiniCLOUD"';
const BYTES_PER_GB = 1024 ** 3;

/** "Node discovery: `GET https://<api>/v2/api/ba/user`, BASIC + API key". */
export function answerApiHost(request: RestRequest, account: Account, nodeHost: string): RestAnswer {
  const { path, matrix } = splitMatrix(request.path);
  if (request.method !== 'GET' || path !== '/v2/api/ba/user') return { status: 404 };
  const refusal = refuse(request, matrix, account);
  if (refusal !== undefined) return refusal;
  // "HTTP 202 = account new, node not ready".
  if (!account.nodeReady) return { status: 202, body: { result: 0 } };
  if (account.restResult !== 0) return { status: 200, body: { result: account.restResult } };
  // "JSON `{result: 0, user, node: "<fqdn>", webdav_url, capacity (GB), ...}`".
  return {
    status: 200,
    body: {
      result: 0,
      user: account.user,
      node: nodeHost,
      webdav_url: `https://${nodeHost}/dav/`,
      capacity: Math.round(account.quotaBytes / BYTES_PER_GB),
    },
  };
}

export function isNodeCall(path: string): boolean {
  return path.startsWith('/v2/api/');
}

/** "Capacity: `GET https://<node>/v2/api/ba/dataset/(capacity)`, BASIC + API key". */
export async function answerNodeHost(
  request: RestRequest,
  account: Account,
  usedBytes: () => Promise<number>,
): Promise<RestAnswer> {
  const { path, matrix } = splitMatrix(request.path);
  // "404 = no such dataset".
  if (request.method !== 'GET' || decodeURIComponent(path) !== '/v2/api/ba/dataset/(capacity)') {
    return { status: 404 };
  }
  const refusal = refuse(request, matrix, account);
  if (refusal !== undefined) return refusal;
  if (account.restResult !== 0) return { status: 200, body: { result: account.restResult } };
  // "`{result:0, dataset:{"__ROOT__":{quota,used}}}` in bytes".
  const used = await usedBytes();
  return {
    status: 200,
    body: { result: 0, dataset: { __ROOT__: { quota: account.quotaBytes, used } } },
  };
}

/** "401 = wrong ID or apps password; 403 = wrong API key"; "must both be right and go together". */
function refuse(
  { headers }: RestRequest,
  matrix: ReadonlyMap<string, string>,
  account: Account,
): RestAnswer | undefined {
  if (!account.hasApiKey(headers, matrix)) return { status: 403 };
  if (account.hasBasicCredentials(headers.authorization)) return undefined;
  return { status: 401, headers: { 'www-authenticate': BASIC_CHALLENGE } };
}

/** "As header ..., or as matrix parameter `;api_key=` in the URL". */
function splitMatrix(target: string): { path: string; matrix: ReadonlyMap<string, string> } {
  const [path = '', ...parameters] = target.split(';');
  return {
    path,
    matrix: new Map(parameters.map((parameter) => parameter.split('=', 2) as [string, string])),
  };
}
