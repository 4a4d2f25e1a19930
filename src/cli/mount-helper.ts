/**
 * `mount -t infinimount`: what mount(8) calls with a line of /etc/fstab, as
 * `mount.infinimount SPEC DIR [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]` (mount(8), EXTERNAL HELPERS), turned into
 * the command `mount`. The option table says which options there are; what follows from fstab alone is told apart here.
 */

import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { quote, UserError } from '../base/index.js';
import {
  backgroundLogFile,
  FLAG_NAMES,
  isOptionName,
  isProfileName,
  nearest,
  type OptionName,
  type OptionTexts,
  optionSpec,
} from '../config/index.js';
import { runInBackground } from './background.js';
import { silentSurroundings } from './config-path.js';
import { EXIT_CODES } from './exit-codes.js';
import { requireTarget } from './mount-command.js';
import { reportFailure } from './output.js';
import { automountPointsOf } from './place.js';
import { terminalPrompt } from './prompt.js';
import { ownProgram } from './service-units.js';

/** What is to be mounted. */
export interface HelperRequest {
  /** Profile or URL. */
  readonly spec: string;
  readonly directory: string;
  readonly flags: OptionTexts;
  readonly configFile: string | undefined;
  /** Check only (`-f`). */
  readonly fake: boolean;
}

/** Options of mount(8) and of systemd.mount(5) that are said to others, or say what holds anyway. */
const NOT_FOR_US = new Set([
  ...['defaults', 'rw', 'auto', 'noauto', 'nofail', '_netdev', 'user', 'nouser', 'users', 'owner', 'group'],
  ...['async', 'exec', 'nosuid', 'nodev', 'noatime', 'nodiratime', 'relatime', 'nostrictatime', 'nolazytime'],
  ...['norelatime', 'silent', 'nomand', 'noiversion'],
]);
const NOT_FOR_US_BEGINNINGS = ['x-', 'X-', 'comment='];

/** Said to mount(8), which then adds the others for what `user=NAME` would otherwise forbid. They hold all the same. */
const ORDINARY_USERS = /^(user|users|owner|group)(=|$)/;
const ADDED_FOR_USERS = new Set(['suid', 'dev']);

/** Names that mount(8) knows, and what they are in the option table. */
const OTHER_NAMES: Readonly<Record<string, readonly [OptionName, string]>> = {
  ro: ['read-only', 'true'],
  sync: ['sync', 'write-through'],
};

/** From the words after the program's name; throws {@link UserError}. */
export function parseHelperWords(words: readonly string[]): HelperRequest {
  const [spec, directory, ...rest] = words;
  if (spec === undefined || directory === undefined || spec.startsWith('-') || directory.startsWith('-')) {
    throw new UserError(
      'usage',
      'Cannot mount: what to mount, or where, is missing',
      'Write: mount -t infinimount PROFILE|URL DIR [-o OPTIONS]',
    );
  }
  const lists: string[] = [];
  let fake = false;
  let sloppy = false;
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] ?? '';
    // A value stands behind its letter or in the next word.
    const value = () => (word.length > 2 ? word.slice(2) : (rest[++at] ?? ''));
    if (word.startsWith('-o')) lists.push(value());
    else if (word.startsWith('-t')) value();
    else if (word.startsWith('-N')) {
      throw new UserError('usage', 'Cannot mount in another namespace (-N)', 'Use nsenter(1).');
    } else if (/^-[sfnvrw]+$/.test(word)) {
      if (word.includes('f')) fake = true;
      if (word.includes('s')) sloppy = true;
      if (word.includes('r')) lists.push('ro');
    } else throw new UserError('usage', `Cannot understand ${quote(word)}`);
  }
  return { spec: profileIn(spec), directory, fake, ...readOptions(lists.flatMap(splitOptions), sloppy) };
}

/** mount(8) makes a path of a profile's name where a file of that name is in its working directory. */
function profileIn(spec: string): string {
  const last = basename(spec);
  return spec.startsWith('/') && isProfileName(last) ? last : spec;
}

/** At commas; one within double quotes belongs to the value. */
function splitOptions(list: string): readonly string[] {
  return [...list.matchAll(/(?:"[^"]*"|[^,"])+/g)].map(([option]) => option.replaceAll('"', ''));
}

function readOptions(
  options: readonly string[],
  sloppy: boolean,
): { readonly flags: OptionTexts; readonly configFile: string | undefined } {
  const flags: Partial<Record<OptionName, string>> = {};
  let configFile: string | undefined;
  const forUsers = options.some((option) => ORDINARY_USERS.test(option));
  for (const option of options) {
    if (forUsers && ADDED_FOR_USERS.has(option)) continue;
    if (NOT_FOR_US.has(option) || NOT_FOR_US_BEGINNINGS.some((beginning) => option.startsWith(beginning)))
      continue;
    const equals = option.indexOf('=');
    const name = (equals < 0 ? option : option.slice(0, equals)).replaceAll('_', '-');
    const value = equals < 0 ? undefined : option.slice(equals + 1);
    const other = value === undefined ? OTHER_NAMES[name] : undefined;
    if (other !== undefined) flags[other[0]] = other[1];
    else if (name === 'config' && value !== undefined) configFile = value;
    else if (isOptionName(name) && isForUs(name)) flags[name] = textFor(name, value);
    else if (!sloppy) throw unknownOption(name);
  }
  return { flags, configFile };
}

/** Whether an option may be given here; throws {@link UserError} for a secret. */
function isForUs(name: OptionName): boolean {
  const { secret, where } = optionSpec(name);
  if (secret !== true) return where === undefined;
  throw new UserError(
    'usage',
    `Cannot take ${name} from mount options: every user of the machine can read them`,
    'Put it into the profile, or into a file that an option names.',
  );
}

/** A flag alone means yes. */
function textFor(name: OptionName, value: string | undefined): string {
  if (value !== undefined) return value;
  if (optionSpec(name).metavar === undefined) return 'true';
  throw new UserError('usage', `Cannot use the mount option ${name}: it needs a value`);
}

function unknownOption(name: string): UserError {
  const problem = `Cannot use the mount option ${quote(name)}`;
  switch (name) {
    case 'remount':
      return new UserError(
        'usage',
        `${problem}: a running mount is told by its own command`,
        'Run: infinimount remount',
      );
    case 'suid':
    case 'dev':
      return new UserError('usage', `${problem}: infinimount mounts with nosuid and nodev always`);
    default: {
      const guess = nearest(name, [...FLAG_NAMES, 'config']);
      const hint =
        guess === undefined ? 'The options are those of: infinimount mount --help' : `Did you mean ${guess}?`;
      return new UserError('usage', `${problem}: there is no such option`, hint);
    }
  }
}

/** Mounts in the background and gives back what mount(8) takes as an exit code. */
export async function runMountHelper(words: readonly string[]): Promise<number> {
  try {
    const { spec, directory, flags, configFile, fake } = parseHelperWords(words);
    const request = {
      ...requireTarget(spec, directory),
      flags,
      ...(configFile === undefined ? {} : { configFile }),
    };
    // Reads the configuration, so that its faults are told also where nothing is mounted.
    const logFile = await backgroundLogFile(request, silentSurroundings());
    if (fake) return EXIT.ok;
    const given = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const args = [
      'mount',
      spec,
      directory,
      ...given,
      ...(configFile === undefined ? [] : [`--config=${configFile}`]),
    ];
    const [, script] = ownProgram();
    return exitOf(
      await runInBackground(args, logFile, terminalPrompt(), {
        ...(script === undefined ? {} : { script }),
        inOurGroup: await isAutomount(directory),
      }),
    );
  } catch (error) {
    return exitOf(reportFailure(error));
  }
}

/** Whether systemd, or another automounter, waits for this very mount; the place itself is not asked. */
async function isAutomount(directory: string): Promise<boolean> {
  const mountinfo = await readFile('/proc/self/mountinfo', 'utf8');
  return automountPointsOf(mountinfo).has(resolve(directory));
}

/** mount(8), EXIT STATUS. */
const EXIT = { ok: 0, usage: 1, system: 2, failed: 32 } as const;

function exitOf(code: number): number {
  switch (code) {
    case EXIT_CODES.ok.code:
      return EXIT.ok;
    case EXIT_CODES.usage.code:
      return EXIT.usage;
    case EXIT_CODES.unexpected.code:
      return EXIT.system;
    default:
      return EXIT.failed;
  }
}
