/** What the server says at the start of a mount, and whether that is a reason not to mount. */

import { isRemoteError, type RemoteError, type RemoteStore } from '../../remote/index.js';
import { checkServer } from '../../webdav/index.js';
import { remoteUserError } from '../errors.js';

/** What the cache holds of the server. */
export type Known =
  /** Nothing was mounted with it yet. */
  | 'nothing'
  /** It was mounted before, but nobody looked into it. */
  | 'itself'
  /** What is in the server's folder, at least. */
  | 'tree';

/**
 * Asks the server once. Resolves with the trouble in spite of which the mount begins: what the cache holds can be used
 * without a line, and without credentials where something of the tree is known. Where nothing is, a mistyped password
 * is told at once. Rejects with UserError.
 */
export async function firstLook(
  store: RemoteStore,
  url: string,
  known: Known,
): Promise<RemoteError | undefined> {
  try {
    await checkServer(store);
    return undefined;
  } catch (error) {
    if (!isRemoteError(error)) throw error;
    if (known !== 'nothing' && isRemoteError(error, 'unreachable', 'timeout', 'interrupted')) return error;
    if (known === 'tree' && isRemoteError(error, 'unauthorized')) return error;
    throw remoteUserError(error, url);
  }
}

/** One line for the terminal and the log. */
export function firstWarning(error: RemoteError): string {
  return isRemoteError(error, 'unauthorized')
    ? 'The server refuses the credentials: mounted with what is in the cache, and nothing is sent until it takes them. Give new ones with: infinimount rotate'
    : 'The server cannot be reached: mounted with what is in the cache, and what changes is sent later.';
}
