/**
 * A streaming reader of multistatus bodies (RFC 4918 section 13): fed with bytes as they arrive, it hands out one
 * response element at a time. It goes by namespace, never by prefix, and skips what it does not know.
 */

import { XmlError, XmlReader } from './xml-reader.js';

/** Properties in the namespace `DAV:` that came with a 2xx status, by local name. */
export type DavProperties = ReadonlyMap<string, string>;

export interface DavResponse {
  readonly href: string;
  /** Status of the whole response, or of its first propstat where none says 2xx. */
  readonly status: number;
  readonly properties: DavProperties;
  readonly isCollection: boolean;
}

/** Why a body is no multistatus; the message is for people only. */
export class MultistatusError extends Error {
  override readonly name = 'MultistatusError';
}

const DAV = 'DAV:';
/** Text of one element; the longest that matters is an href of a deep path with every byte encoded. */
const MAX_TEXT_CHARS = 64 * 1024;

/** A response element while it is read. */
interface Draft {
  href: string;
  status: number | undefined;
  readonly properties: Map<string, string>;
  isCollection: boolean;
  propstat: PropstatDraft | undefined;
}

interface PropstatDraft {
  status: number | undefined;
  readonly properties: Map<string, string>;
  isCollection: boolean;
}

export class MultistatusReader {
  readonly #xml = new XmlReader({
    opened: (uri, local) => this.#onOpen(uri === DAV ? local : ''),
    text: (text) => this.#onText(text),
    closed: () => this.#onClose(),
  });
  readonly #decoder = new TextDecoder('utf-8');
  /** Local names of the open elements; an element of another namespace is an empty string. */
  readonly #open: string[] = [];
  #ready: DavResponse[] = [];
  #draft: Draft | undefined;
  #text = '';

  /** Takes the next bytes and gives the responses that they completed. Throws {@link MultistatusError}. */
  write(bytes: Uint8Array): readonly DavResponse[] {
    return this.#feed(this.#decoder.decode(bytes, { stream: true }), false);
  }

  /** To be called at the end of the body: throws {@link MultistatusError} when it ends too early. */
  end(): readonly DavResponse[] {
    return this.#feed(this.#decoder.decode(), true);
  }

  #feed(text: string, isLast: boolean): readonly DavResponse[] {
    try {
      this.#xml.write(text);
      if (isLast) this.#xml.end();
    } catch (error) {
      if (!(error instanceof XmlError)) throw error;
      throw new MultistatusError(error.message, { cause: error });
    }
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  #onOpen(name: string): void {
    const parent = this.#open.at(-1);
    if (parent === undefined && name !== 'multistatus')
      throw new MultistatusError('the root element is another one');
    this.#open.push(name);
    this.#text = '';
    if (name === 'response' && this.#open.length === 2) {
      this.#draft = {
        href: '',
        status: undefined,
        properties: new Map(),
        isCollection: false,
        propstat: undefined,
      };
    } else if (name === 'propstat' && parent === 'response' && this.#draft !== undefined) {
      this.#draft.propstat = { status: undefined, properties: new Map(), isCollection: false };
    } else if (name === 'collection' && parent === 'resourcetype' && this.#draft?.propstat !== undefined) {
      this.#draft.propstat.isCollection = true;
    }
  }

  #onText(text: string): void {
    this.#text += text;
    if (this.#text.length > MAX_TEXT_CHARS)
      throw new MultistatusError(`an element has more than ${MAX_TEXT_CHARS} characters`);
  }

  #onClose(): void {
    const name = this.#open.pop() ?? '';
    const parent = this.#open.at(-1);
    const text = this.#text;
    this.#text = '';
    const draft = this.#draft;
    if (draft === undefined) return;
    const { propstat } = draft;
    if (parent === 'prop' && this.#open.at(-2) === 'propstat') {
      if (name !== '') propstat?.properties.set(name, text.trim());
    } else if (parent === 'propstat' && name === 'status') {
      if (propstat !== undefined) propstat.status = parseStatusLine(text);
    } else if (parent === 'response') {
      if (name === 'href') draft.href = text.trim();
      if (name === 'status') draft.status = parseStatusLine(text);
      if (name === 'propstat') closePropstat(draft);
    } else if (name === 'response' && parent === 'multistatus') {
      const { href, properties, isCollection } = draft;
      this.#ready.push({ href, properties, isCollection, status: draft.status ?? 200 });
      this.#draft = undefined;
    }
  }
}

/** Keeps the properties of a propstat that the server has; notes what became of the others. */
function closePropstat(draft: Draft): void {
  const { propstat } = draft;
  draft.propstat = undefined;
  if (propstat === undefined) return;
  const status = propstat.status ?? 200;
  if (status < 200 || status >= 300) {
    draft.status ??= status;
    return;
  }
  // One propstat that succeeded makes the response one that succeeded.
  draft.status = status;
  for (const [name, value] of propstat.properties) draft.properties.set(name, value);
  draft.isCollection ||= propstat.isCollection;
}

/** The status of a line such as `HTTP/1.1 200 OK`. */
function parseStatusLine(text: string): number | undefined {
  const match = /^\s*HTTP\/[\d.]+\s+(\d{3})/i.exec(text);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}
