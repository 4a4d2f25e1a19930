/** What `config check` and `config show` tell of a configuration file. Secrets are redacted; nothing is run or asked. */

import { Secret, UserError } from '../base/index.js';
import { type ConfigFile, inspectConfigFile } from './config-file.js';
import { OPTION_NAMES, type OptionName, optionSpec } from './options.js';
import type { RequestedOptions } from './requested-options.js';
import { readSecretFile } from './secrets.js';
import {
  checkApiUrl,
  findUrl,
  readApiKeyFile,
  readCaFile,
  resolveRequest,
  type Surroundings,
} from './server-options.js';
import { withoutCredentials } from './server-url.js';
import type { Origin } from './sources.js';

/** The file with all that is wrong with it and its profiles; rejects where it cannot be read at all. */
export async function checkConfig(
  path: string,
  surroundings: Surroundings,
): Promise<{ readonly file: ConfigFile; readonly faults: readonly UserError[] }> {
  const { file, faults } = await inspectConfigFile(path);
  // Values that are no good themselves would be complained of twice.
  if (faults.length > 0) return { file, faults };
  const found: UserError[] = [];
  for (const profile of file.profiles.keys()) {
    for (const check of checksOf(file, profile, surroundings)) {
      try {
        await check();
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        // The same fault of the top of the file is found for each profile.
        if (!found.some(({ message }) => message === error.message)) found.push(error);
      }
    }
  }
  return { file, faults: found };
}

/** The checks of a profile that need neither the server nor a command. */
function* checksOf(file: ConfigFile, profile: string, surroundings: Surroundings): Generator<() => unknown> {
  const request = { profile, flags: {} };
  let options: RequestedOptions | undefined;
  yield () => {
    options = resolveRequest(file, request, surroundings);
  };
  if (options === undefined) return;
  const { values, path } = options;
  yield () => findUrl(request, values);
  yield () => checkApiUrl(values.api);
  const at = (name: OptionName, text: string | undefined, read: (path: string) => Promise<unknown>) =>
    text === undefined ? undefined : read(path(name, text));
  yield () =>
    at('password-file', values['password-file'], (found) =>
      readSecretFile(found, 'password file', 'password'),
    );
  yield () =>
    at('client-secret-file', values['client-secret-file'], (found) =>
      readSecretFile(found, 'client secret file', 'password'),
    );
  yield () => at('api-key-file', values['api-key-file'], readApiKeyFile);
  yield () => at('ca-file', values['ca-file'], readCaFile);
}

/** One option of a profile as it is in effect. */
export interface ShownOption {
  readonly name: OptionName;
  /** As the file writes it, `[redacted]` for a secret. */
  readonly text: string;
  readonly origin: Origin | undefined;
}

/** The options in effect for a profile, or for none: those that have a value. Throws {@link UserError}. */
export function shownOptions(
  file: ConfigFile,
  profile: string | undefined,
  surroundings: Surroundings,
): readonly ShownOption[] {
  const request = { flags: {}, ...(profile === undefined ? {} : { profile }) };
  const { texts, origins } = resolveRequest(file, request, surroundings);
  return OPTION_NAMES.flatMap((name) => {
    const text = texts[name];
    if (text === undefined) return [];
    const { secret } = optionSpec(name);
    const shown = secret === true ? String(new Secret(text)) : withoutCredentials(text);
    return [{ name, text: shown, origin: origins.get(name) }];
  });
}
