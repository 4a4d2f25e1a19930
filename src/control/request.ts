/** From an HTTP request to the object that a route takes, checked by its schema. */

import type { IncomingMessage } from 'node:http';
import type * as z from 'zod';
import { RequestError } from './problems.js';
import type { RouteMatch } from './route-table.js';

const JSON_MEDIA_TYPE = /^application\/json\s*(;|$)/i;
/** Faults that are named in one answer. */
const MAX_FAULTS = 5;

/** Rejects with {@link RequestError}. */
export async function requestOf(
  request: IncomingMessage,
  { route, query }: RouteMatch,
  maxBodyBytes: number,
): Promise<unknown> {
  const body = await bodyOf(request, maxBodyBytes);
  let input: unknown;
  if (route.method === 'GET') {
    if (body.length > 0) throw new RequestError('bad-request', `GET ${route.path} takes no body`);
    input = queryObject(query);
  } else {
    if (query.size > 0) throw new RequestError('bad-request', `${route.path} takes no query`);
    input = jsonOf(request, body);
  }
  const parsed = route.request.safeParse(input);
  if (!parsed.success) throw new RequestError('bad-request', faultsOf(parsed.error));
  return parsed.data;
}

async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLarge = () => new RequestError('too-large', `The body has more than ${maxBytes} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  // A loop over the stream would destroy it, and the connection with it, before the refusal is written.
  await new Promise<void>((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) {
        request.pause();
        reject(tooLarge());
      } else chunks.push(chunk);
    });
    request.on('end', resolve);
    request.on('close', () => reject(new RequestError('bad-request', 'The body ended early')));
  });
  return Buffer.concat(chunks);
}

function jsonOf({ headers }: IncomingMessage, body: Buffer): unknown {
  if (body.length === 0) return {};
  if (!JSON_MEDIA_TYPE.test(headers['content-type'] ?? '')) {
    throw new RequestError('wrong-media-type', 'The body must be application/json', {
      advice: "With curl: -H 'content-type: application/json'",
    });
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    // The text itself may hold a password: nothing of it is told.
    throw new RequestError('bad-request', 'The body is no JSON');
  }
}

function queryObject(query: URLSearchParams): Record<string, string> {
  const object: Record<string, string> = Object.create(null);
  for (const [key, value] of query) {
    if (key in object) throw new RequestError('bad-request', 'The query names a field twice');
    object[key] = value;
  }
  return { ...object };
}

/** Names the fields and what is expected, never a value. */
function faultsOf({ issues }: z.ZodError): string {
  return issues
    .slice(0, MAX_FAULTS)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`))
    .join('; ');
}
