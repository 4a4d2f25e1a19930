/**
 * TOML with the line of each value: what an error message points at, and what an edit needs to leave the rest of a
 * file as it is. It knows no key by name.
 */

/** A value other than a table, with its whole path: `["profile", "home", "user"]`. */
export interface TomlEntry {
  readonly path: readonly string[];
  readonly value: unknown;
  /** From 1. */
  readonly line: number;
}

/** A table with a header, or an inline one; also the empty ones, which have no entry. */
export interface TomlTable {
  readonly path: readonly string[];
  readonly line: number;
}

export interface TomlText {
  readonly entries: readonly TomlEntry[];
  readonly tables: readonly TomlTable[];
}

export class TomlSyntaxError extends Error {
  override readonly name = 'TomlSyntaxError';
  readonly line: number;
  /** From 1. */
  readonly column: number;

  constructor(line: number, column: number) {
    // The parser's own message quotes the line, which may be the one with a secret.
    super(`line ${line}, column ${column} is no valid TOML`);
    this.line = line;
    this.column = column;
  }
}

interface Place {
  readonly line: number;
  readonly column: number;
}

/** What is read of the parser's tree (its own types are not exported). */
export interface TomlNode {
  readonly type: string;
  readonly loc: { readonly start: Place; readonly end: Place };
  readonly key?: {
    readonly value?: readonly string[];
    readonly item?: { readonly value: readonly string[] };
  };
  readonly value?: unknown;
  readonly items?: readonly TomlNode[];
  readonly item?: TomlNode;
}

/** The parser's tree; throws {@link TomlSyntaxError}. */
export async function parseTree(text: string): Promise<readonly TomlNode[]> {
  // Loaded where a file is read only: a mount by URL needs none.
  const { parseDocument, parse } = await import('@decimalturn/toml-patch');
  try {
    // The tree alone would let a key be given twice.
    parse(text);
    return parseDocument(text).cst as unknown as readonly TomlNode[];
  } catch (error) {
    throw syntaxError(error);
  }
}

function syntaxError(error: unknown): TomlSyntaxError {
  const place = error as Partial<Place>;
  return new TomlSyntaxError(place.line ?? 1, (place.column ?? 0) + 1);
}

/** Reads `text`; rejects with {@link TomlSyntaxError}. */
export async function readToml(text: string): Promise<TomlText> {
  const entries: TomlEntry[] = [];
  const tables: TomlTable[] = [];
  const visit = (node: TomlNode, prefix: readonly string[]) => {
    const { line } = node.loc.start;
    if (node.type === 'Comment') return;
    if (node.type === 'InlineItem' && node.item !== undefined) {
      visit(node.item, prefix);
      return;
    }
    const path = [...prefix, ...(node.key?.value ?? node.key?.item?.value ?? [])];
    if (node.type === 'KeyValue') {
      const value = node.value as TomlNode;
      if (value.type !== 'InlineTable') {
        const plain = value.type === 'InlineArray' || value.type === 'DateTime' ? undefined : value.value;
        entries.push({ path, value: plain, line });
        return;
      }
      tables.push({ path, line });
      for (const item of value.items ?? []) visit(item, path);
      return;
    }
    if (node.type === 'TableArray') {
      entries.push({ path, value: undefined, line });
      return;
    }
    tables.push({ path, line });
    for (const item of node.items ?? []) visit(item, path);
  };
  for (const node of await parseTree(text)) visit(node, []);
  return { entries, tables };
}
