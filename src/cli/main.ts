/** The command line: yargs commands over the option table. Each command's work is in a file of its own. */

import { createRequire } from 'node:module';
import yargs, { type Argv } from 'yargs';
import { quote, UserError } from '../base/index.js';
import { FLAG_NAMES, nearest, type OptionName, optionSpec } from '../config/index.js';
import { optionTexts, type ParsedArguments, requireKnown, textOf } from './arguments.js';
import { EXIT_CODES } from './exit-codes.js';
import { reportFailure } from './output.js';

const COMMANDS = ['mount', 'login', 'logout', 'config', 'doctor', 'demo', 'completion'];

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
      'mount [server] [directory]',
      'Mount a server on a directory, until it is ended with Ctrl-C or SIGTERM',
      mountOptions,
      async (parsed) => finishWith(await mount(parsed)),
    )
    .command(
      'login [profile]',
      'Find and prove the access to an account, and keep it as a profile',
      loginOptions,
      async (parsed) => finishWith(await login(parsed)),
    )
    .command(
      'logout [profile]',
      'Remove the secrets and tokens of a profile',
      logoutOptions,
      async (parsed) => finishWith(await logout(parsed)),
    )
    .command(
      'config [action] [profile]',
      'check: all that is wrong with the configuration file; show: what is in effect',
      configOptions,
      async (parsed) => finishWith(await config(parsed)),
    )
    .command(
      'doctor [server]',
      'Look at everything that a mount depends on, and say what to do',
      doctorOptions,
      async (parsed) => finishWith(await doctor(parsed)),
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

function addConfigOption(command: Argv, help: string): void {
  command.option(CONFIG_OPTION, { type: 'string', requiresArg: true, describe: help });
}

const CONFIG_HELP = 'Configuration file, instead of the one in the usual place';

function mountOptions(command: Argv): Argv {
  command
    .usage('$0 mount PROFILE|URL [DIR] [--user USER] [--password-file FILE] [options]')
    .positional('server', {
      type: 'string',
      describe: 'Profile of the configuration file, or a folder on a server such as https://host/dav/',
    })
    .positional('directory', {
      type: 'string',
      describe: "Empty directory to mount it on; the profile's mount-point when absent",
    });
  addConfigOption(command, 'TOML file with options, named as here, and profiles');
  for (const name of FLAG_NAMES) addOption(command, name);
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
    options: [...FLAG_NAMES, CONFIG_OPTION],
    positionals: ['server', 'directory'],
  });
  const { requireTarget, runMount } = await import('./mount-command.js');
  const configFile = textOf(parsed, CONFIG_OPTION);
  return await runMount({
    ...requireTarget(textOf(parsed, 'server'), textOf(parsed, 'directory')),
    flags: optionTexts(parsed),
    ...(configFile === undefined ? {} : { configFile }),
  });
}

/** Flags of `login` beside the options, which go into the profile. */
const LOGIN_FLAGS = {
  url: { type: 'string', describe: 'WebDAV URL of the account, as MyPage shows it' },
  node: { type: 'string', describe: 'Node of the account, instead of the URL' },
  'api-key': { type: 'string', describe: 'API key, to find the node and for the capacity in df' },
  'password-stdin': { type: 'boolean', describe: 'Read the password from stdin' },
  'refresh-token-stdin': { type: 'boolean', describe: 'Read a refresh token from stdin' },
} as const;

function loginOptions(command: Argv): Argv {
  command
    .usage('$0 login [PROFILE] [--user ID] [--url URL | --node HOST | --api-key KEY] [options]')
    .positional('profile', { type: 'string', describe: 'What the profile is or shall be called' })
    .options(LOGIN_FLAGS);
  addConfigOption(command, CONFIG_HELP);
  for (const name of FLAG_NAMES) addOption(command, name);
  return command;
}

async function login(parsed: ParsedArguments): Promise<number> {
  requireKnown(parsed, {
    name: 'login',
    options: [...FLAG_NAMES, CONFIG_OPTION, ...Object.keys(LOGIN_FLAGS)],
    positionals: ['profile'],
  });
  const fromStdin = (['password', 'refresh-token'] as const).filter(
    (what) => parsed[`${what}-stdin`] === true,
  );
  if (fromStdin.length > 1)
    throw new UserError('usage', 'Cannot read both --password-stdin and --refresh-token-stdin');
  const { runLogin } = await import('./login-command.js');
  return await runLogin({
    profile: textOf(parsed, 'profile'),
    configFile: textOf(parsed, CONFIG_OPTION),
    url: textOf(parsed, 'url'),
    node: textOf(parsed, 'node'),
    apiKey: textOf(parsed, 'api-key'),
    stdin: fromStdin[0],
    flags: optionTexts(parsed),
  });
}

function logoutOptions(command: Argv): Argv {
  command
    .usage('$0 logout PROFILE [--forget]')
    .positional('profile', { type: 'string', describe: 'Profile of the configuration file' })
    .option('forget', { type: 'boolean', describe: 'Remove the profile as a whole' });
  addConfigOption(command, CONFIG_HELP);
  return command;
}

async function logout(parsed: ParsedArguments): Promise<number> {
  requireKnown(parsed, { name: 'logout', options: [CONFIG_OPTION, 'forget'], positionals: ['profile'] });
  const { runLogout } = await import('./logout-command.js');
  return await runLogout({
    profile: textOf(parsed, 'profile'),
    configFile: textOf(parsed, CONFIG_OPTION),
    forget: parsed.forget === true,
  });
}

const JSON_OPTION = { type: 'boolean', describe: 'Print JSON' } as const;

function configOptions(command: Argv): Argv {
  command
    .usage('$0 config check|show [PROFILE] [--json]')
    .positional('action', { type: 'string', describe: 'check or show' })
    .positional('profile', { type: 'string', describe: 'For show: this one only' })
    .option('json', JSON_OPTION);
  addConfigOption(command, CONFIG_HELP);
  return command;
}

async function config(parsed: ParsedArguments): Promise<number> {
  requireKnown(parsed, {
    name: 'config',
    options: [CONFIG_OPTION, 'json'],
    positionals: ['action', 'profile'],
  });
  const { runConfig } = await import('./config-command.js');
  return await runConfig({
    action: textOf(parsed, 'action'),
    profile: textOf(parsed, 'profile'),
    configFile: textOf(parsed, CONFIG_OPTION),
    json: parsed.json === true,
  });
}

function doctorOptions(command: Argv): Argv {
  command
    .usage('$0 doctor [PROFILE|URL] [options]')
    .positional('server', { type: 'string', describe: 'What to look at besides this machine' })
    .option('json', JSON_OPTION)
    .option('throughput', {
      type: 'boolean',
      default: true,
      describe: 'Measure the line by sending a file and fetching it',
    });
  addConfigOption(command, CONFIG_HELP);
  for (const name of FLAG_NAMES) addOption(command, name);
  return command;
}

async function doctor(parsed: ParsedArguments): Promise<number> {
  requireKnown(parsed, {
    name: 'doctor',
    options: [...FLAG_NAMES, CONFIG_OPTION, 'json', 'throughput'],
    positionals: ['server'],
  });
  const { runDoctor } = await import('./doctor-command.js');
  return await runDoctor({
    server: textOf(parsed, 'server'),
    configFile: textOf(parsed, CONFIG_OPTION),
    flags: optionTexts(parsed),
    throughput: parsed.throughput !== false,
    json: parsed.json === true,
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
