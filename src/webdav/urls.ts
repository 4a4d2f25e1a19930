/** Paths to URLs and hrefs back to paths. Segments are encoded and decoded exactly once. */

import { toName } from '../base/index.js';
import { joinRemote, REMOTE_ROOT, type RemotePath } from '../remote/index.js';
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

  /** For reading the hrefs of one answer about `asked`. */
  reader(asked: RemotePath): HrefReader {
    const segments = asked.split('/').filter(notEmpty);
    return new HrefReader(
      asked,
      [...this.#baseSegments, ...segments],
      new URL(this.urlOf(asked, true)).pathname,
    );
  }
}

/** Reads the hrefs (RFC 4918 section 8.3: absolute URI or path) of an answer about one path. */
export class HrefReader {
  readonly #asked: RemotePath;
  /** Decoded segments of what was asked for, from the server's root on. */
  readonly #expected: readonly string[];
  /** The path of its URL, which a relative href goes on from. */
  readonly #path: string;
  /** How the server writes the path of what was asked for, with a slash at its end: the same in thousands of hrefs. */
  #prefix: string | undefined;

  constructor(asked: RemotePath, expected: readonly string[], path: string) {
    this.#asked = asked;
    this.#expected = expected;
    this.#path = path;
  }

  meaningOf(written: string): HrefMeaning {
    const href = written.trim();
    const prefix = this.#prefix;
    if (prefix !== undefined && href.startsWith(prefix)) {
      const end = href.endsWith('/') ? href.length - 1 : href.length;
      const last = href.slice(prefix.length, end);
      if (last !== '' && !last.includes('/')) return this.#childCalled(last);
    }
    return this.#read(href);
  }

  #read(href: string): HrefMeaning {
    const path = this.#pathOf(href);
    const segments = decodeSegments(path);
    if (segments === undefined) return { kind: 'skipped', reason: 'bad-encoding' };
    const expected = this.#expected;
    const isBelow = expected.every((segment, index) => segments[index] === segment);
    if (!isBelow || segments.length > expected.length + 1) return { kind: 'skipped', reason: 'elsewhere' };
    const last = segments[expected.length];
    if (last === undefined) return { kind: 'self' };
    const withoutSlashes = href.replace(/\/+$/, '');
    this.#prefix = withoutSlashes.slice(0, withoutSlashes.lastIndexOf('/') + 1);
    return this.#child(last);
  }

  #childCalled(encoded: string): HrefMeaning {
    const [segment] = decodeSegments(encoded) ?? [];
    return segment === undefined ? { kind: 'skipped', reason: 'bad-encoding' } : this.#child(segment);
  }

  #child(segment: string): HrefMeaning {
    const name = toName(segment);
    if (name === undefined) return { kind: 'skipped', reason: 'bad-name' };
    return { kind: 'child', path: joinRemote(this.#asked, name) };
  }

  /** The path of an href as written: URL() would turn backslashes into slashes and resolve dots. */
  #pathOf(href: string): string {
    const withoutOrigin = href.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, '');
    return withoutOrigin.startsWith('/') ? withoutOrigin : this.#path + withoutOrigin;
  }
}

function notEmpty(segment: string): boolean {
  return segment !== '';
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
