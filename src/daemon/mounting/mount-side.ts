/** What the daemon sees of a mounted drive, whichever driver serves it. */

import { quote, UserError } from '../../base/index.js';
import type { MountOptions } from '../../config/index.js';
import {
  type FuseSession,
  type KernelMount,
  MountError,
  type Negotiated,
  type SessionEnd,
} from '../../fuse/index.js';
import type { RemountableKernel } from '../steering/remount.js';
import type { Continuity } from './mount-guard.js';
import type { Legacy } from './succession.js';
import type { Takeover } from './takeover.js';

export interface MountSide extends RemountableKernel {
  /** Resolves when the mount has ended; one that another took the place of has not. */
  readonly closed: Promise<SessionEnd>;
  readonly mountPoint: string;
  readonly driver: MountOptions['driver'];
  /** What was agreed with the kernel; undefined before the start, and where a library does that. */
  readonly negotiated: Negotiated | undefined;
  /** Why the kernel does not take files of the cache for passthrough though it offered to; undefined where it does. */
  readonly passthroughRefusal: string | undefined;
  /** Undefined before the start, and where a library talks with the kernel. */
  readonly session: FuseSession | undefined;
  readonly continuity: Continuity;
  /** Mounts, or goes on with the mount of an earlier daemon; resolves when programs are served. Rejects with UserError. */
  start(takeover: Takeover | undefined): Promise<void>;
  /**
   * Stops serving, with everything that programs have open left open for the program that this process becomes. Absent
   * where a library owns the connection to the kernel.
   */
  handOver?(): Promise<Legacy | undefined>;
  /** Unmounts unless programs use it: rejects with UserError 'mount-busy' then. The rest is for `close`, which follows. */
  takeAway(): Promise<void>;
  /** Unmounts; where programs hold on to the mount it is detached, and goes when they let go. */
  close(): Promise<void>;
}

/** `takeAway` of every driver. */
export async function unmountUnused({
  mountPoint,
  unmount,
}: Pick<KernelMount, 'mountPoint' | 'unmount'>): Promise<void> {
  try {
    await unmount();
  } catch (error) {
    if (!(error instanceof MountError)) throw error;
    const isBusy = error.code === 'busy';
    throw new UserError(
      isBusy ? 'mount-busy' : 'mount-refused',
      `Cannot unmount ${quote(mountPoint)}: ${isBusy ? 'programs use it' : error.found}`,
      `${error.advice}.`,
      { cause: error },
    );
  }
}

/** A mount that ends with its daemon. */
export const NO_CONTINUITY: Continuity = {
  takeovers: 0,
  lastTakeoverMs: undefined,
  keeper: 'none',
  keeperPid: undefined,
};
