/**
 * Mounting as an ordinary user: the set-uid helper `fusermount3` (fuse3 package, fusermount3(1)) opens the device and
 * mounts, and passes the descriptor over the unix socket that `_FUSE_COMMFD` names.
 */

import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { errnoName } from './errno.js';
import { receiveDescriptor, socketPair } from './libc.js';
import { MountError } from './mount-error.js';

const HELPER = 'fusermount3';
/** Where the helper finds its end of the socket pair. */
const CHILD_SOCKET_FD = 3;
/** The helper only makes system calls; one that takes longer hangs on a dead mount. */
const TIME_LIMIT_MS = 15_000;
const MAX_MESSAGE_BYTES = 4096;

interface Outcome {
  readonly status: number | null;
  readonly message: string;
}

async function runHelper(args: readonly string[], socketFd?: number): Promise<Outcome> {
  const child = spawn(HELPER, args, {
    stdio: ['ignore', 'ignore', 'pipe', socketFd ?? 'ignore'],
    env: {
      ...process.env,
      LC_ALL: 'C',
      ...(socketFd !== undefined && { _FUSE_COMMFD: String(CHILD_SOCKET_FD) }),
    },
    timeout: TIME_LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let message = '';
  child.stderr?.setEncoding('utf8');
  child.stderr?.on('data', (text: string) => {
    message = (message + text).slice(0, MAX_MESSAGE_BYTES);
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'ENOENT'
          ? new MountError(
              'no-fusermount',
              `${HELPER} is not installed`,
              'Install the package fuse3, or run as root',
            )
          : error,
      );
    });
    child.once('close', resolve);
  });
  return { status, message: message.trim() };
}

/** Backslash and comma separate in an option list, so they are escaped (fusermount3's own parser undoes it). */
function escapeOption(text: string): string {
  return text.replace(/[\\,]/g, '\\$&');
}

/** Mounts at `mountPoint` with these options and returns the device descriptor. */
export async function fusermount(
  mountPoint: string,
  options: readonly string[],
  names: { readonly fsName: string; readonly subtype: string },
): Promise<number> {
  const all = [...options, `fsname=${escapeOption(names.fsName)}`, `subtype=${escapeOption(names.subtype)}`];
  const pair = socketPair();
  if (typeof pair === 'number') {
    throw new MountError(
      'failed',
      `socketpair failed: ${errnoName(-pair)}`,
      'Close some files and try again',
    );
  }
  const [ours, theirs] = pair;
  try {
    const run = runHelper(['-o', all.join(','), '--', mountPoint], theirs).finally(() => closeSync(theirs));
    const { status, message } = await run;
    if (status !== 0) {
      throw new MountError(
        'refused',
        `${HELPER} refused: ${message}`,
        'Check that the mount point belongs to you',
      );
    }
    const fd = receiveDescriptor(ours);
    if (fd < 0) {
      throw new MountError(
        'failed',
        `${HELPER} passed no descriptor (${errnoName(-fd)})`,
        'Check the fuse3 package',
      );
    }
    return fd;
  } finally {
    closeSync(ours);
  }
}

/** Unmounts; `lazy` also when it is in use. False when the helper refused. */
export async function fusermountUnmount(mountPoint: string, lazy: boolean): Promise<boolean> {
  const { status } = await runHelper(['-u', ...(lazy ? ['-z'] : []), '--', mountPoint]);
  return status === 0;
}
