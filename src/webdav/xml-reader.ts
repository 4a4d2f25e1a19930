/**
 * A streaming reader of XML 1.0 with namespaces, as WebDAV servers write it: fed with text as it arrives, it tells of
 * elements and text. It checks that elements nest and end, and decodes the entities of XML itself. It takes no document
 * type, since RFC 4918 has no use for what one can declare, and it looks at no attribute but namespace declarations.
 *
 * A listing has a hundred thousand tags, of which a dozen differ. Each of them is matched as a whole, by one regular
 * expression when it first comes: a parser that goes character by character is slow until it is compiled, which is most
 * of the time that listing a directory takes.
 */

export interface XmlEvents {
  /** An element begins; `uri` is empty for one in no namespace. */
  opened(uri: string, local: string): void;
  /** A piece of the text of the element that is open. */
  text(text: string): void;
  /** The element that was opened last ends. */
  closed(): void;
}

/** Why a text is no XML that is read here; the message is for people only. */
export class XmlError extends Error {
  override readonly name = 'XmlError';
}

const NAME = String.raw`[^\s/<>=&'"!?][^\s/<>=&'"]*`;
const ATTRIBUTE = String.raw`\s+(?:${NAME})\s*=\s*(?:"[^"<]*"|'[^'<]*')`;
const TAG = new RegExp(String.raw`<(/?)(${NAME})((?:${ATTRIBUTE})*)\s*(/?)>`, 'y');
const ONE_ATTRIBUTE = new RegExp(String.raw`\s+(${NAME})\s*=\s*(?:"([^"<]*)"|'([^'<]*)')`, 'g');
const REFERENCE = /&(?:#x([0-9a-f]{1,6});|#([0-9]{1,7});|(lt|gt|amp|quot|apos);)?/gi;
/** What XML 1.0 (section 2.2) allows nowhere, by no means. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it looks for.
const FORBIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/;
const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
const XML_URI = 'http://www.w3.org/XML/1998/namespace';
const LAST_CODE_POINT = 0x10_ffff;
const SLASH = 0x2f;

/** Different start tags that are remembered, and how long each may be: those of a listing are a dozen. */
const MAX_KNOWN_TAGS = 256;
const MAX_KNOWN_TAG_CHARS = 256;
/** A tag, comment or reference that is not whole yet. */
const MAX_PENDING_CHARS = 64 * 1024;

/** What is no tag, by its beginning and its end. */
const SECTIONS = [
  { start: '<!--', end: '-->', isText: false },
  { start: '<![CDATA[', end: ']]>', isText: true },
  { start: '<?', end: '?>', isText: false },
] as const;

interface StartTag {
  readonly name: string;
  readonly attributes: string;
  readonly isEmpty: boolean;
}

/** Namespaces by prefix; the default one has an empty prefix. */
type Scope = ReadonlyMap<string, string>;

const OUTERMOST: Scope = new Map([
  ['', ''],
  ['xml', XML_URI],
]);

export class XmlReader {
  readonly #events: XmlEvents;
  /** The open elements: names as written, and what is declared in each. */
  readonly #names: string[] = [];
  readonly #scopes: Scope[] = [];
  /** Start tags that were read, by what is between their brackets. */
  readonly #known = new Map<string, StartTag>();
  /** What was declared last: siblings declare the same. */
  #declared: { readonly outer: Scope; readonly attributes: string; readonly scope: Scope } | undefined;
  /** What was not whole when the text ended. */
  #pending = '';
  #sawRoot = false;

  constructor(events: XmlEvents) {
    this.#events = events;
  }

  /** Takes the next text. Throws {@link XmlError}; nothing may be written afterwards. */
  write(text: string): void {
    if (FORBIDDEN.test(text)) throw new XmlError('it has a character that XML does not allow');
    const all = this.#pending === '' ? text : this.#pending + text;
    let at = 0;
    for (let next = this.#read(all, at); next > at; next = this.#read(all, at)) at = next;
    this.#pending = all.slice(at);
    if (this.#pending.length > MAX_PENDING_CHARS) throw new XmlError('a tag has no end');
  }

  /** To be called at the end. Throws {@link XmlError} when the text ends too early. */
  end(): void {
    if (this.#pending !== '') throw new XmlError('it ends within a tag');
    if (this.#names.length > 0) throw new XmlError(`it ends within the element ${this.#names.at(-1)}`);
    if (!this.#sawRoot) throw new XmlError('it has no element');
  }

  /** Reads the next piece at `at` and returns where it ends; `at` itself where it is not whole. */
  #read(all: string, at: number): number {
    const next = all.indexOf('<', at);
    if (next === at) return this.#markup(all, at);
    const end = next === -1 ? wholeTextEnd(all, at) : next;
    if (end > at) this.#text(decoded(all.slice(at, end)));
    return end;
  }

  #markup(all: string, at: number): number {
    const end = all.indexOf('>', at);
    if (end === -1) return at;
    const written = all.slice(at + 1, end);
    // Nearly every tag is one of these two, and needs no expression then.
    const known = this.#known.get(written);
    if (known !== undefined) return this.#start(known, end + 1);
    if (written.charCodeAt(0) === SLASH && written.slice(1) === this.#names.at(-1))
      return this.#close(written.slice(1), end + 1);
    TAG.lastIndex = at;
    const tag = TAG.exec(all);
    if (tag === null) return this.#section(all, at);
    const [, endSlash, name = '', attributes = '', emptySlash] = tag;
    if (endSlash === '/') {
      if (attributes !== '' || emptySlash !== '') throw new XmlError(`the end tag of ${name} is broken`);
      return this.#close(name, TAG.lastIndex);
    }
    const start: StartTag = { name, attributes, isEmpty: emptySlash === '/' };
    const isWhole = TAG.lastIndex === end + 1;
    if (isWhole && written.length <= MAX_KNOWN_TAG_CHARS && this.#known.size < MAX_KNOWN_TAGS)
      this.#known.set(written, start);
    return this.#start(start, TAG.lastIndex);
  }

  #start({ name, attributes, isEmpty }: StartTag, end: number): number {
    this.#open(name, attributes);
    return isEmpty ? this.#close(name, end) : end;
  }

  #section(all: string, at: number): number {
    for (const { start, end, isText } of SECTIONS) {
      if (!all.startsWith(start, at)) continue;
      const found = all.indexOf(end, at + start.length);
      if (found === -1) return at;
      if (isText) this.#text(all.slice(at + start.length, found), true);
      return found + end.length;
    }
    if (all.startsWith('<!D', at)) throw new XmlError('it has a document type');
    return at;
  }

  #text(text: string, isSection = false): void {
    if (this.#names.length > 0) this.#events.text(text);
    else if (isSection || text.trim() !== '') throw new XmlError('it has text outside of its root element');
  }

  #open(name: string, attributes: string): void {
    if (this.#names.length === 0) {
      if (this.#sawRoot) throw new XmlError('it has two root elements');
      this.#sawRoot = true;
    }
    const outer = this.#scopes.at(-1) ?? OUTERMOST;
    const scope = attributes.includes('xmlns') ? this.#scopeIn(outer, attributes) : outer;
    this.#names.push(name);
    this.#scopes.push(scope);
    const colon = name.indexOf(':');
    const uri = scope.get(colon === -1 ? '' : name.slice(0, colon));
    if (uri === undefined) throw new XmlError(`the prefix of ${name} stands for nothing`);
    this.#events.opened(uri, colon === -1 ? name : name.slice(colon + 1));
  }

  #scopeIn(outer: Scope, attributes: string): Scope {
    const last = this.#declared;
    if (last?.outer === outer && last.attributes === attributes) return last.scope;
    const scope = declared(outer, attributes);
    this.#declared = { outer, attributes, scope };
    return scope;
  }

  #close(name: string, end: number): number {
    const open = this.#names.pop();
    if (open !== name) throw new XmlError(`the element ${open ?? ''} is ended as ${name}`);
    this.#scopes.pop();
    this.#events.closed();
    return end;
  }
}

/** Where text ends that goes on to the end of `all`: before a reference that is not whole. */
function wholeTextEnd(all: string, at: number): number {
  const reference = all.lastIndexOf('&');
  return reference < at || all.includes(';', reference) ? all.length : reference;
}

function declared(outer: Scope, attributes: string): Scope {
  const scope = new Map(outer);
  for (const [, name = '', quoted, apostrophed] of attributes.matchAll(ONE_ATTRIBUTE)) {
    const uri = () => decoded(quoted ?? apostrophed ?? '');
    if (name === 'xmlns') scope.set('', uri());
    else if (name.startsWith('xmlns:')) scope.set(name.slice('xmlns:'.length), uri());
  }
  return scope;
}

function decoded(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(REFERENCE, (written, hex?: string, decimal?: string, entity?: string) => {
    if (entity !== undefined && entity in ENTITIES) return ENTITIES[entity] as string;
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    const character = code <= LAST_CODE_POINT ? String.fromCodePoint(code) : '\0';
    if (FORBIDDEN.test(character)) throw new XmlError(`"${written}" stands for nothing`);
    return character;
  });
}
