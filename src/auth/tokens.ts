/** OAuth2 tokens and where they are kept. */

import type { Secret } from '../base/index.js';

export interface Tokens {
  /** Which authorization server and client they belong to; they are used with no other. */
  readonly issuedTo: string;
  readonly accessToken: Secret;
  /** Milliseconds since the epoch. */
  readonly issuedAtMs: number;
  /** Undefined where the server does not say. */
  readonly expiresAtMs: number | undefined;
  readonly refreshToken: Secret | undefined;
}

/** Rejects with `AuthError` only. */
export interface TokenStore {
  load(): Promise<Tokens | undefined>;
  /** Resolves when the tokens would survive a power loss. */
  save(tokens: Tokens): Promise<void>;
  /** Removes the tokens; does nothing where there are none. */
  clear(): Promise<void>;
  /** Runs `work` while no other process that uses the same store does: a refresh token may be good for one use only. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
}

/** Tokens that end with the process. */
export class MemoryTokenStore implements TokenStore {
  #tokens: Tokens | undefined;

  load(): Promise<Tokens | undefined> {
    return Promise.resolve(this.#tokens);
  }

  save(tokens: Tokens): Promise<void> {
    this.#tokens = tokens;
    return Promise.resolve();
  }

  clear(): Promise<void> {
    this.#tokens = undefined;
    return Promise.resolve();
  }

  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }
}
