/** The one error type of everything that talks to a server. */

import type { RemotePath } from './path.js';

/**
 * What went wrong, as the layers above decide by it:
 *
 * - `not-found`: 404 or 410
 * - `exists`: the name is taken (405 on MKCOL, 412 of `If-None-Match: *` or `Overwrite: F`)
 * - `changed`: the resource is not the version asked for (412 of If-Match; a range that belongs to another version)
 * - `parent-missing`: 409, a collection on the path does not exist
 * - `unauthorized` 401, `forbidden` 403, `locked` 423, `no-space` 507, `too-large` 413, `bad-name` 400/414/422 on a name
 * - `throttled`: 425, 429, or 503 with Retry-After
 * - `server`: any other 5xx
 * - `not-supported`: 405 or 501, the server lacks the verb
 * - `not-webdav`: an answer that is no WebDAV (an HTML page, 200 where 207 is due)
 * - `redirect-refused`: a redirect to another origin or from https to http
 * - `tls`: the certificate or the handshake failed
 * - `unreachable`: no connection (DNS, refused, no route)
 * - `interrupted`: the connection ended in the middle
 * - `timeout`: a deadline passed
 * - `protocol`: an answer that breaks HTTP or WebDAV (wrong length, bad XML, wrong range)
 * - `aborted`: the caller's signal
 */
export type RemoteErrorCode =
  | 'not-found'
  | 'exists'
  | 'changed'
  | 'parent-missing'
  | 'unauthorized'
  | 'forbidden'
  | 'locked'
  | 'no-space'
  | 'too-large'
  | 'bad-name'
  | 'throttled'
  | 'server'
  | 'not-supported'
  | 'not-webdav'
  | 'redirect-refused'
  | 'tls'
  | 'unreachable'
  | 'interrupted'
  | 'timeout'
  | 'protocol'
  | 'aborted';

/** Whether the request took effect: surely not, or nobody knows (the answer was lost). */
export type Outcome = 'none' | 'unknown';

export interface RemoteErrorContext {
  /** The verb, such as `PUT`. */
  readonly method: string;
  readonly path: RemotePath;
  /** HTTP status, where an answer came. */
  readonly status?: number;
  readonly outcome: Outcome;
  /** Milliseconds that the server asked to be left alone (Retry-After, RFC 9110 section 10.2.3). */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** Codes that say nothing of the request itself, so that the same request may succeed later. */
const PASSING: ReadonlySet<RemoteErrorCode> = new Set<RemoteErrorCode>([
  'throttled',
  'server',
  'unreachable',
  'interrupted',
  'timeout',
  'locked',
  'tls',
  'protocol',
]);

/** Codes that mean that the server cannot be reached at all. */
const OFFLINE: ReadonlySet<RemoteErrorCode> = new Set<RemoteErrorCode>([
  'unreachable',
  'interrupted',
  'timeout',
  'tls',
]);

export class RemoteError extends Error {
  override readonly name = 'RemoteError';
  readonly code: RemoteErrorCode;
  readonly method: string;
  readonly path: RemotePath;
  readonly status: number | undefined;
  readonly outcome: Outcome;
  readonly retryAfterMs: number | undefined;

  constructor(code: RemoteErrorCode, message: string, context: RemoteErrorContext) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.method = context.method;
    this.path = context.path;
    this.status = context.status;
    this.outcome = context.outcome;
    this.retryAfterMs = context.retryAfterMs;
  }

  /** Whether the same request may succeed later without anything else being done. */
  get mayRetry(): boolean {
    return PASSING.has(this.code);
  }

  /** Whether the server could not be reached, so that nothing else will get through either. */
  get isOffline(): boolean {
    return OFFLINE.has(this.code);
  }
}

/** `error` when it is a {@link RemoteError} with one of `codes`. */
export function isRemoteError(error: unknown, ...codes: RemoteErrorCode[]): error is RemoteError {
  return error instanceof RemoteError && (codes.length === 0 || codes.includes(error.code));
}
