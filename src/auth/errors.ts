/** Why no credentials can be had, or why the server takes none of those that there are. No message holds a secret. */

import { assertNever, UserError, type UserErrorCode } from '../base/index.js';

/**
 * - `digest-only`: the server asks for Digest, which is not spoken here (InfiniCLOUD does not offer it)
 * - `scheme`: the server asks for another scheme than the one configured
 * - `login-required`: no tokens, or the authorization server does not take the refresh token any more
 * - `client-refused`: the authorization server does not accept the client, its secret, its scope or the grant
 * - `declined`: the person said no; `expired`: nobody answered in time
 * - `unreachable`: the authorization server cannot be reached or is in trouble, which passes
 * - `tls`: its certificate or handshake was refused
 * - `protocol`: its answer is not one of an authorization server
 * - `token-command`: the token command failed or printed no token
 * - `token-file`: the file of tokens cannot be used
 * - `refused`: the server refused the credentials just now, and was not asked with them again
 * - `aborted`: called off
 */
export type AuthErrorCode =
  | 'digest-only'
  | 'scheme'
  | 'login-required'
  | 'client-refused'
  | 'declined'
  | 'expired'
  | 'unreachable'
  | 'tls'
  | 'protocol'
  | 'token-command'
  | 'token-file'
  | 'refused'
  | 'aborted';

export class AuthError extends Error {
  override readonly name = 'AuthError';
  readonly code: AuthErrorCode;
  /** The state found, as in `Cannot log in: <found>`. */
  readonly found: string;
  /** What to do: a sentence. */
  readonly advice: string;

  /** `cause`: of the system only; errors of an OAuth2 library carry tokens. */
  constructor(code: AuthErrorCode, found: string, advice: string, options?: { readonly cause?: unknown }) {
    super(`${found}. ${advice}`, options);
    this.code = code;
    this.found = found;
    this.advice = advice;
  }
}

/** The error as a person reads it: `Cannot log in: <found>. <advice>`. */
export function authUserError(error: AuthError, action = 'log in'): UserError {
  return new UserError(userCode(error.code), `Cannot ${action}: ${error.found}`, error.advice, {
    cause: error,
  });
}

function userCode(code: AuthErrorCode): UserErrorCode {
  switch (code) {
    case 'unreachable':
    case 'expired':
      return 'unreachable';
    case 'tls':
      return 'tls';
    case 'digest-only':
    case 'scheme':
    case 'login-required':
    case 'client-refused':
    case 'declined':
    case 'protocol':
    case 'token-command':
    case 'token-file':
    case 'refused':
    case 'aborted':
      return 'unauthorized';
    default:
      return assertNever(code);
  }
}
