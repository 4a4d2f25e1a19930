/** BASIC authentication (RFC 7617), preemptive, with a password that can be changed while requests run. */

import type { Secret } from '../base/index.js';
import type { AuthHeaders, AuthProvider, AuthRequest } from './provider.js';

export interface BasicCredentials {
  /** Without a colon (RFC 7617 section 2). */
  readonly user: string;
  readonly password: Secret;
}

export class BasicAuth implements AuthProvider {
  #headers: AuthHeaders;

  /** Throws a TypeError for a user name that BASIC cannot carry. */
  constructor(credentials: BasicCredentials) {
    this.#headers = makeHeaders(credentials);
  }

  /** Takes new credentials; requests from now on carry them, those under way are tried once more if refused. */
  update(credentials: BasicCredentials): void {
    this.#headers = makeHeaders(credentials);
  }

  authorize(_request: AuthRequest): AuthHeaders {
    return this.#headers;
  }

  onUnauthorized(_request: AuthRequest, sent: AuthHeaders): boolean {
    return sent.authorization !== this.#headers.authorization;
  }
}

function makeHeaders({ user, password }: BasicCredentials): AuthHeaders {
  if (user.includes(':'))
    throw new TypeError('Cannot use the user name: it has a colon, which BASIC cannot carry');
  const token = Buffer.from(`${user}:${password.reveal()}`, 'utf8').toString('base64');
  return { authorization: `Basic ${token}` };
}
