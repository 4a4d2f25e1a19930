/** From what yargs parsed to what a command takes: unknown options are errors with a guess at the right one. */

import { quote, UserError } from '../base/index.js';
import { FLAG_NAMES, isOptionName, nearest, type OptionName, type OptionTexts } from '../config/index.js';

/** What yargs hands to a command: flags as booleans, everything else as text. */
export type ParsedArguments = Readonly<Record<string, unknown>> & {
  readonly _: readonly (string | number)[];
};

/** Options of every command. */
const COMMON = ['help', 'version'];

/** Keys that are no options: yargs' own, and the short form of --help. */
const INTERNAL = new Set(['_', '$0', 'h']);

/** Refuses options that the command does not have, and words too many. `positionals`: names of the words it takes. */
export function requireKnown(
  args: ParsedArguments,
  command: {
    readonly name: string;
    readonly options: readonly string[];
    readonly positionals: readonly string[];
  },
): void {
  const known = [...command.options, ...COMMON];
  for (const key of Object.keys(args)) {
    if (INTERNAL.has(key) || known.includes(key) || command.positionals.includes(key)) continue;
    const guess = nearest(key, known);
    throw new UserError(
      'usage',
      `Cannot understand ${quote(`${key.length === 1 ? '-' : '--'}${key}`)}: "${command.name}" has no such option`,
      guess === undefined ? `See: infinimount ${command.name} --help` : `Did you mean --${guess}?`,
    );
  }
  // The first is the command itself.
  const extra = args._[1];
  if (extra === undefined) return;
  throw new UserError(
    'usage',
    `Cannot understand ${quote(String(extra))}: "${command.name}" takes ${command.positionals.length} words at most`,
    'Put a name with spaces in quotes.',
  );
}

/** The options among `args`, as text; one that was given without its value is an error. */
export function optionTexts(args: ParsedArguments): OptionTexts {
  const texts: Partial<Record<OptionName, string>> = {};
  for (const name of FLAG_NAMES) {
    const value = textOf(args, name);
    if (value !== undefined) texts[name] = value;
  }
  return texts;
}

/** An option's text, undefined where it was not given. */
export function textOf(args: ParsedArguments, name: string): string | undefined {
  const value = args[name];
  if (value === undefined) return undefined;
  // `--no-x` is false for any x, and means something for flags only; the option table refuses it elsewhere.
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'string' && (value !== '' || isOptionName(name))) return value;
  throw new UserError('usage', `Cannot use --${name}: it needs a value`);
}
