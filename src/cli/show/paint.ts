/** Colours, for those who can see them. */

import { inspect } from 'node:util';

export type Colour = 'red' | 'green' | 'yellow' | 'bold' | 'dim';

/** Gives text back as it is, or with a colour. */
export type Paint = (colour: Colour, text: string) => string;

export const PLAIN: Paint = (_, text) => text;
const COLOURED: Paint = (colour, text) => {
  const [on, off] = inspect.colors[colour] ?? [0, 0];
  return text === '' ? text : `\u001b[${on}m${text}\u001b[${off}m`;
};

/** Where output goes, as far as its looks depend on it. */
export interface Screen {
  readonly paint: Paint;
  /** Columns; undefined where the output is no terminal, and nothing is cut. */
  readonly width: number | undefined;
}

/** Colours on a terminal only, and not with NO_COLOR (no-color.org) or a terminal that says it has none. */
export function screenOf(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  environment: Readonly<Record<string, string | undefined>>,
): Screen {
  if (stream.isTTY !== true) return { paint: PLAIN, width: undefined };
  const refused = (environment.NO_COLOR ?? '') !== '' || environment.TERM === 'dumb';
  const { columns = 0 } = stream;
  return { paint: refused ? PLAIN : COLOURED, width: columns > 0 ? columns : DEFAULT_WIDTH };
}

/** Of a terminal that does not tell. */
const DEFAULT_WIDTH = 80;
