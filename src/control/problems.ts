/** Refusals of the server itself, and how all refusals are written (RFC 9457). */

import { STATUS_CODES } from 'node:http';
import type { Problem } from './schema.js';

export const PROBLEM_TYPE = 'application/problem+json';

/** What the server refuses before any service is asked. */
export type RequestFault =
  | 'unknown-route'
  | 'unsupported-version'
  | 'wrong-method'
  | 'bad-request'
  | 'too-large'
  | 'wrong-media-type'
  | 'browser'
  | 'another-user'
  | 'too-many-listeners'
  | 'too-many-connections'
  | 'closing'
  | 'unexpected';

const STATUS_OF: Readonly<Record<RequestFault, number>> = {
  'unknown-route': 404,
  'unsupported-version': 404,
  'wrong-method': 405,
  'bad-request': 400,
  'too-large': 413,
  'wrong-media-type': 415,
  browser: 403,
  'another-user': 403,
  'too-many-listeners': 503,
  'too-many-connections': 503,
  closing: 503,
  unexpected: 500,
};

export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly problem: Problem;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    fault: RequestFault,
    detail: string,
    options: { readonly advice?: string; readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail);
    this.problem = makeProblem({ status: STATUS_OF[fault], code: fault, detail, advice: options.advice });
    this.headers = options.headers ?? {};
  }
}

/**
 * A problem without a page of its own: `about:blank`, with the status' words as the title (RFC 9457, section 4.2.1).
 * `detail` has no full stop.
 */
export function makeProblem(of: {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly advice?: string | undefined;
}): Problem {
  const { status, code, detail, advice } = of;
  return {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail,
    code,
    ...(advice === undefined ? {} : { advice }),
  };
}

/** A problem as a whole answer, for a connection that gets no HTTP server. */
export function rawAnswer(problem: Problem): string {
  const body = JSON.stringify(problem);
  return [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    '',
    body,
  ].join('\r\n');
}
