/** Whether a server can be mounted: asked once, before anything is set up. */

import { REMOTE_ROOT, RemoteError, type RemoteStore, type RequestOptions } from '../remote/index.js';

/**
 * One PROPFIND (Depth 0) of the root. Rejects with the RemoteError that says why it cannot be mounted: `unauthorized`,
 * `forbidden`, `not-found`, `not-webdav` (also where the URL is that of a file), `tls`, `unreachable`, ...
 */
export async function checkServer(store: RemoteStore, options?: RequestOptions): Promise<void> {
  const root = await store.stat(REMOTE_ROOT, options);
  if (root.kind === 'dir') return;
  throw new RemoteError('not-webdav', 'Cannot mount the URL: it is that of a file; use that of a directory', {
    method: 'PROPFIND',
    path: REMOTE_ROOT,
    outcome: 'none',
  });
}
