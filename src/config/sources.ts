/**
 * Where option values come from, and which wins: command line, then environment, then the profile, then the top of the
 * configuration file, then the default. Of options that say the same thing in different ways (a password and a
 * password file), the first source that has one of them counts and the others are not looked at.
 */

import { quote, UserError } from '../base/index.js';
import {
  environmentName,
  FLAG_NAMES,
  isOptionName,
  OPTION_GROUPS_OF_ONE,
  OPTION_NAMES,
  OPTIONS,
  type OptionName,
  type OptionValues,
  optionSpec,
} from './options.js';
import { withoutCredentials } from './server-url.js';

/** The text of each option that was given, by option name. */
export type OptionTexts = { readonly [K in OptionName]?: string };

export interface FileValues {
  readonly path: string;
  /** The first that has a value wins: the profile, then the defaults. */
  readonly sections: readonly {
    readonly values: OptionTexts;
    readonly lines: { readonly [K in OptionName]?: number };
  }[];
}

export interface OptionSources {
  /** From the command line. */
  readonly flags: OptionTexts;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file?: FileValues;
}

/** Where the value of an option was found, as a message names it. */
export interface Origin {
  readonly code: 'usage' | 'config-file';
  /** Such as `--uid`, `INFINIMOUNT_UID`, `uid in "/c.toml", line 3`. */
  readonly where: string;
  /** The value as a message shows it, with its origin: `--uid "x"`. */
  readonly shown: string;
  /** Path of the configuration file, where it is from there. */
  readonly file?: string;
  readonly line?: number;
}

export interface Resolved {
  readonly values: OptionValues;
  /** As they were given; the default's where none was. */
  readonly texts: OptionTexts;
  /** Absent where the default stands. */
  readonly origins: ReadonlyMap<OptionName, Origin>;
}

interface Layer {
  readonly texts: Partial<Record<OptionName, string>>;
  origin(name: OptionName, text: string): Origin;
}

/** The value of each option, or a {@link UserError} for the first that is no good. */
export function resolveOptions(sources: OptionSources): Resolved {
  const layers = layersOf(sources);
  for (const group of OPTION_GROUPS_OF_ONE) keepFirstOnly(group, layers);
  const values: Partial<Record<OptionName, unknown>> = {};
  const texts: Partial<Record<OptionName, string>> = {};
  const origins = new Map<OptionName, Origin>();
  for (const name of OPTION_NAMES) {
    const layer = layers.find(({ texts }) => texts[name] !== undefined);
    const text = layer?.texts[name];
    if (layer !== undefined && text !== undefined) {
      const origin = layer.origin(name, text);
      origins.set(name, origin);
      texts[name] = text;
      values[name] = parse(name, text, origin);
      continue;
    }
    const { defaultText } = optionSpec(name);
    if (defaultText === undefined) continue;
    texts[name] = defaultText;
    values[name] = parse(name, defaultText, DEFAULT_ORIGIN);
  }
  // Each value was parsed by the very spec that its type is derived from.
  return { values: values as OptionValues, texts, origins };
}

const DEFAULT_ORIGIN: Origin = { code: 'usage', where: 'the default', shown: 'the default' };

function layersOf({ flags, environment, file }: OptionSources): readonly Layer[] {
  const variables: Partial<Record<OptionName, string>> = {};
  for (const name of FLAG_NAMES) {
    const value = environment[environmentName(name)];
    if (value !== undefined) variables[name] = value;
  }
  return [
    {
      texts: { ...flags },
      origin: (name, text) => ({ code: 'usage', where: `--${name}`, shown: `--${name} ${shownText(text)}` }),
    },
    {
      texts: variables,
      origin: (name, text) => ({
        code: 'usage',
        where: environmentName(name),
        shown: `${environmentName(name)}=${shownText(text)}`,
      }),
    },
    ...(file?.sections ?? []).map(({ values, lines }) => ({
      texts: { ...values },
      origin: (name: OptionName, text: string) => fileOrigin(file?.path ?? '', name, text, lines[name]),
    })),
  ];
}

function fileOrigin(path: string, name: OptionName, text: string, line: number | undefined): Origin {
  const place = `in ${quote(path)}${line === undefined ? '' : `, line ${line}`}`;
  const shown = optionSpec(name).secret === true ? name : `${name} = ${shownText(text)}`;
  return {
    code: 'config-file',
    where: `${name} ${place}`,
    shown: `${shown} ${place}`,
    file: path,
    ...(line === undefined ? {} : { line }),
  };
}

function shownText(text: string): string {
  return quote(withoutCredentials(text));
}

/** Drops what lower layers have of a group that a higher one has a member of; two in one layer are an error. */
function keepFirstOnly(group: readonly OptionName[], layers: readonly Layer[]): void {
  let found = false;
  for (const { texts, origin } of layers) {
    const [first, second] = group.filter((name) => texts[name] !== undefined);
    if (found) {
      for (const name of group) delete texts[name];
      continue;
    }
    if (first === undefined) continue;
    found = true;
    if (second === undefined) continue;
    const one = origin(first, texts[first] ?? '');
    const other = origin(second, texts[second] ?? '');
    throw new UserError(
      other.code,
      `Cannot use ${other.where}: it says the same as ${one.where}`,
      'Leave one of them out.',
    );
  }
}

function parse(name: OptionName, given: string, { code, shown }: Origin): unknown {
  const parsed = OPTIONS[name].parse(given);
  if ('value' in parsed) return parsed.value;
  throw new UserError(code, `Cannot use ${shown}: ${parsed.wanted}`);
}

/** Keeps the entries of `record` whose keys are options. */
export function pickOptions(record: Readonly<Record<string, string>>): OptionTexts {
  return Object.fromEntries(Object.entries(record).filter(([name]) => isOptionName(name)));
}
