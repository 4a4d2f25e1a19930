/**
 * The interface to file bodies on disk: one backing file per inode, clean copies (which may be evicted) apart from
 * staged content (which may not). It knows inode numbers, ranges and bytes; nothing of names or servers.
 */

import type { GatedFile, Ino } from '../base/index.js';
import type { ETag } from '../remote/index.js';
import type { VerifyOptions, VerifyReport } from './verify.js';

/**
 * The bytes of one file, open on disk. One object per inode while anyone uses it. Clean bodies hold (a part of) one
 * server version; staged ones are whole and writable.
 */
export interface Body {
  readonly ino: Ino;
  readonly kind: 'clean' | 'staged';
  /** Bytes: of the version (clean), or of the backing file (staged). */
  readonly size: number;
  /** The version that a clean body holds. */
  readonly etag: ETag | undefined;
  /** Whether every byte of [start, end) is here; `end` is clamped to the size. */
  has(start: number, end: number): boolean;
  /** The first range within [start, end) that is missing, or undefined. */
  firstGap(start: number, end: number): { readonly start: number; readonly end: number } | undefined;
  readonly isComplete: boolean;
  /** Bytes present. */
  readonly presentBytes: number;
  /** pread(2) into `target` at `offset`; returns the bytes read, short only at the end. Throws ErrnoException. */
  readSync(target: Uint8Array, offset: number, length: number, position: number): number;
  /** Clean only: stores bytes of the version that came from the server and marks them present. */
  fill(position: number, data: Uint8Array): void;
  /** Clean only: lets another thread store bytes of the version; undefined where there is no file to write into. */
  beginFilling(): Filling | undefined;
  /** Staged only: pwrite(2). */
  writeSync(data: Uint8Array, position: number): number;
  /** Staged only: ftruncate(2). */
  truncateSync(size: number): void;
  /** Staged only: fallocate(2) with its mode bits; throws ErrnoException. */
  fallocateSync(mode: number, offset: number, length: number): void;
  /** Staged: lseek(2) with SEEK_DATA or SEEK_HOLE on the backing file; -1 for ENXIO. Clean: the whole file is data. */
  seekDataHole(offset: number, whence: 'data' | 'hole'): number;
  /** fdatasync(2) of the backing file. */
  sync(): Promise<void>;
  /** The backing file's own mtime and size, and the mark that it has in place of a time. */
  statSync(): BodyStat;
  /**
   * Staged only: sets a mark that goes with the next write to the file, whoever makes it: another process, the kernel, a
   * mapping. For pages that are mapped and were written already, {@link sync} has to follow.
   */
  setMark(mark: Mark): void;
  /** A descriptor that is valid until the body is closed (passthrough, copy_file_range, upload). */
  readonly fd: number;
}

/** When a mark was set: as the file was opened for writing, or as a copy of it was begun. */
export type Mark = 'opened' | 'copied';

export interface BodyStat {
  /** Bytes. */
  readonly size: number;
  /** Of the last change; that of the mark where there is one. */
  readonly mtimeNs: bigint;
  readonly mark: Mark | undefined;
}

/**
 * Leave for another thread to write bytes of the version into the body's file. The body takes it back, for good, before
 * it is staged, emptied, or given back by its last user.
 */
export interface Filling {
  readonly file: GatedFile;
  /** The bytes of [start, end) are in the file. Does nothing once the leave was taken back. */
  filled(start: number, end: number): void;
  /** Gives the leave back. */
  end(): void;
}

export interface ContentStore {
  /** The body in use, if there is one in memory. */
  peek(ino: Ino): Body | undefined;
  /**
   * Takes a use of the clean body of this version; makes an empty one where there is none. A body of another version
   * must not be in use then.
   */
  acquireClean(ino: Ino, version: { readonly etag: ETag | undefined; readonly size: number }): Body;
  /** The version that the clean body on disk holds, in use or not; undefined where there is none. */
  cleanVersion(ino: Ino): { readonly etag: ETag | undefined; readonly size: number } | undefined;
  /** Takes a use of the staged body; throws `ContentError` 'lost' when the backing file is not there. */
  acquireStaged(ino: Ino): Body;
  /** Makes an empty staged body (for a new or truncated file) and takes a use of it. Replaces a clean body in place. */
  createStaged(ino: Ino): Body;
  /** Gives a use back; at zero the descriptor may be closed. */
  release(ino: Ino): void;
  /**
   * Turns the complete clean body in use into a staged one, in place (the same object, the same descriptor). The
   * caller commits the node's `staged` before the first write.
   */
  toStaged(ino: Ino): void;
  /**
   * Turns the staged body in use, which must be empty, into a clean one of this version of which nothing is here yet, in
   * place. The node says so already.
   */
  emptyToClean(ino: Ino, version: { readonly etag: ETag; readonly size: number }): void;
  /**
   * Copies bytes that are here into a staged body, without their passing through this process; both are in use. Returns
   * the bytes copied, fewer at the end of the source; undefined where the disk cannot.
   */
  copyBytes(
    from: { readonly ino: Ino; readonly position: number },
    to: { readonly ino: Ino; readonly position: number },
    length: number,
  ): Promise<number | undefined>;
  /** Turns the staged body into a clean complete one of `etag`, after the server confirmed it and the node says so. */
  toClean(ino: Ino, etag: ETag | undefined): void;
  /** The clean body on disk, in use or not, holds the version that is known by this tag from now on. */
  retag(ino: Ino, etag: ETag): void;
  /**
   * Of a file that is not in use: where someone else still has its backing file open for writing, such as a program on a
   * mount that was detached, the file gets another backing file of the same bytes.
   */
  separate(ino: Ino): void;
  /** A frozen copy of the staged body for uploading while the file stays open (reflink where the disk can, else a copy). */
  snapshot(ino: Ino): Promise<Snapshot>;
  /** Deletes a clean body, or one whose node is gone. The object in use, if any, goes on until its last use is given back. */
  discard(ino: Ino): void;
  /** Evicts clean bodies not in use until the limits hold; returns bytes freed. */
  evict(): Promise<number>;
  /** Evicts until so many bytes more fit within the limits; false where they do not fit even so. */
  makeRoom(bytes: number): Promise<boolean>;
  /** Files that are never evicted are those of which `isKept` says so; asked each time. */
  keep(isKept: (ino: Ino) => boolean): void;
  /** Deletes the clean body of a file, kept or not; returns the bytes freed, 0 where it is in use or there is none. */
  evictFile(ino: Ino): number;
  /** Clean bodies, in use or not, each as of the moment when it is come to. */
  cleanFiles(): Iterable<Ino>;
  /** Staged bodies, in use or not. */
  stagedFiles(): readonly Ino[];
  /** Bytes of this version that are here, whether in use or not; 0 where another version is. */
  presentBytes(ino: Ino, version: { readonly etag: ETag | undefined; readonly size: number }): number;
  /** Reads every body that is not in use; see {@link VerifyReport}. Rejects with the signal's reason. */
  verify(options?: VerifyOptions): Promise<VerifyReport>;
  /** Bytes on disk, clean and staged. */
  stats(): {
    readonly cleanBytes: number;
    readonly stagedBytes: number;
    readonly cleanFiles: number;
    readonly stagedFiles: number;
  };
  /** Writes back what is known of presence, and makes staged files durable. */
  syncAll(): Promise<void>;
  close(): Promise<void>;
}

export interface Snapshot {
  readonly size: number;
  readonly fd: number;
  /** pread(2), as {@link Body.readSync}. */
  readSync(target: Uint8Array, offset: number, length: number, position: number): number;
  close(): void;
}
