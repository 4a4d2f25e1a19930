/** The one error type of the state layer. */

/**
 * - `damaged`: the database or its journal cannot be read; nothing was changed or deleted
 * - `newer`: written by a newer version of the program
 * - `disk`: the disk refused (full, I/O error); nothing was applied; `cause` is the system's error
 * - `invariant`: a transaction would commit what must never be (two nodes in one place); nothing was applied
 * - `misuse`: called in a way that the interface forbids (nested transaction, use after close)
 */
export type StateErrorCode = 'damaged' | 'newer' | 'disk' | 'invariant' | 'misuse';

export class StateError extends Error {
  override readonly name = 'StateError';

  constructor(
    readonly code: StateErrorCode,
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
  }
}
