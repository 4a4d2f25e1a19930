/**
 * Where option values come from, and which wins: command line, then environment, then configuration file, then the
 * default. Every value is checked wherever it comes from, and a bad one is named by its source.
 */

import { quote, UserError } from '../base/index.js';
import {
  environmentName,
  isOptionName,
  OPTION_NAMES,
  OPTIONS,
  type OptionName,
  type OptionValues,
  optionSpec,
} from './options.js';

/** The text of each option that was given, by option name. */
export type OptionTexts = { readonly [K in OptionName]?: string };

export interface OptionSources {
  /** From the command line. */
  readonly flags: OptionTexts;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** From the configuration file. */
  readonly file?: { readonly path: string; readonly values: OptionTexts };
}

/** The value of each option, or a {@link UserError} for the first that is no good. */
export function resolveOptions(sources: OptionSources): OptionValues {
  const values: Partial<Record<OptionName, unknown>> = {};
  for (const name of OPTION_NAMES) values[name] = resolveOne(name, sources);
  // Each value was parsed by the very spec that its type is derived from.
  return values as OptionValues;
}

function resolveOne(name: OptionName, { flags, environment, file }: OptionSources): unknown {
  const flag = flags[name];
  if (flag !== undefined) return parse(name, flag, 'usage', `--${name} ${quote(flag)}`);
  const variable = environment[environmentName(name)];
  if (variable !== undefined)
    return parse(name, variable, 'usage', `${environmentName(name)}=${quote(variable)}`);
  const entry = file?.values[name];
  if (file !== undefined && entry !== undefined) {
    return parse(name, entry, 'config-file', `${name} = ${quote(entry)} in ${quote(file.path)}`);
  }
  const { defaultText } = optionSpec(name);
  return defaultText === undefined
    ? undefined
    : parse(name, defaultText, 'usage', `the default of --${name}`);
}

function parse(name: OptionName, given: string, code: 'usage' | 'config-file', source: string): unknown {
  const parsed = OPTIONS[name].parse(given);
  if ('value' in parsed) return parsed.value;
  throw new UserError(code, `Cannot use ${source}: ${parsed.wanted}`);
}

/** Keeps the entries of `record` whose keys are options. */
export function pickOptions(record: Readonly<Record<string, string>>): OptionTexts {
  return Object.fromEntries(Object.entries(record).filter(([name]) => isOptionName(name)));
}
