/**
 * The conditions of a change, by what the server honours. Where it is not known to check a condition itself, we look first;
 * between the look and the change another client can still slip in, which `capabilities` tells the caller.
 */

import { sleep } from '../base/index.js';
import { type ETag, isRemoteError, type RemoteEntry, type RemotePath } from '../remote/index.js';
import type { DavContext } from './context.js';
import { makeError, type RequestSubject } from './error-map.js';
import { isMadeTag, YOUNG_MS } from './etags.js';
import { statOnce } from './propfind.js';

type Headers = Readonly<Record<string, string>>;

/** Headers for a change of a name that must be free; rejects with `exists` when it is seen not to be. */
export async function absentHeaders(
  context: DavContext,
  subject: RequestSubject,
  signal: AbortSignal | undefined,
): Promise<Headers> {
  const { ifNoneMatch } = context.found.current;
  if (ifNoneMatch !== true && (await lookUp(context, subject.path, signal)) !== undefined) {
    throw makeError(subject, { code: 'exists', found: 'the name is taken' });
  }
  return ifNoneMatch === false ? {} : { 'if-none-match': '*' };
}

/** Headers for a change of one version; rejects with `changed` when another is seen. */
export async function matchHeaders(
  context: DavContext,
  subject: RequestSubject,
  etag: ETag,
  signal: AbortSignal | undefined,
): Promise<Headers> {
  const { ifMatch } = context.found.current;
  const isSendable = ifMatch !== false && !isMadeTag(etag) && !context.tags.neverStrong;
  if (ifMatch !== true || !isSendable) await confirmVersion(context, subject, etag, signal);
  if (!isSendable) return {};
  await pause(context, subject, context.tags.youngMs(etag), signal);
  return { 'if-match': etag };
}

/**
 * Runs a change of one version. A server may refuse If-Match though the version is the one meant, because its tag is still
 * weak: then it is tried again when the tag is a second older, and at last with our own look instead of the header.
 */
export async function changeVersion<T>(
  context: DavContext,
  subject: RequestSubject,
  etag: ETag,
  signal: AbortSignal | undefined,
  attempt: (headers: Headers) => Promise<T>,
): Promise<T> {
  const headers = await matchHeaders(context, subject, etag, signal);
  if (headers['if-match'] === undefined) return attempt(headers);
  try {
    return await attempt(headers);
  } catch (error) {
    if (!isRemoteError(error) || error.status !== 412) throw error;
  }
  await confirmVersion(context, subject, etag, signal);
  await pause(context, subject, YOUNG_MS, signal);
  try {
    return await attempt(headers);
  } catch (error) {
    if (!isRemoteError(error) || error.status !== 412) throw error;
  }
  await confirmVersion(context, subject, etag, signal);
  context.tags.noteNeverStrong();
  return attempt({});
}

async function pause(
  context: DavContext,
  subject: RequestSubject,
  delayMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (delayMs <= 0) return;
  try {
    await sleep(context.clock, delayMs, signal);
  } catch (cause) {
    throw makeError(subject, { code: 'aborted', found: 'it was called off', cause });
  }
}

async function confirmVersion(
  context: DavContext,
  subject: RequestSubject,
  etag: ETag,
  signal: AbortSignal | undefined,
): Promise<void> {
  const entry = await lookUp(context, subject.path, signal);
  if (entry?.kind === 'file' && entry.etag === etag) return;
  const found = entry === undefined ? 'it is gone' : 'the server has another version of it';
  throw makeError(subject, { code: 'changed', found });
}

/** The entry at `path`, or undefined when there is none; rejects with any other trouble. */
export async function lookUp(
  context: DavContext,
  path: RemotePath,
  signal: AbortSignal | undefined,
): Promise<RemoteEntry | undefined> {
  try {
    return await statOnce(context, path, { signal, directory: false });
  } catch (error) {
    if (isRemoteError(error, 'not-found')) return undefined;
    throw error;
  }
}
