/** The file system's plain answers in the driver's shapes. */

import { type Attr, DT, type EntryReply, type StatfsReply } from '../fuse/index.js';
import type { Attributes, VolumeStatistics } from '../vfs/index.js';

/**
 * How long the kernel may answer from what it was told, in milliseconds; what changes earlier is taken back. Read at
 * each answer: they may change.
 */
export interface CacheTimeouts {
  readonly entryTimeoutMs: number;
  readonly attrTimeoutMs: number;
  /** For "no such name"; 0 = asked again each time. */
  readonly negativeTimeoutMs: number;
}

/** S_IFMT bits, stat.h. */
const TYPE_BITS = { file: 0o100000, dir: 0o040000, symlink: 0o120000 } as const;
const DIRENT_TYPES = { file: DT.REG, dir: DT.DIR, symlink: DT.LNK } as const;

export function toAttr(attributes: Attributes): Attr {
  return {
    ino: attributes.ino,
    size: attributes.size,
    blocks: attributes.blocks,
    atimeNs: attributes.atime,
    mtimeNs: attributes.mtime,
    ctimeNs: attributes.ctime,
    mode: attributes.mode | TYPE_BITS[attributes.kind],
    nlink: attributes.nlink,
    uid: attributes.uid,
    gid: attributes.gid,
    rdev: 0,
    blksize: attributes.blksize,
  };
}

export function toEntry(attributes: Attributes, timeouts: CacheTimeouts): EntryReply {
  return {
    nodeId: attributes.ino,
    // Inode numbers are never used again.
    generation: 0,
    entryTimeoutMs: timeouts.entryTimeoutMs,
    attrTimeoutMs: timeouts.attrTimeoutMs,
    attr: toAttr(attributes),
  };
}

/** The DT value of a kind, dirent.h. */
export function toDirentType(kind: Attributes['kind']): number {
  return DIRENT_TYPES[kind];
}

export function toStatfs(volume: VolumeStatistics): StatfsReply {
  return {
    blocks: volume.totalBlocks,
    bfree: volume.freeBlocks,
    bavail: volume.availableBlocks,
    files: volume.files,
    ffree: volume.freeFiles,
    bsize: volume.blockSize,
    frsize: volume.blockSize,
    namelen: volume.nameMax,
  };
}
