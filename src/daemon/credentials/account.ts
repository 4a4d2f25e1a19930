/** What `login` and `logout` do with servers and tokens: find the node, get tokens, prove the credentials. */

import {
  AuthError,
  authorizationCodeLogin,
  authUserError,
  clientCredentialsLogin,
  deviceLogin,
  FileTokenStore,
  type LoginUi,
  refreshTokenLogin,
  type Tokens,
} from '../../auth/index.js';
import { assertNever, type Secret, SystemClock, UserError } from '../../base/index.js';
import type { OAuth2Login, RestAccess, ServerOptions } from '../../config/index.js';
import { InfiniCloudError, type InfiniCloudUser, infiniCloudUserError } from '../../infinicloud/index.js';
import { type Logger, subsystemLogger } from '../../observe/index.js';
import { isRemoteError } from '../../remote/index.js';
import { checkServer } from '../../webdav/index.js';
import { remoteUserError } from '../errors.js';
import { connect } from '../steering/connection.js';
import { oauth2Options } from './make-auth.js';
import { restApi } from './rest.js';

export type { LoginUi } from '../../auth/index.js';

export interface AccountDeps {
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Asks the REST API where the account lives; rejects with {@link UserError}. */
export async function findNode(
  access: RestAccess,
  ca: string | undefined,
  { logger, signal }: AccountDeps,
): Promise<InfiniCloudUser> {
  const api = restApi(access, { ca, clock: new SystemClock(), log: subsystemLogger(logger, 'infinicloud') });
  try {
    return await api.user(signal);
  } catch (error) {
    if (error instanceof InfiniCloudError) throw infiniCloudUserError(error, 'find your node');
    throw error;
  }
}

/** One PROPFIND with the credentials; rejects with the {@link UserError} that says why they cannot be used. */
export async function proveServer(options: ServerOptions, { logger, signal }: AccountDeps): Promise<void> {
  const connection = connect(options, { clock: new SystemClock(), logger });
  try {
    await checkServer(connection.store, { signal });
  } catch (error) {
    throw isRemoteError(error)
      ? explained(remoteUserError(error, options.url), options, error.status)
      : error;
  } finally {
    await connection.close();
  }
}

/** Refusals that the switch in MyPage may be the reason of. */
const ACCESS_REFUSED: ReadonlySet<string> = new Set(['unauthorized', 'forbidden', 'not-webdav']);

const APPS_CONNECTION =
  'For InfiniCLOUD: switch "Apps Connection" on in MyPage, and use the ID and the apps password that it shows there, not those of the web site; a renewed password takes some minutes until it works.';

/** The same refusal with what InfiniCLOUD may mean by it. */
function explained(
  error: UserError,
  { url, credentials }: ServerOptions,
  status: number | undefined,
): UserError {
  // The scheme is wrong rather than the password.
  if (error.cause instanceof AuthError) return error;
  if (credentials?.kind !== 'basic' || !ACCESS_REFUSED.has(error.code)) return error;
  const hint =
    status === 400 && new URL(url).pathname.startsWith('/v2/')
      ? 'For InfiniCLOUD: URLs below /v2/ take OAuth2 only; use /dav/ with an apps password.'
      : APPS_CONNECTION;
  return new UserError(error.code, error.problem, hint, { cause: error });
}

/**
 * Gets the first tokens as the grant says and keeps them in the login's file; gives back what undoes that. Rejects with
 * {@link UserError}.
 */
export async function logInWithOAuth2(
  login: OAuth2Login,
  given: { readonly ui: LoginUi; readonly ca: string | undefined; readonly refreshToken: Secret | undefined },
  deps: AccountDeps,
): Promise<() => Promise<void>> {
  const store = new FileTokenStore(login.tokenFile);
  try {
    const tokens = await fetchTokens(login, given, deps);
    // Tokens that cannot be read are worth nothing: they are replaced.
    const before = await store.load().catch((error: unknown) => {
      if (error instanceof AuthError) return undefined;
      throw error;
    });
    await store.save(tokens);
    return () => (before === undefined ? store.clear() : store.save(before));
  } catch (error) {
    throw error instanceof AuthError ? authUserError(error) : error;
  }
}

async function fetchTokens(
  login: OAuth2Login,
  { ui, ca, refreshToken }: { ui: LoginUi; ca: string | undefined; refreshToken: Secret | undefined },
  { logger, signal }: AccountDeps,
): Promise<Tokens> {
  const options = oauth2Options(login, ca);
  const deps = { clock: new SystemClock(), log: subsystemLogger(logger, 'auth') };
  switch (login.grant) {
    case 'device':
      return await deviceLogin(options, ui, deps, signal);
    case 'authorization-code':
      return await authorizationCodeLogin(options, ui, deps, signal);
    case 'client-credentials':
      return await clientCredentialsLogin(options, ui, deps, signal);
    case 'refresh-token':
      if (refreshToken === undefined) {
        throw new UserError(
          'usage',
          'Cannot log in with the grant refresh-token: there is no refresh token',
          'Pipe it in: infinimount login --grant refresh-token --refresh-token-stdin ...',
        );
      }
      return await refreshTokenLogin(options, refreshToken, deps, signal);
    default:
      return assertNever(login.grant);
  }
}

/** Removes the tokens of a profile; whether there were any. Rejects with {@link UserError}. */
export async function forgetTokens(tokenFile: string): Promise<boolean> {
  const store = new FileTokenStore(tokenFile);
  try {
    const had = await store.load().then(
      (tokens) => tokens !== undefined,
      () => true,
    );
    await store.clear();
    return had;
  } catch (error) {
    throw error instanceof AuthError ? authUserError(error, 'log out') : error;
  }
}
