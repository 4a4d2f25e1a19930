/** The commands `config check` and `config show`. */

import { quote, UserError } from '../base/index.js';
import {
  type ConfigFile,
  checkConfig,
  optionSpec,
  readConfigFile,
  requireProfile,
  type ShownOption,
  shownOptions,
} from '../config/index.js';
import { configPathOf, silentSurroundings } from './config-path.js';
import { EXIT_CODES } from './exit-codes.js';
import { complain, say } from './output.js';

export interface ConfigRequest {
  readonly action: string | undefined;
  readonly profile: string | undefined;
  readonly configFile: string | undefined;
  readonly json: boolean;
}

export async function runConfig(request: ConfigRequest): Promise<number> {
  const path = configPathOf(request.configFile);
  switch (request.action) {
    case 'check':
      return await check(path, request);
    case 'show':
      return await show(path, request);
    default: {
      const found =
        request.action === undefined ? 'nothing was said to do' : `${quote(request.action)} is unknown`;
      throw new UserError(
        'usage',
        `Cannot do anything with the configuration: ${found}`,
        'Write: infinimount config check|show',
      );
    }
  }
}

/** All faults, one a line. */
async function check(path: string, { json }: ConfigRequest): Promise<number> {
  const { file, faults } = await checkConfig(path, silentSurroundings());
  const profiles = [...file.profiles.keys()];
  if (json) {
    say(JSON.stringify({ path, profiles, faults: faults.map(({ message }) => message) }, undefined, 2));
  } else {
    for (const { message } of faults) complain(message);
    const names = profiles.length === 0 ? 'no profile' : `profiles: ${profiles.join(', ')}`;
    if (faults.length === 0) say(`${path}: nothing is wrong with it (${names})`);
  }
  return faults.length === 0 ? EXIT_CODES.ok.code : EXIT_CODES.configuration.code;
}

/** The values in effect as the file would write them, with where each is from. */
async function show(path: string, { profile, json }: ConfigRequest): Promise<number> {
  const file = await readConfigFile(path);
  if (profile !== undefined) requireProfile(file, profile);
  const names = profile === undefined ? [...file.profiles.keys()] : [profile];
  if (json) {
    const all = Object.fromEntries(names.map((name) => [name, asObject(optionsOf(file, name))]));
    say(JSON.stringify({ path, profiles: all }, undefined, 2));
    return EXIT_CODES.ok.code;
  }
  say(`# ${path}`);
  for (const name of names) {
    const options = optionsOf(file, name);
    say(`\n[profile.${name}]`);
    for (const option of options)
      if (optionSpec(option.name).section === undefined) say(asLine(option, path));
    const inner = options.filter(
      ({ name, origin }) => optionSpec(name).section !== undefined && origin !== undefined,
    );
    if (inner.length === 0) continue;
    say(`\n[profile.${name}.oauth2]`);
    for (const option of inner) say(asLine(option, path));
  }
  return EXIT_CODES.ok.code;
}

function optionsOf(file: ConfigFile, profile: string): readonly ShownOption[] {
  return shownOptions(file, profile, silentSurroundings());
}

function asLine({ name, text, origin }: ShownOption, path: string): string {
  const { toml } = optionSpec(name);
  const isPlain = toml === 'number' || toml === 'true or false';
  return `${name} = ${isPlain ? text : quote(text)}  # ${sourceOf(origin, path)}`;
}

function asObject(options: readonly ShownOption[]): Record<string, { value: string; source: string }> {
  return Object.fromEntries(
    options.map(({ name, text, origin }) => [name, { value: text, source: sourceOf(origin, '') }]),
  );
}

function sourceOf(origin: ShownOption['origin'], path: string): string {
  if (origin === undefined) return 'default';
  if (origin.file === undefined) return origin.where;
  const line = origin.line === undefined ? '' : `line ${origin.line}`;
  return origin.file === path || path === '' ? line : `${origin.file} ${line}`;
}
