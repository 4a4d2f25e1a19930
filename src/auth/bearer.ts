/** Bearer tokens (RFC 6750): one at a time, renewed ahead of their end, by whoever knows how to get them. */

import type { Clock, Log, MaybePromise, Secret } from '../base/index.js';
import { requireScheme } from './challenge.js';
import { AuthError } from './errors.js';
import type { AuthHeaders, AuthProvider, AuthRequest } from './provider.js';

export interface BearerToken {
  readonly accessToken: Secret;
  /** Milliseconds since the epoch. */
  readonly issuedAtMs: number;
  /** Undefined: good until the server refuses it. */
  readonly expiresAtMs: number | undefined;
}

/** Where tokens come from; both reject with `AuthError` only. */
export interface TokenSource<T extends BearerToken> {
  /** A token of an earlier run, or of another process, if there is one. */
  load(): Promise<T | undefined>;
  /** A token newer than `old`: fetched, or found where another process left it. */
  renew(old: T | undefined): Promise<T>;
}

/** A token is renewed when a fifth of its life is left, or this long before its end, whichever is less. */
const LONGEST_MARGIN_MS = 60_000;
const MARGIN_OF_LIFE = 0.2;
/** After a failure nobody is asked for this long, growing; requests meanwhile fail with the same error. */
const FIRST_HOLD_MS = 1_000;
const LONGEST_HOLD_MS = 60_000;

/**
 * INVARIANT: at most one renewal runs at a time, and whoever needs its token waits for it.
 */
export class BearerAuth<T extends BearerToken = BearerToken> implements AuthProvider {
  readonly #source: TokenSource<T>;
  readonly #clock: Clock;
  readonly #log: Log;
  #token: T | undefined;
  #loaded = false;
  #renewal: Promise<T> | undefined;
  #failure: { readonly error: AuthError; readonly untilMs: number; readonly count: number } | undefined;

  constructor(source: TokenSource<T>, deps: { readonly clock: Clock; readonly log: Log }) {
    this.#source = source;
    this.#clock = deps.clock;
    this.#log = deps.log;
  }

  authorize(_request: AuthRequest): MaybePromise<AuthHeaders> {
    const token = this.#token;
    const leftMs = token === undefined ? 0 : this.#leftMs(token);
    if (token === undefined || leftMs <= 0) return this.#renewed(token).then(headersOf);
    if (leftMs <= marginMs(token)) this.#renewBehind(token);
    return headersOf(token);
  }

  async onUnauthorized(_request: AuthRequest, sent: AuthHeaders, challenge?: string): Promise<boolean> {
    requireScheme(challenge, 'bearer');
    const token = this.#token;
    if (token !== undefined && headersOf(token).authorization !== sent.authorization) return true;
    const next = await this.#renewed(token);
    return headersOf(next).authorization !== sent.authorization;
  }

  /** Whether another process has written tokens that {@link reload} would take up. */
  async hasNewer(): Promise<boolean> {
    const found = await this.#source.load();
    return found !== undefined && found.accessToken.reveal() !== this.#token?.accessToken.reveal();
  }

  /** Takes up a token that was got otherwise, whether or not it is anywhere on the disk. */
  adopt(token: T): void {
    this.#loaded = true;
    this.#take(token);
  }

  /** Takes up tokens that another process (`infinimount login`) has written; true when they are others than before. */
  async reload(): Promise<boolean> {
    const found = await this.#source.load();
    this.#failure = undefined;
    if (found === undefined || found.accessToken.reveal() === this.#token?.accessToken.reveal()) return false;
    this.#token = found;
    this.#loaded = true;
    return true;
  }

  #leftMs({ expiresAtMs }: BearerToken): number {
    return expiresAtMs === undefined ? Number.POSITIVE_INFINITY : expiresAtMs - this.#clock.nowMs();
  }

  #renewBehind(token: T): void {
    this.#renewed(token).catch((error: unknown) => {
      const reason = error instanceof AuthError ? error.message : 'unexpected';
      this.#log.warn({ reason }, 'the access token could not be renewed ahead of its end');
    });
  }

  #renewed(old: T | undefined): Promise<T> {
    if (this.#renewal !== undefined) return this.#renewal;
    const { untilMs, error } = this.#failure ?? {};
    if (error !== undefined && untilMs !== undefined && untilMs > this.#clock.nowMs())
      return Promise.reject(error);
    const renewal = this.#renew(old).finally(() => {
      this.#renewal = undefined;
    });
    this.#renewal = renewal;
    return renewal;
  }

  async #renew(old: T | undefined): Promise<T> {
    try {
      if (!this.#loaded) {
        const found = await this.#source.load();
        this.#loaded = true;
        if (found !== undefined && this.#leftMs(found) > 0) return this.#take(found);
      }
      return this.#take(await this.#source.renew(old));
    } catch (error) {
      if (error instanceof AuthError) this.#note(error);
      throw error;
    }
  }

  #take(token: T): T {
    this.#token = token;
    this.#failure = undefined;
    return token;
  }

  #note(error: AuthError): void {
    const count = (this.#failure?.count ?? 0) + 1;
    const holdMs = Math.min(LONGEST_HOLD_MS, FIRST_HOLD_MS * 2 ** Math.min(count - 1, 16));
    this.#failure = { error, count, untilMs: this.#clock.nowMs() + holdMs };
  }
}

function marginMs({ issuedAtMs, expiresAtMs }: BearerToken): number {
  const lifeMs = (expiresAtMs ?? issuedAtMs) - issuedAtMs;
  return Math.min(LONGEST_MARGIN_MS, Math.max(0, lifeMs * MARGIN_OF_LIFE));
}

function headersOf({ accessToken }: BearerToken): AuthHeaders {
  return { authorization: `Bearer ${accessToken.reveal()}` };
}
