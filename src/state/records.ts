/**
 * What is known of every node: the three trees. What has to be done is derived from these records by comparison;
 * there is no log of intentions.
 */

import type { Ino, Name, Ns } from '../base/index.js';
import type { ETag } from '../remote/index.js';

/** Where a node hangs in one of the trees. */
export interface Place {
  readonly parent: Ino;
  readonly name: Name;
}

/** What the server last confirmed of a node. The trees' parents are nodes, so a renamed directory takes its children along. */
export interface Base extends Place {
  /** Undefined where the server gave none; directories have none. */
  readonly etag: ETag | undefined;
  /** Bytes on the server (a symbolic link's is the size of the file that stands for it). */
  readonly size: number;
  readonly mtimeMs: number | undefined;
  /** The content generation ({@link NodeRecord.gen}) that the server holds. */
  readonly gen: number;
  /** SHA-256 of the content in hex, where it is known. */
  readonly sha256?: string | undefined;
}

/** What a listing said since, where it differs from the base: another version, or nothing at all. */
export type Remote =
  | {
      readonly kind: 'version';
      readonly etag: ETag | undefined;
      readonly size: number;
      readonly mtimeMs: number | undefined;
    }
  | { readonly kind: 'gone' };

/** An upload whose answer is not known: what the server would hold if it took effect. */
export interface Attempt {
  readonly place: Place;
  readonly gen: number;
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of the body in hex, known once the whole body was handed over; undefined while it is under way. */
  readonly sha256: string | undefined;
}

/** A version of another file that the server has, of which this file's bytes are a copy. */
export interface CopySource {
  readonly ino: Ino;
  readonly etag: ETag;
  /** The content generation of this file that is the copy; void with any other. */
  readonly gen: number;
}

/**
 * Where a file's bytes are. `staged`: whole in the staged directory, not yet confirmed by the server; anything else is
 * a copy of the base version, as far as it is present; or, while the file has no base, of the version that `copyOf`
 * names.
 */
export type ContentKind = 'clean' | 'staged';

export type NodeKind = 'file' | 'dir' | 'symlink' | 'alias';

/** Fields of every node. */
interface NodeCommon {
  readonly ino: Ino;
  /** What the mount shows; undefined: not (or no longer) in the local tree. The root's parent is itself, its name ''. */
  readonly local: Place | undefined;
  /** Undefined: the server has never confirmed it. */
  readonly base: Base | undefined;
  /** Undefined: as in base. */
  readonly remote: Remote | undefined;
}

/** The inode's attributes, stat(2). */
export interface InodeFields {
  /** Permission bits and set-id bits only (07777). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly atime: Ns;
  readonly mtime: Ns;
  readonly ctime: Ns;
  /** Extended attributes of the user namespace, kept on this machine only. */
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
}

export interface FileRecord extends NodeCommon, InodeFields {
  readonly kind: 'file';
  /** Bytes. */
  readonly size: number;
  /** Raised by the first change after each upload began; the content differs from the server's when base.gen differs. */
  readonly gen: number;
  readonly content: ContentKind;
  /** Held open for writing when last committed: after a crash, size and times are taken from the backing file. */
  readonly writing: boolean;
  /** The writer died before it closed the file: kept here, not uploaded until it is written and closed again. */
  readonly interrupted: boolean;
  readonly attempt: Attempt | undefined;
  /** Further names (hard links): nodes of kind `alias` that point here. */
  readonly aliases: readonly Ino[];
  /** Until the server has the content: where it can copy it from. */
  readonly copyOf?: CopySource | undefined;
}

export interface DirRecord extends NodeCommon, InodeFields {
  readonly kind: 'dir';
  /** When the listing was last confirmed by the server, ms since the epoch; undefined: never seen. */
  readonly listedAtMs: number | undefined;
}

export interface SymlinkRecord extends NodeCommon, InodeFields {
  readonly kind: 'symlink';
  readonly target: string;
  readonly gen: number;
  readonly attempt: Attempt | undefined;
}

/** A further name of a file (link(2)). To the server it is a file of its own with the same content. */
export interface AliasRecord extends NodeCommon {
  readonly kind: 'alias';
  readonly target: Ino;
  readonly attempt: Attempt | undefined;
}

export type NodeRecord = FileRecord | DirRecord | SymlinkRecord | AliasRecord;
/** A node that stat(2) can be asked of. */
export type InodeRecord = FileRecord | DirRecord | SymlinkRecord;

/** Which nodes a name stands for: one in the local tree, one in the base tree, mostly the same. */
export interface NameEntry {
  readonly name: Name;
  readonly local: Ino | undefined;
  readonly base: Ino | undefined;
}
