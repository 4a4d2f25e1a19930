/** davfs2, which runs in the background as a daemon of the user davfs2. */

import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { missingCommands, run, runOk } from '../../support/exec.js';
import { findMount, forceUnmount, removeMountPoint } from '../../support/mount/index.js';
import type { Tool } from '../types.js';

const PID_DIR = '/var/run/mount.davfs';
/** umount waits until everything is uploaded. */
const UMOUNT_TIMEOUT_MS = 120_000;

function missing(): string | undefined {
  if (missingCommands(['mount.davfs']).length > 0) return 'davfs2 is not installed';
  return process.getuid?.() === 0 ? undefined : 'davfs2 needs root';
}

/** mount.davfs names its pid file after the mount point. */
function daemonOf(mountPoint: string): number | undefined {
  if (!existsSync(PID_DIR)) return undefined;
  const wanted = `${mountPoint.slice(1).replaceAll('/', '-')}.pid`;
  const file = readdirSync(PID_DIR).find((name) => name === wanted);
  return file === undefined ? undefined : Number(readFileSync(join(PID_DIR, file), 'utf8'));
}

export const davfs2: Tool = {
  name: 'davfs2',
  missing,
  mount: async ({ server, mountPoint, cacheDir, scratchDir }) => {
    const secrets = join(scratchDir, 'secrets');
    writeFileSync(secrets, `"${mountPoint}" "${server.user}" "${server.password}"\n`, { mode: 0o600 });
    const config = join(scratchDir, 'davfs2.conf');
    // The cache limit is in MiB; the default of 50 would make it drop what the workloads read twice.
    writeFileSync(config, `ask_auth 0\nsecrets ${secrets}\ncache_dir ${cacheDir}\ncache_size 2048\n`);
    // The daemon gives up its rights and works as the user and group davfs2, but looks at the directory as root first.
    await runOk(['chown', '-R', 'root:davfs2', cacheDir]);
    chmodSync(cacheDir, 0o775);
    const onExit = () => void forceUnmount(mountPoint);
    process.once('exit', onExit);
    await runOk(['mount', '-t', 'davfs', server.url, mountPoint, '-o', `conf=${config}`], {
      timeoutMs: 30_000,
    });
    const pid = daemonOf(mountPoint);
    return {
      path: mountPoint,
      pid,
      stop: async () => {
        if (findMount(mountPoint) !== undefined) {
          const result = await run(['umount', mountPoint], { timeoutMs: UMOUNT_TIMEOUT_MS });
          if (result.code !== 0) await forceUnmount(mountPoint);
        }
        removeMountPoint(mountPoint);
        process.removeListener('exit', onExit);
      },
    };
  },
};
