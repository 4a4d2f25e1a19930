/** BASIC authentication (RFC 7617), with a password that can be changed while requests run. */

import type { Secret } from '../base/index.js';
import { requireScheme } from './challenge.js';
import type { AuthHeaders, AuthProvider, AuthRequest } from './provider.js';

export interface BasicCredentials {
  /** Without a colon (RFC 7617 section 2). */
  readonly user: string;
  readonly password: Secret;
}

export interface BasicOptions {
  /**
   * Whether the first request already carries the credentials. If not, they are sent once the server has asked for
   * them, and from then on with every request of its protection space (RFC 7617 section 2.2).
   */
  readonly preemptive?: boolean;
}

const NOTHING: AuthHeaders = {};

export class BasicAuth implements AuthProvider {
  #headers: AuthHeaders;
  #asked: boolean;

  /** Throws a TypeError for a user name that BASIC cannot carry. */
  constructor(credentials: BasicCredentials, { preemptive = true }: BasicOptions = {}) {
    this.#headers = basicHeaders(credentials);
    this.#asked = preemptive;
  }

  /** Takes new credentials; requests from now on carry them, those under way are tried once more if refused. */
  update(credentials: BasicCredentials): void {
    this.#headers = basicHeaders(credentials);
  }

  authorize(_request: AuthRequest): AuthHeaders {
    return this.#asked ? this.#headers : NOTHING;
  }

  onUnauthorized(_request: AuthRequest, sent: AuthHeaders, challenge?: string): boolean {
    requireScheme(challenge, 'basic');
    this.#asked = true;
    return sent.authorization !== this.#headers.authorization;
  }
}

/** The Authorization header of BASIC, in UTF-8 (RFC 7617 section 2.1). Throws a TypeError for a user name with a colon. */
export function basicHeaders({ user, password }: BasicCredentials): AuthHeaders {
  if (user.includes(':'))
    throw new TypeError('Cannot use the user name: it has a colon, which BASIC cannot carry');
  const token = Buffer.from(`${user}:${password.reveal()}`, 'utf8').toString('base64');
  return { authorization: `Basic ${token}` };
}
