/** statfs(2): the size of the volume, from the server's quota, the configuration, or nothing better than a large number. */

import { NAME_MAX_BYTES } from '../base/index.js';
import type { VfsCore } from './core.js';

export interface VolumeStatistics {
  /** Bytes of one block, the unit of the three figures that follow. */
  readonly blockSize: number;
  readonly totalBlocks: number;
  readonly freeBlocks: number;
  readonly availableBlocks: number;
  /** 0 and 0: not limited, as other file systems without inode tables answer. */
  readonly files: number;
  readonly freeFiles: number;
  /** Bytes of a name. */
  readonly nameMax: number;
}

const BLOCK_BYTES = 4096;

/** 1 PiB: for servers that tell no quota. A program must not refuse to write because nobody knows. */
export const UNKNOWN_VOLUME_BYTES = 2 ** 50;

/** What waits for its upload is already taken off the free space. */
export function volumeStatistics(core: VfsCore): VolumeStatistics {
  const { stagedBytes } = core.content.stats();
  const quota = core.sync.quota();
  const totalBytes =
    quota === undefined
      ? (core.options.volumeSizeBytes ?? UNKNOWN_VOLUME_BYTES)
      : quota.used + quota.available;
  const freeBytes = Math.max(0, (quota?.available ?? totalBytes) - stagedBytes);
  const freeBlocks = Math.floor(freeBytes / BLOCK_BYTES);
  return {
    blockSize: BLOCK_BYTES,
    totalBlocks: Math.floor(totalBytes / BLOCK_BYTES),
    freeBlocks,
    availableBlocks: freeBlocks,
    files: 0,
    freeFiles: 0,
    nameMax: NAME_MAX_BYTES,
  };
}
