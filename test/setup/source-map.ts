/**
 * Source maps that cost little: Node takes one apart as soon as any error of its file is asked for its stack, which for a
 * map of every token of the daemon is 0.4 s of its only thread.
 */

import { decode, encode, type SourceMapLine, type SourceMapSegment } from '@jridgewell/sourcemap-codec';

interface SourceMap {
  readonly version: 3;
  readonly sources: readonly string[];
  readonly mappings: string;
}

/** A place in a source; a segment without one ends what the segment before says. */
type Place = readonly [source: number, line: number];

/** One place for each line of ours, at its beginning, and none for lines of packages; undefined where no line is ours. */
export function thinMap(text: string): string | undefined {
  const { version, sources, mappings } = JSON.parse(text) as SourceMap;
  const ours = sources.filter((source) => !source.includes('node_modules/'));
  if (ours.length === 0) return undefined;
  let last: Place | undefined;
  let wasOurs = true;
  const lines = decode(mappings).map((line): SourceMapLine => {
    // A line without a place belongs to what is before it.
    last = firstPlace(line) ?? last;
    const source = last === undefined ? -1 : ours.indexOf(sources[last[0]] ?? '');
    const isOurs = last !== undefined && source !== -1;
    const needsEnd = wasOurs && !isOurs;
    wasOurs = isOurs;
    if (last !== undefined && isOurs) return [[0, source, last[1], 0]];
    return needsEnd ? [[0]] : [];
  });
  return JSON.stringify({ version, sources: ours, names: [], mappings: encode(lines) });
}

function firstPlace(line: SourceMapLine): Place | undefined {
  const segment = line.find((each): each is Exclude<SourceMapSegment, [number]> => each.length > 1);
  return segment && [segment[1], segment[2]];
}
