/** The command line: yargs commands over the option table. Each command's work is in a file of its own. */

import { createRequire } from 'node:module';
import yargs, { type Argv } from 'yargs';
import { quote, UserError } from '../base/index.js';
import { nearest, OPTION_NAMES, type OptionName, optionSpec } from '../config/index.js';
import { optionTexts, type ParsedArguments, requireKnown, textOf } from './arguments.js';
import { EXIT_CODES } from './exit-codes.js';
import { reportFailure } from './output.js';

const COMMANDS = ['mount', 'demo', 'completion'];

const HELP_WIDTH = 100;

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
  requireCommand(args);
  let exitCode: number = EXIT_CODES.ok.code;
  const finishWith = (code: number) => {
    exitCode = code;
  };
  await commandLine(finishWith).parseAsync([...args]);
  return exitCode;
}

function commandLine(finishWith: (code: number) => void): Argv {
  return yargs([])
    .scriptName('infinimount')
    .locale('en')
    .usage(
      'infinimount mounts a WebDAV server, such as InfiniCLOUD, as a local drive.\n\nUsage: $0 <command>',
    )
    .command(
      'mount [url] [directory]',
      'Mount a server on a directory, until it is ended with Ctrl-C or SIGTERM',
      mountOptions,
      async (parsed) => finishWith(await mount(parsed)),
    )
    .command(
      'demo [directory]',
      'Try it without an account: a server on this machine, mounted on a directory',
      demoOptions,
      async (parsed) => finishWith(await demo(parsed)),
    )
    .completion('completion', 'Print a script for bash or zsh that completes commands and options')
    .parserConfiguration({
      // Values stay the text that was typed: the option table parses them, wherever they come from.
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'duplicate-arguments-array': false,
    })
    .alias('help', 'h')
    .version(readVersion())
    .epilogue('Every option can be set in the environment too: INFINIMOUNT_CACHE_DIR for --cache-dir.')
    .wrap(Math.min(HELP_WIDTH, process.stdout.columns ?? HELP_WIDTH))
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new UserError('usage', message.replaceAll(/\s+/g, ' '), 'See: infinimount --help');
    });
}

/** Options that stand without a command; the last is how the completion script asks. */
const BARE_OPTIONS = ['--help', '-h', '--version', '--get-yargs-completions'];

/** Says what is wrong with the first word, before yargs takes an unknown one for a command without work. */
function requireCommand(args: readonly string[]): void {
  const first = args[0];
  const help = 'See: infinimount --help';
  if (first === undefined) throw new UserError('usage', 'Cannot do anything: no command was given', help);
  if (COMMANDS.includes(first) || BARE_OPTIONS.includes(first)) return;
  if (first.startsWith('-')) {
    throw new UserError('usage', `Cannot understand ${quote(first)}: options come after the command`, help);
  }
  const guess = nearest(first, COMMANDS);
  throw new UserError(
    'usage',
    `Cannot understand ${quote(first)}: there is no such command`,
    guess === undefined ? help : `Did you mean "${guess}"?`,
  );
}

const CONFIG_OPTION = 'config';

function mountOptions(command: Argv): Argv {
  command
    .usage('$0 mount URL DIR --user USER --password-file FILE [options]')
    .positional('url', { type: 'string', describe: 'Folder on the server, such as https://host/dav/' })
    .positional('directory', { type: 'string', describe: 'Empty directory to mount it on' })
    .option(CONFIG_OPTION, {
      type: 'string',
      requiresArg: true,
      describe: 'TOML file with options, named as here',
    });
  for (const name of OPTION_NAMES) addOption(command, name);
  return command;
}

function addOption(command: Argv, name: OptionName): void {
  const { group, help, choices, metavar, defaultText, defaultHelp } = optionSpec(name);
  const shownDefault = defaultHelp ?? (metavar === undefined ? undefined : defaultText);
  command.option(name, {
    group: `${group}:`,
    type: metavar === undefined ? 'boolean' : 'string',
    describe: choices === undefined ? help : `${help} [${choices.join('|')}]`,
    ...(shownDefault === undefined ? {} : { defaultDescription: shownDefault }),
  });
}

async function mount(parsed: ParsedArguments): Promise<number> {
  requireKnown(parsed, {
    name: 'mount',
    options: [...OPTION_NAMES, CONFIG_OPTION],
    positionals: ['url', 'directory'],
  });
  const { requireTarget, runMount } = await import('./mount-command.js');
  const configFile = textOf(parsed, CONFIG_OPTION);
  return await runMount({
    ...requireTarget(textOf(parsed, 'url'), textOf(parsed, 'directory')),
    flags: optionTexts(parsed),
    ...(configFile === undefined ? {} : { configFile }),
  });
}

function demoOptions(command: Argv): Argv {
  return command.usage('$0 demo [DIR]').positional('directory', {
    type: 'string',
    describe: 'Directory for the demo: the drive, and the files on the server',
  });
}

async function demo(parsed: ParsedArguments): Promise<number> {
  requireKnown(parsed, { name: 'demo', options: [], positionals: ['directory'] });
  const { runDemo } = await import('./demo-command.js');
  return await runDemo(textOf(parsed, 'directory'));
}

/** The version in package.json, two directories above the compiled file. */
function readVersion(): string {
  const manifest: unknown = createRequire(import.meta.url)('../../package.json');
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest)
    return String(manifest.version);
  throw new Error('package.json has no version');
}
