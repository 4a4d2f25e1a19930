/** From the configured credentials to the provider that puts them into requests. */

import {
  type AuthProvider,
  BasicAuth,
  createOAuth2,
  FileTokenStore,
  type OAuth2Options,
  TokenCommandAuth,
  type Tokens,
} from '../../auth/index.js';
import { assertNever, type Clock, type Log } from '../../base/index.js';
import type { Credentials, OAuth2Login } from '../../config/index.js';

export interface AnyAuth extends AuthProvider {
  /** Whether {@link reload} would find something new; rejects with AuthError. */
  hasNewer(): Promise<boolean>;
  /** Takes up what lies beside the configuration (the file of tokens); whether it is something new. */
  reload(): Promise<boolean>;
  /** Takes new credentials of the same kind; false where a new provider has to be made. */
  update(credentials: Credentials): boolean;
  /** Takes up tokens of a new login, for OAuth2. */
  adopt(tokens: Tokens): void;
}

export interface AuthDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** PEM of certificates to trust besides the system's, for the authorization server. */
  readonly ca: string | undefined;
}

export function makeAuth(credentials: Credentials | undefined, deps: AuthDeps): AnyAuth {
  switch (credentials?.kind) {
    case undefined:
      return replaceable({ authorize: () => ({}), onUnauthorized: () => false });
    case 'basic': {
      const auth = new BasicAuth(credentials, { preemptive: credentials.preemptive });
      return {
        ...replaceable(auth),
        update: (other) => {
          if (other.kind !== 'basic' || other.preemptive !== credentials.preemptive) return false;
          auth.update(other);
          return true;
        },
      };
    }
    case 'oauth2': {
      const tokens = new FileTokenStore(credentials.tokenFile);
      const auth = createOAuth2(oauth2Options(credentials, deps.ca), { ...deps, tokens });
      return {
        ...replaceable(auth),
        hasNewer: () => auth.hasNewer(),
        reload: () => auth.reload(),
        adopt: (tokens) => auth.adopt(tokens),
      };
    }
    case 'token-command': {
      const auth = new TokenCommandAuth({ command: credentials.command }, deps);
      return replaceable(auth);
    }
    default:
      return assertNever(credentials);
  }
}

function replaceable(auth: AuthProvider): AnyAuth {
  return {
    authorize: (request) => auth.authorize(request),
    onUnauthorized: (request, sent, challenge) => auth.onUnauthorized(request, sent, challenge),
    hasNewer: () => Promise.resolve(false),
    reload: () => Promise.resolve(false),
    update: () => false,
    adopt: () => undefined,
  };
}

/** What the functions of src/auth take; `ca`: PEM of certificates to trust besides the system's. */
export function oauth2Options(login: OAuth2Login, ca: string | undefined): OAuth2Options {
  const { issuer, tokenEndpoint, deviceAuthorizationEndpoint, authorizationEndpoint, scope } = login;
  return {
    clientId: login.clientId,
    grant: login.grant,
    ...(issuer === undefined ? {} : { issuer }),
    ...(tokenEndpoint === undefined ? {} : { tokenEndpoint }),
    ...(deviceAuthorizationEndpoint === undefined ? {} : { deviceAuthorizationEndpoint }),
    ...(authorizationEndpoint === undefined ? {} : { authorizationEndpoint }),
    ...(login.clientSecret === undefined ? {} : { clientSecret: login.clientSecret }),
    ...(scope === undefined ? {} : { scope }),
    ...(ca === undefined ? {} : { ca }),
  };
}
