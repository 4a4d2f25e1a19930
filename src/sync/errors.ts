/** What the synchronisation itself refuses; what the server refuses is a `RemoteError`. */

/**
 * - `not-found`: there is no such path, node, or pin
 * - `not-a-directory`, `not-a-file`: it is something else
 * - `not-a-conflict`: it is no copy that was kept of a conflict
 * - `busy`: a program has it open
 * - `pinned`: it is to stay here
 * - `limit`: there are as many as there may be
 * - `offline`: the server cannot be reached, or refuses the credentials; the cause is its `RemoteError`
 * - `paused`: nothing is carried to the server until `resume`
 * - `stopping`: the daemon is about to end
 */
export type SyncErrorCode =
  | 'not-found'
  | 'not-a-directory'
  | 'not-a-file'
  | 'not-a-conflict'
  | 'busy'
  | 'pinned'
  | 'limit'
  | 'offline'
  | 'paused'
  | 'stopping';

export class SyncError extends Error {
  override readonly name = 'SyncError';
  readonly code: SyncErrorCode;

  constructor(code: SyncErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
