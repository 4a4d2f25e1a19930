/** How requests get their credentials: the seam between whoever speaks HTTP and whoever holds the secrets. */

import type { MaybePromise } from '../base/index.js';

export interface AuthRequest {
  readonly method: string;
  /** Always on the origin that the credentials are for. */
  readonly url: string;
}

/** Request headers, lower-case names. Never logged. */
export type AuthHeaders = Readonly<Record<string, string>>;

/** Both methods throw, or reject with, nothing but `AuthError`. */
export interface AuthProvider {
  /** The headers that prove who asks; for BASIC and bearer tokens sent with the first request already. */
  authorize(request: AuthRequest): MaybePromise<AuthHeaders>;
  /**
   * The server answered 401 to a request that carried `sent`, with this WWW-Authenticate header. True when something
   * newer is at hand now (rotated meanwhile, refreshed by this call, or asked for by this challenge), so that the
   * request is worth one more attempt.
   */
  onUnauthorized(request: AuthRequest, sent: AuthHeaders, challenge?: string): MaybePromise<boolean>;
  /** The server carried out a request with `sent`. */
  onAccepted?(sent: AuthHeaders): void;
}
