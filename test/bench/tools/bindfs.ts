/**
 * bindfs, which passes each request on to a directory of the local disk, with the kernel's caches as long as ours: what a
 * FUSE file system in C takes that has no server and keeps no books.
 */

import { missingCommands } from '../../support/exec.js';
import { serveMount } from '../../support/mount/index.js';
import type { Tool } from '../types.js';

const CACHES = 'attr_timeout=60,entry_timeout=60,negative_timeout=60,kernel_cache';

export const bindfs: Tool = {
  name: 'bindfs',
  missing: () =>
    missingCommands(['bindfs', 'fusermount3']).length > 0 ? 'bindfs is not installed' : undefined,
  mount: async ({ root, mountPoint }) => {
    const served = await serveMount({
      argv: ['bindfs', '-f', '-o', CACHES, root, mountPoint],
      mountPoint,
      ready: 'mount-table',
      stopTimeoutMs: 10_000,
    });
    return { path: mountPoint, pid: served.pid, stop: () => served.clear() };
  },
};
