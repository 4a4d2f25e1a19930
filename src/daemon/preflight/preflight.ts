/**
 * What is checked before anything is mounted, cheapest and most telling first: the mount point, the kernel, the cache
 * directory. The server is asked after that, by whoever has built the connection to it. A failed check leaves nothing behind.
 */

import type { MountOptions } from '../../config/index.js';
import type { Logger } from '../../observe/index.js';
import { clearDeadMount } from '../mounting/dead-mount.js';
import { type CacheClaim, type CacheRequest, claimCache } from './preflight-cache.js';
import { checkKernel, type KernelSurroundings, kernelSurroundings, mayMount } from './preflight-kernel.js';
import { checkLibfuse } from './preflight-libfuse.js';
import { checkMountPoint } from './preflight-mount-point.js';

export interface Preflight {
  /** The mount point without symbolic links. */
  readonly mountPoint: string;
  /** Whether this process may call mount(2) itself; else `fusermount3` does it. */
  readonly privileged: boolean;
  readonly cache: CacheClaim;
}

/**
 * What is left to check for a mount that is taken over, whose mount point answers nobody yet; rejects with `UserError`.
 * The cache may be the dead daemon's for a moment still.
 */
export async function preflightTakeover(options: MountOptions, mountPoint: string): Promise<Preflight> {
  const cache = await claimCache(cacheRequest(options, mountPoint), { holder: 'dying' });
  return { mountPoint, privileged: await mayMount(), cache };
}

function cacheRequest(options: MountOptions, mountPoint: string): CacheRequest {
  return { dir: options.cacheDir, url: options.url, user: options.credentials?.user, mountPoint };
}

/** Runs all checks; rejects with `UserError`. On success the cache is claimed: release or abandon it. */
export async function preflight(
  options: MountOptions,
  logger: Logger,
  kernel: KernelSurroundings = kernelSurroundings(),
): Promise<Preflight> {
  const privileged = await mayMount();
  await clearDeadMount({ mountPoint: options.mountPoint, source: options.url, privileged }, logger);
  const mountPoint = await checkMountPoint(options.mountPoint, { nonempty: options.nonempty, privileged });
  await checkKernel({ privileged, allowOther: options.allowOther }, kernel);
  if (options.driver === 'fuse-native') await checkLibfuse({ privileged }, kernel.searchPath);
  const cache = await claimCache(cacheRequest(options, mountPoint));
  return { mountPoint, privileged, cache };
}
