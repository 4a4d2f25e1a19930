/** Reading WWW-Authenticate (RFC 9110 section 11.6.1): which schemes a server offers. */

import { AuthError } from './errors.js';

const TOKEN = "[A-Za-z0-9!#$%&'*+.^_`|~-]+";
const QUOTED = '"(?:[^"\\\\]|\\\\.)*"';
/** `name=value`, as a parameter of the scheme before it. */
const PARAMETER = new RegExp(`^(?:${TOKEN})[ \\t]*=[ \\t]*(?:${TOKEN}|${QUOTED})`);
const SCHEME = new RegExp(`^(${TOKEN})`);
/** Credentials in one word after a scheme (`Negotiate YII=`). */
const TOKEN68 = /^[ \t]+[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/;
const QUOTED_STRING = new RegExp(`^${QUOTED}`);

/** The schemes of a challenge, in lower case, in order. Reads leniently: what it cannot read, it passes over. */
export function challengeSchemes(header: string): string[] {
  const schemes: string[] = [];
  let rest = header;
  for (;;) {
    rest = rest.replace(/^[\s,]+/, '');
    if (rest === '') return schemes;
    const skipped = PARAMETER.exec(rest) ?? QUOTED_STRING.exec(rest);
    if (skipped !== null) {
      rest = rest.slice(skipped[0].length);
      continue;
    }
    // A quote that never ends.
    if (rest.startsWith('"')) return schemes;
    const scheme = SCHEME.exec(rest)?.[1];
    if (scheme === undefined) {
      rest = rest.slice(1);
      continue;
    }
    schemes.push(scheme.toLowerCase());
    rest = rest.slice(scheme.length);
    const credentials = TOKEN68.exec(rest);
    if (credentials !== null) rest = rest.slice(credentials[0].length);
  }
}

/** Throws {@link AuthError} where a server offers schemes, and `wanted` (lower case) is none of them. */
export function requireScheme(challenge: string | undefined, wanted: 'basic' | 'bearer'): void {
  const offered = challenge === undefined ? [] : challengeSchemes(challenge);
  if (offered.length === 0 || offered.includes(wanted)) return;
  if (offered.includes('digest') && !offered.includes('basic') && !offered.includes('bearer')) {
    throw new AuthError(
      'digest-only',
      'the server asks for Digest authentication, which is refused here: InfiniCLOUD does not offer it, and BASIC over TLS protects the password better',
      'Check the URL, or let the server offer Basic.',
    );
  }
  const names = offered.filter((name) => name.length <= 20).join(', ');
  throw new AuthError(
    'scheme',
    `the server asks for ${names} authentication, not for ${wanted}`,
    wanted === 'basic'
      ? 'Set auth = "oauth2" for a URL below /v2/, and auth = "basic" for /dav/ and /backup/.'
      : 'Set auth = "basic" for /dav/ and /backup/; a token is for URLs below /v2/.',
  );
}
