/** The command `service`: a mount as a service of systemd, put in place and taken away again. */

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { quote, systemErrorCode, UserError } from '../base/index.js';
import { isProfileName, readConfigFile, requireProfile, resolveRequest } from '../config/index.js';
import { configPathOf, silentSurroundings } from './config-path.js';
import { EXIT_CODES } from './exit-codes.js';
import { complain, say } from './output.js';
import { findSystemd, type Systemd } from './service-manager-client.js';
import {
  DROP_IN,
  instanceOf,
  type RunAs,
  renderTemplate,
  type ServiceScope,
  TEMPLATES,
  userDropIns,
} from './service-units.js';
import { checkProfile, findUser } from './service-user.js';

export interface ServiceRequest {
  readonly action: string | undefined;
  readonly profile: string | undefined;
  readonly scope: ServiceScope;
  /** Also start it, or stop it, now. */
  readonly now: boolean;
  /** Only show what would be installed. */
  readonly print: boolean;
  /** Name of the user whom a service of the machine runs as; root when absent. */
  readonly runAs: string | undefined;
  /** For `release`. */
  readonly configFile: string | undefined;
}

/** Where a service's files go and who is told; a test puts others in. */
export interface ServiceSurroundings {
  readonly systemd: (scope: ServiceScope) => Systemd;
  readonly say: (line: string) => void;
}

const SURROUNDINGS: ServiceSurroundings = { systemd: (scope) => findSystemd(scope, process.env), say };

const USAGE = 'Write: infinimount service install|remove PROFILE';
/** The configuration file of the machine's services, as the system unit names it. */
const SYSTEM_CONFIG = '/etc/infinimount/config.toml';

export async function runService(
  request: ServiceRequest,
  surroundings: ServiceSurroundings = SURROUNDINGS,
): Promise<number> {
  const { action, profile, scope } = request;
  if (action === undefined || !['install', 'remove', 'release'].includes(action)) {
    const found = action === undefined ? 'nothing was said to do' : `${quote(action)} is unknown`;
    throw new UserError('usage', `Cannot do anything with the service: ${found}`, USAGE);
  }
  if (profile === undefined)
    throw new UserError('usage', `Cannot ${action} a service: the profile is missing`, USAGE);
  if (!isProfileName(profile)) {
    throw new UserError(
      'usage',
      `Cannot ${action} a service for ${quote(profile)}: that is no name of a profile`,
      USAGE,
    );
  }
  if (scope === 'user' && request.runAs !== undefined)
    throw new UserError('usage', 'Cannot use --run-as with --user: that service runs as you');
  if (action === 'release') await release(profile, request.configFile);
  else if (action === 'remove') await remove(profile, request, surroundings);
  else await install(profile, request, surroundings);
  return EXIT_CODES.ok.code;
}

async function install(
  profile: string,
  { scope, now, print, runAs }: ServiceRequest,
  { systemd: find, say: tell }: ServiceSurroundings,
): Promise<void> {
  const user = runAs === undefined ? undefined : await findUser(runAs);
  const files = await unitFiles(profile, scope, user);
  if (print) {
    for (const { path, text } of files) tell(`# ${path}\n${text}`);
    return;
  }
  const systemd = find(scope);
  const configFile = scope === 'user' || user !== undefined ? undefined : SYSTEM_CONFIG;
  await checkProfile(profile, configFile, user);
  tell(`Checked the profile ${quote(profile)}: nothing is wrong with it`);
  for (const { path, text } of files) {
    const full = join(systemd.unitDir, path);
    tell(`${(await writeUnit(full, text)) ? 'Wrote' : 'Left as it was:'} ${full}`);
  }
  // Of an earlier installation for another user.
  if (user === undefined) await removeDropIns(profile, scope, systemd.unitDir, tell);
  await systemd.systemctl('daemon-reload');
  const unit = instanceOf(TEMPLATES[scope][0], profile);
  await systemd.systemctl('enable', unit);
  tell(`Enabled ${unit}: it starts ${scope === 'user' ? 'when you log in' : 'with the machine'}`);
  const words = scope === 'user' ? '--user ' : '';
  if (now) {
    await systemd.systemctl('restart', unit);
    tell(`Started ${unit}`);
  } else {
    tell(`Start it now: systemctl ${words}start ${unit}`);
  }
}

async function remove(
  profile: string,
  { scope }: ServiceRequest,
  { systemd: find, say: tell }: ServiceSurroundings,
): Promise<void> {
  const systemd = find(scope);
  const [template] = TEMPLATES[scope];
  const unit = instanceOf(template, profile);
  // A unit that is not there cannot be disabled; what is left of it is removed all the same.
  if (await exists(join(systemd.unitDir, template))) {
    await systemd.systemctl('disable', '--now', unit);
    tell(`Stopped and disabled ${unit}; what was not sent yet is in its cache`);
  }
  await removeDropIns(profile, scope, systemd.unitDir, tell);
  if (!(await isInstanceLeft(template, systemd.unitDir))) {
    for (const name of TEMPLATES[scope]) await removeFile(join(systemd.unitDir, name), tell);
  }
  await systemd.systemctl('daemon-reload');
}

/** What a service's manager runs when it gives it up: the units name it, people need not. */
async function release(profile: string, configFile: string | undefined): Promise<void> {
  const file = await readConfigFile(configPathOf(configFile));
  requireProfile(file, profile);
  const { values, path } = resolveRequest(file, { profile, flags: {} }, silentSurroundings());
  const mountPoint = values['mount-point'];
  if (mountPoint === undefined)
    throw new UserError(
      'config-file',
      `Cannot release the mount of ${quote(profile)}: it names no mount-point`,
    );
  const place = path('mount-point', mountPoint);
  const { releaseLeftover } = await import('../daemon/index.js');
  switch (await releaseLeftover(place)) {
    case 'released':
      say(`infinimount: released the dead mount on ${place}`);
      return;
    case 'none':
      return;
    case 'alive':
      complain(`The mount on ${quote(place)} is served by someone, and stays.`);
  }
}

interface UnitText {
  /** Below the directory of the units. */
  readonly path: string;
  readonly text: string;
}

async function unitFiles(
  profile: string,
  scope: ServiceScope,
  user: RunAs | undefined,
): Promise<readonly UnitText[]> {
  const templates = TEMPLATES[scope];
  const files = await Promise.all(
    templates.map(async (path) => ({ path, text: await renderTemplate(path) })),
  );
  if (user === undefined) return files;
  const [mount, released] = userDropIns(user);
  return [
    ...files,
    { path: dropInOf(templates[0], profile), text: mount },
    { path: dropInOf(templates[1], profile), text: released },
  ];
}

function dropInOf(template: string, profile: string): string {
  return join(`${instanceOf(template, profile)}.d`, DROP_IN);
}

/** False when the file was there with this text already. */
async function writeUnit(path: string, text: string): Promise<boolean> {
  try {
    if ((await readIfThere(path)) === text) return false;
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await writeFile(path, text, { mode: 0o644 });
    return true;
  } catch (error) {
    throw new UserError(
      'service-manager',
      `Cannot write the unit ${quote(path)}: ${systemErrorCode(error) ?? String(error)}`,
      undefined,
      { cause: error },
    );
  }
}

async function removeDropIns(
  profile: string,
  scope: ServiceScope,
  unitDir: string,
  tell: (line: string) => void,
): Promise<void> {
  for (const template of TEMPLATES[scope]) {
    const path = join(unitDir, dropInOf(template, profile));
    await removeFile(path, tell);
    // Only when nothing of a person's own is in it.
    if ((await entriesOf(dirname(path)))?.length === 0) await rm(dirname(path), { recursive: true });
  }
}

async function removeFile(path: string, tell: (line: string) => void): Promise<void> {
  if (!(await exists(path))) return;
  await rm(path);
  tell(`Removed ${path}`);
}

/** Whether another profile's service is enabled. */
async function isInstanceLeft(template: string, unitDir: string): Promise<boolean> {
  const prefix = template.slice(0, template.indexOf('@') + 1);
  for (const entry of (await entriesOf(unitDir)) ?? []) {
    if (!entry.endsWith('.wants')) continue;
    const wanted = (await entriesOf(join(unitDir, entry))) ?? [];
    if (wanted.some((name) => name.startsWith(prefix))) return true;
  }
  return false;
}

async function exists(path: string): Promise<boolean> {
  return (await readIfThere(path)) !== undefined;
}

async function readIfThere(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch(absent);
}

async function entriesOf(directory: string): Promise<readonly string[] | undefined> {
  return await readdir(directory).catch(absent);
}

function absent(error: unknown): undefined {
  if (systemErrorCode(error) !== 'ENOENT') throw error;
}
