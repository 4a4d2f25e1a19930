/**
 * Writing a new password or API key where the old one was found: into the configuration file, or into the file of its
 * own. What a command prints, a service manager hands over or a person types is written by whoever keeps it.
 */

import { statSync } from 'node:fs';
import { assertNever, quote, type Secret, UserError } from '../base/index.js';
import { readIfThere, replaceFile } from './atomic-file.js';
import { writeProfile } from './config-edit.js';
import { reasonOf } from './private-file.js';
import type { RequestedOptions } from './requested-options.js';

export interface NewSecrets {
  readonly password?: Secret;
  readonly apiKey?: Secret;
}

export interface SecretWrites {
  /** Paths of the files that have them now. */
  readonly writtenTo: readonly string[];
  /** Of each that was not written, why, and where it has to be changed: sentences. */
  readonly notes: readonly string[];
}

type SecretPlace =
  /** `profile` undefined: the top of the file. */
  | {
      readonly kind: 'config';
      readonly path: string;
      readonly profile: string | undefined;
      readonly option: 'password' | 'api-key';
    }
  /** The first line of the file. */
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'elsewhere'; readonly note: string };

/** Another program that writes the file at the same time: it is read again so often. */
const ATTEMPTS = 5;

/** `options`: as they are now. What cannot be written is told in the notes; nothing is written half. */
export async function writeSecrets(
  options: RequestedOptions,
  profile: string | undefined,
  { password, apiKey }: NewSecrets,
): Promise<SecretWrites> {
  const writtenTo: string[] = [];
  const notes: string[] = [];
  const write = async (secret: Secret | undefined, place: SecretPlace, what: string) => {
    if (secret === undefined) return;
    try {
      const path = await writeTo(place, secret);
      if (path !== undefined) writtenTo.push(path);
      else if (place.kind === 'elsewhere') notes.push(`The ${what} ${place.note}.`);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      notes.push(`The ${what} could not be written: ${error.message} Write it there before the next mount.`);
    }
  };
  await write(password, passwordPlace(options, profile), 'new password');
  await write(apiKey, keyPlace(options, profile), 'new API key');
  return { writtenTo: [...new Set(writtenTo)], notes };
}

function passwordPlace(options: RequestedOptions, profile: string | undefined): SecretPlace {
  const { values, path } = options;
  const { 'password-file': file, 'password-credential': credential } = values;
  if (values.password !== undefined) return configPlace(options, profile, 'password');
  if (file !== undefined) return { kind: 'file', path: path('password-file', file) };
  if (values['password-command'] !== undefined) {
    return { kind: 'elsewhere', note: 'has to be changed where the password command gets it from' };
  }
  if (credential !== undefined) {
    const name = quote(credential);
    return {
      kind: 'elsewhere',
      note: `has to be put into the file that the unit names with LoadCredential= for ${name}`,
    };
  }
  return { kind: 'elsewhere', note: 'is kept until the mount ends: no file holds the old one' };
}

function keyPlace(options: RequestedOptions, profile: string | undefined): SecretPlace {
  const file = options.values['api-key-file'];
  if (file !== undefined) return { kind: 'file', path: options.path('api-key-file', file) };
  return configPlace(options, profile, 'api-key');
}

/** Where the file has the key: in the profile, or at the top, which holds for all profiles. */
function configPlace(
  { file, origins }: RequestedOptions,
  profile: string | undefined,
  option: 'password' | 'api-key',
): SecretPlace {
  const path = origins.get(option)?.file;
  if (path === undefined) {
    return { kind: 'elsewhere', note: 'is kept until the mount ends: no file holds the old one' };
  }
  const isInProfile = profile !== undefined && file?.profiles.get(profile)?.values[option] !== undefined;
  return { kind: 'config', path, option, profile: isInProfile ? profile : undefined };
}

/** The path of the file that has it now. Rejects with {@link UserError}. */
async function writeTo(place: SecretPlace, secret: Secret): Promise<string | undefined> {
  switch (place.kind) {
    case 'config':
      await writeProfile(place.path, place.profile, { [place.option]: secret.reveal() });
      return place.path;
    case 'file':
      writeFirstLine(place.path, secret);
      return place.path;
    case 'elsewhere':
      return undefined;
    default:
      return assertNever(place);
  }
}

function writeFirstLine(path: string, secret: Secret): void {
  const what = `Cannot change ${quote(path)}`;
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isFile() === false) {
      throw new UserError('password', `${what}: it is no plain file`);
    }
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const before = readIfThere(path);
      const after = (before ?? '').replace(
        /^[^\r\n]*(\r?\n)?/,
        (_, eol?: string) => `${secret.reveal()}${eol ?? '\n'}`,
      );
      if (after === before || replaceFile(path, after, before)) return;
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    const reason = reasonOf(error).replace('read it', 'write it');
    throw new UserError('password', `${what}: ${reason}`, undefined, { cause: error });
  }
  throw new UserError('password', `${what}: another program keeps changing it`);
}
