/**
 * What all operations share: the layers below, the tables of this mount, and the checks that nearly every operation
 * begins with. It changes nothing itself.
 */

import { type Clock, type Ino, type MaybePromise, type Name, type Ns, nameFault } from '../base/index.js';
import type { ContentStore } from '../content/index.js';
import type {
  DirRecord,
  InodeRecord,
  NodeRecord,
  StateStore,
  StateTransaction,
  StateView,
} from '../state/index.js';
import type { Sync } from '../sync/index.js';
import { BackingFiles } from './backing.js';
import { VfsError } from './errors.js';
import type { HandleLog } from './handle-log.js';
import { HandleTable } from './handle-table.js';
import { InodeTable, type LiveAttributes } from './inode-table.js';
import type { VfsRequest } from './request.js';

/** Read at each use: they may change while it runs. */
export interface VfsOptions {
  /** Refuse every change with EROFS. */
  readonly readOnly: boolean;
  /** Whether close, mkdir, rename, unlink and the like are answered before the server has the change, or after. */
  readonly sync: 'write-back' | 'write-through';
  /** What statfs(2) says where the server tells no quota, in bytes. */
  readonly volumeSizeBytes: number | undefined;
}

export interface VfsDependencies {
  readonly state: StateStore;
  readonly content: ContentStore;
  readonly sync: Sync;
  readonly clock: Clock;
  readonly options: VfsOptions;
  /** Where open handles are written down, for a process that takes over; absent: the mount ends with this one. */
  readonly handleLog?: HandleLog;
}

/** Who asks: effective user and group of the calling process. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
}

/** S_ISUID and S_ISGID, stat.h. */
export const SET_UID = 0o4000;
export const SET_GID = 0o2000;
const GROUP_EXECUTE = 0o010;

export class VfsCore {
  readonly state: StateStore;
  readonly content: ContentStore;
  readonly sync: Sync;
  readonly clock: Clock;
  readonly options: VfsOptions;
  readonly inodes = new InodeTable();
  readonly handles: HandleTable;
  readonly backing: BackingFiles;

  constructor(dependencies: VfsDependencies) {
    this.state = dependencies.state;
    this.content = dependencies.content;
    this.sync = dependencies.sync;
    this.clock = dependencies.clock;
    this.options = dependencies.options;
    this.handles = new HandleTable(dependencies.handleLog);
    this.backing = new BackingFiles(this);
  }

  /** The record of a node that the kernel names; ESTALE when it is forgotten. */
  inode(ino: Ino): InodeRecord {
    const record = this.state.get(ino);
    if (record === undefined || record.kind === 'alias')
      throw new VfsError('ESTALE', `no inode ${ino}`, { ino });
    return record;
  }

  /** ENOTDIR for anything else than a directory. */
  directory(ino: Ino): DirRecord {
    const record = this.inode(ino);
    if (record.kind !== 'dir') throw new VfsError('ENOTDIR', `inode ${ino} is a ${record.kind}`, { ino });
    return record;
  }

  /** A directory that names can be added to or taken from: ENOENT when it was removed itself, EROFS. */
  writableDirectory(ino: Ino): DirRecord {
    this.assertWritable(ino);
    const record = this.directory(ino);
    if (record.local === undefined) throw new VfsError('ENOENT', `directory ${ino} was removed`, { ino });
    return record;
  }

  assertWritable(ino: Ino): void {
    if (this.options.readOnly) throw new VfsError('EROFS', 'mounted read-only', { ino });
  }

  /**
   * Runs `act` once the names in `dirs` are known, at once when they are. What `act` was sure of before has to be
   * checked inside it: a wait may lie between.
   */
  whenListed<T>(
    dirs: readonly Ino[],
    request: VfsRequest | undefined,
    act: () => MaybePromise<T>,
  ): MaybePromise<T> {
    for (const [index, dir] of dirs.entries()) {
      const pending = this.sync.listed(dir, request);
      if (pending !== undefined)
        return pending.then(() => this.whenListed(dirs.slice(index + 1), request, act));
    }
    return act();
  }

  /** `answer`, for write-through only after the server has the node as it is shown here. */
  settle<T>(ino: Ino, request: VfsRequest | undefined, answer: () => T): MaybePromise<T> {
    if (this.options.sync === 'write-back') return answer();
    return this.sync.settled(ino, request).then(answer);
  }

  /**
   * The node that a request was about, when an earlier process carried it out and nobody knows of an answer: then it
   * must not be done again.
   */
  doneBefore(request: VfsRequest | undefined): Ino | undefined {
    if (request?.unique === undefined) return undefined;
    const { origins } = this.state;
    if (request.resent === true) return origins.doneBy(request.unique);
    // Requests that are asked again come before all others.
    origins.allResent();
    return undefined;
  }

  /** What writing has made of size and times of a file since its record was committed; undefined: nothing. */
  live(ino: Ino): LiveAttributes | undefined {
    this.backing.observe(ino);
    return this.inodes.live(ino);
  }

  /** Tells the layer below when a node that lost a name is not used by anyone either. */
  reap(...inos: readonly Ino[]): void {
    for (const ino of inos) if (!this.inodes.isInUse(ino)) this.sync.unused(ino);
  }
}

/** Notes in the transaction that carries out a request that it does: see {@link VfsCore.doneBefore}. */
export function markDone(tx: StateTransaction, request: VfsRequest | undefined, ino: Ino): void {
  if (request?.unique !== undefined) tx.markDone(request.unique, ino);
}

/** A name for something new. */
export function newName(parent: Ino, text: string): Name {
  const fault = nameFault(text);
  const context = { ino: parent, name: text };
  switch (fault) {
    case undefined:
      return text as Name;
    case 'empty':
      throw new VfsError('ENOENT', 'empty name', context);
    case 'dot':
      throw new VfsError('EEXIST', `"${text}" stands for a directory`, context);
    case 'slash':
    case 'nul':
      throw new VfsError('EINVAL', 'a name holds "/" or NUL', context);
    case 'too-long':
      throw new VfsError('ENAMETOOLONG', 'a name has at most 255 bytes', context);
    case 'not-unicode':
      throw new VfsError('EILSEQ', 'a name is valid UTF-8', context);
    case 'reserved':
      throw new VfsError('EPERM', `the server keeps the name "${text}" for itself`, context);
  }
}

/** `text` as a name to look for; undefined for what nothing can be called. ENAMETOOLONG. */
export function lookupName(parent: Ino, text: string): Name | undefined {
  const fault = nameFault(text);
  if (fault === undefined) return text as Name;
  if (fault !== 'too-long') return undefined;
  throw new VfsError('ENAMETOOLONG', 'a name has at most 255 bytes', { ino: parent, name: text });
}

/** The name of something that should exist; ENOENT for what nothing can be called. */
export function existingName(parent: Ino, text: string): Name {
  const name = lookupName(parent, text);
  if (name === undefined) throw new VfsError('ENOENT', `no "${text}"`, { ino: parent, name: text });
  return name;
}

/** The node that the local tree has under a name; ENOENT. */
export function childNode(view: StateView, parent: Ino, name: Name): NodeRecord {
  const ino = view.localChild(parent, name);
  const record = ino === undefined ? undefined : view.get(ino);
  if (record === undefined) throw new VfsError('ENOENT', `no "${name}"`, { ino: parent, name });
  return record;
}

/** The inode that a node stands for: a further name's is that of its file. */
export function inodeOf(node: NodeRecord): Ino {
  return node.kind === 'alias' ? node.target : node.ino;
}

/** The record that stat(2) of a node answers from. */
export function inodeRecord(view: StateView, node: NodeRecord): InodeRecord {
  if (node.kind !== 'alias') return node;
  const target = view.get(node.target);
  if (target?.kind !== 'file')
    throw new VfsError('EIO', `alias ${node.ino} of inode ${node.target}`, { ino: node.ino });
  return target;
}

/** Marks a directory changed, as every change of its names does. */
export function touchDirectory(tx: StateTransaction, ino: Ino, now: Ns): void {
  const record = tx.get(ino);
  if (record?.kind === 'dir') tx.put({ ...record, mtime: now, ctime: now });
}

/** Marks an inode changed. */
export function touchInode(tx: StateTransaction, ino: Ino, now: Ns): void {
  const record = tx.get(ino);
  if (record !== undefined && record.kind !== 'alias') tx.put({ ...record, ctime: now });
}

/** Mode bits of a regular file after a change by someone who may not keep its set-id bits (chown(2), write(2)). */
export function withoutPrivileges(mode: number): number {
  // Set-group-id without group execution marks mandatory locking, not a privilege.
  const drop = (mode & GROUP_EXECUTE) !== 0 ? SET_UID | SET_GID : SET_UID;
  return mode & ~drop;
}

/** A time of the record, or of writing since, whichever is later: names change the one, bytes the other. */
export function latest(live: Ns | undefined, recorded: Ns): Ns {
  return live !== undefined && live > recorded ? live : recorded;
}
