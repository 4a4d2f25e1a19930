/** Taking away what a mount left behind whose service was given up, so that programs get an error rather than wait. */

import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../../base/index.js';
import { detachDevice, MountError, mountedAt } from '../../fuse/index.js';
import { mountUserError } from '../failures.js';
import { mayMount } from '../preflight/preflight-kernel.js';
import { probeMount } from './dead-mount.js';

/** `none`: no mount of ours is there. `alive`: one is, and someone serves it: it stays. */
export type Release = 'released' | 'none' | 'alive';

const TYPE = 'fuse.infinimount';

/** Detaches the mount on `mountPoint` unless it answers. Rejects with {@link UserError}. */
export async function releaseLeftover(mountPoint: string): Promise<Release> {
  // What the last name is stays unasked: the mount would have to answer.
  const parent = await realpath(dirname(mountPoint)).catch((error: unknown) => {
    throw new UserError(
      'mount-point-missing',
      `Cannot release "${mountPoint}": no such directory`,
      undefined,
      {
        cause: error,
      },
    );
  });
  const path = join(parent, basename(mountPoint));
  const entry = await mountedAt(path);
  if (entry?.type !== TYPE) return 'none';
  if ((await probeMount(path)) === 'alive') return 'alive';
  try {
    await detachDevice(entry.device, (await mayMount()) ? 'mount' : 'fusermount3');
  } catch (error) {
    throw error instanceof MountError ? mountUserError(error, path) : error;
  }
  return 'released';
}
