/** The configuration file: TOML with the names of the options as keys, and `password`. */

import { quote, Secret, UserError } from '../base/index.js';
import { nearest } from './nearest.js';
import { OPTION_NAMES } from './options.js';
import { readPrivateFile } from './private-file.js';
import { type OptionTexts, pickOptions } from './sources.js';

/** The one key that is not an option, because a password has no place on a command line. */
const PASSWORD_KEY = 'password';

export interface ConfigFile {
  readonly path: string;
  readonly values: OptionTexts;
  readonly password: Secret | undefined;
}

/** Reads and checks the file's form; the values are checked with all others. */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  const file = await readPrivateFile(path, { role: 'configuration file', code: 'config-file' });
  const texts: Record<string, string> = {};
  let password: Secret | undefined;
  for (const [key, value] of Object.entries(await parseToml(path, file.text))) {
    if (key === PASSWORD_KEY) {
      file.requirePrivate();
      if (typeof value !== 'string' || value === '') throw fault(path, 'password must be a text in quotes');
      password = new Secret(value);
      continue;
    }
    requireKnown(path, key);
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
      throw fault(path, `${key} must be a text, a number, true or false`);
    }
    texts[key] = String(value);
  }
  return { path, values: pickOptions(texts), password };
}

async function parseToml(path: string, text: string): Promise<Record<string, unknown>> {
  const { parse, TomlError } = await import('smol-toml');
  try {
    return parse(text);
  } catch (error) {
    // The parser's own message quotes the line, which may be the one with the password.
    const where =
      error instanceof TomlError
        ? `line ${error.line}, column ${error.column} is no valid TOML`
        : 'it is no valid TOML';
    throw fault(path, where);
  }
}

function requireKnown(path: string, key: string): void {
  const known: readonly string[] = [...OPTION_NAMES, PASSWORD_KEY];
  if (known.includes(key)) return;
  const guess = nearest(key, known);
  throw fault(
    path,
    `there is no option ${quote(key)}`,
    guess === undefined ? undefined : `Did you mean ${guess}?`,
  );
}

function fault(path: string, found: string, hint?: string): UserError {
  return new UserError('config-file', `Cannot use the configuration file ${quote(path)}: ${found}`, hint);
}
