/**
 * Which mounts run: their control sockets, and what each daemon says of itself. A mount point is never looked at, for a
 * mount whose daemon hangs would hang whoever looks.
 */

import type { Dirent } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { forEachLimited, quote, systemErrorCode, UserError } from '../base/index.js';
import { controlSocketPath, type Environment, environmentName, runtimeDir } from '../config/index.js';
import { ControlClient, ControlError, type Status } from '../control/index.js';
import { fuseMountPointsOf } from './place.js';

/** Where sockets may be. */
export interface ControlPlaces {
  readonly directories: readonly string[];
  /** What relative paths of the command line are relative to. */
  readonly workingDirectory: string;
  /** Text of /proc/self/mountinfo. */
  mountinfo(): Promise<string>;
}

export interface RunningMount {
  readonly client: ControlClient;
  readonly status: Status;
}

export interface RunningMounts {
  readonly running: readonly RunningMount[];
  /** Sockets whose daemon is there and does not answer as it should, with why. */
  readonly silent: readonly { readonly socketPath: string; readonly error: ControlError }[];
}

/** Of the system's own mounts, which an ordinary user may see as well. */
const SYSTEM_DIRECTORY = '/run/infinimount';

/** Of a service of the machine that runs as this user (`service install --run-as`). */
function directoryOfUser(): string {
  return `${SYSTEM_DIRECTORY}-${process.getuid?.() ?? 0}`;
}

/** `given`: the option `runtime-dir` of the command line. */
export function controlPlaces(
  given: string | undefined,
  environment: Environment = process.env,
  workingDirectory: string = process.cwd(),
): ControlPlaces {
  if (given === '') throw new UserError('usage', 'Cannot use --runtime-dir "": it must be a path');
  const named = given ?? (environment[environmentName('runtime-dir')] || undefined);
  const directories =
    named === undefined
      ? [...new Set([runtimeDir(environment), SYSTEM_DIRECTORY, directoryOfUser()])]
      : [resolve(workingDirectory, named)];
  return {
    directories,
    workingDirectory,
    mountinfo: () => readFile('/proc/self/mountinfo', 'utf8'),
  };
}

/** How long a daemon may take to say what it is. */
export const ANSWER_MS = 3_000;

/** Asked at the same time. */
const ASK_LIMIT = 8;
/** More sockets than this in one directory are not looked at. */
const MAX_SOCKETS = 256;

/** Asks every daemon there is; of sockets that nobody serves any more nothing is said. */
export async function runningMounts(places: ControlPlaces, answerMs = ANSWER_MS): Promise<RunningMounts> {
  const paths = await socketPaths(places);
  const running: RunningMount[] = [];
  const silent: { socketPath: string; error: ControlError }[] = [];
  await forEachLimited(paths, ASK_LIMIT, async (socketPath) => {
    try {
      running.push(await askPatiently(socketPath, places, answerMs));
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      if (error.code !== 'no-daemon') silent.push({ socketPath, error });
    }
  });
  running.sort((a, b) => (a.status.mountPoint < b.status.mountPoint ? -1 : 1));
  return { running, silent };
}

/** How often a daemon is looked for that is about to take its mount over. */
const LOOK_MS = 100;

/**
 * Like {@link askStatus}, but where the daemon is gone and its mount is not, the next daemon is waited for: one that takes
 * over, or the same after an upgrade. No longer than `answerMs`.
 */
async function askPatiently(
  socketPath: string,
  places: ControlPlaces,
  answerMs: number,
): Promise<RunningMount> {
  const untilMs = performance.now() + answerMs;
  for (;;) {
    try {
      return await askStatus(socketPath, answerMs);
    } catch (error) {
      if (!(error instanceof ControlError) || error.code !== 'no-daemon') throw error;
      if (performance.now() > untilMs || !(await isMounted(socketPath, places))) throw error;
      await delay(LOOK_MS);
    }
  }
}

/** Whether the mount of a socket is in the kernel's table. */
async function isMounted(socketPath: string, { mountinfo }: ControlPlaces): Promise<boolean> {
  const name = basename(socketPath);
  const points = [...fuseMountPointsOf(await mountinfo())];
  return points.some((point) => basename(controlSocketPath('/', point)) === name);
}

/** Rejects with {@link ControlError}. */
async function askStatus(socketPath: string, answerMs: number): Promise<RunningMount> {
  const probe = new ControlClient({ socketPath, timeoutMs: answerMs });
  const status = await probe.call('status', {});
  return { client: new ControlClient({ socketPath }), status };
}

/** The mount on `mountPoint`; undefined where no daemon serves it. Rejects with {@link ControlError}. */
export async function mountOn(places: ControlPlaces, mountPoint: string): Promise<RunningMount | undefined> {
  const name = basename(controlSocketPath('/', mountPoint));
  const sockets = (await socketPaths(places)).filter((socket) => basename(socket) === name);
  for (const socket of sockets) {
    try {
      return await askPatiently(socket, places, ANSWER_MS);
    } catch (error) {
      if (!(error instanceof ControlError) || error.code !== 'no-daemon') throw error;
    }
  }
  return undefined;
}

/** Every socket there is, served or not. */
export async function socketPaths({ directories }: ControlPlaces): Promise<readonly string[]> {
  return (await Promise.all(directories.map(socketsIn))).flat();
}

async function socketsIn(directory: string): Promise<readonly string[]> {
  const found: string[] = [];
  // A unit for several mounts gives each a directory of its own below the common one.
  for (const entry of await entriesOf(directory)) {
    if (isSocket(entry)) found.push(join(directory, entry.name));
    if (!entry.isDirectory()) continue;
    const inner = join(directory, entry.name);
    found.push(...(await entriesOf(inner)).filter(isSocket).map(({ name }) => join(inner, name)));
  }
  return found.slice(0, MAX_SOCKETS);
}

function isSocket(entry: Dirent): boolean {
  return entry.isSocket() && entry.name.endsWith('.sock');
}

async function entriesOf(directory: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return [];
    throw new UserError(
      'usage',
      `Cannot look for mounts in ${quote(directory)}: ${code ?? String(error)}`,
      undefined,
      {
        cause: error,
      },
    );
  }
}
