/**
 * The OAuth2 side of the stand-in: a real authorization server with the device flow, authorization code with PKCE,
 * client credentials and rotating refresh tokens. INFINICLOUD.md: "no endpoint, grant or scope is published", so nothing
 * of the service is mimicked here beyond "`/v2/dav/` with OAuth2 credentials only".
 */

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Provider } from 'oidc-provider';

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const REFRESH_TOKEN_SECONDS = 24 * 3600;
const SHORT_SECONDS = 600;

export const PUBLIC_CLIENT_ID = 'infinimount';
export const SERVICE_CLIENT_ID = 'infinimount-service';

export interface OAuthServerOptions {
  readonly issuer: string;
  /** The one account that can log in. */
  readonly user: string;
  readonly accessTokenSeconds: number;
}

export class OAuthServer {
  readonly serviceSecret = randomBytes(24).toString('base64url');
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
  readonly #provider: Provider;
  readonly #user: string;
  /** Those that were issued, to be ended before their time. */
  readonly #issued = new Set<{ destroy(): Promise<void> }>();

  constructor(options: OAuthServerOptions) {
    this.#user = options.user;
    this.#provider = new Provider(options.issuer, configuration(options, this.serviceSecret));
    this.#provider.on('access_token.saved', (token) => this.#issued.add(token));
    this.#provider.on('client_credentials.saved', (token) => this.#issued.add(token));
    this.#provider.on('server_error', (_context, error) => process.emitWarning(error));
    this.handle = this.#provider.callback();
  }

  /** Whether an `authorization` header carries an access token that is good now. */
  async hasAccessToken(authorization: string | undefined): Promise<boolean> {
    const value = /^Bearer (\S+)$/i.exec(authorization ?? '')?.[1];
    if (value === undefined) return false;
    if ((await this.#provider.AccessToken.find(value))?.accountId === this.#user) return true;
    return (await this.#provider.ClientCredentials.find(value)) !== undefined;
  }

  async expireAccessTokens(): Promise<void> {
    const tokens = [...this.#issued];
    this.#issued.clear();
    await Promise.all(tokens.map((token) => token.destroy()));
  }
}

function configuration({ user, accessTokenSeconds }: OAuthServerOptions, serviceSecret: string) {
  return {
    clients: [
      {
        client_id: PUBLIC_CLIENT_ID,
        // A native program keeps no secret (RFC 8252 section 8.5); the port of a loopback address is free (section 7.3).
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT],
        redirect_uris: ['http://127.0.0.1/', 'http://127.0.0.1/callback', 'http://[::1]/callback'],
        response_types: ['code'],
      },
      {
        client_id: SERVICE_CLIENT_ID,
        client_secret: serviceSecret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    scopes: ['openid', 'offline_access', 'webdav'],
    features: {
      deviceFlow: { enabled: true },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      devInteractions: { enabled: true },
    },
    findAccount: (_context: unknown, id: string) =>
      id === user ? { accountId: id, claims: () => ({ sub: id }) } : undefined,
    issueRefreshToken: (_context: unknown, client: { grantTypeAllowed(grant: string): boolean }) =>
      client.grantTypeAllowed('refresh_token'),
    // A token outlives the browser's session, as a mount does.
    expiresWithSession: () => false,
    // A refresh token that comes twice ends the whole grant (RFC 9700 section 4.14.2).
    rotateRefreshToken: true,
    ttl: {
      AccessToken: accessTokenSeconds,
      ClientCredentials: accessTokenSeconds,
      RefreshToken: REFRESH_TOKEN_SECONDS,
      AuthorizationCode: SHORT_SECONDS,
      DeviceCode: SHORT_SECONDS,
      IdToken: SHORT_SECONDS,
      Interaction: SHORT_SECONDS,
      Session: REFRESH_TOKEN_SECONDS,
      Grant: REFRESH_TOKEN_SECONDS,
    },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    jwks: { keys: [signingKey()] },
  };
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'test' };
}
