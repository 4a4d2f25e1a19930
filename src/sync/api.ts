/**
 * What the file system above asks of the synchronisation: that something far away be here now, and that something
 * changed here be carried away. Everything that may be answered from this machine returns undefined at once.
 * Waiting methods reject with `RemoteError`, or with the signal's reason when it aborts.
 */

import type { Ino, Interruptible, Name, Ns } from '../base/index.js';
import type { ETag, Quota } from '../remote/index.js';

/** What the kernel, or anyone else who remembers attributes, entries or bytes, must forget. */
export type Invalidation =
  /** Attributes and cached bytes of a node. */
  | { readonly kind: 'inode'; readonly ino: Ino }
  /** A name came, went, or stands for another node. */
  | { readonly kind: 'entry'; readonly parent: Ino; readonly name: Name }
  /** A name went, and the node with it. */
  | { readonly kind: 'delete'; readonly parent: Ino; readonly name: Name; readonly child: Ino };

/** What the file system above tells of the use of a node. */
export interface Usage {
  /** Open handles of the file. */
  isOpen(ino: Ino): boolean;
  /**
   * Whether the file's present size and bytes must stay what they are: a handle is open, or the kernel keeps the size
   * itself and takes no other from us (writeback cache). Another version becomes another node then.
   */
  holdsVersion(ino: Ino): boolean;
  /** Whether a handle is open that may write: what it wrote and flushed so far need not be all. */
  hasWritableHandle(ino: Ino): boolean;
  /** Whether the kernel writes to the file by itself, so that nobody tells of a change. */
  isWrittenUnseen(ino: Ino): boolean;
  /** Takes note of what the kernel wrote so far, to whatever file. */
  observe(): void;
  /**
   * Before a copy of such a file is made: takes note of what was written, and from then on a change shows as another one.
   * False where nothing was written since it was opened.
   */
  markCopied(ino: Ino): boolean;
  /** Whether the node may not be forgotten: a handle, or a reference of the kernel's. */
  isInUse(ino: Ino): boolean;
}

/** What writing made of a file. */
export interface Written {
  readonly size: number;
  readonly mtime: Ns;
  readonly ctime: Ns;
  /** The server's version of another file that all of the bytes are a copy of, where they are. */
  readonly copyOf?: { readonly ino: Ino; readonly etag: ETag } | undefined;
}

export interface Sync {
  /** Who knows of handles; set once before the first request. */
  setUsage(usage: Usage): void;
  onInvalidate(listener: (event: Invalidation) => void): void;

  /**
   * Makes the listing of a directory known. Waits only for a directory never seen; a stale one is refreshed behind.
   * Offline, a directory never seen rejects. `enumerate`: a program reads the directory, not just one name in it;
   * whoever goes on to its subdirectories gets their listings fetched ahead.
   */
  listed(dir: Ino, request?: Interruptible, enumerate?: boolean): Promise<void> | undefined;
  /**
   * Before an open: where the file's directory is stale and the server is reachable, asks for its version first.
   * After it, the name may stand for another node: look it up again. Never rejects for want of a connection. `reads`: of
   * a file of which nothing is here the beginning is fetched, since an open can still be done again where the server
   * has another version by now, and a read cannot.
   */
  fresh(file: Ino, request?: Interruptible, reads?: boolean): Promise<void> | undefined;
  /**
   * Makes [start, end) of a file whose body is in use present in it, and reads ahead of a sequential reader.
   * Rejects with `changed` or `not-found` when the server no longer has the version that the body holds.
   */
  present(file: Ino, start: number, end: number, request?: Interruptible): Promise<void> | undefined;

  /** A file was made to be written: its record says so, and its first write is part of the generation it begins with. */
  created(file: Ino): void;
  /**
   * Before any change of a file's bytes: the body is staged and whole afterwards (only its first `keepBytes` are
   * asked for: 0 makes it empty), no upload is reading it, and the change will count as a new generation.
   * The body must be in use. Call it before every write; it is cheap when there is nothing to do.
   */
  beginWrite(file: Ino, keepBytes: number, request?: Interruptible): Promise<void> | undefined;
  /** Whether an upload reads the file's body in place. */
  isRead(file: Ino): boolean;
  /** Ends all reading of the body in place, or waits for it. */
  whenUnread(file: Ino, request?: Interruptible): Promise<void> | undefined;
  /**
   * Before the kernel may write to a file by itself: the body, which is whole and which no upload reads, is staged. What
   * the file holds does not count as changed before {@link wroteUnseen}. `keepBytes` as for {@link beginWrite}.
   */
  beginUnseen(file: Ino, keepBytes: number): void;
  /** The kernel wrote to the file: that counts as a change that no copy so far has. */
  wroteUnseen(file: Ino): void;
  /** As {@link writersGone}, of a file that nobody wrote to after {@link beginUnseen}: it is as it was. */
  unwritten(file: Ino): void;
  /**
   * Commits what writing made of size and times. `stillOpen`: others go on writing. When nobody does, the file
   * becomes due for upload.
   */
  commitWrite(file: Ino, written: Written, stillOpen: boolean): void;
  /**
   * Before a whole file is copied into an empty one: where most of its bytes are not here, but the server can copy them,
   * that is done instead of fetching them. Undefined: copy them. Resolves when the server has the copy, which then is a
   * file like any other of which nothing is here yet; with false where it came to nothing, and the file is empty as it
   * was. Both bodies must be in use, the empty one for writing. An interrupted wait leaves the server to end it.
   */
  clone(from: Ino, to: Ino, request?: Interruptible): Promise<boolean> | undefined;
  /** The program asked for safety (fsync) while the file stays open: it becomes due for an upload from a copy. */
  fsynced(file: Ino): void;
  /** The last handle that may write went: what waited for it can go up. */
  writersGone(file: Ino): void;
  /** The last handle or reference went: dead nodes can be forgotten. */
  unused(ino: Ino): void;

  /** Resolves when the server has this node as the mount shows it (write-through); rejects when it refuses. */
  settled(ino: Ino, request?: Interruptible): Promise<void>;
  /** Resolves when everything changed so far is on the server. */
  drained(signal?: AbortSignal): Promise<void>;

  /** The last known quota of the server, undefined where it tells none. */
  quota(): Quota | undefined;
  /** Resolves with the first answer to that question, or after a short while; undefined once that is over. */
  quotaSettling(): Promise<void> | undefined;
}
