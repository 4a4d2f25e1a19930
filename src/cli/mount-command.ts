/** The command `mount`: stays in the foreground until the mount is gone, whoever ends it. */

import { quote, UserError } from '../base/index.js';
import { isProfileName, type MountRequest, resolveMount } from '../config/index.js';
import type { CloseReason, Inheritance, Legacy, RunningDaemon, StartDaemon } from '../daemon/index.js';
import { createLogger, type Logger } from '../observe/index.js';
import { openLog, type Starter, startedBy } from './background.js';
import { EXIT_CODES } from './exit-codes.js';
import { complain, readyLine, say } from './output.js';
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
  const starter = startedBy();
  try {
    return await serve(request, load, starter);
  } catch (error) {
    starter?.failed(error);
    throw error;
  }
}

async function serve(
  request: MountRequest,
  load: () => Promise<StartDaemon>,
  starter: Starter | undefined,
): Promise<number> {
  const inheritance = await inheritanceOf(process.env);
  const told = inheritance?.from === 'keeper' ? inheritance.password : undefined;
  const prompt = terminalPrompt();
  const askPassword = starter?.askPassword ?? prompt?.askHidden;
  const { mount, log, logFile } = await resolveMount(request, {
    environment: process.env,
    workingDirectory: process.cwd(),
    ...(askPassword === undefined ? {} : { askPassword }),
    ...(told === undefined ? {} : { rememberedPassword: told }),
  });
  const logger = await createLogger({ ...log, ...(logFile === undefined ? {} : { fd: openLog(logFile) }) });
  const startDaemon = await load();
  const leaveGroup =
    starter === undefined ? undefined : (await import('../daemon/index.js')).becomeSessionLeader;
  // From here a signal means: unmount, also when it comes before the mount is ready.
  let mounted: RunningDaemon | undefined;
  const upgrade = () => {
    if (mounted !== undefined) replaceProgram(mounted, logger);
  };
  process.on('SIGUSR2', upgrade);
  const stopSignal = nextStopSignal(() => mounted?.reload());
  const daemon = await startDaemon(mount, {
    logger,
    ...(inheritance === undefined ? {} : { inheritance }),
    onReady: (ready) => {
      say(readyLine(ready));
      // Where the log goes to the terminal, the warning stands there already.
      if (ready.warning !== undefined && logFile !== undefined) complain(ready.warning);
      leaveGroup?.();
      starter?.ready(ready);
    },
    onUpgrade: upgrade,
  });
  mounted = daemon;
  await Promise.race([stopSignal, daemon.closed]);
  return await finish(daemon, mount.cacheDir);
}

/** The program as it is on the disk now takes the place of this one, and the mount goes on. */
function replaceProgram(daemon: RunningDaemon, logger: Logger): void {
  const upgrade = async () => {
    const { becomeNext } = await import('../daemon/index.js');
    let legacy: Legacy;
    try {
      legacy = await daemon.handOver();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      logger.warn({ reason: error.message }, 'the program was not replaced');
      return;
    }
    await becomeNext(legacy);
  };
  logger.info({}, 'another program takes the place of this one');
  upgrade().catch((error: unknown) => {
    // Everything is closed: whoever keeps the mount starts the next daemon.
    logger.error({ err: error }, 'the program could not be replaced');
    process.exit(EXIT_CODES.unexpected.code);
  });
}

/** What this process was given of a mount whose daemon died. */
async function inheritanceOf(environment: NodeJS.ProcessEnv): Promise<Inheritance | undefined> {
  // The daemon's modules take a moment to load, which a mistake on the command line need not wait for.
  if (environment._INFINIMOUNT_INHERIT === undefined && environment.LISTEN_FDS === undefined)
    return undefined;
  return (await import('../daemon/index.js')).takeInheritance(environment);
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
