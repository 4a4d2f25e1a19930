/** Which options go together: what excludes what, and what needs what. It looks at names and values only. */

import { UserError } from '../base/index.js';
import type { OptionName, OptionValues } from './options.js';
import type { Origin } from './sources.js';

const PASSWORDS = ['password', 'password-file', 'password-command', 'password-credential'] as const;

/** Throws the {@link UserError} of the first combination that cannot be. */
export function checkCombinations(values: OptionValues, origins: ReadonlyMap<OptionName, Origin>): void {
  checkAuth(values, origins);
  if (values.auth === 'oauth2') checkOAuth2(values, origins);
  if (values.user?.includes(':')) {
    throw conflict(origins.get('user'), 'user', 'a user name has no ":" (RFC 7617 section 2)');
  }
  const password = PASSWORDS.find((name) => origins.has(name));
  if (password !== undefined && values.user === undefined) {
    throw conflict(origins.get(password), password, 'no user name was given', 'Add the option user.');
  }
}

function checkAuth({ auth }: OptionValues, origins: ReadonlyMap<OptionName, Origin>): void {
  const command = origins.get('token-command');
  if (auth === 'token-command' && command === undefined) {
    throw conflict(origins.get('auth'), 'auth token-command', 'no token-command was given');
  }
  if (auth !== 'token-command' && command !== undefined) {
    throw conflict(command, 'token-command', `auth is ${auth}`, 'Write: auth = "token-command"');
  }
  const clientId = origins.get('client-id');
  if (auth !== 'oauth2' && clientId !== undefined) {
    throw conflict(clientId, 'client-id', `auth is ${auth}`, 'Write: auth = "oauth2"');
  }
  const preemptive = origins.get('preemptive');
  if (auth !== 'basic' && preemptive !== undefined) {
    throw conflict(preemptive, 'preemptive', `it is for auth basic, and auth is ${auth}`);
  }
}

function checkOAuth2(values: OptionValues, origins: ReadonlyMap<OptionName, Origin>): void {
  const auth = origins.get('auth');
  if (values['client-id'] === undefined) throw conflict(auth, 'auth oauth2', 'no client-id was given');
  const hasSecret = origins.has('client-secret') || origins.has('client-secret-file');
  if (values.grant === 'client-credentials' && !hasSecret) {
    throw conflict(origins.get('grant'), 'grant client-credentials', 'no client-secret was given');
  }
  if (values.issuer !== undefined) return;
  const needed: OptionName[] = ['token-endpoint'];
  if (values.grant === 'device') needed.push('device-authorization-endpoint');
  if (values.grant === 'authorization-code') needed.push('authorization-endpoint');
  for (const name of needed) {
    if (values[name] !== undefined) continue;
    throw conflict(origins.get('grant') ?? auth, 'auth oauth2', `neither issuer nor ${name} was given`);
  }
}

function conflict(origin: Origin | undefined, name: string, found: string, hint?: string): UserError {
  return new UserError(origin?.code ?? 'usage', `Cannot use ${origin?.where ?? name}: ${found}`, hint);
}
