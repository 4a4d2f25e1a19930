/**
 * Source maps that cost little: Node takes one apart as soon as any error of its file is asked for its stack, which for a
 * map of every token of the daemon is 0.4 s of its only thread.
 */

interface SourceMap {
  readonly version: 3;
  readonly sources: readonly string[];
  readonly mappings: string;
}

/** What one line of the bundle comes from; a line of `undefined` belongs to none of our files. */
export type Origin = { readonly source: number; readonly line: number } | undefined;

/** One place for each line of ours, at its beginning, and none for lines of packages; undefined where no line is ours. */
export function thinMap(text: string): string | undefined {
  const { version, sources, mappings } = JSON.parse(text) as SourceMap;
  const ours = sources.filter(isOurs);
  if (ours.length === 0) return undefined;
  const origins = originsOf(mappings).map((origin) => {
    const source = origin === undefined ? -1 : ours.indexOf(sources[origin.source] ?? '');
    return origin === undefined || source === -1 ? undefined : { source, line: origin.line };
  });
  return JSON.stringify({ version, sources: ours, names: [], mappings: mappingsOf(origins) });
}

function isOurs(source: string): boolean {
  return !source.includes('node_modules/');
}

/** Of each line, the place of its first segment; a line without any belongs to what is before it. */
function originsOf(mappings: string): Origin[] {
  const at = { source: 0, line: 0 };
  let last: Origin;
  return mappings.split(';').map((line) => {
    let first: Origin;
    for (const segment of line === '' ? [] : line.split(',')) {
      const [, source, sourceLine] = decode(segment);
      if (source === undefined || sourceLine === undefined) continue;
      at.source += source;
      at.line += sourceLine;
      first ??= { ...at };
    }
    last = first ?? last;
    return last;
  });
}

/** Where the next line goes on as the one before does, nothing need be said of packages. */
function mappingsOf(origins: readonly Origin[]): string {
  let before: Origin = { source: 0, line: 0 };
  let [source, line] = [0, 0];
  const lines = origins.map((origin, at) => {
    if (origin === undefined) {
      const isFirst = at === 0 || before !== undefined;
      before = undefined;
      // A place without a source; without it, the line would count to the one before.
      return isFirst ? encode([0]) : '';
    }
    before = origin;
    const text = encode([0, origin.source - source, origin.line - line, 0]);
    source = origin.source;
    line = origin.line;
    return text;
  });
  return lines.join(';');
}

/** Base 64 in groups of five bits, the lowest first, the sign in the lowest bit (ECMA-426, Base64 VLQ). */
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const BITS = 5;
const MORE = 1 << BITS;

function decode(segment: string): number[] {
  const numbers: number[] = [];
  let [value, shift] = [0, 0];
  for (const letter of segment) {
    const digit = DIGITS.indexOf(letter);
    if (digit === -1) throw new Error(`a source map with ${JSON.stringify(segment)}`);
    value |= (digit & (MORE - 1)) << shift;
    shift += BITS;
    if ((digit & MORE) !== 0) continue;
    numbers.push((value & 1) === 1 ? -(value >>> 1) : value >>> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}

function encode(numbers: readonly number[]): string {
  let text = '';
  for (const number of numbers) {
    let rest = number < 0 ? (-number << 1) | 1 : number << 1;
    do {
      const digit = rest & (MORE - 1);
      rest >>>= BITS;
      text += DIGITS[rest > 0 ? digit | MORE : digit];
    } while (rest > 0);
  }
  return text;
}
