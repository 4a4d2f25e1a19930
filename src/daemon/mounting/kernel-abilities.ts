/** What the kernel does by itself for the files of a session: passthrough to files of the cache, and writing back. */

import type { Log } from '../../base/index.js';
import { errnoName, type FuseSession } from '../../fuse/index.js';
import type { BackingId, BackingPort, KernelAbilities } from '../../vfs/index.js';

/** What the kernel reads of a smaller file is one request, and it keeps it. */
const LEAST_READ_BYTES = 128 * 1024;

/** Also: why the kernel does not do what it offered; undefined where it does. */
export interface SessionAbilities extends KernelAbilities {
  readonly backing: BackingPort & { readonly refusal: string | undefined };
}

/** Looked up at each use: the kernel tells only with its first request. */
export function kernelAbilities(session: FuseSession, log: Log): SessionAbilities {
  return {
    backing: backingPort(session, log),
    get keepsSizes() {
      return session.negotiated?.flags.has('WRITEBACK_CACHE') ?? false;
    },
  };
}

/**
 * After the first file that the kernel does not take, none is offered any more: it lacks a right (CAP_SYS_ADMIN), or the
 * file system of the cache is one that is stacked on another.
 */
function backingPort(session: FuseSession, log: Log): SessionAbilities['backing'] {
  let refused: number | undefined;
  return {
    leastReadBytes: LEAST_READ_BYTES,
    get refusal() {
      return refused === undefined ? undefined : errnoName(refused);
    },
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
