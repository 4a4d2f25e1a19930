/** What the REST API may answer, in words that a user can act on. No message holds the password or the API key. */

import { assertNever, UserError, type UserErrorCode } from '../base/index.js';

/**
 * - `not-ready`: 202, the account is new and has no node yet
 * - `unauthorized`: 401, the ID or the apps password
 * - `wrong-key`: 403, the API key
 * - `not-found`: 404, no such account data there
 * - `refused`: an answer whose `result` is not 0
 * - `redirect`: the API sends on to another address; nothing was sent there
 * - `server`: 5xx or 429
 * - `protocol`: no JSON, or nothing that is known in it
 * - `unreachable`, `timeout`, `tls`, `aborted`: below HTTP
 */
export type InfiniCloudErrorCode =
  | 'not-ready'
  | 'unauthorized'
  | 'wrong-key'
  | 'not-found'
  | 'refused'
  | 'redirect'
  | 'server'
  | 'protocol'
  | 'unreachable'
  | 'timeout'
  | 'tls'
  | 'aborted';

export class InfiniCloudError extends Error {
  override readonly name = 'InfiniCloudError';
  readonly code: InfiniCloudErrorCode;
  /** The state found, as in `Cannot <do that>: <found>`. */
  readonly found: string;
  /** What to do: a sentence. */
  readonly advice: string;
  /** HTTP status, where an answer came. */
  readonly status: number | undefined;

  constructor(
    code: InfiniCloudErrorCode,
    found: string,
    advice: string,
    context: { readonly status?: number; readonly cause?: unknown } = {},
  ) {
    super(`${found}. ${advice}`, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.found = found;
    this.advice = advice;
    this.status = context.status;
  }
}

/** The error as a person reads it: `Cannot <action>: <found>. <advice>`. */
export function infiniCloudUserError(error: InfiniCloudError, action = 'ask InfiniCLOUD'): UserError {
  return new UserError(userCode(error.code), `Cannot ${action}: ${error.found}`, error.advice, {
    cause: error,
  });
}

function userCode(code: InfiniCloudErrorCode): UserErrorCode {
  switch (code) {
    case 'unauthorized':
      return 'unauthorized';
    case 'wrong-key':
      return 'forbidden';
    case 'not-found':
      return 'url-not-found';
    case 'redirect':
      return 'redirect-refused';
    case 'tls':
      return 'tls';
    case 'unreachable':
    case 'timeout':
      return 'unreachable';
    case 'not-ready':
    case 'refused':
    case 'server':
    case 'protocol':
    case 'aborted':
      return 'server-trouble';
    default:
      return assertNever(code);
  }
}
