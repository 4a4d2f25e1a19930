/**
 * What whoever looks after a mount asks of the synchronisation: what waits and why, how fast it goes, what is to stay
 * here, and what both sides changed. Plain values, for showing; nothing of it is needed to serve a program.
 */

import type { Ino } from '../base/index.js';

/** What is to be done on the server: `check` asks it what it has, where that is in doubt. */
export type QueueOperation = 'upload' | 'copy' | 'create-directory' | 'move' | 'delete' | 'check' | 'other';

/**
 * `due`: at its time, or when a place is free. `waiting`: for another change, or for room on the server. `held`: a
 * program has the file open for writing, or died while it had. `paused`: by {@link SyncControl.pause}.
 */
export type QueueState = 'running' | 'due' | 'waiting' | 'held' | 'paused';

/** One change that the server does not have yet. */
export interface QueueEntryInfo {
  readonly ino: Ino;
  /** From "/" on, as the mount shows it; of something deleted, as the server knows it. */
  readonly path: string;
  readonly operation: QueueOperation;
  readonly state: QueueState;
  /** Of an upload's body. */
  readonly bytesTotal?: number;
  /** Sent so far, of an upload that runs. */
  readonly bytesDone?: number;
  /** Failures in a row. */
  readonly retries: number;
  readonly lastError?: string;
  /** Ms since the epoch. */
  readonly dueAtMs?: number;
}

export interface QueueSummary {
  /** Changes that the server does not have, those that run among them. */
  readonly pending: number;
  readonly running: number;
  /** Those whose last try failed. */
  readonly failing: number;
  /** Of all bodies that are to go up. */
  readonly bytes: number;
  /** Of these, what the uploads that run have sent. */
  readonly bytesDone: number;
  /** Why uploads wait for room on the server; absent while none does. */
  readonly full?: string;
}

/** {@link ConnectivityState} for showing. Times in ms since the epoch. */
export type ConnectionInfo =
  | { readonly kind: 'online' }
  | { readonly kind: 'offline'; readonly reason: string; readonly retryAtMs: number }
  | { readonly kind: 'unauthorized'; readonly reason: string; readonly retryAtMs: number };

/** Something that went wrong: `code` is a `RemoteErrorCode` or a {@link TroubleCode}. */
export interface Trouble {
  readonly atMs: number;
  readonly code: string;
  readonly message: string;
  /** As in {@link QueueEntryInfo}. */
  readonly path?: string;
}

/** Trouble that no server told of. `failed`: an error that nobody foresaw. */
export type TroubleCode = 'interrupted-write' | 'pins-exceed-cache' | 'damaged' | 'failed';

export type SyncEvent =
  | { readonly type: 'uploaded'; readonly path: string; readonly bytes: number }
  | ({ readonly type: 'trouble' } & Omit<Trouble, 'atMs'>)
  /** `path`: where the server's version is; `copy`: where this machine's version is. */
  | { readonly type: 'conflict'; readonly path: string; readonly copy: string }
  | { readonly type: 'connection'; readonly connection: ConnectionInfo };

/** Bytes that moved, as a mean over the last seconds. */
export interface Rates {
  readonly upBytesPerSecond: number;
  readonly downBytesPerSecond: number;
}

/** A file or a tree that is kept here whole. */
export interface PinInfo {
  readonly ino: Ino;
  readonly path: string;
  /** As far as the tree is known. */
  readonly files: number;
  readonly bytes: number;
  /** Of these, what is on this machine. */
  readonly presentBytes: number;
}

export interface ConflictInfo {
  /** The node of this machine's version. */
  readonly ino: Ino;
  /** Where the server's version is. */
  readonly path: string;
  /** Where this machine's version is now. */
  readonly copy: string;
  /** Ms since the epoch. */
  readonly atMs: number;
}

/**
 * `local`: this machine's version replaces the server's, as a rename over it does; `server`: the copy is removed;
 * `both`: they stay as they are, and are no longer listed.
 */
export type ConflictChoice = 'local' | 'server' | 'both';

export interface CacheCheck {
  readonly checkedFiles: number;
  readonly checkedBytes: number;
  /** Clean bodies that were not as they should be; they are fetched again when wanted. */
  readonly droppedFiles: number;
  /** Paths of staged bodies that are missing or shorter than they should be. They are kept as they are. */
  readonly damaged: readonly string[];
}

/** Everything rejects with `SyncError`, or with `RemoteError` where the server refused what it was asked. */
export interface SyncControl {
  /** Up to `limit` changes: those that run, then those that fail, then the others, the longest waiting first. */
  entries(limit: number): QueueEntryInfo[];
  /** As of now; costs the same however long the queue is. */
  summary(): QueueSummary;

  readonly paused: boolean;
  /**
   * Begins nothing more on the server: what nearly is there is finished, a long upload is stopped, and begins anew
   * later. Reading goes on. Lasts until {@link resume}, over restarts as well. Whoever waits for the server meanwhile
   * (`settled`, `drained`) is refused with `paused`.
   */
  pause(): void;
  resume(): void;

  /** The function returned ends it. */
  onEvent(listener: (event: SyncEvent) => void): () => void;
  /** The latest troubles, one of a kind and path, newest last; at most 20. */
  readonly troubles: readonly Trouble[];
  rates(): Rates;
  readonly connection: ConnectionInfo;

  /**
   * Lists `dir` anew, and with `recursive` all below it. Resolves with the number of directories listed. `offline`,
   * `not-found`, `not-a-directory`.
   */
  refreshTree(dir: Ino, recursive: boolean, signal?: AbortSignal): Promise<number>;
  /**
   * The inode that the mount shows under a path from "/" on, listing directories never seen; a link is not followed.
   * `not-found`, `not-a-directory` (on the way), `offline`.
   */
  inoOfPath(path: string, signal?: AbortSignal): Promise<Ino>;

  /**
   * Keeps a file, or all files below a directory (also those that appear later), on this machine: fetched behind
   * whatever programs read, never evicted. Survives restarts and renames. `not-found`, `not-a-file` (a link), `limit`.
   */
  pin(ino: Ino): void;
  /** `not-found` where it is not pinned itself. What is here stays until it is evicted. */
  unpin(ino: Ino): void;
  /** Looks through the trees, in turns. */
  pins(signal?: AbortSignal): Promise<PinInfo[]>;
  readonly pinCount: number;

  /**
   * Gives up what is here of a file, of all files below a directory, or of everything, as far as the server has it too.
   * Files in use and pinned ones are left; one that is named itself is refused: `busy`, `pinned`. A file that is not
   * on the server yet gives nothing. Resolves with the bytes freed.
   */
  evict(ino?: Ino, signal?: AbortSignal): Promise<number>;

  /** Those whose copy still exists, the oldest first. */
  conflicts(): ConflictInfo[];
  /** `not-a-conflict`; `not-a-file` where a directory would be removed or replaced. */
  resolveConflict(copy: Ino, keep: ConflictChoice): void;

  /** Reads all that is kept here once, in turns. */
  verify(signal?: AbortSignal): Promise<CacheCheck>;
}
