/** What the daemon looks like to the command line: a mount that runs until someone stops it. */

import type { MountOptions } from '../config/index.js';
import type { Logger } from '../observe/index.js';
import type { Inheritance } from './mounting/inheritance.js';
import type { Continuity } from './mounting/mount-guard.js';
import type { Legacy } from './mounting/succession.js';

/** Why a mount ended. */
export type CloseReason =
  /** `stop` was called. */
  | 'stopped'
  /** Someone else unmounted it (`umount`, `fusermount3 -u`). */
  | 'unmounted'
  /** The connection to the kernel failed. */
  | 'failed';

export interface MountReady {
  /** The URL of the server's folder, without credentials. */
  readonly url: string;
  /** Absolute path. */
  readonly mountPoint: string;
  /** For whoever started it: why only what is in the cache can be used for now. */
  readonly warning: string | undefined;
}

export interface StopReport {
  /** Changes that are in the cache and not yet on the server; they go up at the next mount with this cache. */
  readonly pendingUploads: number;
}

export interface DaemonDeps {
  readonly logger: Logger;
  /** What was kept for this process of a mount whose daemon is dead. */
  readonly inheritance?: Inheritance;
  /** Called once, when programs can use the mount; not for a mount that is taken over, which they use already. */
  readonly onReady?: (info: MountReady) => void;
  /** Asks for `handOver`, and for the next program in this process. */
  readonly onUpgrade?: () => void;
}

export interface RunningDaemon {
  /** Resolves when the mount is gone and everything is closed, whoever ended it. */
  readonly closed: Promise<CloseReason>;
  /** How often this mount was taken over, and who keeps it. */
  readonly continuity: Continuity;
  /** Resolves when everything changed so far is on the server; rejects with the signal's reason. */
  flush(signal: AbortSignal): Promise<void>;
  /** Reads the credentials again where they came from, and tries at once what waits for the server. */
  reload(): void;
  /**
   * Closes everything but the mount, whose programs wait, for the program that this process is to become at once. Rejects
   * with UserError, and the mount goes on, where that cannot be.
   */
  handOver(): Promise<Legacy>;
  /** Unmounts and closes; `closed` resolves too. Calling it again, or after the end, gives the same report. */
  stop(reason: 'signal' | 'request'): Promise<StopReport>;
}

/**
 * Checks, mounts and serves. Resolves when the mount is ready; rejects with `UserError` for what a person can put right,
 * and then has left nothing behind.
 */
export type StartDaemon = (options: MountOptions, deps: DaemonDeps) => Promise<RunningDaemon>;
