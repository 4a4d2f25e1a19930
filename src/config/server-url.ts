/** The URL of the server's folder: its form, and whether a password may be sent there. */

import { isIPv4 } from 'node:net';
import { quote, UserError } from '../base/index.js';

export interface ServerUrlRules {
  readonly insecureHttp: boolean;
}

/** Checks a URL and gives it back in its one form: without credentials, query or fragment, ending in a slash. */
export function checkServerUrl(text: string, { insecureHttp }: ServerUrlRules): URL {
  const url = parseUrl(text);
  if (url.username !== '' || url.password !== '') {
    url.username = '';
    url.password = '';
    throw new UserError(
      'bad-url',
      `Cannot use the URL ${quote(url.href)}: it carries a user name or password, which everybody on this machine can see`,
      'Leave them out and use --user and --password-file.',
    );
  }
  if (url.search !== '' || url.hash !== '') {
    throw new UserError(
      'bad-url',
      `Cannot use the URL ${quote(text)}: a folder's URL has no "?" and no "#"`,
      'Write %3F and %23 where they belong to a name.',
    );
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  if (url.protocol === 'http:' && !insecureHttp && !isLoopback(url.hostname)) {
    throw new UserError(
      'plain-http',
      `Cannot use ${quote(url.href)}: plain http would send the password and the files readable by anyone`,
      'Use https://, or --insecure-http if the network is yours.',
    );
  }
  return url;
}

function parseUrl(text: string): URL {
  // Only these forms: URL() would take "https:host" and repair it in silence.
  const url =
    /^https?:\/\/[^/]/i.test(text) && !/\s/.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined) return url;
  throw new UserError(
    'bad-url',
    `Cannot use the URL ${quote(withoutCredentials(text))}: it is not a web address`,
    'Write it as https://host/folder/.',
  );
}

/** Drops what may be a password between `//` and `@`. */
export function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/]*@/, '//');
}

/** Whether `hostname`, as URL gives it, is this machine (RFC 6761 section 6.3, RFC 5735, RFC 4291). */
export function isLoopback(hostname: string): boolean {
  if (hostname === 'localhost' || hostname.endsWith('.localhost')) return true;
  return hostname === '[::1]' || (isIPv4(hostname) && hostname.startsWith('127.'));
}
