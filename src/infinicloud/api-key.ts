/** The API key: 128 bits as 32 upper-case hexadecimal digits. It names the program, and is kept like a secret all the same. */

import { Secret, UserError } from '../base/index.js';

const API_KEY = /^[0-9A-F]{32}$/;

/** Throws a {@link UserError} that does not repeat the text: it may be a password in the wrong place. */
export function parseApiKey(text: string): Secret {
  const key = text.trim();
  if (API_KEY.test(key)) return new Secret(key);
  throw new UserError('usage', `Cannot use the API key: ${faultOf(key)}`, 'Copy it again from InfiniCLOUD.');
}

function faultOf(key: string): string {
  if (/^[0-9a-f]{32}$/i.test(key)) return 'it has lower-case letters, and has to be upper case';
  if (/^[0-9a-f]*$/i.test(key)) return `it has ${key.length} digits instead of 32`;
  return 'it is not 32 hexadecimal digits';
}
