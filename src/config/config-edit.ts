/** What programs change in the configuration file: a profile written, its secrets or all of it removed. */

import { quote, UserError } from '../base/index.js';
import { readIfThere, replaceFile } from './atomic-file.js';
import { type ConfigFile, readConfigFile } from './config-file.js';
import { OPTION_SECTIONS } from './option-kinds.js';
import { OPTION_NAMES, type OptionName, optionSpec } from './options.js';
import { reasonOf } from './private-file.js';
import type { OptionTexts } from './sources.js';
import { TomlSyntaxError } from './toml.js';
import { removeTable, setInTable, TomlEditError, type TomlScalar } from './toml-edit.js';

/** Another program that writes the file at the same time: it is read again so often. */
const ATTEMPTS = 5;

/** New values of a profile's options; null removes one. */
export type ProfileChanges = { readonly [K in OptionName]?: string | null };

/** The file as it will be after {@link writeProfile}, without writing it: for proving the new values first. */
export function withProfile(
  file: ConfigFile | undefined,
  path: string,
  profile: string,
  changes: ProfileChanges,
): ConfigFile {
  const before = file?.profiles.get(profile);
  const values: Partial<Record<OptionName, string>> = { ...before?.values };
  const lines = { ...before?.lines };
  for (const name of OPTION_NAMES) {
    const change = changes[name];
    if (change === undefined) continue;
    delete lines[name];
    if (change === null) delete values[name];
    else values[name] = change;
  }
  return {
    path,
    defaults: file?.defaults ?? { values: {}, lines: {} },
    profiles: new Map([...(file?.profiles ?? []), [profile, { values, lines }]]),
  };
}

/**
 * Writes a profile, which is made where it is missing, into the file, which is too; undefined: the top of the file, of
 * which only keys that it has can be written. Rejects with {@link UserError}.
 */
export async function writeProfile(
  path: string,
  profile: string | undefined,
  changes: ProfileChanges,
): Promise<void> {
  await edit(path, async (before) => {
    let text = before;
    for (const section of [undefined, ...OPTION_SECTIONS]) {
      const values: Record<string, TomlScalar> = {};
      for (const name of OPTION_NAMES) {
        const change = changes[name];
        if (change === undefined || optionSpec(name).section !== section) continue;
        values[name] = change === null ? undefined : scalarOf(name, change);
      }
      const table = [
        ...(profile === undefined ? [] : ['profile', profile]),
        ...(section === undefined ? [] : [section]),
      ];
      if (Object.keys(values).length > 0) text = await setInTable(text, table, values);
    }
    return text;
  });
}

/** Removes a profile. Rejects with {@link UserError}. */
export async function removeProfile(path: string, profile: string): Promise<void> {
  await edit(path, (text) => removeTable(text, ['profile', profile]));
}

/** Removes what is secret of a profile; says which options those were. Rejects with {@link UserError}. */
export async function removeSecrets(path: string, profile: string): Promise<readonly OptionName[]> {
  const file = await readConfigFile(path);
  const texts: OptionTexts = file.profiles.get(profile)?.values ?? {};
  const names = OPTION_NAMES.filter((name) => optionSpec(name).secret === true && texts[name] !== undefined);
  if (names.length > 0)
    await writeProfile(path, profile, Object.fromEntries(names.map((name) => [name, null])));
  return names;
}

function scalarOf(name: OptionName, text: string): TomlScalar {
  switch (optionSpec(name).toml) {
    case 'true or false':
      return ['true', 'yes', 'on', '1'].includes(text.toLowerCase());
    case 'number':
      return Number(text);
    case 'text':
    case 'text or number':
      return text;
  }
}

async function edit(path: string, change: (text: string) => Promise<string>): Promise<void> {
  const what = `Cannot change the configuration file ${quote(path)}`;
  // Says what is wrong with its owner or mode before anything is written into it.
  if (readText(path, what) !== undefined) await readConfigFile(path);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const before = readText(path, what);
    const after = await changed(before ?? '', change, what);
    if (after === before || (await write(path, after, before, what))) return;
  }
  throw new UserError('config-file', `${what}: another program keeps changing it`, 'Try again.');
}

function readText(path: string, what: string): string | undefined {
  try {
    return readIfThere(path);
  } catch (error) {
    throw new UserError('config-file', `${what}: ${reasonOf(error)}`, undefined, { cause: error });
  }
}

async function changed(
  text: string,
  change: (text: string) => Promise<string>,
  what: string,
): Promise<string> {
  try {
    return await change(text);
  } catch (error) {
    if (error instanceof TomlSyntaxError) throw new UserError('config-file', `${what}: ${error.message}`);
    if (!(error instanceof TomlEditError)) throw error;
    throw new UserError(
      'config-file',
      `${what}: ${error.message}`,
      'Write each profile with a header: [profile.NAME]',
    );
  }
}

async function write(path: string, text: string, before: string | undefined, what: string): Promise<boolean> {
  try {
    return replaceFile(path, text, before);
  } catch (error) {
    throw new UserError(
      'config-file',
      `${what}: ${reasonOf(error).replace('read it', 'write it')}`,
      'Check the disk and the permissions of its folder.',
      { cause: error },
    );
  }
}
