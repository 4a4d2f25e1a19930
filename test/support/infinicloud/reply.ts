/** Sends a short answer to a request whose body, if any, does not matter. */

import type { IncomingMessage, ServerResponse } from 'node:http';

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly text?: string;
}

/** The rest of a body goes nowhere; it does not hold up the answer. */
export async function reply(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  answer: Reply,
): Promise<void> {
  incoming.resume();
  const text = answer.text ?? (answer.body === undefined ? '' : JSON.stringify(answer.body));
  outgoing.writeHead(answer.status, {
    ...(answer.body === undefined ? {} : { 'content-type': 'application/json' }),
    'content-length': Buffer.byteLength(text),
    ...answer.headers,
  });
  outgoing.end(text);
}
