/** How a call over the control socket fails, as the caller sees it. */

import type { Problem } from './schema.js';

/**
 * - `no-daemon`: nothing listens there
 * - `denied`: the socket, or its directory, is not open to this user
 * - `untrusted`: the socket is another user's, who could read what is sent and answer anything
 * - `refused`: the daemon answered with a problem, which is in `problem`
 * - `busy`: it serves as many callers as it can, and went on to do so for as long as the caller waits
 * - `timeout`: no answer within the time limit
 * - `disconnected`: the connection ended before the answer did
 * - `bad-answer`: what answered does not keep to the protocol
 */
export type ControlErrorCode =
  | 'no-daemon'
  | 'denied'
  | 'untrusted'
  | 'refused'
  | 'busy'
  | 'timeout'
  | 'disconnected'
  | 'bad-answer';

export class ControlError extends Error {
  override readonly name = 'ControlError';
  readonly code: ControlErrorCode;
  /** What the daemon said; only with the code `refused`. */
  readonly problem: Problem | undefined;

  constructor(
    code: ControlErrorCode,
    message: string,
    options: { readonly problem?: Problem; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.problem = options.problem;
  }
}
