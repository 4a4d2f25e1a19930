/**
 * The command `unmount`: lets everything reach the server first, unless told not to, and takes the mount away; where no
 * daemon answers, as the system's own programs do.
 */

import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { quote, shellWord, UserError } from '../base/index.js';
import { chooseMount } from './choose-mount.js';
import { EXIT_CODES } from './exit-codes.js';
import { unfinished } from './flush-command.js';
import { interruptible } from './interrupt.js';
import { Live } from './live.js';
import { complain, say } from './output.js';
import { fuseMountPointsOf, mountPointsOf } from './place.js';
import { runProgram } from './run-program.js';
import type { ControlPlaces } from './running-mounts.js';
import { showCount } from './show/units.js';
import { waitForServer } from './wait-for-server.js';

export interface UnmountCommand {
  readonly mount: string | undefined;
  readonly wait: boolean;
  readonly lazy: boolean;
  readonly timeoutMs: number | undefined;
  readonly json: boolean;
}

const STOPPED = 'Stopped waiting; it is still mounted, and goes on sending';

export async function runUnmount(command: UnmountCommand, places: ControlPlaces): Promise<number> {
  let live: Live;
  try {
    live = new Live(await chooseMount(command.mount, 'unmount', places), command.json);
  } catch (error) {
    if (!(error instanceof UserError) || !UNANSWERED.has(error.code)) throw error;
    return await takeAway(command, error, places);
  }
  if (command.wait) await drain(live, command);
  const { pending } = await live.work('unmount', { wait: false, lazy: command.lazy });
  const { mountPoint, cacheDir } = live.mount.status;
  await goneFrom(mountPoint, places);
  live.tell({ pending }, () => [`infinimount: unmounted ${mountPoint}`]);
  if (pending > 0 && !live.json) {
    complain(
      `${showCount(pending, 'change is', 'changes are')} not on the server yet, and safe in ${quote(cacheDir)}: they go up at the next mount with it.`,
    );
  }
  return EXIT_CODES.ok.code;
}

const UNANSWERED: ReadonlySet<string> = new Set(['no-mount', 'not-answering']);

async function drain(live: Live, { timeoutMs }: UnmountCommand): Promise<void> {
  const { pending } = await interruptible(STOPPED, (signal) => waitForServer(live, { timeoutMs }, signal));
  if (pending === 0) return;
  const { problem } = unfinished(pending, timeoutMs);
  throw new UserError(
    'unfinished',
    problem,
    'It is still mounted. To leave the rest for the next mount: --no-wait',
  );
}

/** How long the mount may take to go after its daemon said that it will. */
const GONE_MS = 60_000;
const LOOK_MS = 50;

/** The daemon answers before the mount is gone; a script that goes on needs it gone. */
async function goneFrom(mountPoint: string, { mountinfo }: ControlPlaces): Promise<void> {
  const deadline = performance.now() + GONE_MS;
  while (mountPointsOf(await mountinfo()).has(mountPoint)) {
    if (performance.now() > deadline) {
      throw new UserError(
        'mount-busy',
        `Cannot unmount ${quote(mountPoint)}: it is still there after ${GONE_MS / 1000} s`,
        'A program may be using it: close it, or run: infinimount unmount --lazy',
      );
    }
    await delay(LOOK_MS);
  }
}

/** Without the daemon's help; `why` says what is wrong with it. */
async function takeAway(
  { mount, lazy, json }: UnmountCommand,
  why: UserError,
  { workingDirectory, mountinfo }: ControlPlaces,
): Promise<number> {
  if (mount === undefined) {
    const hint = 'Where a mount is left whose daemon is gone, name its directory: infinimount unmount DIR';
    throw new UserError(why.code, why.problem, hint, { cause: why });
  }
  const mountPoint = resolve(workingDirectory, mount);
  if (!fuseMountPointsOf(await mountinfo()).has(mountPoint)) throw why;
  complain(`${why.problem}; taking the mount away without it`);
  const privileged = process.getuid?.() === 0;
  const argv = privileged
    ? // -c: umount(8) must not look at the mount point, whose daemon may hang.
      ['umount', '-c', ...(lazy ? ['-l'] : []), mountPoint]
    : ['fusermount3', '-u', ...(lazy ? ['-z'] : []), mountPoint];
  const { code, stderr } = await runProgram(argv);
  if (code === 0) {
    // Nobody knows what is left.
    if (json) say(JSON.stringify({ pending: null }, undefined, 2));
    else say(`infinimount: unmounted ${mountPoint}`);
    return EXIT_CODES.ok.code;
  }
  throw new UserError(
    'mount-busy',
    `Cannot unmount ${quote(mountPoint)}: ${stderr.trim() || `${argv[0]} ended with ${code ?? 'no exit code'}`}`,
    lazy ? undefined : `Run: infinimount unmount --lazy ${shellWord(mountPoint)}`,
  );
}
