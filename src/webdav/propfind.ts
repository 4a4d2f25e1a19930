/** PROPFIND: listings (Depth 1), one entry (Depth 0), quota. Named properties only, read as they stream in. */

import {
  nameOfRemote,
  type Quota,
  REMOTE_ROOT,
  type RemoteEntry,
  type RemotePath,
  type RequestOptions,
} from '../remote/index.js';
import type { DavContext } from './context.js';
import { makeError, type RequestSubject, statusError } from './error-map.js';
import { makeTag, parseTag } from './etags.js';
import { parseHttpDate, parseLength } from './headers.js';
import { type DavResponse, MultistatusError } from './multistatus.js';
import type { Reply } from './reply.js';
import { withRetries } from './retry.js';

const ENTRY_PROPERTIES = ['resourcetype', 'getcontentlength', 'getetag', 'getlastmodified'] as const;
const QUOTA_PROPERTIES = ['quota-available-bytes', 'quota-used-bytes'] as const;

/** Yields the entries of `dir` in batches as they arrive. Repeats itself only until the first batch is out. */
export async function* list(
  context: DavContext,
  dir: RemotePath,
  { signal }: RequestOptions = {},
): AsyncGenerator<readonly RemoteEntry[]> {
  const subject = subjectOf('list', dir);
  const open = async () => {
    const batches = readEntries(context, subject, await ask(context, subject, { depth: '1', signal }));
    return { batches, first: await batches.next() };
  };
  const { batches, first } = await withRetries(context.retry, signal, open);
  try {
    if (first.done !== true) yield first.value;
    yield* batches;
  } finally {
    await batches.return(undefined);
  }
}

/** The entry of `path`; `directory` when that is known already, which saves a redirect. */
export function stat(
  context: DavContext,
  path: RemotePath,
  { signal, directory = false }: RequestOptions & { readonly directory?: boolean } = {},
): Promise<RemoteEntry> {
  return withRetries(context.retry, signal, () => statOnce(context, path, { signal, directory }));
}

/** {@link stat} without a second attempt. */
export async function statOnce(
  context: DavContext,
  path: RemotePath,
  { signal, directory }: { readonly signal: AbortSignal | undefined; readonly directory: boolean },
): Promise<RemoteEntry> {
  const subject = subjectOf('look up', path);
  const reply = await ask(context, subject, { depth: '0', signal, collection: directory });
  let entry: RemoteEntry | undefined;
  // To the end: an answer that is left early takes its connection along.
  for await (const responses of readResponses(subject, reply)) {
    for (const response of responses) entry ??= selfEntry(context, subject, response);
  }
  if (entry !== undefined) return entry;
  throw makeError(subject, { code: 'protocol', found: 'the answer does not speak of it', status: 207 });
}

/** RFC 4331; undefined where the server has none of it. */
export function quota(context: DavContext, { signal }: RequestOptions = {}): Promise<Quota | undefined> {
  const subject = subjectOf('ask for the space of', REMOTE_ROOT);
  return withRetries(context.retry, signal, async () => {
    const reply = await ask(context, subject, { depth: '0', signal, properties: QUOTA_PROPERTIES });
    let quota: Quota | undefined;
    for await (const responses of readResponses(subject, reply)) {
      for (const { properties } of responses) {
        const available = parseLength(properties.get('quota-available-bytes'));
        const used = parseLength(properties.get('quota-used-bytes'));
        if (available !== undefined && used !== undefined) quota ??= { available, used };
      }
    }
    return quota;
  });
}

interface Question {
  readonly depth: '0' | '1';
  readonly signal: AbortSignal | undefined;
  readonly properties?: readonly string[];
  /** Whether the URL ends with a slash; a listing's always does. */
  readonly collection?: boolean;
}

async function ask(context: DavContext, subject: RequestSubject, question: Question): Promise<Reply> {
  const body = Buffer.from(requestBody(question.properties ?? ENTRY_PROPERTIES));
  const collection = question.depth === '1' || question.collection === true || subject.path === REMOTE_ROOT;
  const reply = await context.client.send({
    subject,
    url: context.urls.urlOf(subject.path, collection),
    headers: {
      depth: question.depth,
      accept: 'application/xml, text/xml',
      'accept-encoding': 'identity',
      'content-type': 'application/xml; charset=utf-8',
      'content-length': String(body.length),
    },
    body: { size: body.length, open: () => body },
    thread: 'parse',
    expect: [400],
    ...(question.signal === undefined ? {} : { signal: question.signal }),
  });
  if (reply.status === 400) {
    await reply.discard();
    // mod_dav_fs answers so when a file is asked as if it were a collection.
    if (collection && subject.path !== REMOTE_ROOT) throw notDirectory(subject);
    throw statusError(subject, 400, reply.headers, context.clock.nowMs());
  }
  const type = reply.headers['content-type'];
  if (reply.status === 207 && (type === undefined || /\bxml\b/i.test(type))) return reply;
  await reply.discard();
  throw makeError(subject, {
    code: 'not-webdav',
    found: `the server answered ${reply.status} with ${type ?? 'no type'} where 207 with XML is due`,
    advice: 'check the URL, and that WebDAV is switched on for the account',
    status: reply.status,
  });
}

function requestBody(properties: readonly string[]): string {
  const names = properties.map((name) => `<${name}/>`).join('');
  return `<?xml version="1.0" encoding="utf-8"?>\n<propfind xmlns="DAV:"><prop>${names}</prop></propfind>`;
}

/** The response elements of a multistatus, in batches as the bytes arrive. */
export async function* readResponses(
  subject: RequestSubject,
  reply: Reply,
): AsyncGenerator<readonly DavResponse[]> {
  try {
    yield* reply.responses();
  } catch (error) {
    if (!(error instanceof MultistatusError)) throw error;
    throw makeError(subject, {
      code: 'protocol',
      found: `the answer is no multistatus (${error.message})`,
      status: reply.status,
      cause: error,
    });
  }
}

async function* readEntries(
  context: DavContext,
  subject: RequestSubject,
  reply: Reply,
): AsyncGenerator<readonly RemoteEntry[], undefined> {
  const directory = subject.path;
  const reader = context.urls.reader(directory);
  for await (const responses of readResponses(subject, reply)) {
    const batch: RemoteEntry[] = [];
    for (const response of responses) {
      const meaning = reader.meaningOf(response.href);
      if (meaning.kind === 'self') {
        selfEntry(context, subject, response, true);
        continue;
      }
      if (response.status < 200 || response.status >= 300) continue;
      const entry = meaning.kind === 'child' ? toEntry(context, meaning.path, response) : undefined;
      if (entry !== undefined) batch.push(entry);
      else {
        const reason = meaning.kind === 'skipped' ? meaning.reason : 'no-size';
        context.onSkippedEntry({ directory, href: response.href, reason });
      }
    }
    if (batch.length > 0) yield batch;
  }
  return undefined;
}

/** The entry of what was asked for; undefined where the response speaks of something else. */
function selfEntry(
  context: DavContext,
  subject: RequestSubject,
  response: DavResponse,
  mustBeDirectory = false,
): RemoteEntry | undefined {
  if (context.urls.reader(subject.path).meaningOf(response.href).kind !== 'self') return undefined;
  if (response.status < 200 || response.status >= 300) {
    throw statusError(subject, response.status, {}, context.clock.nowMs());
  }
  if (mustBeDirectory && !response.isCollection && response.properties.has('resourcetype')) {
    throw notDirectory(subject);
  }
  const entry = toEntry(context, subject.path, response);
  if (entry === undefined)
    throw makeError(subject, { code: 'protocol', found: 'the server gives no length' });
  return entry;
}

function notDirectory(subject: RequestSubject): Error {
  return makeError(subject, { code: 'not-found', found: 'it is no directory' });
}

/** Undefined for a file without a length: to call it empty would cut it. */
function toEntry(context: DavContext, path: RemotePath, response: DavResponse): RemoteEntry | undefined {
  const { properties, isCollection } = response;
  const mtimeMs = parseHttpDate(properties.get('getlastmodified'));
  const name = nameOfRemote(path);
  if (isCollection) return { path, name, kind: 'dir', size: 0, etag: undefined, weak: false, mtimeMs };
  const size = parseLength(properties.get('getcontentlength'));
  if (size === undefined) return undefined;
  const tag = parseTag(properties.get('getetag'));
  if (tag === undefined) {
    context.tags.noteMissing();
    return { path, name, kind: 'file', size, etag: makeTag(size, mtimeMs), weak: true, mtimeMs };
  }
  context.tags.note(tag);
  return { path, name, kind: 'file', size, etag: tag.etag, weak: tag.weak, mtimeMs };
}

function subjectOf(action: string, path: RemotePath): RequestSubject {
  return { method: 'PROPFIND', action, path, changes: false };
}
