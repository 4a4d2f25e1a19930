/** OAuth2 access tokens for requests (RFC 6749, RFC 6750): from the store, by refresh token with rotation, or by client credentials. */

import { type Configuration, clientCredentialsGrant, refreshTokenGrant } from 'openid-client';
import { BearerAuth, type TokenSource } from './bearer.js';
import { AuthError } from './errors.js';
import {
  asking,
  connectClient,
  grantParameters,
  issuedTo,
  type LoginDeps,
  type OAuth2Options,
  readTokens,
} from './oauth2-client.js';
import type { TokenStore, Tokens } from './tokens.js';

export interface OAuth2Deps extends LoginDeps {
  readonly tokens: TokenStore;
}

/** Nobody is asked before the first request: a mount starts without the authorization server. */
export function createOAuth2(options: OAuth2Options, deps: OAuth2Deps): BearerAuth<Tokens> {
  return new BearerAuth(new OAuth2Source(options, deps), deps);
}

class OAuth2Source implements TokenSource<Tokens> {
  readonly #options: OAuth2Options;
  readonly #deps: OAuth2Deps;
  #client: Configuration | undefined;

  constructor(options: OAuth2Options, deps: OAuth2Deps) {
    this.#options = options;
    this.#deps = deps;
  }

  async load(): Promise<Tokens | undefined> {
    const tokens = await this.#deps.tokens.load();
    return tokens?.issuedTo === issuedTo(this.#options) ? tokens : undefined;
  }

  renew(old: Tokens | undefined): Promise<Tokens> {
    return this.#deps.tokens.exclusively(() => this.#renewLocked(old));
  }

  async #renewLocked(old: Tokens | undefined): Promise<Tokens> {
    const { clock, tokens } = this.#deps;
    const kept = await this.load();
    // Another mount of the same profile, or a login, was here first.
    const isNewer = kept !== undefined && (old === undefined || kept.issuedAtMs > old.issuedAtMs);
    if (isNewer && (kept.expiresAtMs === undefined || kept.expiresAtMs > clock.nowMs())) return kept;
    const fresh = await this.#fetch(isNewer ? kept : old);
    await this.#keep(tokens, fresh);
    return fresh;
  }

  async #fetch(before: Tokens | undefined): Promise<Tokens> {
    const { clock } = this.#deps;
    const options = this.#options;
    this.#client ??= await connectClient(options, this.#deps);
    const client = this.#client;
    if (options.grant === 'client-credentials') {
      const answer = await asking(() => clientCredentialsGrant(client, grantParameters(options)));
      return readTokens(options, answer, clock.nowMs());
    }
    const refreshToken = before?.refreshToken;
    if (refreshToken === undefined) {
      throw new AuthError(
        'login-required',
        before === undefined
          ? 'there is no saved login'
          : 'the login has ended, and there is no refresh token',
        'Run: infinimount login',
      );
    }
    const answer = await asking(() => refreshTokenGrant(client, refreshToken.reveal()));
    return readTokens(options, answer, clock.nowMs(), before);
  }

  /** What the server gave is used even where the disk does not take it: asking again would use up the next one. */
  async #keep(tokens: TokenStore, fresh: Tokens): Promise<void> {
    try {
      await tokens.save(fresh);
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
      this.#deps.log.error(
        { reason: error.message },
        'the new tokens are not on the disk; a restart may need a login',
      );
    }
  }
}
