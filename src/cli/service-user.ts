/** The user whom a service runs as, and whether a profile is in order as that user sees it. */

import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { quote, UserError } from '../base/index.js';
import { checkConfig, defaultConfigPath, requireProfile, shownOptions } from '../config/index.js';
import { silentSurroundings } from './config-path.js';
import { ownProgram, type RunAs } from './service-units.js';

export interface UserAccount extends RunAs {
  readonly gid: number;
  readonly home: string;
}

const CHECK_LIMIT_MS = 30_000;

/** The account of that name in the user database (passwd(5)); rejects with {@link UserError}. */
export async function findUser(name: string): Promise<UserAccount> {
  for (const line of (await readFile('/etc/passwd', 'utf8')).split('\n')) {
    const [account, , uid, gid, , home] = line.split(':');
    if (account === name) return { name, uid: Number(uid), gid: Number(gid), home: home ?? '/' };
  }
  throw new UserError('usage', `Cannot run a service as ${quote(name)}: there is no such user`);
}

/** Rejects with {@link UserError} when the file has faults, or has no such profile, or that names no mount point. */
export async function checkProfile(
  profile: string,
  configFile: string | undefined,
  user: UserAccount | undefined,
): Promise<void> {
  if (user !== undefined) {
    await checkAs(profile, user);
    return;
  }
  const path = configFile ?? defaultConfigPath(process.env);
  const { file, faults } = await checkConfig(path, silentSurroundings());
  const [first] = faults;
  if (first !== undefined) throw first;
  requireProfile(file, profile);
  const shown = shownOptions(file, profile, silentSurroundings());
  if (shown.some(({ name, text }) => name === 'mount-point' && text !== '')) return;
  throw noMountPoint(profile, path);
}

/** The same by a process of that user: his files are closed to root's eyes on purpose. */
async function checkAs(profile: string, user: UserAccount): Promise<void> {
  const [command = '', ...args] = [...ownProgram(), 'config'];
  const environment = { PATH: process.env.PATH ?? '', HOME: user.home, USER: user.name };
  const look = (action: string, output: 'ignore' | 'pipe') => {
    const child = spawn(command, [...args, action, ...(action === 'show' ? [profile] : [])], {
      stdio: ['ignore', output, 'inherit'],
      cwd: '/',
      env: environment,
      uid: user.uid,
      gid: user.gid,
      timeout: CHECK_LIMIT_MS,
    });
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    return new Promise<{ readonly code: number | null; readonly text: string }>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, text }));
    });
  };
  const failed = new UserError(
    'config-file',
    `Cannot install the service: the configuration of ${quote(user.name)} is not in order`,
    `Run as ${user.name}: infinimount config check`,
  );
  if ((await look('check', 'ignore')).code !== 0) throw failed;
  const { code, text } = await look('show', 'pipe');
  if (code !== 0) throw failed;
  if (!/^mount-point = /m.test(text)) throw noMountPoint(profile, `the configuration of ${user.name}`);
}

function noMountPoint(profile: string, where: string): UserError {
  return new UserError(
    'config-file',
    `Cannot install the service: the profile ${quote(profile)} in ${where} names no mount-point`,
    'Add to it: mount-point = "/path/of/a/directory"',
  );
}
