/** MOVE and COPY, on the server. */

import { isWithin, type MoveOptions, type RemotePath, type RequestOptions } from '../remote/index.js';
import type { DavContext } from './context.js';
import { diagnose } from './diagnosis.js';
import { makeError, type RequestSubject } from './error-map.js';
import { checkPartialSuccess } from './partial-success.js';

/** A server reads and writes all bytes before it answers: in ten minutes 60 GB at 100 MB/s. */
const COPY_PATIENCE = 5;

export async function moveOrCopy(
  context: DavContext,
  method: 'MOVE' | 'COPY',
  from: RemotePath,
  to: RemotePath,
  options: RequestOptions & MoveOptions,
): Promise<void> {
  const { overwrite, directory, signal } = options;
  const action = method === 'MOVE' ? 'rename' : 'copy';
  const subject: RequestSubject = { method, action, path: from, changes: true };
  if (isWithin(to, from) || (overwrite && isWithin(from, to))) {
    // Some servers do as they are told, and the tree is gone.
    throw makeError(subject, { code: 'forbidden', found: 'one of the two lies within the other' });
  }
  try {
    const reply = await context.client.send({
      subject,
      url: context.urls.urlOf(from, directory),
      headers: {
        // The same scheme and host as the request's: servers compare them as text.
        destination: context.urls.urlOf(to, directory),
        overwrite: overwrite ? 'T' : 'F',
        depth: 'infinity',
      },
      expectsSlashRedirect: true,
      ...(method === 'COPY' ? { patience: COPY_PATIENCE } : {}),
      ...(signal === undefined ? {} : { signal }),
    });
    if (reply.status === 207) return await checkPartialSuccess(context, subject, reply);
    await reply.settle();
    if (reply.status >= 300) {
      throw makeError(subject, { code: 'changed', found: 'it is a directory now', status: reply.status });
    }
  } catch (error) {
    const shape = { source: { path: from, directory }, target: { path: to, replaces: overwrite } };
    throw await diagnose(context, subject, shape, error, signal);
  }
}
