/** Who reads and writes the bytes that are on this machine: the kernel alone, the kernel's cache, or this process. */

import { statfsSync } from 'node:fs';
import type { KernelIo } from '../../config/index.js';
import type { InitFlag } from '../../fuse/index.js';

/** OVERLAYFS_SUPER_MAGIC, linux/magic.h. */
const OVERLAY_MAGIC = 0x794c7630;

/** Whether a file system of this type (statfs(2)) lies on another one: the kernel does not pass through two levels. */
export function isStacked(type: number): boolean {
  return type === OVERLAY_MAGIC;
}

/**
 * What to ask the kernel for. Passthrough needs CAP_SYS_ADMIN and excludes the writeback cache, so that is for those who
 * cannot have the other.
 */
export function ioFlags(
  wanted: KernelIo,
  { privileged, cacheDir }: { readonly privileged: boolean; readonly cacheDir: string },
): readonly InitFlag[] {
  switch (wanted) {
    case 'passthrough':
      return ['PASSTHROUGH'];
    case 'writeback':
      return ['WRITEBACK_CACHE'];
    case 'daemon':
      return [];
    case 'auto':
      return [privileged && !isStacked(statfsSync(cacheDir).type) ? 'PASSTHROUGH' : 'WRITEBACK_CACHE'];
  }
}
