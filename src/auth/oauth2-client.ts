/**
 * The authorization server as seen by `openid-client`: discovery or explicit endpoints, the requests by our own HTTPS,
 * and every failure as an AuthError without what the server sent, since that may be tokens.
 */

import {
  AuthorizationResponseError,
  allowInsecureRequests,
  type ClientAuth,
  ClientError,
  ClientSecretBasic,
  ClientSecretPost,
  Configuration,
  type CustomFetchOptions,
  customFetch,
  discovery,
  None,
  ResponseBodyError,
  type ServerMetadata,
  type TokenEndpointResponse,
  type TokenEndpointResponseHelpers,
  WWWAuthenticateChallengeError,
} from 'openid-client';
import { type Clock, isLoopbackHost, type Log, Secret } from '../base/index.js';
import { AuthError } from './errors.js';
import { askHttps, HttpsError } from './https.js';
import type { Tokens } from './tokens.js';

export type OAuth2Grant = 'device' | 'authorization-code' | 'client-credentials' | 'refresh-token';

export interface OAuth2Options {
  /** Discovered by RFC 8414, else by OpenID Connect Discovery; endpoints that are given go before what it says. */
  readonly issuer?: string;
  readonly tokenEndpoint?: string;
  readonly deviceAuthorizationEndpoint?: string;
  readonly authorizationEndpoint?: string;
  readonly clientId: string;
  readonly clientSecret?: Secret;
  /** Space-separated (RFC 6749 section 3.3). */
  readonly scope?: string;
  readonly grant: OAuth2Grant;
  /** PEM text of certificates to trust beside those of Node. */
  readonly ca?: string;
}

export interface LoginDeps {
  readonly clock: Clock;
  readonly log: Log;
}

/** A token's characters (RFC 6750 section 2.1), so that none can break out of a header. */
const TOKEN = /^[\w.~+/-]+=*$/;
const DISCOVERY_TIMEOUT_S = 30;
/** Statuses of trouble that passes. */
const TOO_MANY_REQUESTS = 429;

/** What tokens are bound to: a changed server or client makes those on disk worthless instead of sending them there. */
export function issuedTo(options: OAuth2Options): string {
  return JSON.stringify([options.issuer ?? options.tokenEndpoint ?? '', options.clientId]);
}

/** Rejects with `AuthError`. */
export async function connectClient(options: OAuth2Options, deps: LoginDeps): Promise<Configuration> {
  const { clientId, issuer, tokenEndpoint } = options;
  const fetchTokens = makeFetch(options, deps);
  if (issuer === undefined && tokenEndpoint === undefined) {
    throw new AuthError(
      'client-refused',
      'no authorization server is configured',
      'Set issuer, or token-endpoint, in [profile.NAME.oauth2].',
    );
  }
  for (const url of [issuer, tokenEndpoint]) if (url !== undefined) requireHttps(url);
  const found = issuer === undefined || isComplete(options) ? undefined : await discover(issuer, fetchTokens);
  const server: ServerMetadata = {
    // Without discovery nobody says what the issuer is called; its answers are then not compared with it.
    issuer: issuer ?? new URL(tokenEndpoint ?? '').origin,
    ...found,
    ...(tokenEndpoint === undefined ? {} : { token_endpoint: tokenEndpoint }),
    ...(options.deviceAuthorizationEndpoint === undefined
      ? {}
      : { device_authorization_endpoint: options.deviceAuthorizationEndpoint }),
    ...(options.authorizationEndpoint === undefined
      ? {}
      : { authorization_endpoint: options.authorizationEndpoint }),
  };
  const client = new Configuration(server, clientId, undefined, clientAuth(options.clientSecret, server));
  client[customFetch] = fetchTokens;
  // Our own fetch refuses plain http to any other machine than this one.
  allowInsecureRequests(client);
  return client;
}

/** The form parameters that every grant shares. */
export function grantParameters({ scope }: OAuth2Options): Record<string, string> {
  return scope === undefined ? {} : { scope };
}

/** Runs one request of the library; rejects with `AuthError`. */
export async function asking<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw authErrorOf(error);
  }
}

/** Throws an `AuthError` for an answer without a usable bearer token. */
export function readTokens(
  options: OAuth2Options,
  answer: TokenEndpointResponse & TokenEndpointResponseHelpers,
  nowMs: number,
  before?: Tokens,
): Tokens {
  const { access_token: accessToken, token_type: type, refresh_token: refreshToken } = answer;
  if (type.toLowerCase() !== 'bearer' || !TOKEN.test(accessToken)) {
    throw new AuthError(
      'protocol',
      'the authorization server gave a token that is no bearer token',
      'Check the client with whoever runs the server.',
    );
  }
  const seconds = answer.expiresIn();
  return {
    issuedTo: issuedTo(options),
    accessToken: new Secret(accessToken),
    issuedAtMs: nowMs,
    expiresAtMs: seconds === undefined ? undefined : nowMs + seconds * 1000,
    // A server that does not rotate leaves the old one in force (RFC 6749 section 6).
    refreshToken: refreshToken === undefined ? before?.refreshToken : new Secret(refreshToken),
  };
}

function isComplete({ grant, ...options }: OAuth2Options): boolean {
  if (options.tokenEndpoint === undefined) return false;
  if (grant === 'device') return options.deviceAuthorizationEndpoint !== undefined;
  return grant !== 'authorization-code' || options.authorizationEndpoint !== undefined;
}

async function discover(issuer: string, fetchTokens: TokenFetch): Promise<ServerMetadata> {
  const ask = (algorithm: 'oauth2' | 'oidc') =>
    discovery(new URL(issuer), 'discovery', undefined, None(), {
      algorithm,
      timeout: DISCOVERY_TIMEOUT_S,
      [customFetch]: fetchTokens,
      execute: [allowInsecureRequests],
    });
  try {
    return (await ask('oauth2')).serverMetadata();
  } catch (error) {
    const first = authErrorOf(error);
    // Trouble on the way is the same for the other document.
    if (first.code !== 'protocol') throw first;
  }
  try {
    return (await ask('oidc')).serverMetadata();
  } catch (error) {
    const second = authErrorOf(error);
    if (second.code !== 'protocol') throw second;
    throw new AuthError(
      'protocol',
      `${new URL(issuer).host} does not describe itself as an authorization server (RFC 8414)`,
      'Check issuer, or set token-endpoint and the other endpoints instead.',
    );
  }
}

function clientAuth(secret: Secret | undefined, server: ServerMetadata): ClientAuth {
  if (secret === undefined) return None();
  const methods = server.token_endpoint_auth_methods_supported;
  // Every server that has client passwords must take BASIC (RFC 6749 section 2.3.1).
  const usesPost =
    methods?.includes('client_secret_post') === true && !methods.includes('client_secret_basic');
  return usesPost ? ClientSecretPost(secret.reveal()) : ClientSecretBasic(secret.reveal());
}

type TokenFetch = (url: string, options: CustomFetchOptions) => Promise<Response>;

function makeFetch(options: OAuth2Options, { clock }: LoginDeps): TokenFetch {
  return async (url, { method, headers, body, signal }) => {
    requireHttps(url);
    const answer = await askHttps(
      {
        url,
        method,
        headers,
        ...(body === undefined || body === null ? {} : { body: bodyText(body) }),
        ...(signal === undefined ? {} : { signal }),
      },
      { clock, ...(options.ca === undefined ? {} : { ca: options.ca }) },
    );
    if (answer.status >= 500 || answer.status === TOO_MANY_REQUESTS)
      throw new TroubleError(url, answer.status);
    const isTokenAnswer = method === 'POST' && options.issuer === undefined;
    const text = isTokenAnswer ? withoutIdToken(answer.text) : answer.text;
    const mayHaveBody = answer.status !== 204 && answer.status !== 304;
    return new Response(mayHaveBody ? text : null, {
      status: answer.status,
      headers: answerHeaders(answer.headers),
    });
  };
}

/** Only what the library reads: the body's length is no longer the one announced. */
function answerHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const kept = ['content-type', 'www-authenticate', 'retry-after', 'location', 'date'];
  return Object.fromEntries(Object.entries(headers).filter(([name]) => kept.includes(name)));
}

/** Who the person is does not matter here, and without an issuer an ID token cannot be checked. */
function withoutIdToken(text: string): string {
  try {
    const { id_token: _, ...rest } = JSON.parse(text) as Record<string, unknown>;
    return JSON.stringify(rest);
  } catch {
    // No JSON: the library says so.
    return text;
  }
}

function bodyText(body: Exclude<CustomFetchOptions['body'], null | undefined>): string {
  if (typeof body === 'string') return body;
  if (body instanceof URLSearchParams) return body.toString();
  throw new TypeError('the OAuth2 library sends forms only');
}

/** The authorization server answered, and has trouble of its own. */
class TroubleError extends Error {
  override readonly name = 'TroubleError';
  readonly host: string;
  readonly status: number;

  constructor(url: string, status: number) {
    super(`status ${status}`);
    this.host = new URL(url).host;
    this.status = status;
  }
}

function requireHttps(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopbackHost(url.hostname))) return;
  throw new AuthError(
    'client-refused',
    `the address of the authorization server is not an https URL (${url?.host ?? 'no URL at all'})`,
    'Write https:// in [profile.NAME.oauth2].',
  );
}

/** Error codes of RFC 6749 section 5.2, RFC 8628 section 3.5 and RFC 8707 that a person can do something about. */
function errorOfCode(code: string): AuthError {
  switch (code) {
    case 'invalid_grant':
      return new AuthError(
        'login-required',
        'the authorization server does not take the saved login any more (invalid_grant)',
        'Run: infinimount login',
      );
    case 'access_denied':
      return new AuthError('declined', 'access was declined', 'Log in again and allow it.');
    case 'expired_token':
      return new AuthError('expired', 'nobody confirmed the code in time', 'Run: infinimount login');
    case 'temporarily_unavailable':
    case 'server_error':
    case 'slow_down':
      return new AuthError(
        'unreachable',
        `the authorization server has trouble (${code})`,
        'Try again later.',
      );
    default: {
      const shown = /^[\w.-]{1,60}$/.test(code) ? ` (${code})` : '';
      return new AuthError(
        'client-refused',
        `the authorization server refused the request${shown}`,
        'Check client-id, client-secret, scope and grant in [profile.NAME.oauth2].',
      );
    }
  }
}

function authErrorOf(error: unknown): AuthError {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    if (at instanceof AuthError) return at;
    if (at instanceof HttpsError) return errorOfFault(at);
    if (at instanceof TroubleError) {
      return new AuthError(
        'unreachable',
        `the authorization server ${at.host} answered ${at.status}`,
        'Try again later.',
      );
    }
    if (at instanceof ResponseBodyError || at instanceof AuthorizationResponseError)
      return errorOfCode(at.error);
    if (at instanceof WWWAuthenticateChallengeError) return errorOfCode('invalid_client');
    if (at instanceof ClientError && at.code === 'OAUTH_TIMEOUT') {
      return new AuthError(
        'unreachable',
        'the authorization server did not answer in time',
        'Try again later.',
      );
    }
    if (at instanceof ClientError && at.code === 'OAUTH_ABORT') {
      return new AuthError('aborted', 'the login was called off', 'Run: infinimount login');
    }
  }
  return new AuthError(
    'protocol',
    'the answer of the authorization server makes no sense',
    'Check issuer and the endpoints in [profile.NAME.oauth2].',
  );
}

function errorOfFault(error: HttpsError): AuthError {
  const at = `the authorization server ${error.host}`;
  const cause = { cause: error };
  switch (error.fault) {
    case 'unreachable':
      return new AuthError(
        'unreachable',
        `${at} cannot be reached`,
        'Check the address and the network.',
        cause,
      );
    case 'timeout':
      return new AuthError('unreachable', `${at} did not answer in time`, 'Try again later.', cause);
    case 'tls':
      return new AuthError(
        'tls',
        `the certificate of ${at} is not trusted, or TLS 1.2 is not spoken`,
        "Give its authority's certificate with --ca-file FILE if you trust it.",
        cause,
      );
    case 'aborted':
      return new AuthError('aborted', 'the login was called off', 'Run: infinimount login', cause);
    case 'protocol':
    case 'plain-http':
      return new AuthError('protocol', `the answer of ${at} makes no sense`, 'Check its address.', cause);
  }
}
