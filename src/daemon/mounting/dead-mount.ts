/**
 * Mounts whose program has ended: finding out whether one is, and clearing away one of our own, which nothing else can be
 * done with. Another program's, another server's or another user's is left to a person.
 */

import { spawn } from 'node:child_process';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { systemErrorCode } from '../../base/index.js';
import { detachDevice, MountError, mountedAt } from '../../fuse/index.js';
import type { Logger } from '../../observe/index.js';

/** How long another mount may take to say that it lives. */
const PROBE_MS = 2000;

/** Exit code of the probe where the program behind the mount has ended (ENOTCONN, or ECONNABORTED after an abort). */
const DEAD_EXIT = 3;

/** statfs always asks the program; a stat may be answered from what the kernel remembers of it. */
const PROBE = `try { require('fs').statfsSync(process.argv[1]) } catch (e) { process.exit(e.code === 'ENOTCONN' || e.code === 'ECONNABORTED' ? ${DEAD_EXIT} : 0) }`;

/**
 * Looks at a mount from another process: a call that never returns would hold a thread of this one for ever, and with
 * it the process's own end.
 */
export async function probeMount(path: string): Promise<'alive' | 'dead' | 'silent'> {
  const child = spawn(process.execPath, ['-e', PROBE, path], { stdio: 'ignore' });
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      // It may not even die; nobody waits for it.
      child.kill('SIGKILL');
      child.unref();
      resolve('silent');
    }, PROBE_MS);
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      resolve(code === DEAD_EXIT ? 'dead' : 'alive');
    });
  });
}

/**
 * Takes away a dead mount of the same server and user that lies on the mount point. Whatever else is there stays, for the
 * check of the mount point to tell of.
 */
export async function clearDeadMount(
  mount: { readonly mountPoint: string; readonly source: string; readonly privileged: boolean },
  logger: Logger,
): Promise<void> {
  const entry = await ownMountAt(mount.mountPoint, mount.source);
  if (entry === undefined || (await probeMount(entry.mountPoint)) !== 'dead') return;
  try {
    await detachDevice(entry.device, mount.privileged ? 'mount' : 'fusermount3');
    logger.info({ mountPoint: entry.mountPoint }, 'a mount whose daemon had died was cleared away');
  } catch (error) {
    if (!(error instanceof MountError)) throw error;
    logger.warn({ err: error }, 'a mount whose daemon had died could not be cleared away');
  }
}

async function ownMountAt(path: string, source: string): Promise<Awaited<ReturnType<typeof mountedAt>>> {
  try {
    // What the last name is stays unasked: the dead mount would have to answer.
    const entry = await mountedAt(join(await realpath(dirname(path)), basename(path)));
    const isOurs = entry?.type === 'fuse.infinimount' && entry.source === source;
    return isOurs && entry.userId === process.getuid?.() ? entry : undefined;
  } catch (error) {
    // A place that is not there; the check of the mount point says so.
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}
