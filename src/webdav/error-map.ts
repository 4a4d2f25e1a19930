/** Statuses and system error codes to RemoteError: the one place where an answer becomes a code. */

import { AuthError, type AuthErrorCode } from '../auth/index.js';
import { assertNever, isTlsCode, quote, systemErrorCode } from '../base/index.js';
import { type Outcome, RemoteError, type RemoteErrorCode, type RemotePath } from '../remote/index.js';
import { type HeaderMap, parseRetryAfter } from './headers.js';

/** What was being done, for messages and for what a status means to it. */
export interface RequestSubject {
  readonly method: string;
  /** As in `Cannot <action> "/path"`. */
  readonly action: string;
  readonly path: RemotePath;
  /** Whether the request changes the server, so that a lost answer leaves the outcome open. */
  readonly changes: boolean;
}

/** A deadline of ours that passed; the reason that requests are aborted with. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
  readonly phase: 'connect' | 'headers' | 'idle';
  readonly limitMs: number;

  constructor(phase: DeadlineError['phase'], limitMs: number) {
    super(`no progress for ${limitMs} ms (${phase})`);
    this.phase = phase;
    this.limitMs = limitMs;
  }
}

/** The caller's signal; whatever its reason is, the request was called off. */
export class CalledOffError extends Error {
  override readonly name = 'CalledOffError';
}

/** The caller's own bytes could not be had: reading them failed, or they are not as many as announced. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
}

export interface Described {
  readonly code: RemoteErrorCode;
  /** The state found, as in `Cannot list "/a": <found>`. */
  readonly found: string;
  /** What to do. */
  readonly advice?: string;
  readonly outcome?: Outcome;
  readonly status?: number;
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** Makes the error with its message in the one form. */
export function makeError(subject: RequestSubject, about: Described): RemoteError {
  const advice = about.advice === undefined ? '' : `; ${about.advice}`;
  const message = `Cannot ${subject.action} ${quote(subject.path)}: ${about.found}${advice}`;
  return new RemoteError(about.code, message, {
    method: subject.method,
    path: subject.path,
    outcome: about.outcome ?? 'none',
    ...(about.status === undefined ? {} : { status: about.status }),
    ...(about.retryAfterMs === undefined ? {} : { retryAfterMs: about.retryAfterMs }),
    ...(about.cause === undefined ? {} : { cause: about.cause }),
  });
}

/** The error of an answer that is no success. */
export function statusError(
  subject: RequestSubject,
  status: number,
  headers: HeaderMap,
  nowMs: number,
): RemoteError {
  const retryAfterMs = parseRetryAfter(headers['retry-after'], nowMs);
  const { code, advice } = meaningOfStatus(subject, status, retryAfterMs !== undefined);
  return makeError(subject, {
    code,
    found: `the server answered ${status}`,
    ...(advice === undefined ? {} : { advice }),
    status,
    outcome: subject.changes && OPEN_STATUSES.has(status) ? 'unknown' : 'none',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** Answers after which the change may have been made all the same: a gateway gave up, or the server failed midway. */
const OPEN_STATUSES: ReadonlySet<number> = new Set([500, 502, 504]);

interface StatusMeaning {
  readonly code: RemoteErrorCode;
  readonly advice?: string;
}

/** Statuses that mean the same for every verb. */
const PLAIN_STATUSES: ReadonlyMap<number, StatusMeaning> = new Map([
  [401, { code: 'unauthorized', advice: 'check the user name and the password' }],
  [402, { code: 'no-space', advice: 'the account may be over its quota' }],
  [403, { code: 'forbidden', advice: 'check what this user may do there' }],
  [404, { code: 'not-found' }],
  [407, { code: 'unreachable', advice: 'a proxy on the way asks for credentials' }],
  [408, { code: 'timeout' }],
  [410, { code: 'not-found' }],
  [413, { code: 'too-large', advice: 'the server takes no body of this size' }],
  [414, { code: 'bad-name', advice: 'shorten the path' }],
  [416, { code: 'changed' }],
  [423, { code: 'locked', advice: 'another program holds a lock on it' }],
  [425, { code: 'throttled' }],
  [429, { code: 'throttled' }],
  [501, { code: 'not-supported' }],
  [507, { code: 'no-space', advice: 'free some space on the server' }],
]);

function meaningOfStatus(subject: RequestSubject, status: number, hasRetryAfter: boolean): StatusMeaning {
  const plain = PLAIN_STATUSES.get(status);
  const isListing = subject.method === 'PROPFIND';
  if (isListing && (status === 405 || status === 501)) {
    return { code: 'not-webdav', advice: 'check that the URL is that of a WebDAV folder' };
  }
  if (plain !== undefined) return plain;
  if (status >= 300 && status < 400)
    return { code: 'redirect-refused', advice: 'the password is sent nowhere else; check the URL' };
  if (status === 503 && hasRetryAfter) return { code: 'throttled' };
  if (status >= 500) return { code: 'server', advice: 'it is the server that has trouble' };
  if (status === 400 || status === 422) return { code: isListing ? 'protocol' : 'bad-name' };
  if (status === 405) return { code: subject.method === 'MKCOL' ? 'exists' : 'not-supported' };
  if (status === 409) return { code: subject.changes ? 'parent-missing' : 'protocol' };
  if (status === 412)
    return { code: subject.method === 'PUT' || subject.method === 'DELETE' ? 'changed' : 'exists' };
  return { code: 'protocol' };
}

/** How far a request had come when it failed. */
export interface Progress {
  /** Whether it was written to a connection. */
  readonly started: boolean;
  /** Whether all of its body was handed to the connection; true where it has none. */
  readonly sent: boolean;
}

/** The error of an exchange that failed below HTTP. */
export function exchangeError(subject: RequestSubject, error: unknown, progress: Progress): RemoteError {
  if (error instanceof RemoteError) return error;
  if (error instanceof AuthError) return credentialsError(subject, error);
  const outcome: Outcome = subject.changes && progress.started && progress.sent ? 'unknown' : 'none';
  const base = { outcome, cause: error };
  if (error instanceof DeadlineError) {
    const seconds = error.limitMs / 1000;
    if (error.phase === 'connect') {
      return makeError(subject, {
        ...base,
        code: 'unreachable',
        found: `no connection within ${seconds} s`,
        advice: LINE,
      });
    }
    return makeError(subject, { ...base, code: 'timeout', found: `no answer within ${seconds} s` });
  }
  if (error instanceof SourceError) {
    return makeError(subject, { ...base, code: 'aborted', found: error.message });
  }
  const system = error instanceof CalledOffError ? undefined : systemErrorCode(error);
  const code = system === undefined ? 'aborted' : meaningOfSystemCode(system, progress.started);
  switch (code) {
    case 'tls':
      return makeError(subject, {
        ...base,
        code,
        found: `the server's certificate or TLS handshake was refused (${system})`,
        advice: 'check the host name and the clock, or name the CA file of the server',
      });
    case 'unreachable':
      return makeError(subject, {
        ...base,
        code,
        found: `no connection to the server (${system})`,
        advice: LINE,
      });
    case 'interrupted':
      return makeError(subject, { ...base, code, found: `the connection ended early (${system})` });
    case 'protocol':
      return makeError(subject, { ...base, code, found: `the answer is broken (${system})` });
    case 'aborted':
      return makeError(subject, { ...base, code, found: 'it was called off' });
  }
}

/** No credentials could be had, or the server takes none of the kind: the request had no effect. */
function credentialsError(subject: RequestSubject, error: AuthError): RemoteError {
  return makeError(subject, {
    code: meaningOfAuthCode(error.code),
    found: error.found,
    advice: error.advice,
    cause: error,
  });
}

function meaningOfAuthCode(code: AuthErrorCode): RemoteErrorCode {
  switch (code) {
    case 'unreachable':
    case 'protocol':
      return 'unreachable';
    case 'tls':
    case 'aborted':
      return code;
    case 'digest-only':
    case 'scheme':
    case 'login-required':
    case 'client-refused':
    case 'declined':
    case 'expired':
    case 'token-command':
    case 'token-file':
    case 'refused':
      return 'unauthorized';
    default:
      return assertNever(code);
  }
}

const LINE = 'check the host name and the network';

const UNREACHABLE: ReadonlySet<string> = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
]);

const INTERRUPTED: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'UND_ERR_SOCKET',
  'UND_ERR_INFO',
  'UND_ERR_DESTROYED',
  'UND_ERR_CLOSED',
]);

type ExchangeCode = 'tls' | 'unreachable' | 'interrupted' | 'protocol' | 'aborted';

function meaningOfSystemCode(system: string, started: boolean): ExchangeCode {
  if (isTlsCode(system)) return 'tls';
  if (UNREACHABLE.has(system)) return 'unreachable';
  // Ended before anything was written: there never was a connection to speak of.
  if (INTERRUPTED.has(system)) return started ? 'interrupted' : 'unreachable';
  if (system.startsWith('HPE_') || system.startsWith('UND_ERR_')) {
    return system === 'UND_ERR_ABORTED' ? 'aborted' : 'protocol';
  }
  return 'interrupted';
}
