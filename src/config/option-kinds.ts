/**
 * The kinds of option values: how the text of one becomes a typed value, and how a kind describes itself in a
 * message, in `--help` and in the README. It knows no option by name.
 */

import { Secret } from '../base/index.js';

/** A parsed value, or what the text should have been (`it must be ...`). */
export type Parsed<T> = { readonly value: T } | { readonly wanted: string };

export interface OptionSpec<T> {
  readonly group: OptionGroup;
  readonly applies: OptionChange;
  /** One sentence without a full stop. */
  readonly help: string;
  /** How the value is called in the help, such as `SIZE`; absent for a flag. */
  readonly metavar?: string;
  /** The text that stands for an absent option; where there is none, `defaultHelp` says what happens instead. */
  readonly defaultText?: string;
  readonly defaultHelp?: string;
  /** All values there are, where they can be listed. */
  readonly choices?: readonly string[];
  /** What the shell can complete: file names, directory names, or nothing. */
  readonly completes?: 'file' | 'directory';
  /** How the value is written in the configuration file. */
  readonly toml: TomlForm;
  /** `file`: no flag and no environment variable, because the command line says it otherwise or must not show it. */
  readonly where?: 'file';
  /** Set where the text is never shown. */
  readonly secret?: true;
  /** The table within a profile that the key lies in; the profile itself when absent. */
  readonly section?: OptionSection;
  parse(text: string): Parsed<T>;
}

/** How TOML writes a value. */
export type TomlForm = 'text' | 'number' | 'text or number' | 'true or false';

export const OPTION_GROUPS = ['Account', 'OAuth2', 'Connection', 'Cache', 'Mount', 'Control', 'Log'] as const;
export type OptionGroup = (typeof OPTION_GROUPS)[number];

export const OPTION_SECTIONS = ['oauth2'] as const;
export type OptionSection = (typeof OPTION_SECTIONS)[number];

/**
 * From when on a new value holds for a mount that runs: at once by `remount`; with the credentials, by `rotate` or when the
 * file changes; from the next kernel mount on (`remount --reestablish`); or from the next start on.
 */
export const OPTION_CHANGES = ['live', 'credentials', 'new-mount', 'new-daemon'] as const;
export type OptionChange = (typeof OPTION_CHANGES)[number];

interface Common {
  readonly group: OptionGroup;
  readonly applies: OptionChange;
  readonly help: string;
  readonly defaultHelp?: string;
  readonly where?: 'file';
  readonly section?: OptionSection;
}

/** A spec with a default text always has a value; one without may be undefined. */
export type WithDefault<T> = OptionSpec<T> & { readonly defaultText: string };

export function text(
  common: Common & { readonly metavar: string; readonly defaultText: string },
): WithDefault<string>;
export function text(common: Common & { readonly metavar: string }): OptionSpec<string>;
export function text(
  common: Common & { readonly metavar: string; readonly defaultText?: string },
): OptionSpec<string> {
  return {
    ...common,
    toml: 'text',
    parse: (given) => (given === '' ? { wanted: 'it must not be empty' } : { value: given }),
  };
}

/** Text that is never shown, and stands in a file only. `form`: what it looks like, where it has a known form. */
export function secret(
  common: Common & {
    readonly metavar: string;
    readonly form?: { test(text: string): boolean; wanted: string };
  },
): OptionSpec<Secret> {
  const { form, ...rest } = common;
  return {
    ...rest,
    toml: 'text',
    where: 'file',
    secret: true,
    parse: (given) => {
      if (given === '') return { wanted: 'it must not be empty' };
      return form === undefined || form.test(given) ? { value: new Secret(given) } : { wanted: form.wanted };
    },
  };
}

/** A path; made absolute by whoever knows the working directory. */
export function path(common: Common & { readonly completes: 'file' | 'directory' }): OptionSpec<string> {
  return {
    ...common,
    metavar: common.completes === 'file' ? 'FILE' : 'DIR',
    toml: 'text',
    parse: (given) => (given === '' ? { wanted: 'it must be a path' } : { value: given }),
  };
}

const TRUE_WORDS = new Set(['true', 'yes', 'on', '1']);
const FALSE_WORDS = new Set(['false', 'no', 'off', '0']);

/** On or off; off when absent, unless `defaultText` says otherwise. */
export function flag(
  common: Omit<Common, 'defaultHelp'> & { readonly defaultText?: 'true' },
): WithDefault<boolean> {
  return {
    ...common,
    toml: 'true or false',
    defaultText: common.defaultText ?? 'false',
    parse: (given) => {
      const word = given.toLowerCase();
      if (TRUE_WORDS.has(word)) return { value: true };
      if (FALSE_WORDS.has(word)) return { value: false };
      return { wanted: 'it must be true or false' };
    },
  };
}

export function choice<const C extends readonly string[]>(
  choices: C,
  common: Common & { readonly defaultText: C[number] },
): WithDefault<C[number]> {
  return {
    ...common,
    choices,
    toml: 'text',
    metavar: choices.join('|'),
    parse: (given) =>
      choices.includes(given) ? { value: given } : { wanted: `it must be one of ${choices.join(', ')}` },
  };
}

interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

function within(value: number, { min, max }: Bounds): boolean {
  return value >= (min ?? -Infinity) && value <= (max ?? Infinity);
}

export function integer(common: Common & Bounds & { readonly defaultText: string }): WithDefault<number>;
export function integer(common: Common & Bounds): OptionSpec<number>;
export function integer(common: Common & Bounds & { readonly defaultText?: string }): OptionSpec<number> {
  const { min, max, ...rest } = common;
  const range =
    min === undefined && max === undefined
      ? ''
      : max === undefined
        ? `, at least ${min}`
        : ` from ${min ?? 'any'} to ${max}`;
  return {
    ...rest,
    metavar: 'N',
    toml: 'number',
    parse: (given) => {
      const value = /^-?\d{1,15}$/.test(given) ? Number(given) : Number.NaN;
      return within(value, common) ? { value } : { wanted: `it must be a whole number${range}` };
    },
  };
}

const BYTE_UNITS = new Map([
  ['', 1],
  ['K', 1024],
  ['M', 1024 ** 2],
  ['G', 1024 ** 3],
  ['T', 1024 ** 4],
  ['P', 1024 ** 5],
]);

/** Bytes, with a suffix K, M, G, T or P (powers of 1024); `KiB` and `KB` and so on mean the same. */
export function bytes(
  common: Common & { readonly min?: string; readonly defaultText: string },
): WithDefault<number>;
export function bytes(common: Common & { readonly min?: string }): OptionSpec<number>;
export function bytes(
  common: Common & { readonly min?: string; readonly defaultText?: string },
): OptionSpec<number> {
  const { min, ...rest } = common;
  const minBytes = min === undefined ? 0 : (parseBytes(min) ?? 0);
  const atLeast = min === undefined ? '' : `, at least ${min}`;
  return {
    ...rest,
    metavar: 'SIZE',
    toml: 'text or number',
    parse: (given) => {
      const value = parseBytes(given);
      if (value === undefined || value < minBytes) {
        return { wanted: `it must be a size such as 500M, 10G or a number of bytes${atLeast}` };
      }
      return { value };
    },
  };
}

function parseBytes(given: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s*([KMGTP]?)(?:i?B)?$/i.exec(given.trim());
  if (match === null) return undefined;
  const unit = BYTE_UNITS.get((match[2] ?? '').toUpperCase()) ?? 1;
  const value = Math.round(Number(match[1]) * unit);
  return Number.isSafeInteger(value) ? value : undefined;
}

const DURATION_UNITS_MS = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/** Milliseconds, written with a unit (`250ms`, `30s`, `5m`, `1h`, `1d`); a bare number is in `bareUnit`. */
export function duration(
  common: Common & Bounds & { readonly bareUnit: 'ms' | 's'; readonly defaultText: string },
): WithDefault<number> {
  const { bareUnit, min, max, ...rest } = common;
  const bareName = bareUnit === 'ms' ? 'milliseconds' : 'seconds';
  const range = min === undefined ? '' : `, at least ${min} ms`;
  const limit = max === undefined ? '' : `, at most ${max} ms`;
  return {
    ...rest,
    help: `${rest.help} (a bare number is ${bareName})`,
    metavar: 'TIME',
    toml: 'text or number',
    parse: (given) => {
      const match = /^(\d{1,12}(?:\.\d{1,6})?)\s*(ms|s|m|h|d)?$/.exec(given.trim());
      const unit = match === null ? undefined : DURATION_UNITS_MS.get(match[2] ?? bareUnit);
      const value = match === null || unit === undefined ? Number.NaN : Math.round(Number(match[1]) * unit);
      if (within(value, { min: min ?? 0, ...(max === undefined ? {} : { max }) })) return { value };
      return {
        wanted: `it must be a time such as 250ms, 30s, 5m or a number of ${bareName}${range}${limit}`,
      };
    },
  };
}

/** Permission bits in octal, as chmod(1) takes them. */
export function mode(common: Common & { readonly defaultText: string }): WithDefault<number> {
  return {
    ...common,
    metavar: 'MODE',
    // A number in TOML is decimal, and 0o644 would arrive here as 420.
    toml: 'text',
    parse: (given) =>
      /^0?[0-7]{3}$/.test(given)
        ? { value: Number.parseInt(given, 8) }
        : { wanted: 'it must be a mode in octal such as 644' },
  };
}
