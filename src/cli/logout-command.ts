/** The command `logout`: the secrets of a profile and its tokens are removed, and with `--forget` the profile too. */

import { quote, UserError } from '../base/index.js';
import {
  type OptionName,
  readConfigFile,
  removeProfile,
  removeSecrets,
  requireProfile,
  tokenPath,
} from '../config/index.js';
import { configPathOf } from './config-path.js';
import { EXIT_CODES } from './exit-codes.js';
import { say } from './output.js';

export interface LogoutRequest {
  readonly profile: string | undefined;
  readonly configFile: string | undefined;
  readonly forget: boolean;
}

/** Secrets that lie elsewhere, and stay there. */
const ELSEWHERE: readonly OptionName[] = ['password-file', 'api-key-file', 'client-secret-file'];

export async function runLogout({ profile, configFile, forget }: LogoutRequest): Promise<number> {
  if (profile === undefined)
    throw new UserError('usage', 'Cannot log out: no profile was named', 'Write: infinimount logout PROFILE');
  const path = configPathOf(configFile);
  const section = requireProfile(await readConfigFile(path), profile);
  const { forgetTokens } = await import('../daemon/index.js');
  const hadTokens = await forgetTokens(tokenPath(profile, process.env));
  const removed: string[] = hadTokens ? ['the tokens'] : [];
  if (forget) {
    await removeProfile(path, profile);
    removed.push('the profile');
  } else removed.push(...(await removeSecrets(path, profile)));
  const what = removed.length === 0 ? 'there was nothing to remove' : `removed: ${removed.join(', ')}`;
  say(`infinimount: logged out of "${profile}"; ${what}`);
  for (const name of ELSEWHERE) {
    const file = section.values[name];
    if (file !== undefined) say(`${name} ${quote(file)} is your own file, and stays.`);
  }
  return EXIT_CODES.ok.code;
}
