/** Paths to URLs and hrefs back to paths. Segments are encoded and decoded exactly once. */

import { toName } from '../base/index.js';
import { REMOTE_ROOT, type RemotePath, toRemotePath } from '../remote/index.js';
import type { SkipReason } from './options.js';

/** Encodes everything but the unreserved characters of RFC 3986 section 2.3. */
export function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** What an href of a listing stands for. */
export type HrefMeaning =
  | { readonly kind: 'self' }
  | { readonly kind: 'child'; readonly path: RemotePath }
  | { readonly kind: 'skipped'; readonly reason: SkipReason };

/** The URLs of everything under one base. */
export class UrlSpace {
  /** Ends with a slash; without credentials, query and fragment. */
  readonly base: string;
  readonly origin: string;
  readonly #baseSegments: readonly string[];

  /** Throws a TypeError for what is no http(s) URL or carries credentials. */
  constructor(base: string | URL) {
    const url = new URL(base);
    if (url.protocol !== 'http:' && url.protocol !== 'https:') {
      throw new TypeError(`Cannot use ${url.protocol} for WebDAV: only http and https will do`);
    }
    if (url.username !== '' || url.password !== '') {
      throw new TypeError('Cannot use a URL with credentials in it: give them to the AuthProvider');
    }
    url.search = '';
    url.hash = '';
    if (!url.pathname.endsWith('/')) url.pathname += '/';
    this.base = url.href;
    this.origin = url.origin;
    this.#baseSegments = decodeSegments(url.pathname) ?? [];
  }

  /** The URL of `path`; that of a collection ends with a slash (RFC 4918 section 5.2). */
  urlOf(path: RemotePath, collection: boolean): string {
    if (path === REMOTE_ROOT) return this.base;
    const encoded = path.slice(1).split('/').map(encodeSegment).join('/');
    return `${this.base}${encoded}${collection ? '/' : ''}`;
  }

  /** Reads an href (RFC 4918 section 8.3: absolute URI or path) of an answer about `asked`. */
  meaningOf(href: string, asked: RemotePath): HrefMeaning {
    const segments = decodeSegments(pathOfHref(href, this.urlOf(asked, true)));
    if (segments === undefined) return { kind: 'skipped', reason: 'bad-encoding' };
    const expected = [...this.#baseSegments, ...asked.split('/').filter((segment) => segment !== '')];
    const isBelow = expected.every((segment, index) => segments[index] === segment);
    if (!isBelow || segments.length > expected.length + 1) return { kind: 'skipped', reason: 'elsewhere' };
    const last = segments[expected.length];
    if (last === undefined) return { kind: 'self' };
    const name = toName(last);
    const path =
      name === undefined ? undefined : toRemotePath([...asked.split('/').slice(1), name].filter(notEmpty));
    return path === undefined ? { kind: 'skipped', reason: 'bad-name' } : { kind: 'child', path };
  }
}

function notEmpty(segment: string): boolean {
  return segment !== '';
}

/** The path of an href as written: URL() would turn backslashes into slashes and resolve dots. */
function pathOfHref(href: string, context: string): string {
  const withoutOrigin = href.trim().replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, '');
  if (withoutOrigin.startsWith('/')) return withoutOrigin;
  return new URL(context).pathname + withoutOrigin;
}

/** The decoded segments, empty ones left out, or undefined where one cannot be decoded. */
function decodeSegments(path: string): string[] | undefined {
  try {
    return path.split('/').filter(notEmpty).map(decodeURIComponent);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}
