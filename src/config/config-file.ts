/**
 * The configuration file: TOML with the names of the options as keys. Keys at the top are defaults, a table
 * `[profile.NAME]` is an account or server, and `[profile.NAME.oauth2]` its OAuth2 data. What is checked here is the form
 * of the file and of each value; whether the values go together is checked with those of the command line.
 */

import { existsSync } from 'node:fs';
import { quote, UserError } from '../base/index.js';
import { nearest } from './nearest.js';
import { OPTION_SECTIONS } from './option-kinds.js';
import { isOptionName, OPTION_NAMES, OPTIONS, type OptionName, optionSpec } from './options.js';
import { readPrivateFile } from './private-file.js';
import type { OptionTexts } from './sources.js';
import { readToml, type TomlEntry, TomlSyntaxError, type TomlText } from './toml.js';

/** The values of one table, with the line of each. */
export interface ConfigSection {
  readonly values: OptionTexts;
  readonly lines: { readonly [K in OptionName]?: number };
}

export interface ConfigFile {
  /** Absolute. */
  readonly path: string;
  readonly defaults: ConfigSection;
  readonly profiles: ReadonlyMap<string, ConfigSection>;
}

/** The one table whose tables have free names. */
const PROFILES = 'profile';

/** What a profile may be called: a bare key of TOML, which is a file name and one word of a shell too. */
const PROFILE_NAME = /^[A-Za-z0-9_-]{1,64}$/;

export function isProfileName(text: string): boolean {
  return PROFILE_NAME.test(text) && !text.startsWith('-');
}

/** Reads and checks the file; rejects with the {@link UserError} of the first fault. */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  const { file, faults } = await inspectConfigFile(path);
  const [first] = faults;
  if (first !== undefined) throw first;
  return file;
}

/** The same, and undefined where there is no file. */
export async function readConfigIfThere(path: string): Promise<ConfigFile | undefined> {
  return existsSync(path) ? await readConfigFile(path) : undefined;
}

/** Reads the file with all the faults in it; rejects where it cannot be read, is open to others or is no TOML. */
export async function inspectConfigFile(
  path: string,
): Promise<{ readonly file: ConfigFile; readonly faults: readonly UserError[] }> {
  const source = await readPrivateFile(path, { role: 'configuration file', code: 'config-file' });
  source.requirePrivate();
  source.requireOwn();
  const toml = await parse(path, source.text);
  return new Reader(path).read(toml);
}

async function parse(path: string, text: string): Promise<TomlText> {
  try {
    return await readToml(text);
  } catch (error) {
    if (!(error instanceof TomlSyntaxError)) throw error;
    throw new UserError(
      'config-file',
      `Cannot use the configuration file ${quote(path)}: ${error.message}`,
      'A text stands in double quotes, and a key stands once.',
    );
  }
}

/** The place that an error message names. */
export function configPlace(path: string, line: number | undefined): string {
  return line === undefined ? quote(path) : `${quote(path)}, line ${line}`;
}

interface OpenSection {
  readonly values: Partial<Record<OptionName, string>>;
  readonly lines: Partial<Record<OptionName, number>>;
}

class Reader {
  readonly #path: string;
  readonly #defaults: OpenSection = { values: {}, lines: {} };
  readonly #profiles = new Map<string, OpenSection>();
  readonly #faults: UserError[] = [];
  readonly #badTables = new Set<string>();

  constructor(path: string) {
    this.#path = path;
  }

  read({ entries, tables }: TomlText): { file: ConfigFile; faults: readonly UserError[] } {
    for (const { path, line } of tables) this.#open(path, line);
    for (const entry of entries) this.#take(entry);
    return {
      file: { path: this.#path, defaults: this.#defaults, profiles: this.#profiles },
      faults: this.#faults,
    };
  }

  /** The section for keys below `path`, and what of the path lies within it; complains once of a table that cannot be. */
  #open(
    path: readonly string[],
    line: number,
  ): { section: OpenSection; inner: readonly string[] } | undefined {
    const id = path.join('\0');
    if (this.#badTables.has(id)) return undefined;
    const place = this.#find(path, line);
    if (place === undefined) this.#badTables.add(id);
    return place;
  }

  #find(
    path: readonly string[],
    line: number,
  ): { section: OpenSection; inner: readonly string[] } | undefined {
    const [head, name] = path;
    if (head !== PROFILES) {
      if (head === undefined || isSection(head)) return { section: this.#defaults, inner: path };
      return this.#complainOfKey(head, [...OPTION_SECTIONS, PROFILES], 'table', line);
    }
    // The header [profile] alone holds nothing itself.
    if (name === undefined) return undefined;
    if (!isProfileName(name)) {
      const rule = 'a profile is named with letters, digits, "-" and "_"';
      this.#complain(line, `${quote(name)} cannot be the name of a profile: ${rule}`);
      return undefined;
    }
    let section = this.#profiles.get(name);
    if (section === undefined) {
      section = { values: {}, lines: {} };
      this.#profiles.set(name, section);
    }
    const inner = path.slice(2);
    const [table] = inner;
    if (table !== undefined && !isSection(table))
      return this.#complainOfKey(table, OPTION_SECTIONS, 'table', line);
    return { section, inner };
  }

  #take({ path, value, line }: TomlEntry): void {
    const key = path.at(-1) ?? '';
    const tablePath = path.slice(0, -1);
    if (tablePath.length === 1 && tablePath[0] === PROFILES) {
      this.#complain(line, `${quote(key)} must be a table: [${PROFILES}.${key}]`);
      return;
    }
    // Tables with headers were looked at already; dotted keys (oauth2.issuer) make tables too.
    const place = this.#open(tablePath, line);
    // The fault of the table stands for its keys.
    if (place === undefined) return;
    const [sectionName, deeper] = place.inner;
    if (deeper !== undefined) {
      this.#complain(line, `there is no table ${quote(deeper)} in ${quote(sectionName ?? '')}`);
      return;
    }
    if (!this.#isKnown(key, sectionName, line)) return;
    const text = this.#textOf(key, value, line);
    if (text === undefined) return;
    place.section.values[key] = text;
    place.section.lines[key] = line;
  }

  #isKnown(key: string, section: string | undefined, line: number): key is OptionName {
    const here = OPTION_NAMES.filter((name) => optionSpec(name).section === section);
    if (isOptionName(key)) {
      const home = optionSpec(key).section;
      if (home === section) return true;
      const where = home === undefined ? 'outside the table' : `in a table "${home}"`;
      this.#complain(
        line,
        `${key} stands in the wrong place`,
        `Write it ${where}${home === undefined ? ` "${section}"` : ''}.`,
      );
      return false;
    }
    if (key === PROFILES || isSection(key)) this.#complain(line, `${key} must be a table`);
    else this.#complainOfKey(key, here, 'option', line);
    return false;
  }

  #textOf(name: OptionName, value: unknown, line: number): string | undefined {
    const { toml, secret } = optionSpec(name);
    const isNumber = typeof value === 'number' || typeof value === 'bigint';
    const fits =
      (typeof value === 'string' && (toml === 'text' || toml === 'text or number')) ||
      (isNumber && (toml === 'number' || toml === 'text or number')) ||
      (typeof value === 'boolean' && toml === 'true or false');
    if (!fits) {
      this.#complain(line, `${name} must be ${FORMS[toml]}`);
      return undefined;
    }
    const text = String(value);
    const parsed = OPTIONS[name].parse(text);
    if ('wanted' in parsed) {
      const shown = secret === true ? 'the value' : quote(text);
      this.#complain(line, `${name} cannot be ${shown}: ${parsed.wanted}`);
      return undefined;
    }
    return text;
  }

  #complainOfKey(key: string, known: readonly string[], what: 'option' | 'table', line: number): undefined {
    const guess = nearest(key.replaceAll('_', '-'), known);
    this.#complain(
      line,
      `there is no ${what} ${quote(key)}`,
      guess === undefined ? undefined : `Did you mean ${guess}?`,
    );
    return undefined;
  }

  #complain(line: number, found: string, hint?: string): void {
    const place = configPlace(this.#path, line);
    this.#faults.push(
      new UserError('config-file', `Cannot use the configuration file ${place}: ${found}`, hint),
    );
  }
}

const FORMS = {
  text: 'a text in quotes',
  number: 'a number without quotes',
  'text or number': 'a text in quotes or a whole number',
  'true or false': 'true or false, without quotes',
} as const;

function isSection(text: string): boolean {
  return OPTION_SECTIONS.some((section) => section === text);
}
