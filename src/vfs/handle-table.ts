/**
 * Open files and directories by handle number. It owns no resource: who adds a handle releases what it holds.
 *
 * INVARIANT: the handles of an inode are as many as the inode table counts, as are the unflushed ones.
 */

import type { Branded, Ino, Name } from '../base/index.js';
import type { Body } from '../content/index.js';
import { VfsError } from './errors.js';
import type { InodeTable } from './inode-table.js';

/** A handle number, never reused within one mount. */
export type Fh = Branded<number, 'Fh'>;

export interface FileHandle {
  readonly kind: 'file';
  readonly fh: Fh;
  readonly ino: Ino;
  readonly writable: boolean;
  readonly append: boolean;
  /** In use until the handle is released. */
  readonly body: Body;
  /** Whether it changed the file since it was last flushed. */
  wrote: boolean;
}

export interface DirHandle {
  readonly kind: 'dir';
  readonly fh: Fh;
  readonly ino: Ino;
  /** The names read so far; their index is the cookie that a reader may come back to. */
  names: Name[];
  /** Whether `names` reaches to the directory's end. */
  exhausted: boolean;
}

export type Handle = FileHandle | DirHandle;

export class HandleTable {
  readonly #handles = new Map<Fh, Handle>();
  #last = 0;

  addFile(fields: Pick<FileHandle, 'ino' | 'writable' | 'append' | 'body'>): FileHandle {
    const handle: FileHandle = { kind: 'file', fh: this.#next(), wrote: false, ...fields };
    this.#handles.set(handle.fh, handle);
    return handle;
  }

  addDirectory(ino: Ino): DirHandle {
    const handle: DirHandle = { kind: 'dir', fh: this.#next(), ino, names: [], exhausted: false };
    this.#handles.set(handle.fh, handle);
    return handle;
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
    this.#handles.delete(fh);
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

  #next(): Fh {
    this.#last += 1;
    return this.#last as Fh;
  }
}
