/**
 * The options that the parts of a mount read at each use, as objects that those parts hold: changing them here changes
 * what the parts do from then on.
 */

import { hostname } from 'node:os';
import type { CacheTimeouts } from '../../bridge/index.js';
import type { MountOptions } from '../../config/index.js';
import type { CacheLimits } from '../../content/index.js';
import type { SyncOptions } from '../../sync/index.js';
import type { VfsOptions } from '../../vfs/index.js';

/** How often a file that stays open for writing is uploaded from a copy. */
const COPY_INTERVAL_MS = 30_000;

/** What of the options ends up here. */
export type LivePart = Pick<
  MountOptions,
  | 'cacheSizeBytes'
  | 'minFreeSpaceBytes'
  | 'freshnessMs'
  | 'uploadDelayMs'
  | 'maxConnections'
  | 'uid'
  | 'gid'
  | 'fileMode'
  | 'dirMode'
  | 'readOnly'
  | 'sync'
  | 'volumeSizeBytes'
  | 'debugFuse'
>;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class LiveSettings {
  readonly limits: CacheLimits;
  readonly sync: SyncOptions;
  readonly vfs: VfsOptions;
  readonly timeouts: CacheTimeouts;
  /** Gets the kernel's requests as text; undefined: nobody wants to see them. */
  trace: ((line: string) => void) | undefined;
  readonly #changeable: {
    readonly limits: Mutable<CacheLimits>;
    readonly owner: Mutable<SyncOptions['owner']>;
    readonly sync: Mutable<SyncOptions>;
    readonly vfs: Mutable<VfsOptions>;
    readonly timeouts: Mutable<CacheTimeouts>;
  };

  constructor(options: LivePart) {
    const owner = ownerOf(options);
    const sync = {
      ...syncOf(options),
      owner,
      hostName: hostname(),
      copyIntervalMs: COPY_INTERVAL_MS,
    };
    this.#changeable = {
      owner,
      sync,
      limits: limitsOf(options),
      vfs: vfsOf(options),
      timeouts: timeoutsOf(options),
    };
    this.limits = this.#changeable.limits;
    this.sync = sync;
    this.vfs = this.#changeable.vfs;
    this.timeouts = this.#changeable.timeouts;
    this.trace = traceOf(options);
  }

  set(options: LivePart): void {
    const { limits, owner, sync, vfs, timeouts } = this.#changeable;
    Object.assign(limits, limitsOf(options));
    Object.assign(owner, ownerOf(options));
    Object.assign(sync, syncOf(options));
    Object.assign(vfs, vfsOf(options));
    Object.assign(timeouts, timeoutsOf(options));
    this.trace = traceOf(options);
  }
}

function limitsOf({ cacheSizeBytes, minFreeSpaceBytes }: LivePart): CacheLimits {
  return { maxCleanBytes: cacheSizeBytes, minFreeBytes: minFreeSpaceBytes };
}

function ownerOf({ uid, gid, fileMode, dirMode }: LivePart): SyncOptions['owner'] {
  return { uid, gid, fileMode, dirMode };
}

function syncOf({
  freshnessMs,
  uploadDelayMs,
  maxConnections,
}: LivePart): Pick<SyncOptions, 'freshnessMs' | 'uploadDelayMs' | 'maxConnections'> {
  return { freshnessMs, uploadDelayMs, maxConnections };
}

function vfsOf({ readOnly, sync, volumeSizeBytes }: LivePart): VfsOptions {
  return { readOnly, sync, volumeSizeBytes };
}

function timeoutsOf({ freshnessMs }: LivePart): CacheTimeouts {
  return { entryTimeoutMs: freshnessMs, attrTimeoutMs: freshnessMs, negativeTimeoutMs: freshnessMs };
}

function traceOf({ debugFuse }: LivePart): LiveSettings['trace'] {
  return debugFuse ? (line) => process.stderr.write(`${line}\n`) : undefined;
}
