/**
 * What the shell completes: commands, their options, words of a list and the names of running mounts. The script that
 * asks is yargs' own; the answers are not, for yargs takes the line that is asked about for one to be run.
 */

import { isOptionName, optionSpec } from '../config/index.js';
import type { Command, Word } from './command.js';
import { COMMANDS, commandNamed } from './command-table.js';

/** The option by which yargs' script asks; after it come the program's name and the words up to the cursor. */
export const COMPLETION_OPTION = '--get-yargs-completions';

/** Words that stand without a row in the table. */
const BARE_WORDS = ['help', 'completion', '--help', '--version'];
const COMMON_OPTIONS = ['--help', '--version'];

/** How long the shell may wait for an answer of the mounts. */
const ANSWER_MS = 500;

/** `words`: as typed after the program's name, the last being the one under the cursor. Empty: files are for the shell. */
export async function completionsOf(words: readonly string[]): Promise<readonly string[]> {
  const [name = '', ...rest] = words;
  const current = rest.at(-1) ?? name;
  const all = rest.length === 0 || name === 'help' ? commandWords(name) : await wordsOf(name, rest);
  return all.filter((word) => word.startsWith(current));
}

function commandWords(name: string): readonly string[] {
  const names = COMMANDS.map((command) => command.name);
  return name === 'help' ? names : [...names, ...BARE_WORDS];
}

async function wordsOf(name: string, rest: readonly string[]): Promise<readonly string[]> {
  const command = commandNamed(name);
  if (command === undefined) return [];
  const before = rest.slice(0, -1);
  const asked = before.at(-1);
  if (asked !== undefined && takesValue(command, asked)) return valuesOf(command, asked);
  if (rest.at(-1)?.startsWith('-') === true) return optionsOf(command);
  const place = before.filter(
    (word, at) => !word.startsWith('-') && !takesValue(command, before[at - 1] ?? ''),
  ).length;
  return await wordChoices(command.words[place]);
}

function optionsOf({ options, tableOptions = [] }: Command): readonly string[] {
  return [...[...Object.keys(options), ...tableOptions].map((name) => `--${name}`), ...COMMON_OPTIONS];
}

/** Whether the next word belongs to `word`. */
function takesValue({ options, tableOptions = [] }: Command, word: string): boolean {
  if (!word.startsWith('--')) return false;
  const name = word.slice(2);
  const own = options[name];
  if (own !== undefined) return own.type === 'string';
  return tableOptions.some((each) => each === name && optionSpec(each).metavar !== undefined);
}

async function valuesOf({ options }: Command, word: string): Promise<readonly string[]> {
  const name = word.slice(2);
  if (name === 'mount') return await mountNames();
  const own = options[name]?.choices;
  if (own !== undefined) return own.map(String);
  return isOptionName(name) ? (optionSpec(name).choices ?? []) : [];
}

async function wordChoices(word: Word | undefined): Promise<readonly string[]> {
  if (word?.completes === undefined) return [];
  return word.completes === 'mount' ? await mountNames() : word.completes;
}

/** Nothing where they cannot be found: the shell then completes files, which mount points are too. */
async function mountNames(): Promise<readonly string[]> {
  try {
    const { runningMounts, controlPlaces } = await import('./running-mounts.js');
    const { running } = await runningMounts(controlPlaces(undefined), ANSWER_MS);
    return running.flatMap(({ status: { profile, mountPoint } }) => [profile ?? [], mountPoint].flat());
  } catch {
    return [];
  }
}
