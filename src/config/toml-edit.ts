/**
 * Changing single values of a TOML text: every other character stays as it is, comments, order and blank lines included.
 * The parser's tree says where things are; the text itself is cut and pasted.
 */

import { parseTree, readToml, type TomlNode } from './toml.js';

/** A value to write; undefined removes the key. */
export type TomlScalar = string | number | boolean | undefined;

/** The text has the table in a form that cannot be edited so (an inline table, dotted keys). */
export class TomlEditError extends Error {
  override readonly name = 'TomlEditError';
}

interface Edit {
  /** Offsets into the text. */
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** Sets keys of a table, which is made at the end of the text where it is missing. Rejects with {@link TomlEditError}. */
export async function setInTable(
  text: string,
  table: readonly string[],
  values: Readonly<Record<string, TomlScalar>>,
): Promise<string> {
  const lines = new Lines(text);
  const tree = await parseTree(text);
  const pairs = pairsOf(tree, []);
  const edits: Edit[] = [];
  const added: string[] = [];
  for (const [key, value] of Object.entries(values)) {
    const found = pairs.find(({ path }) => samePath(path, [...table, key]));
    if (value === undefined) {
      if (found !== undefined) edits.push(removal(found, lines));
    } else if (found === undefined) added.push(`${writeKey(key)} = ${writeValue(value)}`);
    else edits.push({ ...lines.rangeOf(found.value), text: writeValue(value) });
  }
  if (added.length > 0) edits.push(addition(text, tree, table, added, lines));
  const result = apply(text, edits);
  await verify(result, table, values);
  return result;
}

/** Removes a table and those within it, with the comments directly above their headers. */
export async function removeTable(text: string, table: readonly string[]): Promise<string> {
  const lines = new Lines(text);
  const tree = await parseTree(text);
  const edits: Edit[] = [];
  for (const node of tree) {
    const path = node.key?.item?.value;
    if (node.type !== 'Table' || path === undefined || !startsWith(path, table)) continue;
    const items = (node.items ?? []).filter(({ type }) => type === 'KeyValue');
    const last = items.at(-1) ?? node.key;
    const end = (last as TomlNode).loc.end.line;
    edits.push(lines.whole(lines.firstOfComment(node.loc.start.line), lines.lastBlank(end)));
  }
  for (const pair of pairsOf(tree, [])) {
    if (!startsWith(pair.path, table)) continue;
    const edit = removal(pair, lines);
    if (!edits.some(({ from, to }) => from <= edit.from && edit.to <= to)) edits.push(edit);
  }
  const result = apply(text, edits);
  const { entries, tables } = await readToml(result);
  if ([...entries, ...tables].some(({ path }) => startsWith(path, table)))
    throw new TomlEditError('the table is not written with a header of its own');
  return result;
}

interface Pair {
  readonly path: readonly string[];
  readonly node: TomlNode;
  readonly value: TomlNode;
  readonly inline: boolean;
}

function pairsOf(nodes: readonly TomlNode[], prefix: readonly string[], inline = false): Pair[] {
  return nodes.flatMap((node): Pair[] => {
    if (node.type === 'Table') return pairsOf(node.items ?? [], node.key?.item?.value ?? [], inline);
    if (node.type === 'InlineItem' && node.item !== undefined) return pairsOf([node.item], prefix, true);
    if (node.type !== 'KeyValue') return [];
    const path = [...prefix, ...(node.key?.value ?? [])];
    const value = node.value as TomlNode;
    if (value.type === 'InlineTable') return pairsOf(value.items ?? [], path, true);
    return [{ path, node, value, inline }];
  });
}

function removal({ node, inline }: Pair, lines: Lines): Edit {
  if (inline) throw new TomlEditError('the table is written on one line, in braces');
  return lines.whole(node.loc.start.line, node.loc.end.line);
}

function addition(
  text: string,
  tree: readonly TomlNode[],
  table: readonly string[],
  added: readonly string[],
  lines: Lines,
): Edit {
  const { eol } = lines;
  const body = `${added.join(eol)}${eol}`;
  const node = tree.find(({ type, key }) => type === 'Table' && samePath(key?.item?.value ?? [], table));
  if (node !== undefined) {
    const last = (node.items ?? []).filter(({ type }) => type === 'KeyValue').at(-1);
    return lines.after(
      (last ?? node).type === 'Table' ? node.loc.start.line : (last ?? node).loc.end.line,
      body,
    );
  }
  const gap =
    text === '' ? '' : text.endsWith(`${eol}${eol}`) ? '' : text.endsWith('\n') ? eol : `${eol}${eol}`;
  const header = `[${table.map(writeKey).join('.')}]${eol}`;
  return { from: text.length, to: text.length, text: `${gap}${header}${body}` };
}

/** An edit that does not say afterwards what it should is refused rather than written. */
async function verify(
  text: string,
  table: readonly string[],
  values: Readonly<Record<string, TomlScalar>>,
): Promise<void> {
  const { entries } = await readToml(text);
  for (const [key, value] of Object.entries(values)) {
    const entry = entries.find(({ path }) => samePath(path, [...table, key]));
    if (entry?.value !== value)
      throw new TomlEditError('the table is written in a way that cannot be edited');
  }
}

function apply(text: string, edits: readonly Edit[]): string {
  let result = text;
  // From the end, so that the offsets before stay true.
  for (const { from, to, text: insert } of [...edits].sort((a, b) => b.from - a.from || b.to - a.to))
    result = result.slice(0, from) + insert + result.slice(to);
  return result;
}

/** Offsets of lines, counted from 1 as in the tree. */
class Lines {
  readonly eol: string;
  readonly #text: string;
  readonly #starts: readonly number[];

  constructor(text: string) {
    this.#text = text;
    const starts = [0];
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
    this.#starts = starts;
    this.eol = text.includes('\r\n') ? '\r\n' : '\n';
  }

  rangeOf({ loc }: TomlNode): { readonly from: number; readonly to: number } {
    return {
      from: this.#start(loc.start.line) + loc.start.column,
      to: this.#start(loc.end.line) + loc.end.column,
    };
  }

  whole(firstLine: number, lastLine: number): Edit {
    return { from: this.#start(firstLine), to: this.#start(lastLine + 1), text: '' };
  }

  after(line: number, text: string): Edit {
    const at = this.#start(line + 1);
    const breakBefore = this.#text[at - 1] === '\n' ? '' : this.eol;
    return { from: at, to: at, text: `${breakBefore}${text}` };
  }

  firstOfComment(line: number): number {
    let first = line;
    while (first > 1 && this.#line(first - 1).startsWith('#')) first -= 1;
    return first;
  }

  lastBlank(line: number): number {
    let last = line;
    while (last < this.#starts.length && this.#line(last + 1) === '') last += 1;
    return last;
  }

  #line(line: number): string {
    return this.#text.slice(this.#start(line), this.#start(line + 1)).trim();
  }

  #start(line: number): number {
    return this.#starts[line - 1] ?? this.#text.length;
  }
}

function writeKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key);
}

function writeValue(value: string | number | boolean): string {
  // A basic string of TOML has the escapes of JSON, and no raw delete character.
  return typeof value === 'string' ? JSON.stringify(value).replaceAll('\u007f', '\\u007f') : String(value);
}

function samePath(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && startsWith(one, other);
}

function startsWith(path: readonly string[], start: readonly string[]): boolean {
  return path.length >= start.length && start.every((segment, index) => segment === path[index]);
}
