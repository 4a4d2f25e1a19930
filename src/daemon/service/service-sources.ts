/** What the service manager is told of a mount that runs: how its queue stands, and that it can answer. */

import { lstat } from 'node:fs/promises';
import type { SyncEngine } from '../../sync/index.js';
import type { UploadProgress } from './drain.js';
import { type ServiceSources, statusLine } from './service-manager.js';

/** Never on a file system that can hang. */
const ALWAYS_THERE = '/dev/fuse';

/**
 * Asks nothing of the mount itself, which this very process would have to answer. That this code runs shows that the
 * main thread is free; a call through the thread pool shows that the kernel's requests still come in, which wait there.
 */
export function serviceSources(mount: {
  readonly url: string;
  readonly mountPoint: string;
  readonly engine: SyncEngine;
}): ServiceSources {
  const { url, mountPoint, engine } = mount;
  return {
    status: () =>
      statusLine({
        url,
        mountPoint,
        connection: engine.connectivity.kind,
        paused: engine.paused,
        queue: uploadProgress(engine),
      }),
    answers: async () => (await lstat(ALWAYS_THERE)).isCharacterDevice(),
  };
}

/** The queue as it stands. */
export function uploadProgress(engine: SyncEngine): UploadProgress {
  const { pending, bytes, bytesDone } = engine.summary();
  return { pending, bytes, bytesDone };
}
