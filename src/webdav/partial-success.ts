/** A change of a tree that was made in part (207 to DELETE, MOVE, COPY; RFC 4918 sections 9.6.1, 9.8.5, 9.9.4). */

import type { DavContext } from './context.js';
import { makeError, type RequestSubject, statusError } from './error-map.js';
import { readResponses } from './propfind.js';
import type { Reply } from './reply.js';

/** Reads the answer; rejects with the first trouble in it, the outcome unknown, since the rest was done. */
export async function checkPartialSuccess(
  context: DavContext,
  subject: RequestSubject,
  reply: Reply,
): Promise<void> {
  for await (const responses of readResponses(subject, reply)) {
    for (const { status, href } of responses) {
      if (status < 300) continue;
      const { code } = statusError(subject, status, {}, context.clock.nowMs());
      throw makeError(subject, {
        code,
        found: `the server answered ${status} for ${href}`,
        advice: 'the rest of it may be done',
        status,
        outcome: 'unknown',
      });
    }
  }
}
