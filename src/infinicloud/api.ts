/**
 * The REST API of InfiniCLOUD: which node an account lives on, and how much room it has there. Mounting needs neither:
 * the node is asked for once, and the room is for `df`. The credentials and the key go to the API's origin and to the
 * node that is asked for, and no redirect is followed.
 */

import { askHttps, basicHeaders, type HttpsAnswer, HttpsError } from '../auth/index.js';
import { type Clock, type Log, type Secret, silentLog } from '../base/index.js';
import { InfiniCloudError } from './errors.js';
import { type Fields, fieldsOf, numberOf, parseFields, textOf } from './reading.js';

export interface InfiniCloudOptions {
  /** The API's origin, such as `https://api.teracloud.jp`. */
  readonly apiUrl: string;
  /** As {@link parseApiKey} gives it. */
  readonly apiKey: Secret;
  /** The InfiniCLOUD ID and the apps password. */
  readonly credentials: { readonly user: string; readonly password: Secret };
  /** The matrix parameter lands in the logs of servers; the header does not. */
  readonly keyPlacement?: 'header' | 'matrix';
  /** PEM text of certificates to trust beside those of Node. */
  readonly ca?: string;
  readonly clock: Clock;
  /** For one call, in milliseconds. */
  readonly timeoutMs?: number;
  readonly userAgent?: string;
  readonly log?: Log;
}

export interface InfiniCloudUser {
  /** The InfiniCLOUD ID, as the server writes it. */
  readonly user: string;
  /** Host of the node, with a port where it is not 443. */
  readonly node: string;
  /** The folder to mount. */
  readonly webdavUrl: string;
  /** What the plan offers; undefined where the answer does not say. */
  readonly capacityBytes: number | undefined;
}

export interface InfiniCloudCapacity {
  readonly quotaBytes: number;
  /** After compression, snapshots included: not the sum of the files. */
  readonly usedBytes: number;
}

/** `capacity` of ba/user is in GB. */
const GB = 1e9;
const ROOT_DATASET = '__ROOT__';
const HOST = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?$/i;

/** All methods reject with `InfiniCloudError`. */
export class InfiniCloudApi {
  readonly #options: InfiniCloudOptions;
  readonly #log: Log;

  constructor(options: InfiniCloudOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
  }

  /** GET ba/user of the API host. */
  async user(signal?: AbortSignal): Promise<InfiniCloudUser> {
    const fields = await this.#ask(new URL(this.#options.apiUrl).origin, 'user', signal);
    const stated = textOf(fields.webdav_url);
    const webdavUrl = stated !== undefined && isHttpsUrl(stated) ? stated : undefined;
    const node = textOf(fields.node) ?? (webdavUrl === undefined ? undefined : new URL(webdavUrl).host);
    if (node === undefined || !HOST.test(node)) {
      throw new InfiniCloudError(
        'protocol',
        'the answer of the API names no node',
        'Copy the WebDAV URL from MyPage and give that instead.',
      );
    }
    const capacity = numberOf(fields.capacity);
    return {
      user: textOf(fields.user) ?? this.#options.credentials.user,
      node,
      webdavUrl: webdavUrl ?? `https://${node}/dav/`,
      capacityBytes: capacity === undefined || capacity <= 0 ? undefined : Math.round(capacity * GB),
    };
  }

  /** GET ba/dataset/(capacity) of the node; undefined where the answer has no usable figures. */
  async capacity(node: string, signal?: AbortSignal): Promise<InfiniCloudCapacity | undefined> {
    if (!HOST.test(node)) throw new TypeError('a node is a host, with or without a port');
    const fields = await this.#ask(`https://${node}`, 'dataset/(capacity)', signal);
    const datasets = fieldsOf(fields.dataset) ?? {};
    const root = fieldsOf(datasets[ROOT_DATASET]);
    const quotaBytes = numberOf(root?.quota);
    const usedBytes = numberOf(root?.used);
    if (quotaBytes === undefined || usedBytes === undefined || quotaBytes <= 0 || usedBytes < 0) {
      this.#log.debug({ node }, 'the capacity of the account is not told');
      return undefined;
    }
    return { quotaBytes: Math.floor(quotaBytes), usedBytes: Math.ceil(usedBytes) };
  }

  async #ask(origin: string, resource: string, signal: AbortSignal | undefined): Promise<Fields> {
    const { apiKey, credentials, ca, clock, timeoutMs, userAgent = 'infinimount' } = this.#options;
    const inUrl = this.#options.keyPlacement === 'matrix';
    const url = `${origin}/v2/api/ba/${resource}${inUrl ? `;api_key=${apiKey.reveal()}` : ''}`;
    const host = new URL(origin).host;
    let answer: HttpsAnswer;
    try {
      answer = await askHttps(
        {
          url,
          method: 'GET',
          headers: {
            accept: 'application/json',
            'user-agent': userAgent,
            ...basicHeaders(credentials),
            ...(inUrl ? {} : keyHeaders(apiKey)),
          },
          ...(signal === undefined ? {} : { signal }),
        },
        {
          clock,
          ...(ca === undefined ? {} : { ca }),
          ...(timeoutMs === undefined ? {} : { timeoutMs }),
        },
      );
    } catch (error) {
      if (error instanceof HttpsError) throw lineError(error);
      throw error;
    }
    return readAnswer(answer, host);
  }
}

/** The documented name, and the one of older pages (INFINICLOUD's pages on the API key). */
function keyHeaders(apiKey: Secret): Record<string, string> {
  return { 'x-infinicloud-api-key': apiKey.reveal(), 'x-teracloud-api-key': apiKey.reveal() };
}

function readAnswer({ status, headers, text }: HttpsAnswer, host: string): Fields {
  const refusal = refusalOf(status, headers, host);
  if (refusal !== undefined) throw refusal;
  const fields = parseFields(text);
  if (fields === undefined) {
    throw new InfiniCloudError(
      'protocol',
      `what answers at ${host} is not the InfiniCLOUD API (no JSON)`,
      'Check the option api.',
      { status },
    );
  }
  const result = fields.result === undefined ? 0 : numberOf(fields.result);
  if (result !== 0) {
    const shown = result === undefined ? '' : ` (result ${result})`;
    throw new InfiniCloudError(
      'refused',
      `InfiniCLOUD refuses the request${shown}`,
      'Log in to MyPage and look whether the account is in order; else give the WebDAV URL that MyPage shows.',
      { status },
    );
  }
  return fields;
}

/** What a status means here; undefined for 200. */
function refusalOf(
  status: number,
  headers: Readonly<Record<string, string>>,
  host: string,
): InfiniCloudError | undefined {
  const at = { status };
  if (status === 200) return undefined;
  if (status === 202) {
    return new InfiniCloudError(
      'not-ready',
      'the account is new, and its node is not ready yet (HTTP 202)',
      'Wait a few minutes, then try again.',
      at,
    );
  }
  if (status === 401) {
    return new InfiniCloudError(
      'unauthorized',
      'InfiniCLOUD does not accept the ID or the apps password (HTTP 401)',
      'Take the apps password that MyPage shows under "Apps Connection", not the password of the web pages; switch Apps Connection on if it is off. A renewed password takes some minutes to work.',
      at,
    );
  }
  if (status === 403) {
    return new InfiniCloudError(
      'wrong-key',
      'InfiniCLOUD does not accept the API key (HTTP 403)',
      'Check the API key; without one, give the WebDAV URL that MyPage shows.',
      at,
    );
  }
  if (status === 404) {
    return new InfiniCloudError(
      'not-found',
      `${host} does not know the account's data (HTTP 404)`,
      'Check the options api and node; without them, give the WebDAV URL that MyPage shows, and volume-size for df.',
      at,
    );
  }
  if (status >= 300 && status < 400) {
    const location = headers.location ?? '';
    const target = URL.canParse(location, `https://${host}`)
      ? new URL(location, `https://${host}`).host
      : 'nowhere';
    return new InfiniCloudError(
      'redirect',
      `${host} sends on to ${target}, where the password and the API key do not belong (HTTP ${status})`,
      'Set the option api to that address if you trust it.',
      at,
    );
  }
  if (status >= 500 || status === 429) {
    return new InfiniCloudError(
      'server',
      `the InfiniCLOUD API is in trouble (HTTP ${status})`,
      'Try again later; mounting works without it.',
      at,
    );
  }
  return new InfiniCloudError(
    'protocol',
    `what answers at ${host} is not the InfiniCLOUD API (HTTP ${status})`,
    'Check the option api.',
    at,
  );
}

function lineError(error: HttpsError): InfiniCloudError {
  const { host } = error;
  const cause = { cause: error };
  switch (error.fault) {
    case 'unreachable':
      return new InfiniCloudError(
        'unreachable',
        `${host} cannot be reached`,
        'Check the network and the option api; mounting a WebDAV URL works without it.',
        cause,
      );
    case 'timeout':
      return new InfiniCloudError('timeout', `${host} did not answer in time`, 'Try again later.', cause);
    case 'tls':
      return new InfiniCloudError(
        'tls',
        `the certificate of ${host} is not trusted, or TLS 1.2 is not spoken`,
        "Give its authority's certificate with --ca-file FILE if you trust it.",
        cause,
      );
    case 'aborted':
      return new InfiniCloudError('aborted', 'the request was called off', 'Try again.', cause);
    case 'protocol':
      return new InfiniCloudError(
        'protocol',
        `the answer of ${host} makes no sense`,
        'Check the option api.',
        cause,
      );
    case 'plain-http':
      return new InfiniCloudError(
        'redirect',
        `${host} would be asked over plain http, where everybody can read the password`,
        'Write the option api with https://.',
        cause,
      );
  }
}

function isHttpsUrl(text: string): boolean {
  return URL.canParse(text) && new URL(text).protocol === 'https:';
}
