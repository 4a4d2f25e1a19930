/**
 * Getting the first tokens, with a person or without: device authorization (RFC 8628), authorization code with PKCE on
 * a loopback listener (RFC 7636, RFC 8252), client credentials (RFC 6749 section 4.4), a refresh token that is at hand.
 * Nothing is saved here: whoever asks proves the tokens first.
 */

import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  type Configuration,
  calculatePKCECodeChallenge,
  clientCredentialsGrant,
  type DeviceAuthorizationResponse,
  initiateDeviceAuthorization,
  pollDeviceAuthorizationGrant,
  randomPKCECodeVerifier,
  randomState,
  refreshTokenGrant,
} from 'openid-client';
import { abortable, type Secret, sleep } from '../base/index.js';
import { AuthError } from './errors.js';
import { listenForAnswer } from './loopback.js';
import {
  asking,
  connectClient,
  grantParameters,
  type LoginDeps,
  type OAuth2Options,
  readTokens,
} from './oauth2-client.js';
import type { Tokens } from './tokens.js';

export interface LoginUi {
  /** Shows one message, of one or more lines, to the person who logs in. */
  show(message: string): void;
  /** Opens a page in the person's browser, where that is possible. */
  open?(url: string): void;
}

const SECOND_MS = 1000;
/** How long a person may take at the authorization page. */
const AUTHORIZATION_MS = 10 * 60 * SECOND_MS;
/** RFC 8628 section 3.2 */
const DEFAULT_POLL_S = 5;

/** RFC 8628. Rejects with `AuthError`; `aborted` by the signal. */
export async function deviceLogin(
  options: OAuth2Options,
  ui: LoginUi,
  deps: LoginDeps,
  signal: AbortSignal,
): Promise<Tokens> {
  const client = await abortableLogin(connectClient(options, deps), signal);
  if (client.serverMetadata().device_authorization_endpoint === undefined) throw unsupported('device');
  const device = await abortableLogin(
    asking(() => initiateDeviceAuthorization(client, grantParameters(options))),
    signal,
  );
  const { verification_uri: page, verification_uri_complete: complete, user_code: code } = device;
  ui.show(`Open ${page} on any device and enter the code: ${code}`);
  ui.open?.(complete ?? page);
  const deadline = AbortSignal.timeout(device.expires_in * SECOND_MS);
  try {
    return await pollForTokens(options, client, device, deps, AbortSignal.any([signal, deadline]));
  } catch (error) {
    if (deadline.aborted && !signal.aborted) {
      throw new AuthError('expired', 'nobody confirmed the code in time', 'Run: infinimount login');
    }
    throw error;
  }
}

/** Trouble of the server on the way is no refusal (RFC 8628 section 3.5). */
async function pollForTokens(
  options: OAuth2Options,
  client: Configuration,
  device: DeviceAuthorizationResponse,
  deps: LoginDeps,
  signal: AbortSignal,
): Promise<Tokens> {
  const parameters = grantParameters(options);
  for (;;) {
    try {
      const answer = await asking(() => pollDeviceAuthorizationGrant(client, device, parameters, { signal }));
      return readTokens(options, answer, deps.clock.nowMs());
    } catch (error) {
      if (!(error instanceof AuthError) || error.code !== 'unreachable' || signal.aborted) throw error;
      deps.log.debug({ reason: error.message }, 'the authorization server is asked again');
      await abortableLogin(
        sleep(deps.clock, (device.interval ?? DEFAULT_POLL_S) * SECOND_MS, signal),
        signal,
      );
    }
  }
}

/** RFC 7636 and RFC 8252: a listener on 127.0.0.1 takes the code. Rejects with `AuthError`. */
export async function authorizationCodeLogin(
  options: OAuth2Options,
  ui: LoginUi,
  deps: LoginDeps,
  signal: AbortSignal,
): Promise<Tokens> {
  const client = await abortableLogin(connectClient(options, deps), signal);
  if (client.serverMetadata().authorization_endpoint === undefined) throw unsupported('authorization-code');
  const verifier = randomPKCECodeVerifier();
  const state = randomState();
  const limit = AbortSignal.any([signal, AbortSignal.timeout(AUTHORIZATION_MS)]);
  await using listener = await listenForAnswer(state);
  const page = buildAuthorizationUrl(client, {
    ...grantParameters(options),
    response_type: 'code',
    redirect_uri: listener.redirectUri,
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    // OpenID Connect servers give a refresh token only to who asks for consent.
    ...(options.scope?.split(' ').includes('offline_access') === true ? { prompt: 'consent' } : {}),
  });
  ui.show(`Open this page in a browser on this machine and allow access:\n${page.href}`);
  ui.open?.(page.href);
  const answerUrl = await listener.answer(limit).catch((error: unknown) => {
    if (signal.aborted || !limit.aborted) throw calledOff(error);
    throw new AuthError('expired', 'nobody allowed the access in time', 'Run: infinimount login');
  });
  const answer = await abortableLogin(
    asking(() =>
      authorizationCodeGrant(client, answerUrl, { pkceCodeVerifier: verifier, expectedState: state }),
    ),
    signal,
  );
  return readTokens(options, answer, deps.clock.nowMs());
}

/** RFC 6749 section 4.4. Rejects with `AuthError`. */
export async function clientCredentialsLogin(
  options: OAuth2Options,
  _ui: LoginUi,
  deps: LoginDeps,
  signal: AbortSignal,
): Promise<Tokens> {
  const client = await abortableLogin(connectClient(options, deps), signal);
  const answer = await abortableLogin(
    asking(() => clientCredentialsGrant(client, grantParameters(options))),
    signal,
  );
  return readTokens(options, answer, deps.clock.nowMs());
}

/** A refresh token that was got elsewhere (RFC 6749 section 6). Rejects with `AuthError`. */
export async function refreshTokenLogin(
  options: OAuth2Options,
  refreshToken: Secret,
  deps: LoginDeps,
  signal: AbortSignal,
): Promise<Tokens> {
  const client = await abortableLogin(connectClient(options, deps), signal);
  const answer = await abortableLogin(
    asking(() => refreshTokenGrant(client, refreshToken.reveal())),
    signal,
  );
  const tokens = readTokens(options, answer, deps.clock.nowMs());
  return { ...tokens, refreshToken: tokens.refreshToken ?? refreshToken };
}

async function abortableLogin<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await abortable(work, signal);
  } catch (error) {
    throw error instanceof AuthError ? error : calledOff(error);
  }
}

function calledOff(error: unknown): unknown {
  if (error instanceof AuthError) return error;
  return new AuthError('aborted', 'the login was called off', 'Run: infinimount login');
}

function unsupported(grant: 'device' | 'authorization-code'): AuthError {
  return new AuthError(
    'client-refused',
    `the authorization server does not offer the grant "${grant}"`,
    `Choose another grant, or set ${grant === 'device' ? 'device-' : ''}authorization-endpoint in [profile.NAME.oauth2].`,
  );
}
