/**
 * Open files: reading, writing, and telling the layer below when a file's new content is whole. Size and times of a
 * file that is being written are kept in memory and committed when a handle is flushed; after a crash they are taken
 * from the backing file.
 */

import { after, type Ino, type MaybePromise } from '../base/index.js';
import type { Body } from '../content/index.js';
import { isRemoteError } from '../remote/index.js';
import type { FileRecord } from '../state/index.js';
import { acquireBody } from './adoption.js';
import type { Backed } from './backed.js';
import { RangeCopies } from './copy-range.js';
import { latest, SET_GID, SET_UID, type VfsCore, withoutPrivileges } from './core.js';
import { VfsError } from './errors.js';
import type { Fh } from './fh.js';
import type { FileHandle } from './handle-table.js';
import { MAX_FILE_BYTES } from './limits.js';
import type { VfsRequest } from './request.js';

/** How a file is opened; whatever else open(2) knows is the kernel's. */
export interface OpenMode {
  readonly writable: boolean;
  /** Every write goes to the end. */
  readonly append: boolean;
  readonly truncate: boolean;
  /** The caller may not keep the set-id bits of a file that it truncates. */
  readonly killPrivileges?: boolean;
}

export interface WriteOptions {
  /** Written back from the kernel's page cache: the position is meant, also in a file opened for appending. */
  readonly fromPageCache?: boolean;
  /** The caller may not keep the file's set-id bits. */
  readonly killPrivileges?: boolean;
}

/** Rounds of waiting for a file to become writable before giving up: each one is a race lost to an upload. */
const MAX_BEGIN_ROUNDS = 16;

export class Files {
  readonly #core: VfsCore;
  readonly #copies: RangeCopies;

  constructor(core: VfsCore) {
    this.#core = core;
    this.#copies = new RangeCopies(core, {
      present: (ino, body, start, end, request) => this.#present(ino, body, start, end, request),
      changing: (handle, request, change) => this.#changing(handle, handle.body.size, request, change),
      touched: (handle) => this.#touched(handle),
    });
  }

  /**
   * Opens a file; the handle keeps its bytes until {@link release}. Where the directory is stale and the server
   * answers, its version is asked for first: ESTALE then means that it has another one, and to look the name up again.
   * EISDIR, ELOOP (a symbolic link), EROFS.
   */
  open(ino: Ino, mode: OpenMode, request?: VfsRequest): MaybePromise<Fh> {
    const before = this.openedBefore(mode, request);
    if (before !== undefined) return before;
    const record = this.#file(ino);
    if (mode.writable || mode.truncate) this.#core.assertWritable(ino);
    const pending = this.#core.sync.fresh(ino, request, !mode.truncate);
    if (pending === undefined) return this.#openNow(record, mode, request);
    return pending.then(() => {
      const current = this.#file(ino);
      // The kernel looks the name up again and so learns the new inode, or the new size, before it opens once more.
      if ((record.local !== undefined && current.local === undefined) || !sameVersion(record, current)) {
        throw new VfsError('ESTALE', `the server has another version than was known of ${ino}`, { ino });
      }
      return this.#openNow(current, mode, request);
    });
  }

  /** Opens a file that was just made, whose body the caller has in use and gives to the handle. */
  openCreated(body: Body, mode: OpenMode, request?: VfsRequest): Fh {
    const handle = this.#attach(body, mode, request, this.#core.backing.chooseNew(body, mode, request));
    // The name itself is what the close has to carry away, even when nothing is written.
    if (mode.writable) this.#markWritten(handle);
    return handle.fh;
  }

  /** The handle that an earlier process opened for this very request, when it is asked again. */
  openedBefore(mode: OpenMode, request: VfsRequest | undefined): MaybePromise<Fh> | undefined {
    const handle = request?.resent === true ? this.#core.handles.openedBy(request.unique) : undefined;
    // It may have died before it truncated; doing that twice is the same as doing it later.
    return handle?.kind === 'file' ? this.#truncated(handle, mode, request) : undefined;
  }

  /** A file that a request made, which an earlier process died before it could open. */
  openMade(ino: Ino, mode: OpenMode, request: VfsRequest | undefined): Fh {
    const body = acquireBody(this.#core, this.#file(ino));
    const handle = this.#attach(body, mode, request, this.#core.inodes.backed(ino));
    if (mode.writable) this.#markWritten(handle);
    return handle.fh;
  }

  /**
   * pread(2) into `target` from its `offset` on; returns the bytes read, short only at the end of the file. Waits for
   * bytes that are not here. EIO when the server no longer has the version that is open: two are never mixed.
   */
  read(
    fh: Fh,
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
    request?: VfsRequest,
  ): MaybePromise<number> {
    const { body, ino } = this.#core.handles.file(fh);
    const end = Math.min(position + length, body.size);
    if (position >= end) return 0;
    const pending = this.#present(ino, body, position, end, request);
    if (pending === undefined) return body.readSync(target, offset, end - position, position);
    return pending.then(() => body.readSync(target, offset, end - position, position));
  }

  /** pwrite(2); returns the bytes written. Waits where the file must be whole first. EBADF, EFBIG; the disk's errors. */
  write(
    fh: Fh,
    data: Uint8Array,
    position: number,
    options: WriteOptions = {},
    request?: VfsRequest,
  ): MaybePromise<number> {
    const handle = this.#writable(fh);
    return this.#changing(handle, handle.body.size, request, () => {
      // The end is where it is at the time of the write, not of the call.
      const at =
        handle.append && options.fromPageCache !== true
          ? appendAt(handle, data, position, request)
          : position;
      assertSize(handle.ino, at + data.length);
      const written = handle.body.writeSync(data, at);
      this.#changed(handle);
      if (options.killPrivileges === true) this.#killPrivileges(handle.ino);
      return written;
    });
  }

  /** fallocate(2) with its mode bits, as the disk of the cache can do it. EOPNOTSUPP, EFBIG, ENOSPC. */
  fallocate(fh: Fh, mode: number, offset: number, length: number, request?: VfsRequest): MaybePromise<void> {
    const handle = this.#writable(fh);
    if (length <= 0 || offset < 0) throw new VfsError('EINVAL', 'empty range', { ino: handle.ino });
    assertSize(handle.ino, offset + length);
    return this.#changing(handle, handle.body.size, request, () => {
      handle.body.fallocateSync(mode, offset, length);
      this.#changed(handle);
    });
  }

  /** lseek(2) with SEEK_DATA or SEEK_HOLE; ENXIO beyond the last byte or the last data. */
  seek(fh: Fh, offset: number, whence: 'data' | 'hole'): number {
    const { body, ino } = this.#core.handles.file(fh);
    const found = offset >= body.size ? -1 : body.seekDataHole(offset, whence);
    if (found < 0) throw new VfsError('ENXIO', `no ${whence} at or behind ${offset}`, { ino });
    return found;
  }

  /**
   * ftruncate(2) or truncate(2): with `fh` of a file open for writing on it, else on its own. Growing adds zeros.
   * EISDIR, EINVAL, EFBIG.
   */
  resize(ino: Ino, size: number, fh: Fh | undefined, request?: VfsRequest): MaybePromise<void> {
    const record = this.#file(ino, 'EINVAL');
    assertSize(ino, size);
    const handle = fh === undefined ? undefined : this.#core.handles.file(fh);
    if (handle?.writable === true && handle.ino === ino) return this.#truncate(handle, size, request);
    if (this.#knownSize(record) === size) return this.#markModified(ino);
    return after(this.open(ino, { writable: true, append: false, truncate: false }, request), (own) =>
      finallyDo(
        () => this.#truncate(this.#core.handles.file(own), size, request),
        () => this.release(own),
      ),
    );
  }

  /**
   * The program closed one of its descriptors: what was written so far is whole and may go to the server. A later
   * write through the same handle (dup(2), fork(2)) holds it back again until the next close.
   */
  flush(fh: Fh, request?: VfsRequest): MaybePromise<void> {
    const handle = this.#core.handles.file(fh);
    this.#observe(handle);
    if (!handle.wrote) return undefined;
    if (!this.#finishWriting(handle)) return undefined;
    // Someone else is in the middle of it: the server gets the file when they are done.
    if (this.#core.inodes.isOpenForWriting(handle.ino)) return undefined;
    return this.#core.settle(handle.ino, request, () => undefined);
  }

  /** The bytes and the record are on the disk when it resolves; the server follows, from a copy if it stays open. */
  async fsync(fh: Fh): Promise<void> {
    const { inodes, state, sync, backing } = this.#core;
    const handle = this.#core.handles.file(fh);
    const { body, ino } = handle;
    this.#observe(handle);
    if (body.kind === 'staged') await body.sync();
    this.commitLive(ino);
    await state.durable();
    if (inodes.isOpenForWriting(ino) && !backing.isUntouched(ino)) sync.fsynced(ino);
  }

  /** The kernel has let go of the handle. Of one that is not open, nothing: a release that is asked again may have been done. */
  release(fh: Fh): void {
    const { handles, inodes, content, sync, backing } = this.#core;
    if (handles.get(fh) === undefined) return;
    const handle = handles.file(fh);
    // Pages of a mapping may have been written after the close.
    this.#observe(handle);
    if (handle.wrote) this.#finishWriting(handle);
    const untouched = backing.wasUntouched(handle.ino);
    const backed = inodes.backed(handle.ino);
    const last = inodes.closed(handle.ino, handle.writable);
    content.release(handle.ino);
    if (handle.writable && !inodes.hasWritableHandle(handle.ino)) {
      if (untouched) sync.unwritten(handle.ino);
      else sync.writersGone(handle.ino);
    }
    if (last && backed !== undefined) backing.close(backed);
    backing.forget(fh);
    // Until here the next process would do it again.
    handles.remove(fh);
    if (last) sync.unused(handle.ino);
  }

  /**
   * copy_file_range(2): copies within the daemon and returns the bytes copied, which may be fewer than asked for, 0 at
   * the end of the source. EBADF, EFBIG.
   */
  copyRange(
    from: { readonly fh: Fh; readonly position: number },
    to: { readonly fh: Fh; readonly position: number },
    length: number,
    request?: VfsRequest,
  ): MaybePromise<number> {
    const source = { handle: this.#core.handles.file(from.fh), position: from.position };
    const target = { handle: this.#writable(to.fh), position: to.position };
    const left = Math.max(0, source.handle.body.size - from.position);
    assertSize(target.handle.ino, to.position + Math.min(length, left));
    return this.#copies.run(source, target, length, request);
  }

  /** Brings the record of a file that is being written up to date; nothing to do for any other. */
  commitLive(ino: Ino): void {
    if (this.#core.live(ino) !== undefined) this.#commit(ino, this.#core.inodes.isOpenForWriting(ino));
  }

  /** Brings the records of all files that are being written up to date. */
  commitAllLive(): void {
    const { inodes } = this.#core;
    for (const ino of new Set([...inodes.liveInodes(), ...inodes.backedWriters()])) this.commitLive(ino);
  }

  /** syncfs(2) of everything that is on this machine. */
  async syncAll(): Promise<void> {
    this.commitAllLive();
    await this.#core.content.syncAll();
    await this.#core.state.durable();
  }

  #openNow(record: FileRecord, mode: OpenMode, request: VfsRequest | undefined): MaybePromise<Fh> {
    const body = acquireBody(this.#core, record);
    const handle = onFailure(
      () => this.#openBody(body, mode, request),
      () => this.#core.content.release(body.ino),
    );
    return after(handle, (opened) => this.#truncated(opened, mode, request));
  }

  #openBody(body: Body, mode: OpenMode, request: VfsRequest | undefined): MaybePromise<FileHandle> {
    const { backing } = this.#core;
    const pending = backing.whenWritable(body.ino, mode, request);
    // Who had it open before may be gone by then.
    if (pending !== undefined) return pending.then(() => this.#openBody(body, mode, request));
    const backed = backing.choose(body, mode, request);
    const handle = this.#attach(body, mode, request, backed);
    if (!mode.writable && !body.isComplete) backing.openedCold(handle.fh, request);
    // Any of them may be the one that the kernel writes through.
    if (backed !== undefined && mode.writable) this.#markWritten(handle);
    return handle;
  }

  #truncated(handle: FileHandle, mode: OpenMode, request: VfsRequest | undefined): MaybePromise<Fh> {
    if (!mode.truncate || (handle.body.size === 0 && this.#knownSize(this.#file(handle.ino)) === 0))
      return handle.fh;
    return onFailure(
      () =>
        after(this.#truncate(handle, 0, request), () => {
          if (mode.killPrivileges === true) this.#killPrivileges(handle.ino);
          return handle.fh;
        }),
      () => this.release(handle.fh),
    );
  }

  #attach(
    body: Body,
    mode: OpenMode,
    request: VfsRequest | undefined,
    backed: Backed | undefined,
  ): FileHandle {
    const { ino } = body;
    const { writable, append } = mode;
    const unique = request?.unique;
    const handle = this.#core.handles.addFile({ ino, writable, append, unique, body, backing: backed?.id });
    this.#core.inodes.opened(ino, writable, backed);
    return handle;
  }

  /** What the kernel wrote by itself was written through this handle, or another that may write. */
  #observe(handle: FileHandle): void {
    if (handle.backing !== undefined && handle.writable && this.#core.backing.observe(handle.ino))
      this.#markWritten(handle);
  }

  /** The size that stat(2) tells. */
  #knownSize(record: FileRecord): number {
    return this.#core.live(record.ino)?.size ?? record.size;
  }

  #present(
    ino: Ino,
    body: Body,
    start: number,
    end: number,
    request: VfsRequest | undefined,
  ): Promise<void> | undefined {
    if (body.kind === 'staged' || body.isComplete) return undefined;
    return this.#core.sync.present(ino, start, end, request)?.then(
      () => {
        // The file may have been written or cut meanwhile; what it has then is what is read.
        if (body.kind === 'clean' && !body.has(start, end)) {
          throw new VfsError('EIO', `bytes ${start}-${end} did not arrive`, { ino });
        }
      },
      (cause: unknown) => {
        if (!isRemoteError(cause, 'changed', 'not-found')) throw cause;
        throw new VfsError('EIO', 'the server no longer has the version that is open', { ino, cause });
      },
    );
  }

  /** Runs `change` when the body is staged, holds its first `keepBytes`, and no upload reads it. */
  #changing<T>(
    handle: FileHandle,
    keepBytes: number,
    request: VfsRequest | undefined,
    change: () => T,
    round = 0,
  ): MaybePromise<T> {
    const pending = this.#core.sync.beginWrite(handle.ino, keepBytes, request);
    if (pending === undefined) return change();
    if (round === MAX_BEGIN_ROUNDS) throw new VfsError('EBUSY', 'uploads do not let go of it', handle);
    // Another upload may have begun between the end of the wait and now.
    return pending.then(() => this.#changing(handle, keepBytes, request, change, round + 1));
  }

  #truncate(handle: FileHandle, size: number, request: VfsRequest | undefined): MaybePromise<void> {
    if (handle.body.size === size && this.#knownSize(this.#file(handle.ino)) === size)
      return this.#markModified(handle.ino);
    return this.#changing(handle, Math.min(size, handle.body.size), request, () => {
      handle.body.truncateSync(size);
      this.#changed(handle);
    });
  }

  /** A truncation to the size that the file has: the times of it, and nothing for the server. */
  #markModified(ino: Ino): void {
    this.commitLive(ino);
    const now = this.#core.clock.nowNs();
    this.#core.state.transact((tx) => tx.put({ ...this.#file(ino), mtime: now, ctime: now }));
  }

  #changed(handle: FileHandle): void {
    this.#copies.forget(handle.ino);
    this.#touched(handle);
  }

  #touched(handle: FileHandle): void {
    const { inodes, backing, clock } = this.#core;
    if (handle.backing === undefined) {
      const now = clock.nowNs();
      inodes.setLive(handle.ino, { size: handle.body.size, mtime: now, ctime: now });
    } else backing.observe(handle.ino);
    this.#markWritten(handle);
  }

  #markWritten(handle: FileHandle): void {
    if (handle.wrote) return;
    handle.wrote = true;
    this.#core.inodes.beganWriting(handle.ino);
  }

  /** What was {@link #observe}d of the handle is whole. False where nothing was written, though the kernel might have. */
  #finishWriting(handle: FileHandle): boolean {
    const { inodes, backing } = this.#core;
    handle.wrote = false;
    inodes.flushed(handle.ino);
    if (backing.wasUntouched(handle.ino)) return false;
    this.#commit(handle.ino, inodes.isOpenForWriting(handle.ino));
    return true;
  }

  #commit(ino: Ino, stillOpen: boolean): void {
    const { inodes, sync } = this.#core;
    const record = this.#file(ino);
    const live = inodes.live(ino);
    inodes.setLive(ino, undefined);
    const { size, mtime } = live ?? record;
    const copyOf = stillOpen ? undefined : this.#copies.finished(ino);
    sync.commitWrite(ino, { size, mtime, ctime: latest(live?.ctime, record.ctime), copyOf }, stillOpen);
  }

  #killPrivileges(ino: Ino): void {
    const record = this.#file(ino);
    if ((record.mode & (SET_UID | SET_GID)) === 0) return;
    this.#core.state.transact((tx) => tx.put({ ...record, mode: withoutPrivileges(record.mode) }));
  }

  /** `otherwise`: what a symbolic link answers. */
  #file(ino: Ino, otherwise: 'ELOOP' | 'EINVAL' = 'ELOOP'): FileRecord {
    const record = this.#core.inode(ino);
    if (record.kind === 'file') return record;
    throw new VfsError(record.kind === 'dir' ? 'EISDIR' : otherwise, `inode ${ino} is a ${record.kind}`, {
      ino,
    });
  }

  #writable(fh: Fh): FileHandle {
    const handle = this.#core.handles.file(fh);
    if (!handle.writable)
      throw new VfsError('EBADF', `handle ${fh} is not open for writing`, { ino: handle.ino });
    return handle;
  }
}

/**
 * Where an append goes: to the end of that moment. One that is asked again goes where it went, or would have gone: the
 * kernel told the end that it knew, and lets nobody else make the file longer until it is answered.
 */
function appendAt(
  { body }: FileHandle,
  data: Uint8Array,
  position: number,
  request: VfsRequest | undefined,
): number {
  const { size } = body;
  const mayBeDone = request?.resent === true && position <= size && size <= position + data.length;
  return mayBeDone ? position : size;
}

/**
 * Whether a file's content is what it was, but for what programs here made of it: what they wrote is no news of the server,
 * nor is that it got there, or the tag that it was given there.
 */
function sameVersion(before: FileRecord, after: FileRecord): boolean {
  if (before.content === 'staged' || before.gen !== after.gen) return true;
  if (before.base?.size !== after.base?.size) return false;
  return (
    before.base?.etag === after.base?.etag ||
    (before.base?.etag === undefined && before.mtime === after.mtime)
  );
}

function assertSize(ino: Ino, size: number): void {
  if (size > MAX_FILE_BYTES)
    throw new VfsError('EFBIG', `a file has at most ${MAX_FILE_BYTES} bytes`, { ino });
}

/** Runs `work`, then `cleanUp` in any case. */
function finallyDo<T>(work: () => MaybePromise<T>, cleanUp: () => void): MaybePromise<T> {
  return after(onFailure(work, cleanUp), (value) => {
    cleanUp();
    return value;
  });
}

/** Runs `work`, and `cleanUp` only when it fails. */
function onFailure<T>(work: () => MaybePromise<T>, cleanUp: () => void): MaybePromise<T> {
  const failed = (error: unknown): never => {
    cleanUp();
    throw error;
  };
  try {
    const value = work();
    return value instanceof Promise ? value.catch(failed) : value;
  } catch (error) {
    return failed(error);
  }
}
