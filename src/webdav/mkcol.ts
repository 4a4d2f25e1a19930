/** MKCOL: a directory. */

import type { RemotePath, RequestOptions } from '../remote/index.js';
import type { DavContext } from './context.js';
import { diagnose } from './diagnosis.js';
import type { RequestSubject } from './error-map.js';

export async function mkcol(
  context: DavContext,
  path: RemotePath,
  { signal }: RequestOptions = {},
): Promise<void> {
  const subject: RequestSubject = { method: 'MKCOL', action: 'make directory', path, changes: true };
  try {
    const reply = await context.client.send({
      subject,
      url: context.urls.urlOf(path, true),
      headers: {},
      ...(signal === undefined ? {} : { signal }),
    });
    await reply.settle();
  } catch (error) {
    throw await diagnose(context, subject, { target: { path, replaces: false } }, error, signal);
  }
}
