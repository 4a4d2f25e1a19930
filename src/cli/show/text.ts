/** Text on a terminal: what may not reach it, how wide it is, how it is cut and put into columns. */

import stringWidth from 'string-width';

/**
 * C0 and C1 control characters, line separators, the marks that turn the direction of writing, and lone surrogates: in
 * a file's name they could rewrite what the terminal shows, or command it.
 */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|\p{Cs}/gu;

const SHORT_ESCAPES = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

/** `text` on one line, with escapes (`\n`, `\u001b`) for what a terminal must not get. */
export function printable(text: string): string {
  return text.replaceAll(
    UNPRINTABLE,
    (found) => SHORT_ESCAPES.get(found) ?? `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Columns that `text` takes, which may have colours. */
export function widthOf(text: string): number {
  return stringWidth(text);
}

const ELLIPSIS = '…';
const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** `text`, without colours, in at most `width` columns: its middle gives way, for a path says most at its end. */
export function shorten(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  if (width <= 1) return width === 1 ? ELLIPSIS : '';
  const room = width - 1;
  const letters = Array.from(segmenter.segment(text), ({ segment }) => segment);
  const tail = Math.ceil((room * 2) / 3);
  const back = take([...letters].reverse(), tail);
  const front = take(letters, room - widthOf(back.join('')));
  return `${front.join('')}${ELLIPSIS}${back.reverse().join('')}`;
}

/** `text`, without colours, in at most `width` columns: its end gives way. */
export function truncate(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  if (width <= 0) return '';
  const letters = Array.from(segmenter.segment(text), ({ segment }) => segment);
  return `${take(letters, width - 1).join('')}${ELLIPSIS}`;
}

/** As many of `letters` as fit. */
function take(letters: readonly string[], width: number): string[] {
  const taken: string[] = [];
  let left = width;
  for (const letter of letters) {
    left -= widthOf(letter);
    if (left < 0) break;
    taken.push(letter);
  }
  return taken;
}

/** `text` with blanks to `width` columns. */
export function pad(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const blanks = ' '.repeat(Math.max(0, width - widthOf(text)));
  return align === 'left' ? text + blanks : blanks + text;
}

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** Gives way where the table is too wide: in its middle as a path, or at its end as a sentence. */
  readonly gives?: 'middle' | 'end';
}

/** Columns that a cell keeps though the table is too wide. */
const MIN_CELL_WIDTH = 12;
const GAP = '  ';

/**
 * Lines of a table with a head. Cells are printable and without colours; `width`: of the terminal, undefined where nothing
 * is cut. `paint` colours a cell after it was cut and padded.
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | undefined,
  paint: (cell: string, column: number, row: number) => string = (cell) => cell,
): readonly string[] {
  const head = columns.map(({ title }) => title);
  const widths = columns.map((_, at) => Math.max(...[head, ...rows].map((row) => widthOf(row[at] ?? ''))));
  if (width !== undefined) narrow(columns, widths, width);
  const line = (cells: readonly string[], row: number) =>
    columns
      .map(({ align, gives }, at) => {
        const room = widths[at] ?? 0;
        const cell = cells[at] ?? '';
        const cut = gives === 'end' ? truncate(cell, room) : shorten(cell, room);
        const isLast = at === columns.length - 1 && align !== 'right';
        return paint(isLast ? cut : pad(cut, room, align), at, row);
      })
      .join(GAP)
      .trimEnd();
  return [line(head, -1), ...rows.map(line)];
}

/** Takes from the widest of the columns that give way, one at a time, until the table fits or none can give any more. */
function narrow(columns: readonly Column[], widths: number[], width: number): void {
  const total = () => widths.reduce((sum, each) => sum + each, 0) + GAP.length * (widths.length - 1);
  for (let over = total() - width; over > 0; over = total() - width) {
    let widest = -1;
    for (const [at, { gives }] of columns.entries()) {
      const own = widths[at] ?? 0;
      if (gives !== undefined && own > MIN_CELL_WIDTH && own > (widths[widest] ?? 0)) widest = at;
    }
    if (widest < 0) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}
