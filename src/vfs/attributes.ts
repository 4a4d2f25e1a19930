/** stat(2), chmod(2), chown(2), truncate(2), utimensat(2): an inode's attributes and their changes. */

import { after, type Ino, type MaybePromise, type Ns } from '../base/index.js';
import { type InodeRecord, linkCount } from '../state/index.js';
import { inodeRecord, latest, type VfsCore, withoutPrivileges } from './core.js';
import type { Fh } from './fh.js';
import type { Files } from './file-io.js';
import type { LiveAttributes } from './inode-table.js';
import { DIRECTORY_SIZE_BYTES, IO_SIZE_BYTES, STAT_BLOCK_BYTES } from './limits.js';
import type { VfsRequest } from './request.js';

/** What stat(2) says of an inode. */
export interface Attributes {
  readonly ino: Ino;
  readonly kind: InodeRecord['kind'];
  /** Permission and set-id bits (07777), without the file type. */
  readonly mode: number;
  /** Names of a file; 1 for a directory, which says that subdirectories are not counted. */
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  /** Units of 512 bytes, as if nothing were sparse. */
  readonly blocks: number;
  /** Bytes a program should read or write at once. */
  readonly blksize: number;
  readonly atime: Ns;
  readonly mtime: Ns;
  readonly ctime: Ns;
}

/** What a call to {@link AttributeOperations.set} changes; what is absent stays. */
export interface AttributeChanges {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Bytes. */
  readonly size?: number;
  readonly atime?: Ns | 'now';
  readonly mtime?: Ns | 'now';
  /** Only a kernel that keeps times itself (writeback cache) sets it; else it becomes the time of the change. */
  readonly ctime?: Ns;
  /** The caller may not keep a file's set-id bits when it changes its size. */
  readonly killPrivileges?: boolean;
}

export class AttributeOperations {
  readonly #core: VfsCore;
  readonly #files: Files;

  constructor(core: VfsCore, files: Files) {
    this.#core = core;
    this.#files = files;
  }

  /** ESTALE for an inode that is forgotten. */
  get(ino: Ino): Attributes {
    return attributesOf(this.#core, this.#core.inode(ino));
  }

  /**
   * Applies all changes that are given and answers the new attributes. Waits only where a shorter or longer file
   * needs bytes that are not here. `fh`: the open file it was called on. EROFS, EISDIR, EINVAL, EFBIG, ESTALE.
   */
  set(ino: Ino, changes: AttributeChanges, fh?: Fh, request?: VfsRequest): MaybePromise<Attributes> {
    const core = this.#core;
    core.assertWritable(ino);
    core.inode(ino);
    if (changes.size === undefined) return this.#apply(ino, changes, changes);
    const { size, ...others } = changes;
    return after(this.#files.resize(ino, size, fh, request), () => this.#apply(ino, others, changes));
  }

  #apply(ino: Ino, changes: AttributeChanges, asked: AttributeChanges): Attributes {
    const core = this.#core;
    const live = this.#liveOf(ino);
    const now = core.clock.nowNs();
    core.state.transact((tx) => {
      const record = withLive(inodeRecord(tx, core.inode(ino)), live);
      // touch(1) says that a file whose writer died is good as it is.
      const released = record.kind === 'file' && changes.mtime !== undefined ? { interrupted: false } : {};
      tx.put({
        ...record,
        ...released,
        mode: changedMode(record, asked),
        uid: changes.uid ?? record.uid,
        gid: changes.gid ?? record.gid,
        atime: changedTime(changes.atime, now) ?? record.atime,
        mtime: changedTime(changes.mtime, now) ?? record.mtime,
        ctime: changes.ctime ?? now,
      });
    });
    if (live !== undefined) core.inodes.setLive(ino, undefined);
    return attributesIn(core, core.inode(ino), undefined);
  }

  /** What writing has made of a file that is still being written, to be committed together with the change. */
  #liveOf(ino: Ino): LiveAttributes | undefined {
    const core = this.#core;
    const live = core.live(ino);
    const record = core.inode(ino);
    if (record.kind === 'file' && record.writing && core.inodes.isOpenForWriting(ino)) return live;
    // The record must be current before a part of it is replaced.
    this.#files.commitLive(ino);
    return undefined;
  }
}

function withLive(record: InodeRecord, live: LiveAttributes | undefined): InodeRecord {
  if (live === undefined || record.kind !== 'file') return record;
  return { ...record, size: live.size, mtime: live.mtime };
}

function changedMode(record: InodeRecord, changes: AttributeChanges): number {
  if (changes.mode !== undefined) return changes.mode & 0o7777;
  const chown = changes.uid !== undefined || changes.gid !== undefined;
  if (record.kind === 'file' && (chown || changes.killPrivileges === true))
    return withoutPrivileges(record.mode);
  return record.mode;
}

function changedTime(change: Ns | 'now' | undefined, now: Ns): Ns | undefined {
  return change === 'now' ? now : change;
}

/** The attributes of a record, with what writing has made of them since it was committed. */
export function attributesOf(core: VfsCore, record: InodeRecord): Attributes {
  return attributesIn(core, record, core.live(record.ino));
}

function attributesIn(core: VfsCore, record: InodeRecord, live: LiveAttributes | undefined): Attributes {
  const size = live?.size ?? sizeOf(record);
  return {
    ino: record.ino,
    kind: record.kind,
    mode: record.mode,
    nlink: record.kind === 'file' ? linkCount(record, core.state) : 1,
    uid: record.uid,
    gid: record.gid,
    size,
    blocks: Math.ceil(size / STAT_BLOCK_BYTES),
    blksize: IO_SIZE_BYTES,
    atime: record.atime,
    mtime: live?.mtime ?? record.mtime,
    ctime: latest(live?.ctime, record.ctime),
  };
}

function sizeOf(record: InodeRecord): number {
  switch (record.kind) {
    case 'file':
      return record.size;
    case 'dir':
      return DIRECTORY_SIZE_BYTES;
    case 'symlink':
      return Buffer.byteLength(record.target);
  }
}
