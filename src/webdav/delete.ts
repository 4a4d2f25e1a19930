/** DELETE: a file, or a directory with all that is in it. */

import { type ETag, isRemoteError, type RemotePath, type RequestOptions } from '../remote/index.js';
import { changeVersion, lookUp } from './conditions.js';
import type { DavContext } from './context.js';
import { diagnose } from './diagnosis.js';
import { makeError, type RequestSubject } from './error-map.js';
import { checkPartialSuccess } from './partial-success.js';

export interface RemoveOptions extends RequestOptions {
  readonly etag?: ETag;
  readonly directory?: boolean;
}

/** Statuses by which servers say that the kind was wrong for the URL's ending. */
const WRONG_KIND: ReadonlySet<number> = new Set([400, 404, 405, 409]);

export async function remove(
  context: DavContext,
  path: RemotePath,
  options: RemoveOptions = {},
): Promise<void> {
  const { etag, directory, signal } = options;
  const subject: RequestSubject = { method: 'DELETE', action: 'remove', path, changes: true };
  const send = (headers: Readonly<Record<string, string>>) =>
    sendDelete(context, subject, directory ?? false, headers, signal);
  try {
    if (etag === undefined) await send({});
    else await changeVersion(context, subject, etag, signal, send);
  } catch (error) {
    const isUnsure = directory === undefined && isRemoteError(error) && WRONG_KIND.has(error.status ?? 0);
    // The caller does not say what it is and the server minds: look, and ask again by the right URL.
    if (isUnsure && (await lookUp(context, path, signal))?.kind === 'dir') {
      return remove(context, path, { ...options, directory: true });
    }
    throw await diagnose(context, subject, { source: { path, directory } }, error, signal);
  }
}

async function sendDelete(
  context: DavContext,
  subject: RequestSubject,
  directory: boolean,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const reply = await context.client.send({
    subject,
    url: context.urls.urlOf(subject.path, directory),
    headers: { depth: 'infinity', ...headers },
    expectsSlashRedirect: true,
    ...(signal === undefined ? {} : { signal }),
  });
  if (reply.status === 207) return checkPartialSuccess(context, subject, reply);
  await reply.settle();
  if (reply.status >= 300) {
    // 409 stands for the redirect, so that a caller who does not know the kind is served by the same path as elsewhere.
    throw makeError(subject, { code: 'changed', found: 'it is a directory', status: 409 });
  }
}
