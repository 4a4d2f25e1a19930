/** The part of oidc-provider that the stand-in uses; the package brings no types. */

declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http';

  interface StoredToken {
    readonly jti: string;
    readonly clientId: string | undefined;
    readonly accountId?: string;
    destroy(): Promise<void>;
  }

  interface TokenModel {
    /** Undefined for a token that is unknown, expired or revoked. */
    find(value: string): Promise<StoredToken | undefined>;
  }

  export interface Configuration {
    readonly [setting: string]: unknown;
  }

  export class Provider {
    constructor(issuer: string, configuration: Configuration);
    readonly AccessToken: TokenModel;
    readonly ClientCredentials: TokenModel;
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>;
    on(
      event: 'access_token.saved' | 'client_credentials.saved',
      listener: (token: StoredToken) => void,
    ): this;
    on(event: 'server_error', listener: (context: unknown, error: Error) => void): this;
  }
}
