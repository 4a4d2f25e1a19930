/**
 * Names: finding, making and removing them. Every change is one transaction, committed before it is answered; what
 * the server makes of it comes later (or is waited for: write-through). Renaming is in rename.ts.
 */

import { after, type Ino, type MaybePromise, type Name, type Ns } from '../base/index.js';
import type { Body } from '../content/index.js';
import { type DirRecord, detach, type FileRecord, linkCount, type StateTransaction } from '../state/index.js';
import { type Attributes, attributesOf } from './attributes.js';
import {
  type Caller,
  childNode,
  existingName,
  inodeOf,
  lookupName,
  markDone,
  newName,
  SET_GID,
  touchDirectory,
  type VfsCore,
} from './core.js';
import { VfsError } from './errors.js';
import type { Fh } from './fh.js';
import type { Files, OpenMode } from './file-io.js';
import { LINK_MAX, SYMLINK_MAX_BYTES } from './limits.js';
import type { VfsRequest } from './request.js';

/** What mknod(2) can be asked for. */
export type SpecialKind = 'file' | 'fifo' | 'socket' | 'block' | 'character';

export class Namespace {
  readonly #core: VfsCore;
  readonly #files: Files;

  constructor(core: VfsCore, files: Files) {
    this.#core = core;
    this.#files = files;
  }

  /**
   * The inode under a name, with one more reference of the kernel's; undefined when the directory is known and has
   * no such name. Waits for a directory never seen. ENOTDIR, ESTALE, ENAMETOOLONG; rejects with `RemoteError`.
   */
  lookup(parent: Ino, text: string, request?: VfsRequest): MaybePromise<Attributes | undefined> {
    const core = this.#core;
    const directory = core.directory(parent);
    if (text === '.') return this.#entry(parent);
    if (text === '..') return this.#entry(directory.local?.parent ?? parent);
    return core.whenListed([parent], request, () => {
      const name = lookupName(parent, text);
      const child = name === undefined ? undefined : core.state.localChild(parent, name);
      const node = child === undefined ? undefined : core.state.get(child);
      return node === undefined ? undefined : this.#entry(inodeOf(node));
    });
  }

  /** The kernel gives `count` references back. */
  forget(ino: Ino, count: number): void {
    const { inodes, state, sync } = this.#core;
    // Of a node with a name nothing is waiting to be forgotten, and the kernel forgets them by the ten thousand.
    if (inodes.forget(ino, count) && state.get(ino)?.local === undefined) sync.unused(ino);
  }

  /** Nodes without a name that are kept only because the kernel may refer to them since before a take-over. */
  doubtful(): Ino[] {
    const { inodes, state } = this.#core;
    const isKept = (ino: Ino) => inodes.isDoubtful(ino) && !inodes.isOpen(ino);
    return [...state.dirty()].filter((ino) => isKept(ino) && state.get(ino)?.local === undefined);
  }

  /** The kernel says that it has no reference to this inode from before a take-over. */
  unreferenced(ino: Ino): void {
    this.#core.inodes.unknownToKernel(ino);
    this.#core.reap(ino);
  }

  /**
   * open(2) with O_CREAT: makes a file and opens it, or opens the one that is there (EEXIST when `exclusive`). The
   * file is on this machine only until it is closed.
   */
  create(
    parent: Ino,
    text: string,
    wanted: {
      readonly mode: number;
      readonly caller: Caller;
      readonly open: OpenMode;
      readonly exclusive: boolean;
    },
    request?: VfsRequest,
  ): MaybePromise<{ readonly attributes: Attributes; readonly fh: Fh }> {
    const core = this.#core;
    const before = this.#createdBefore(wanted.open, request);
    if (before !== undefined) return before;
    core.writableDirectory(parent);
    return core.whenListed([parent], request, () => {
      const name = newName(parent, text);
      const existing = core.state.localChild(parent, name);
      if (existing !== undefined) {
        const node = childNode(core.state, parent, name);
        if (wanted.exclusive) throw new VfsError('EEXIST', `"${name}" exists`, { ino: parent, name });
        const ino = inodeOf(node);
        return after(this.#files.open(ino, wanted.open, request), (fh) => ({
          attributes: this.#entry(ino),
          fh,
        }));
      }
      const body = this.#newFile(parent, name, { ...wanted, writing: wanted.open.writable }, request);
      const fh = this.#files.openCreated(body, wanted.open, request);
      return { attributes: this.#entry(body.ino), fh };
    });
  }

  /** mknod(2): an empty regular file; EPERM for what a server of files cannot keep. */
  mknod(
    parent: Ino,
    text: string,
    wanted: { readonly kind: SpecialKind; readonly mode: number; readonly caller: Caller },
    request?: VfsRequest,
  ): MaybePromise<Attributes> {
    const core = this.#core;
    const before = this.#madeBefore(parent, text, request);
    if (before !== undefined) return before;
    core.writableDirectory(parent);
    if (wanted.kind !== 'file') {
      throw new VfsError('EPERM', `a ${wanted.kind} cannot be kept here`, { ino: parent, name: text });
    }
    return core.whenListed([parent], request, () => {
      const name = this.#freeName(parent, text);
      const body = this.#newFile(parent, name, { ...wanted, writing: false }, request);
      core.content.release(body.ino);
      return core.settle(body.ino, request, () => this.#entry(body.ino));
    });
  }

  mkdir(
    parent: Ino,
    text: string,
    wanted: { readonly mode: number; readonly caller: Caller },
    request?: VfsRequest,
  ): MaybePromise<Attributes> {
    const core = this.#core;
    const before = this.#madeBefore(parent, text, request);
    if (before !== undefined) return before;
    core.writableDirectory(parent);
    return core.whenListed([parent], request, () => {
      const name = this.#freeName(parent, text);
      const ino = core.state.transact((tx) => {
        const directory = this.#parentIn(tx, parent);
        const record: DirRecord = {
          kind: 'dir',
          ...this.#newNode(tx.allocate(), directory, name, wanted.mode, wanted.caller),
          mode: (wanted.mode & 0o7777) | (directory.mode & SET_GID),
          // All that is in it is known: nothing.
          listedAtMs: core.clock.nowMs(),
        };
        tx.put(record);
        touchDirectory(tx, parent, record.mtime);
        markDone(tx, request, record.ino);
        return record.ino;
      });
      return core.settle(ino, request, () => this.#entry(ino));
    });
  }

  /** `target` is kept as it is. ENAMETOOLONG beyond 1024 bytes, ENOENT when empty. */
  symlink(
    parent: Ino,
    text: string,
    target: string,
    caller: Caller,
    request?: VfsRequest,
  ): MaybePromise<Attributes> {
    const core = this.#core;
    const before = this.#madeBefore(parent, text, request);
    if (before !== undefined) return before;
    core.writableDirectory(parent);
    const context = { ino: parent, name: text };
    if (target === '') throw new VfsError('ENOENT', 'empty link target', context);
    if (!target.isWellFormed()) throw new VfsError('EILSEQ', 'a link target is valid UTF-8', context);
    if (Buffer.byteLength(target) > SYMLINK_MAX_BYTES) {
      throw new VfsError('ENAMETOOLONG', `a link target has at most ${SYMLINK_MAX_BYTES} bytes`, context);
    }
    return core.whenListed([parent], request, () => {
      const name = this.#freeName(parent, text);
      const ino = core.state.transact((tx) => {
        const node = this.#newNode(tx.allocate(), this.#parentIn(tx, parent), name, 0o777, caller);
        tx.put({ kind: 'symlink', ...node, target, gen: 1, attempt: undefined });
        touchDirectory(tx, parent, node.mtime);
        markDone(tx, request, node.ino);
        return node.ino;
      });
      return core.settle(ino, request, () => this.#entry(ino));
    });
  }

  /** EINVAL for what is no symbolic link. */
  readlink(ino: Ino): string {
    const record = this.#core.inode(ino);
    if (record.kind !== 'symlink') throw new VfsError('EINVAL', `inode ${ino} is no symbolic link`, { ino });
    return record.target;
  }

  /** link(2): one more name for a file. EPERM for directories and symbolic links, EMLINK, ENOENT for one without a name. */
  link(ino: Ino, parent: Ino, text: string, request?: VfsRequest): MaybePromise<Attributes> {
    const core = this.#core;
    const before = this.#madeBefore(parent, text, request);
    if (before !== undefined) return before;
    core.writableDirectory(parent);
    return core.whenListed([parent], request, () => {
      const file = core.inode(ino);
      if (file.kind !== 'file') throw new VfsError('EPERM', `a ${file.kind} has one name only`, { ino });
      const links = linkCount(file, core.state);
      if (links === 0) throw new VfsError('ENOENT', 'the file has no name any more', { ino });
      if (file.aliases.length >= LINK_MAX - 1)
        throw new VfsError('EMLINK', `the file has ${links} names`, { ino });
      const name = this.#freeName(parent, text);
      const now = core.clock.nowNs();
      const alias = core.state.transact((tx) => {
        this.#parentIn(tx, parent);
        const node = tx.allocate();
        const local = { parent, name };
        tx.put({
          kind: 'alias',
          ino: node,
          local,
          base: undefined,
          remote: undefined,
          target: ino,
          attempt: undefined,
        });
        tx.put({ ...file, aliases: [...file.aliases, node], ctime: now });
        touchDirectory(tx, parent, now);
        markDone(tx, request, ino);
        return node;
      });
      return core.settle(alias, request, () => this.#entry(ino));
    });
  }

  /** The file itself lives on while it has another name or is open. EISDIR, ENOENT. */
  unlink(parent: Ino, text: string, request?: VfsRequest): MaybePromise<void> {
    const core = this.#core;
    const done = core.doneBefore(request);
    if (done !== undefined) return core.settle(done, request, () => undefined);
    core.writableDirectory(parent);
    return core.whenListed([parent], request, () => {
      const node = childNode(core.state, parent, existingName(parent, text));
      if (node.kind === 'dir')
        throw new VfsError('EISDIR', `"${text}" is a directory`, { ino: parent, name: text });
      return this.#remove(parent, node.ino, request);
    });
  }

  /** ENOTEMPTY when anything is in it, on the server too as far as was listed; ENOTDIR, ENOENT, EBUSY for the root. */
  rmdir(parent: Ino, text: string, request?: VfsRequest): MaybePromise<void> {
    const core = this.#core;
    const done = core.doneBefore(request);
    if (done !== undefined) return core.settle(done, request, () => undefined);
    core.writableDirectory(parent);
    const context = { ino: parent, name: text };
    const find = () => {
      const node = childNode(core.state, parent, existingName(parent, text));
      if (node.kind !== 'dir') throw new VfsError('ENOTDIR', `"${text}" is no directory`, context);
      return node.ino;
    };
    return core.whenListed([parent], request, () =>
      core.whenListed([find()], request, () => {
        const ino = find();
        if (core.state.hasLocalChildren(ino))
          throw new VfsError('ENOTEMPTY', `"${text}" is not empty`, context);
        return this.#remove(parent, ino, request);
      }),
    );
  }

  #remove(parent: Ino, ino: Ino, request: VfsRequest | undefined): MaybePromise<void> {
    const core = this.#core;
    const now = core.clock.nowNs();
    const loose = core.state.transact((tx) => {
      const node = tx.get(ino);
      if (node === undefined) return [];
      const left = detach(tx, node, now);
      touchDirectory(tx, parent, now);
      markDone(tx, request, ino);
      return left;
    });
    core.reap(...loose);
    return core.settle(ino, request, () => undefined);
  }

  /** What a request made that is asked again, if it did; undefined: it is still to be made. */
  #madeBefore(
    parent: Ino,
    text: string,
    request: VfsRequest | undefined,
  ): MaybePromise<Attributes> | undefined {
    const { state } = this.#core;
    const made = this.#core.doneBefore(request);
    if (made === undefined || state.get(made) === undefined) return undefined;
    const name = lookupName(parent, text);
    const node = name === undefined ? undefined : state.localChild(parent, name);
    return this.#core.settle(node ?? made, request, () => this.#entry(made));
  }

  /** As {@link #madeBefore}, with the handle; where that was not opened yet, it is now. */
  #createdBefore(
    mode: OpenMode,
    request: VfsRequest | undefined,
  ): MaybePromise<{ readonly attributes: Attributes; readonly fh: Fh }> | undefined {
    const { handles, state } = this.#core;
    const made = this.#core.doneBefore(request);
    const opened = request?.resent === true ? handles.openedBy(request.unique) : undefined;
    if (opened !== undefined) {
      const fh = made === undefined ? this.#files.openedBefore(mode, request) : opened.fh;
      return fh && after(fh, () => ({ attributes: this.#entry(opened.ino), fh: opened.fh }));
    }
    if (made === undefined || state.get(made)?.kind !== 'file') return undefined;
    const fh = this.#files.openMade(made, mode, request);
    return { attributes: this.#entry(made), fh };
  }

  /** Answers the kernel with an inode: one more reference to it. */
  #entry(ino: Ino): Attributes {
    const attributes = attributesOf(this.#core, this.#core.inode(ino));
    this.#core.inodes.reference(ino);
    return attributes;
  }

  /** EEXIST when the name is taken. */
  #freeName(parent: Ino, text: string): Name {
    const name = newName(parent, text);
    if (this.#core.state.localChild(parent, name) !== undefined) {
      throw new VfsError('EEXIST', `"${name}" exists`, { ino: parent, name });
    }
    return name;
  }

  /** The parent as the transaction sees it: it may have been removed while a listing was awaited. */
  #parentIn(tx: StateTransaction, parent: Ino): DirRecord {
    const record = tx.get(parent);
    if (record?.kind !== 'dir' || record.local === undefined) {
      throw new VfsError('ENOENT', `directory ${parent} was removed`, { ino: parent });
    }
    return record;
  }

  #newNode(ino: Ino, directory: DirRecord, name: Name, mode: number, caller: Caller) {
    const now: Ns = this.#core.clock.nowNs();
    return {
      ino,
      local: { parent: directory.ino, name },
      base: undefined,
      remote: undefined,
      mode: mode & 0o7777,
      uid: caller.uid,
      // mkdir(2), "set-group-ID bit": what is made in such a directory belongs to the directory's group.
      gid: (directory.mode & SET_GID) === 0 ? caller.gid : directory.gid,
      atime: now,
      mtime: now,
      ctime: now,
    };
  }

  /** An empty file; its body is in use by the caller. `writing`: it will be written and closed. */
  #newFile(
    parent: Ino,
    name: Name,
    { mode, caller, writing }: { readonly mode: number; readonly caller: Caller; readonly writing: boolean },
    request: VfsRequest | undefined,
  ): Body {
    const { state, content, sync } = this.#core;
    let made: Body | undefined;
    try {
      const body = state.transact((tx) => {
        const directory = this.#parentIn(tx, parent);
        const ino = tx.allocate();
        // Before the commit: a record never promises bytes that are not on the disk.
        made = content.createStaged(ino);
        const node = this.#newNode(ino, directory, name, mode, caller);
        const record: FileRecord = {
          kind: 'file',
          ...node,
          size: 0,
          gen: 1,
          content: 'staged',
          writing,
          interrupted: false,
          attempt: undefined,
          aliases: [],
        };
        tx.put(record);
        touchDirectory(tx, parent, node.mtime);
        markDone(tx, request, ino);
        return made;
      });
      if (writing) sync.created(body.ino);
      return body;
    } catch (error) {
      if (made !== undefined) {
        content.release(made.ino);
        content.discard(made.ino);
      }
      throw error;
    }
  }
}
