/** Which of the running mounts a command means: the one that is named, the one that a path lies in, or the only one. */

import { basename, resolve } from 'node:path';
import { quote, shellWord, UserError } from '../base/index.js';
import { controlSocketPath, isProfileName } from '../config/index.js';
import { ControlError, type Status } from '../control/index.js';
import { controlUserError } from './control-failure.js';
import { innermost, mountPointsOf, type Place, placeOf } from './place.js';
import {
  type ControlPlaces,
  mountOn,
  type RunningMount,
  type RunningMounts,
  runningMounts,
  socketPaths,
} from './running-mounts.js';

/** The mount that a command is for; rejects with {@link UserError}. `command`: for the advice, such as `status`. */
export async function chooseMount(
  name: string | undefined,
  command: string,
  places: ControlPlaces,
): Promise<RunningMount> {
  const found = await runningMounts(places);
  return name === undefined ? onlyOf(found, command, places) : await named(name, found, command, places);
}

function onlyOf(found: RunningMounts, command: string, places: ControlPlaces): RunningMount {
  const [only, ...others] = found.running;
  if (only === undefined) throw noneRuns(found, places);
  if (others.length === 0) return only;
  const names = found.running.map(({ status }) => describe(status)).join(', ');
  throw new UserError(
    'usage',
    `Cannot choose among ${found.running.length} mounts: ${names}`,
    `Name one, such as: infinimount ${command} ${nameOf(only.status, found)}`,
  );
}

async function named(
  name: string,
  found: RunningMounts,
  command: string,
  places: ControlPlaces,
): Promise<RunningMount> {
  const ofProfile = isProfileName(name) ? found.running.filter(({ status }) => status.profile === name) : [];
  const [only, ...others] = ofProfile;
  if (only !== undefined && others.length === 0) return only;
  if (others.length > 0) {
    const points = ofProfile.map(({ status }) => quote(status.mountPoint)).join(', ');
    throw new UserError(
      'usage',
      `Cannot choose among the mounts of the profile ${quote(name)}: they are on ${points}`,
      `Name one, such as: infinimount ${command} ${shellWord(only?.status.mountPoint ?? '')}`,
    );
  }
  const points = new Set(found.running.map(({ status }) => status.mountPoint));
  const isPoint = (at: string) => points.has(at);
  const place = await placeOf(name, places.workingDirectory, isPoint);
  const mount = found.running.find(({ status }) => status.mountPoint === place?.mountPoint);
  if (mount !== undefined && place?.path === '/') return mount;
  if (mount === undefined) await refuseSilent(name, found, places);
  if (found.running.length === 0) throw noneRuns(found, places);
  const known = found.running.map(({ status }) => describe(status)).join(', ');
  throw new UserError('no-mount', `Cannot find the mount ${quote(name)}: what runs is ${known}`);
}

/** Throws where `name` is the mount point of a daemon that is there and does not answer. */
async function refuseSilent(name: string, { silent }: RunningMounts, places: ControlPlaces): Promise<void> {
  const point = resolve(places.workingDirectory, name);
  for (const { socketPath, error } of silent) {
    const isIt = places.directories.some((directory) => controlSocketPath(directory, point) === socketPath);
    if (isIt) throw controlUserError(error, `the mount on ${quote(point)}`);
  }
}

/** The mount that a path lies in, and the path within it; rejects with {@link UserError}. `path`: as the shell has it. */
export async function mountOfPath(
  path: string,
  places: ControlPlaces,
): Promise<{ readonly mount: RunningMount; readonly inside: string }> {
  const given = resolve(places.workingDirectory, path);
  const points = mountPointsOf(await places.mountinfo());
  const sockets = new Set((await socketPaths(places)).map((socket) => basename(socket)));
  const isOurs = (at: string) => points.has(at) && sockets.has(basename(controlSocketPath('/', at)));
  const outer = await placeOf(given, '/', isOurs);
  const place = outer === undefined ? undefined : innermost(outer, points);
  const mount = place === undefined || !isOurs(place.mountPoint) ? undefined : await serving(place, places);
  if (place !== undefined && mount !== undefined) return { mount, inside: place.path };
  throw new UserError(
    'no-mount',
    `Cannot find a running mount with ${quote(given)} in it`,
    'See what runs with: infinimount status',
  );
}

async function serving({ mountPoint }: Place, places: ControlPlaces): Promise<RunningMount | undefined> {
  try {
    return await mountOn(places, mountPoint);
  } catch (error) {
    if (error instanceof ControlError) throw controlUserError(error, `the mount on ${quote(mountPoint)}`);
    throw error;
  }
}

function noneRuns({ silent }: RunningMounts, { directories }: ControlPlaces): UserError {
  const [first] = silent;
  if (first !== undefined) return controlUserError(first.error, `the mount at ${quote(first.socketPath)}`);
  return new UserError(
    'no-mount',
    `Cannot find a running mount: none answers in ${directories.map(quote).join(' or ')}`,
    'Start one: infinimount mount PROFILE DIR',
  );
}

function describe({ profile, mountPoint }: Status): string {
  return profile === undefined ? quote(mountPoint) : `${profile} on ${quote(mountPoint)}`;
}

/** What tells a mount from the others on a command line. */
function nameOf({ profile, mountPoint }: Status, { running }: RunningMounts): string {
  const isUnique = running.filter(({ status }) => status.profile === profile).length === 1;
  return profile !== undefined && isUnique ? profile : shellWord(mountPoint);
}
