/**
 * What a command of the command line is: one row of the table in command-table.ts, from which come the parser, the help,
 * the completion and the README's list. A row is light: its work is loaded when it runs.
 */

import type { Argv, Options } from 'yargs';
import { FLAG_NAMES, type OptionName, optionSpec } from '../config/index.js';
import { type ParsedArguments, requireKnown } from './arguments.js';
import { changeLegend, changeTag } from './option-change.js';

/** In the order of the help. */
export const COMMAND_GROUPS = ['Mount', 'Watching', 'Files and cache', 'Account', 'This machine'] as const;
export type CommandGroup = (typeof COMMAND_GROUPS)[number];

/** A word of the command line that is no option; it may always be absent as far as the parser knows. */
export interface Word {
  readonly name: string;
  readonly help: string;
  /** What the shell completes: the names of running mounts, or one of a list. File names are the shell's own affair. */
  readonly completes?: 'mount' | readonly string[];
}

export interface Command {
  readonly name: string;
  readonly group: CommandGroup;
  /** One line without a full stop. */
  readonly summary: string;
  /** What follows the name, as a person writes it: `PROFILE|URL [DIR] [options]`. */
  readonly usage: string;
  readonly words: readonly Word[];
  /** Options that only the command line has. */
  readonly options: Readonly<Record<string, Options>>;
  /** Options of the option table, under the same name. */
  readonly tableOptions?: readonly OptionName[];
  run(parsed: ParsedArguments): Promise<number>;
}

export const CONFIG_OPTION = 'config';

export const CONFIG_HELP = 'Configuration file, instead of the one in the usual place';

export function configOption(help = CONFIG_HELP): Readonly<Record<string, Options>> {
  return { [CONFIG_OPTION]: { type: 'string', requiresArg: true, describe: help } };
}

export const JSON_OPTION = { json: { type: 'boolean', describe: 'Print JSON' } } as const;

/** Every option of the table that has a flag. */
export const ALL_TABLE_OPTIONS = FLAG_NAMES;

export const ENVIRONMENT_HINT =
  'Every option can be set in the environment too: INFINIMOUNT_CACHE_DIR for --cache-dir.';

/** Gives yargs the options and words of a command. */
export function declare(command: Command, to: Argv): Argv {
  to.usage(`$0 ${command.name} ${command.usage}`.trimEnd());
  for (const { name, help } of command.words) to.positional(name, { type: 'string', describe: help });
  to.options(command.options);
  for (const name of command.tableOptions ?? []) addTableOption(to, name);
  if (command.tableOptions !== undefined) to.epilogue(`${changeLegend()}\n\n${ENVIRONMENT_HINT}`);
  return to;
}

function addTableOption(to: Argv, name: OptionName): void {
  const { group, help, choices, metavar, defaultText, defaultHelp, applies } = optionSpec(name);
  const shownDefault = defaultHelp ?? (metavar === undefined ? undefined : defaultText);
  to.option(name, {
    group: `${group}:`,
    type: metavar === undefined ? 'boolean' : 'string',
    describe: `${choices === undefined ? help : `${help} [${choices.join('|')}]`} ${changeTag(applies)}`,
    ...(shownDefault === undefined ? {} : { defaultDescription: shownDefault }),
  });
}

/** Runs a command with what was parsed; rejects where it has no such option or word. */
export async function execute(command: Command, parsed: ParsedArguments): Promise<number> {
  requireKnown(parsed, {
    name: command.name,
    options: [...Object.keys(command.options), ...(command.tableOptions ?? [])],
    positionals: command.words.map(({ name }) => name),
  });
  return await command.run(parsed);
}

/** As yargs wants the words: `mount [server] [directory]`. */
export function patternOf({ name, words }: Command): string {
  return [name, ...words.map((word) => `[${word.name}]`)].join(' ');
}
