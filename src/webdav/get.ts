/**
 * GET, whole or by range. The version is checked by the tag of the answer, not by If-Match: mod_dav_fs refuses If-Match
 * for a second after each write, and the answer's tag says the same before the first byte is used.
 */

import { type GatedFile, shutGate } from '../base/index.js';
import type { ETag, ReadOptions, RemoteBody, RemoteDelivery, RemotePath } from '../remote/index.js';
import { lookUp } from './conditions.js';
import type { DavContext } from './context.js';
import { makeError, type RequestSubject, statusError } from './error-map.js';
import { isMadeTag, makeTag, parseTag } from './etags.js';
import { parseContentRange, parseHttpDate } from './headers.js';
import type { Reply } from './reply.js';
import { withRetries } from './retry.js';

/** Rejects until the headers are right; after that, trouble shows in `chunks`. */
export async function get(
  context: DavContext,
  path: RemotePath,
  options: ReadOptions = {},
): Promise<RemoteBody> {
  const { reply, ...head } = await ask(context, path, options, false);
  return { ...head, chunks: reply?.chunks() ?? noChunks() };
}

/** The same into a file, where after the headers trouble shows in `saveTo`. */
export async function deliver(
  context: DavContext,
  path: RemotePath,
  options: ReadOptions = {},
): Promise<RemoteDelivery> {
  const { reply, ...head } = await ask(context, path, options, true);
  return {
    ...head,
    saveTo: async (file: GatedFile, onProgress) => {
      if (reply === undefined) shutGate(file.gate);
      else await reply.saveTo(file, head.start, onProgress);
    },
    abandon: () => reply?.abandon(),
  };
}

/** An answer with the right headers; without a reply where there is no byte to be had. */
interface Found {
  readonly start: number;
  readonly totalSize: number | undefined;
  readonly etag: ETag | undefined;
  readonly reply: Reply | undefined;
}

async function ask(
  context: DavContext,
  path: RemotePath,
  options: ReadOptions,
  isDelivery: boolean,
): Promise<Found> {
  const { start = 0, end, etag, signal } = options;
  if (end !== undefined && end <= start) return nothing(start, undefined, etag);
  const subject: RequestSubject = { method: 'GET', action: 'read', path, changes: false };
  const isRanged = (start > 0 || end !== undefined) && context.found.current.ranges !== false;
  const reply = await withRetries(context.retry, signal, () =>
    context.client.send({
      subject,
      url: context.urls.urlOf(path, false),
      headers: {
        'accept-encoding': 'identity',
        ...(isRanged ? { range: `bytes=${start}-${end === undefined ? '' : end - 1}` } : {}),
      },
      expect: [405, 416],
      expectsSlashRedirect: true,
      ...(isDelivery ? { thread: 'save' } : {}),
      ...(signal === undefined ? {} : { signal }),
    }),
  );
  if (reply.status === 405) throw await refusedMethod(context, subject, reply, signal);
  try {
    return readReply(context, subject, reply, { start, end, etag });
  } catch (error) {
    // What is wrong with the headers says all; the body is of no use.
    reply.abandon();
    throw error;
  }
}

/** Some servers (golang.org/x/net/webdav) answer 405 to GET of a directory. */
async function refusedMethod(
  context: DavContext,
  subject: RequestSubject,
  reply: Reply,
  signal: AbortSignal | undefined,
): Promise<Error> {
  await reply.settle();
  const entry = await lookUp(context, subject.path, signal);
  if (entry?.kind === 'file') return statusError(subject, reply.status, reply.headers, context.clock.nowMs());
  const found = entry === undefined ? 'it is not there' : 'it is a directory';
  return makeError(subject, { code: 'not-found', found, status: reply.status });
}

interface Wanted {
  readonly start: number;
  readonly end: number | undefined;
  readonly etag: ETag | undefined;
}

function readReply(context: DavContext, subject: RequestSubject, reply: Reply, wanted: Wanted): Found {
  const encoding = reply.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    throw makeError(subject, {
      code: 'protocol',
      found: `the body comes as ${encoding}, which was not asked for`,
    });
  }
  if (reply.status >= 300 && reply.status < 400) {
    throw makeError(subject, { code: 'not-found', found: 'it is a directory', status: reply.status });
  }
  switch (reply.status) {
    case 206:
      return readPart(context, subject, reply, wanted);
    case 200:
      return readWhole(context, subject, reply, wanted);
    case 416:
      return readBeyond(context, subject, reply, wanted);
    default:
      throw makeError(subject, {
        code: 'protocol',
        found: `the server answered ${reply.status}`,
        status: reply.status,
      });
  }
}

function readPart(context: DavContext, subject: RequestSubject, reply: Reply, wanted: Wanted): Found {
  const parsed = parseContentRange(reply.headers['content-range']);
  const range = parsed?.range;
  if (parsed === undefined || range === undefined) {
    throw makeError(subject, {
      code: 'protocol',
      found: 'the server sends a part without saying which',
      status: 206,
    });
  }
  const { total } = parsed;
  const end = Math.min(wanted.end ?? total ?? range.end, total ?? Number.POSITIVE_INFINITY);
  const isWanted = range.start === wanted.start && range.end === (total === undefined ? range.end : end);
  const isLong = reply.length !== undefined && reply.length !== range.end - range.start;
  if (!isWanted || range.end > (wanted.end ?? range.end) || isLong) {
    throw makeError(subject, {
      code: 'protocol',
      found: `the server sends the bytes ${range.start} to ${range.end} where ${wanted.start} to ${end} were asked for`,
      status: 206,
    });
  }
  context.found.learn({ ranges: true });
  const etag = checkVersion(context, subject, reply, total, wanted);
  return { start: range.start, totalSize: total, etag, reply };
}

/** The whole file, because it was asked for or because the server ignores ranges. */
function readWhole(context: DavContext, subject: RequestSubject, reply: Reply, wanted: Wanted): Found {
  const total = reply.length;
  const wantsPart =
    wanted.start > 0 || (wanted.end !== undefined && total !== undefined && wanted.end < total);
  if (wantsPart && total !== 0) context.found.learn({ ranges: false });
  const etag = checkVersion(context, subject, reply, total, wanted);
  return { start: 0, totalSize: total, etag, reply };
}

/** The range lies beyond the end (RFC 9110 section 15.5.17): nothing to read, if it is the version asked for. */
function readBeyond(context: DavContext, subject: RequestSubject, reply: Reply, wanted: Wanted): Found {
  const total = parseContentRange(reply.headers['content-range'])?.total;
  const served = parseTag(reply.headers.etag);
  const isSame =
    wanted.etag === undefined || served?.etag === wanted.etag || (wanted.start === 0 && total === 0);
  if (!isSame || (total !== undefined && total > wanted.start)) {
    throw makeError(subject, { code: 'changed', found: `it has no byte ${wanted.start}`, status: 416 });
  }
  if (served !== undefined) context.tags.note(served);
  reply.abandon();
  return nothing(wanted.start, total, served?.etag);
}

/** The tag of the version served, in the form that listings of this server give; throws `changed` for another. */
function checkVersion(
  context: DavContext,
  subject: RequestSubject,
  reply: Reply,
  total: number | undefined,
  { etag: wanted }: Wanted,
): ETag | undefined {
  const served = parseTag(reply.headers.etag);
  if (served !== undefined) context.tags.note(served);
  const useMade = wanted === undefined ? context.tags.hasNone || served === undefined : isMadeTag(wanted);
  const made =
    total === undefined ? undefined : makeTag(total, parseHttpDate(reply.headers['last-modified']));
  const etag = useMade ? made : served?.etag;
  if (wanted !== undefined && etag !== undefined && etag !== wanted) {
    throw makeError(subject, {
      code: 'changed',
      found: 'the server has another version of it',
      status: reply.status,
    });
  }
  return etag;
}

function nothing(start: number, totalSize: number | undefined, etag: ETag | undefined): Found {
  return { start, totalSize, etag, reply: undefined };
}

async function* noChunks(): AsyncGenerator<Uint8Array> {}
