/**
 * What is checked before anything is mounted, cheapest and most telling first: the mount point, the kernel, the cache
 * directory. The server is asked after that, by whoever has built the connection to it. A failed check leaves nothing behind.
 */

import type { MountOptions } from '../config/index.js';
import { type CacheClaim, claimCache } from './preflight-cache.js';
import { checkKernel, type KernelSurroundings, kernelSurroundings, mayMount } from './preflight-kernel.js';
import { checkMountPoint } from './preflight-mount-point.js';

export interface Preflight {
  /** The mount point without symbolic links. */
  readonly mountPoint: string;
  /** Whether this process may call mount(2) itself; else `fusermount3` does it. */
  readonly privileged: boolean;
  readonly cache: CacheClaim;
}

/** Runs all checks; rejects with `UserError`. On success the cache is claimed: release or abandon it. */
export async function preflight(
  options: MountOptions,
  kernel: KernelSurroundings = kernelSurroundings(),
): Promise<Preflight> {
  const privileged = await mayMount();
  const mountPoint = await checkMountPoint(options.mountPoint, { nonempty: options.nonempty, privileged });
  await checkKernel({ privileged, allowOther: options.allowOther }, kernel);
  const cache = await claimCache({
    dir: options.cacheDir,
    url: options.url,
    user: options.credentials?.user,
    mountPoint,
  });
  return { mountPoint, privileged, cache };
}
