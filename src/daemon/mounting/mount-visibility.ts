/** Whether the mount of a service is seen by anybody else (mount_namespaces(7)). */

import { readFile } from 'node:fs/promises';
import { systemErrorCode } from '../../base/index.js';
import { parseMountinfo } from '../../fuse/index.js';
import type { Logger } from '../../observe/index.js';

/** The mounts of process 1, which are those of everybody who has no namespace of his own. */
const OF_ALL = '/proc/1/mountinfo';

/** Whether a list of mounts (proc_pid_mountinfo(5)) has a FUSE mount on exactly `mountPoint`. */
export function hasMount(mountinfo: string, mountPoint: string): boolean {
  return parseMountinfo(mountinfo).some(
    (entry) => entry.mountPoint === mountPoint && entry.type.startsWith('fuse'),
  );
}

/** Says so in the log where a unit was given a mount namespace of its own, and its mount is there for nobody else. */
export async function warnIfHidden(mountPoint: string, logger: Logger): Promise<void> {
  let mountinfo: string;
  try {
    mountinfo = await readFile(OF_ALL, 'utf8');
  } catch (error) {
    // hidepid= of /proc; then nobody can tell.
    if (systemErrorCode(error) === undefined) throw error;
    return;
  }
  if (hasMount(mountinfo, mountPoint)) return;
  logger.warn(
    { mountPoint },
    'nobody but this service will see the mount: take PrivateTmp=, ProtectSystem=, ProtectHome= and whatever else gives it a mount namespace out of its unit',
  );
}
