/**
 * One small HTTPS request, for authorization servers and the REST API: TLS 1.2 or later, a deadline, a bounded body,
 * no redirect followed, no connection kept. What a mount moves goes by the WebDAV transport instead.
 */

import { rootCertificates } from 'node:tls';
import { Agent } from 'undici';
import { type Clock, isLoopbackHost, isTlsCode, systemErrorCode } from '../base/index.js';

export type HttpsFault =
  /** DNS, refused, no route, the connection broke off. */
  | 'unreachable'
  | 'timeout'
  | 'tls'
  /** Longer than the limit, or no HTTP. */
  | 'protocol'
  /** Plain http to another machine: nothing was sent. */
  | 'plain-http'
  | 'aborted';

export class HttpsError extends Error {
  override readonly name = 'HttpsError';
  readonly fault: HttpsFault;
  readonly host: string;

  constructor(fault: HttpsFault, host: string, options?: { readonly cause?: unknown }) {
    super(`no answer from ${host} (${fault})`, options);
    this.fault = fault;
    this.host = host;
  }
}

export interface HttpsRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

export interface HttpsAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

export interface HttpsOptions {
  readonly clock: Clock;
  /** PEM text of certificates to trust beside those of Node. */
  readonly ca?: string;
  /** For the whole exchange, in milliseconds. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 20_000;
const MAX_BODY_BYTES = 1024 * 1024;

/** Any status is an answer, a redirect too: whoever asks decides. Rejects with {@link HttpsError}. */
export async function askHttps(asked: HttpsRequest, options: HttpsOptions): Promise<HttpsAnswer> {
  const { ca, clock, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const { protocol, host, hostname, origin, pathname, search } = new URL(asked.url);
  if (protocol !== 'https:' && !(protocol === 'http:' && isLoopbackHost(hostname))) {
    throw new HttpsError('plain-http', host);
  }
  const agent = new Agent({
    connections: 1,
    maxResponseSize: MAX_BODY_BYTES,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: {
      timeout: timeoutMs,
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }),
    },
  });
  const deadline = new AbortController();
  const timer = clock.after(timeoutMs, () => deadline.abort());
  const signals = asked.signal === undefined ? [deadline.signal] : [deadline.signal, asked.signal];
  try {
    const response = await agent.request({
      origin,
      path: `${pathname}${search}`,
      method: asked.method as 'GET',
      headers: { ...asked.headers },
      signal: AbortSignal.any(signals),
      ...(asked.body === undefined ? {} : { body: asked.body }),
    });
    const text = await response.body.text();
    return { status: response.statusCode, headers: flatten(response.headers), text };
  } catch (error) {
    if (asked.signal?.aborted === true) throw new HttpsError('aborted', host, { cause: error });
    throw new HttpsError(deadline.signal.aborted ? 'timeout' : faultOf(error), host, { cause: error });
  } finally {
    timer.cancel();
    await agent.destroy();
  }
}

function flatten(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
  }
  return flat;
}

function faultOf(error: unknown): HttpsFault {
  const code = systemErrorCode(error);
  if (code === undefined) return 'unreachable';
  if (isTlsCode(code)) return 'tls';
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return 'timeout';
  return code.startsWith('HPE_') || code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE' ? 'protocol' : 'unreachable';
}
