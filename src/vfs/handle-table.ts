/**
 * Open files and directories by handle number. It owns no resource: who adds a handle releases what it holds. Each
 * handle is written down, so that a process that takes over the mount has it again.
 *
 * INVARIANT: the handles of an inode are as many as the inode table counts, as are the unflushed ones.
 */

import type { Ino, Name } from '../base/index.js';
import type { Body } from '../content/index.js';
import type { BackingId } from './backed.js';
import { VfsError } from './errors.js';
import type { Fh } from './fh.js';
import { type HandleLog, type LoggedHandle, NO_HANDLE_LOG } from './handle-log.js';
import type { InodeTable } from './inode-table.js';

export interface FileHandle {
  readonly kind: 'file';
  readonly fh: Fh;
  readonly ino: Ino;
  readonly writable: boolean;
  readonly append: boolean;
  /** The request that opened it. */
  readonly unique: number | undefined;
  /** In use until the handle is released. */
  readonly body: Body;
  /** Where the kernel reads and writes the body's file by itself; undefined: this process does. */
  readonly backing: BackingId | undefined;
  /** Whether it changed the file since it was last flushed. */
  wrote: boolean;
}

export interface DirHandle {
  readonly kind: 'dir';
  readonly fh: Fh;
  readonly ino: Ino;
  readonly unique: number | undefined;
  /** The names read so far; their index is the cookie that a reader may come back to. */
  names: Name[];
  /** Whether `names` reaches to the directory's end. */
  exhausted: boolean;
}

export type Handle = FileHandle | DirHandle;

export class HandleTable {
  readonly #handles = new Map<Fh, Handle>();
  readonly #log: HandleLog;
  /** Handles of an earlier process, by the request that opened them. */
  readonly #earlier = new Map<number, Fh>();
  #last: number;

  constructor(log: HandleLog = NO_HANDLE_LOG) {
    this.#log = log;
    this.#last = log.lastFh;
  }

  addFile(fields: Omit<FileHandle, 'kind' | 'fh' | 'wrote'>): FileHandle {
    const handle: FileHandle = { kind: 'file', fh: this.#next(), ...fields, wrote: false };
    this.#add(handle);
    return handle;
  }

  addDirectory(ino: Ino, unique: number | undefined): DirHandle {
    const fh = this.#next();
    const handle: DirHandle = { kind: 'dir', fh, ino, unique, names: [], exhausted: false };
    this.#add(handle);
    return handle;
  }

  /** What an earlier process had open. */
  get earlier(): readonly LoggedHandle[] {
    return this.#log.found;
  }

  /** Takes in a handle that an earlier process opened. */
  restore(handle: Handle): void {
    this.#handles.set(handle.fh, handle);
    if (handle.unique !== undefined) this.#earlier.set(handle.unique, handle.fh);
  }

  /** The handle that an earlier process opened for this request and may not have answered with. */
  openedBy(unique: number | undefined): Handle | undefined {
    const fh = unique === undefined ? undefined : this.#earlier.get(unique);
    return fh === undefined ? undefined : this.#handles.get(fh);
  }

  /** Writes down the names of a directory's reader from `index` on; before any of them is answered. */
  noteNames(handle: DirHandle, index: number): void {
    this.#log.named(handle.fh, index, index === 0 ? handle.names : handle.names.slice(index));
    this.#tidy();
  }

  /** Undefined for a number that is not open. */
  get(fh: Fh): Handle | undefined {
    return this.#handles.get(fh);
  }

  /** Throws EBADF for a number that is no open file. */
  file(fh: Fh): FileHandle {
    const handle = this.#handles.get(fh);
    if (handle?.kind !== 'file') throw new VfsError('EBADF', `handle ${fh} is not an open file`);
    return handle;
  }

  /** Throws EBADF for a number that is no open directory. */
  directory(fh: Fh): DirHandle {
    const handle = this.#handles.get(fh);
    if (handle?.kind !== 'dir') throw new VfsError('EBADF', `handle ${fh} is not an open directory`);
    return handle;
  }

  remove(fh: Fh): void {
    const unique = this.#handles.get(fh)?.unique;
    if (unique !== undefined && this.#earlier.size > 0) this.#earlier.delete(unique);
    this.#handles.delete(fh);
    this.#log.closed(fh);
    this.#tidy();
  }

  /** An earlier process's handle cannot be opened again. */
  drop(fh: Fh): void {
    this.#log.closed(fh);
  }

  /** What is open stays written down for the next process, whatever is closed here from now on. */
  handOver(): void {
    this.#log.close();
  }

  [Symbol.iterator](): IterableIterator<Handle> {
    return this.#handles.values();
  }

  get size(): number {
    return this.#handles.size;
  }

  /** Throws with the first broken invariant. */
  checkInvariants(inodes: InodeTable): void {
    const counted = new Map<Ino, { handles: number; unflushed: number }>();
    for (const handle of this.#handles.values()) {
      const count = counted.get(handle.ino) ?? { handles: 0, unflushed: 0 };
      count.handles += 1;
      if (handle.kind === 'file') {
        if (handle.wrote) count.unflushed += 1;
        if (handle.body.ino !== handle.ino)
          throw new Error(`handle ${handle.fh}: body of inode ${handle.body.ino}`);
      }
      counted.set(handle.ino, count);
    }
    for (const ino of inodes.openInodes) {
      if (!counted.has(ino)) throw new Error(`inode ${ino} counts handles that do not exist`);
    }
    for (const [ino, count] of counted) {
      const kept = inodes.openCounts(ino);
      if (kept.handles !== count.handles || kept.unflushed !== count.unflushed) {
        throw new Error(`inode ${ino}: counted ${JSON.stringify(count)}, kept ${JSON.stringify(kept)}`);
      }
    }
  }

  #add(handle: Handle): void {
    this.#handles.set(handle.fh, handle);
    this.#log.opened(handle);
    this.#tidy();
  }

  #tidy(): void {
    if (this.#log.isWasteful) this.#log.rewrite(this.#last, this.#handles.values());
  }

  #next(): Fh {
    this.#last += 1;
    return this.#last as Fh;
  }
}
