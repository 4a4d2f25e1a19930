/**
 * A streaming reader of multistatus bodies (RFC 4918 section 13): fed with bytes as they arrive, it hands out one
 * response element at a time. It goes by namespace, never by prefix, and skips what it does not know.
 */

import { SaxesParser, type SaxesTagNS } from 'saxes';
import { Pacer } from '../base/index.js';

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

/** What is parsed before others may have their turn: some twenty entries. */
const SLICE_BYTES = 8 * 1024;

/** The responses of a body, in batches as its bytes arrive. Rejects as `chunks`, or with {@link MultistatusError}. */
export async function* readMultistatus(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly DavResponse[]> {
  const reader = new MultistatusReader();
  const pacer = new Pacer();
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length; start += SLICE_BYTES) {
      const responses = reader.write(chunk.subarray(start, start + SLICE_BYTES));
      if (responses.length > 0) yield responses;
      await pacer.pause();
    }
  }
  const last = reader.end();
  if (last.length > 0) yield last;
}

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
  readonly #parser = new SaxesParser({ xmlns: true, position: false });
  readonly #decoder = new TextDecoder('utf-8');
  /** Local names of the open elements; an element of another namespace is an empty string. */
  readonly #open: string[] = [];
  #ready: DavResponse[] = [];
  #draft: Draft | undefined;
  #text = '';
  #sawRoot = false;
  #fault: MultistatusError | undefined;

  constructor() {
    this.#parser.on('opentag', (tag) => this.#onOpen(tag));
    this.#parser.on('closetag', () => this.#onClose());
    this.#parser.on('text', (text) => this.#onText(text));
    this.#parser.on('cdata', (text) => this.#onText(text));
    this.#parser.on('error', (error) => {
      this.#fault ??= new MultistatusError(error.message);
    });
  }

  /** Takes the next bytes and gives the responses that they completed. Throws {@link MultistatusError}. */
  write(bytes: Uint8Array): readonly DavResponse[] {
    return this.#feed(this.#decoder.decode(bytes, { stream: true }), false);
  }

  /** To be called at the end of the body: throws {@link MultistatusError} when it ends too early. */
  end(): readonly DavResponse[] {
    const last = this.#feed(this.#decoder.decode(), true);
    if (!this.#sawRoot) throw new MultistatusError('no multistatus element');
    return last;
  }

  #feed(text: string, isLast: boolean): readonly DavResponse[] {
    if (text !== '') this.#parser.write(text);
    if (isLast) this.#parser.close();
    if (this.#fault !== undefined) throw this.#fault;
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  #onOpen(tag: SaxesTagNS): void {
    const name = tag.uri === DAV ? tag.local : '';
    const parent = this.#open.at(-1);
    if (parent === undefined) {
      if (name !== 'multistatus') this.#fault ??= new MultistatusError(`the root element is ${tag.name}`);
      this.#sawRoot = true;
    }
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
    if (this.#text.length > MAX_TEXT_CHARS) {
      this.#fault ??= new MultistatusError(`an element has more than ${MAX_TEXT_CHARS} characters`);
      this.#text = '';
    }
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
