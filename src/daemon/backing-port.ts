/** Lets the kernel read and write files of the cache by itself, as far as it can: FUSE passthrough on a session. */

import type { Log } from '../base/index.js';
import { errnoName, type FuseSession } from '../fuse/index.js';
import type { BackingId, BackingPort } from '../vfs/index.js';

/** What the kernel reads ahead of a small file is one request. */
const LEAST_READ_BYTES = 128 * 1024;

/**
 * After the first file that the kernel does not take, none is offered any more: it lacks a right (CAP_SYS_ADMIN), or the
 * file system of the cache is one that is stacked on another.
 */
export function backingPort(session: FuseSession, log: Log): BackingPort {
  let refused: number | undefined;
  return {
    leastReadBytes: LEAST_READ_BYTES,
    open: (fd) => {
      if (refused !== undefined || session.negotiated?.flags.has('PASSTHROUGH') !== true) return undefined;
      const id = session.openBacking(fd);
      if (id > 0) return id as BackingId;
      refused = -id;
      log.warn(
        { reason: errnoName(refused) },
        'the kernel does not read and write the files of this cache by itself; all of it goes through the daemon',
      );
      return undefined;
    },
    close: (id) => {
      const result = session.closeBacking(id);
      if (result < 0) log.debug({ id, reason: errnoName(-result) }, 'a backing file was not registered');
    },
  };
}
