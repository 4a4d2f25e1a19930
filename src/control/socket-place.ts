/**
 * The place of a control socket: a private directory, and a lock beside the socket that its daemon holds while it
 * lives. A socket without a locked lock is one of a dead daemon, and is replaced.
 *
 *     DIR/NAME.sock    the socket
 *     DIR/NAME.lock    held with flock(2)
 */

import { constants } from 'node:fs';
import { chmod, type FileHandle, lstat, mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isErrno, quote, shellWord, systemErrorCode, tryLock, UserError } from '../base/index.js';

/** sizeof(sun_path) of struct sockaddr_un, less the zero at its end (unix(7)). */
const MAX_PATH_BYTES = 107;

const PRIVATE_DIR = 0o700;
const PRIVATE_FILE = 0o600;
/** Another daemon removes its lock file on leaving, just when this one has opened it. */
const LOCK_ATTEMPTS = 5;

export interface SocketPlace {
  readonly path: string;
  /** After listening: only this user may connect. */
  protect(): Promise<void>;
  /** Removes the socket, then lets the place go. */
  release(): Promise<void>;
}

/** Takes the place of a socket for this process; rejects with `UserError` and leaves nothing behind. */
export async function claimSocketPlace(path: string): Promise<SocketPlace> {
  const length = Buffer.byteLength(path);
  if (length > MAX_PATH_BYTES) {
    throw fault(
      path,
      `the path has ${length} bytes, and a socket's may have ${MAX_PATH_BYTES}`,
      'Choose a shorter directory with --runtime-dir.',
    );
  }
  try {
    await requirePrivateDirectory(path);
    const lockPath = `${path.replace(/\.sock$/, '')}.lock`;
    const lock = await takeLock(path, lockPath);
    try {
      await rm(path, { force: true });
    } catch (error) {
      await lock.close();
      throw error;
    }
    return {
      path,
      protect: () => chmod(path, PRIVATE_FILE),
      release: async () => {
        await rm(path, { force: true });
        // Before the lock goes: afterwards it may be another daemon's.
        await rm(lockPath, { force: true });
        await lock.close();
      },
    };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw fault(
      path,
      systemErrorCode(error) ?? String(error),
      'Choose another directory with --runtime-dir.',
      error,
    );
  }
}

/** Makes the directory where it is missing; what is there must be this user's alone, and no symbolic link. */
async function requirePrivateDirectory(path: string): Promise<void> {
  const dir = dirname(path);
  try {
    await mkdir(dir, { mode: PRIVATE_DIR });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
  const found = await lstat(dir);
  if (!found.isDirectory()) throw fault(path, `${quote(dir)} is no directory`);
  if (found.uid !== process.geteuid?.()) {
    throw fault(path, `${quote(dir)} is the user ${found.uid}'s`, 'Choose another with --runtime-dir.');
  }
  const mode = found.mode & 0o777;
  if ((mode & 0o077) !== 0) {
    throw fault(
      path,
      `mode of ${quote(dir)} is 0${mode.toString(8)}, must be 0700`,
      `Run: chmod 700 ${shellWord(dir)}`,
    );
  }
}

async function takeLock(path: string, lockPath: string): Promise<FileHandle> {
  for (let attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
    const lock = await open(
      lockPath,
      constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
      PRIVATE_FILE,
    );
    if (!(await tryLock(lock.fd))) {
      await lock.close();
      throw fault(path, 'the daemon of another mount there is alive');
    }
    if (await isStill(lockPath, lock)) return lock;
    await lock.close();
  }
  throw fault(path, 'other daemons come and go there');
}

/** Whether the lock file is still the one in the directory. */
async function isStill(lockPath: string, lock: FileHandle): Promise<boolean> {
  try {
    return (await lstat(lockPath)).ino === (await lock.stat()).ino;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

function fault(path: string, found: string, hint?: string, cause?: unknown): UserError {
  return new UserError('control-socket', `Cannot make the control socket ${quote(path)}: ${found}`, hint, {
    cause,
  });
}
