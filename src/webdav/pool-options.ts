/** What connections to a server are made with, in either thread. */

export interface PoolOptions {
  readonly origin: string;
  /** PEM text beside the certificates of Node. */
  readonly ca: string | undefined;
  readonly connectMs: number;
}

/** Idle connections are kept this long unless the server says otherwise (`Keep-Alive: timeout=N`). */
export const KEEP_ALIVE_MS = 30_000;
