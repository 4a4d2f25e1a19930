/** The command line from its first word to the exit code. Each command's work is in a file of its own. */

import { productVersion, quote, UserError } from '../base/index.js';
import { nearest } from '../config/index.js';
import { execute } from './command.js';
import { COMMANDS, commandNamed } from './command-table.js';
import { COMPLETION_OPTION, completionsOf } from './completion.js';
import { EXIT_CODES } from './exit-codes.js';
import { reportFailure, say } from './output.js';
import { HELP_WIDTH, overviewLines } from './overview.js';

/** Milliseconds; the longest that a timer of Node takes. */
const LONGEST_INTERVAL_MS = 2_147_483_647;

/** Runs one command line and ends the process with its exit code. */
export async function main(args: readonly string[]): Promise<never> {
  // A command may be waiting for nothing but a timer of the product's clock, which does not keep the process alive.
  const alive = setInterval(() => undefined, LONGEST_INTERVAL_MS);
  const exitCode = await run(args).catch(reportFailure);
  clearInterval(alive);
  process.exit(exitCode);
}

/** Runs one command line; gives the exit code back, or rejects with what went wrong. */
async function run(args: readonly string[]): Promise<number> {
  const [first, second, ...rest] = args;
  if (first !== undefined && HELP_WORDS.includes(first)) {
    if (second === CONTROL_TOPIC && rest.length === 0) {
      const { controlHelpLines } = await import('./control-help.js');
      for (const line of controlHelpLines()) say(line);
      return EXIT_CODES.ok.code;
    }
    if (second !== undefined && rest.length === 0) return await run([second, '--help']);
    for (const line of overviewLines(COMMANDS, helpWidth())) say(line);
    return EXIT_CODES.ok.code;
  }
  if (first === COMPLETION_OPTION) {
    // The second is the program's name.
    for (const word of await completionsOf(rest)) say(word);
    return EXIT_CODES.ok.code;
  }
  requireCommand(first);
  if (first === VERSION_WORD && args.length === 1) {
    say(productVersion());
    return EXIT_CODES.ok.code;
  }
  const { parse } = await import('./parser.js');
  const chosen = await parse(args, helpWidth());
  return chosen === undefined ? EXIT_CODES.ok.code : await execute(chosen.command, chosen.words);
}

function helpWidth(): number {
  return Math.min(HELP_WIDTH, process.stdout.columns ?? HELP_WIDTH);
}

const HELP_WORDS = ['help', '--help', '-h'];

/** `help control` is no help for a command. */
const CONTROL_TOPIC = 'control';

/** Words that stand without a row in the table. */
const VERSION_WORD = '--version';
const BARE_WORDS = ['completion', VERSION_WORD];

/** Says what is wrong with the first word, before yargs takes an unknown one for a command without work. */
function requireCommand(first: string | undefined): void {
  const help = 'See: infinimount --help';
  if (first === undefined) throw new UserError('usage', 'Cannot do anything: no command was given', help);
  if (commandNamed(first) !== undefined || BARE_WORDS.includes(first)) return;
  if (first.startsWith('-')) {
    throw new UserError('usage', `Cannot understand ${quote(first)}: options come after the command`, help);
  }
  const guess = nearest(first, [...COMMANDS.map(({ name }) => name), 'completion', 'help']);
  throw new UserError(
    'usage',
    `Cannot understand ${quote(first)}: there is no such command`,
    guess === undefined ? help : `Did you mean "${guess}"?`,
  );
}
