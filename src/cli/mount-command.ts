/** The command `mount`: stays in the foreground until the mount is gone, whoever ends it. */

import { quote, UserError } from '../base/index.js';
import { isProfileName, type MountRequest, resolveMount } from '../config/index.js';
import type { CloseReason, RunningDaemon, StartDaemon } from '../daemon/index.js';
import { createLogger } from '../observe/index.js';
import { EXIT_CODES } from './exit-codes.js';
import { complain, say } from './output.js';
import { terminalPrompt } from './prompt.js';
import { nextStopSignal } from './stop-signal.js';

/** Loaded only when something is mounted: it brings the whole product with it. */
export async function loadDaemon(): Promise<StartDaemon> {
  return (await import('../daemon/index.js')).startDaemon;
}

/** Mounts, waits, unmounts; gives the exit code back, or rejects with what went wrong before the mount was ready. */
export async function runMount(
  request: MountRequest,
  load: () => Promise<StartDaemon> = loadDaemon,
): Promise<number> {
  const prompt = terminalPrompt();
  const { mount, log } = await resolveMount(request, {
    environment: process.env,
    workingDirectory: process.cwd(),
    ...(prompt === undefined ? {} : { askPassword: (question) => prompt.askHidden(question) }),
  });
  const logger = await createLogger(log);
  const startDaemon = await load();
  // From here a signal means: unmount, also when it comes before the mount is ready.
  let mounted: RunningDaemon | undefined;
  const stopSignal = nextStopSignal(() => mounted?.reload());
  const daemon = await startDaemon(mount, {
    logger,
    onReady: ({ url, mountPoint }) => say(`infinimount: mounted ${url} on ${mountPoint}`),
  });
  mounted = daemon;
  await Promise.race([stopSignal, daemon.closed]);
  return await finish(daemon, mount.cacheDir);
}

/** Stops a daemon that may have stopped already, and says what is left to do. */
export async function finish(daemon: RunningDaemon, cacheDir: string): Promise<number> {
  const { pendingUploads } = await daemon.stop('signal');
  const reason = await daemon.closed;
  if (pendingUploads > 0) {
    const what = pendingUploads === 1 ? '1 change is' : `${pendingUploads} changes are`;
    complain(
      `${what} not on the server yet, and safe in ${quote(cacheDir)}: they go up at the next mount with it.`,
    );
  }
  return exitCodeOfEnd(reason);
}

function exitCodeOfEnd(reason: CloseReason): number {
  if (reason !== 'failed') return EXIT_CODES.ok.code;
  complain('The mount broke: the connection to the kernel failed. See the log above.');
  return EXIT_CODES.system.code;
}

/** What the words of the command line name: a URL with a directory, or a profile, which may know its directory. */
export function requireTarget(
  server: string | undefined,
  directory: string | undefined,
): Pick<MountRequest, 'url' | 'profile' | 'directory'> {
  if (server === undefined) throw missing('the URL of the server, or the name of a profile,');
  if (isProfileName(server)) return { profile: server, ...(directory === undefined ? {} : { directory }) };
  if (directory === undefined) throw missing('the directory to mount on');
  return { url: server, directory };
}

function missing(what: string): UserError {
  return new UserError(
    'usage',
    `Cannot mount: ${what} is missing`,
    'Write: infinimount mount PROFILE|URL DIR',
  );
}
