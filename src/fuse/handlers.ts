/**
 * What a file system gives to the driver: one optional method an operation, with requests and replies as plain
 * objects. Nothing here knows the wire format.
 *
 * A method answers by returning (the hot path: written at once, no promise is made) or by a promise. It fails a
 * request by throwing a FuseError; any other throw is answered EIO and reported. An operation without a method is
 * answered as opcodes.ts says, ENOSYS in most cases, after which the kernel does not ask again where it
 * remembers that.
 *
 * **Look-up counts.** The kernel holds one reference to a node for each entry it was handed, and gives references
 * back by `forget(nodeId, count)`. These replies hand over one reference each, when their `nodeId` is not 0: lookup,
 * create, tmpfile, mknod, mkdir, symlink, link, and every entry of readdirplus added with an entry, except those
 * named `.` and `..`. A handler counts when it returns such a reply (for readdirplus: when `add` returns true). When
 * the reply cannot be delivered, or a readdirplus handler fails after adding, the driver calls `forget` itself,
 * so that counts stay right. The root is never forgotten. At unmount the kernel drops all references without a word.
 */

import type { MaybePromise } from '../base/index.js';

/** Attributes of a file; times in nanoseconds since the epoch, `mode` with its file type bits. */
export interface Attr {
  /** st_ino as programs see it. */
  readonly ino: number;
  readonly size: number;
  /** Units of 512 bytes. */
  readonly blocks: number;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  /** Preferred size of I/O. */
  readonly blksize: number;
}

/** A name's node. With `nodeId` 0 it says "there is no such name", and the kernel remembers it for `entryTimeoutMs`. */
export interface EntryReply {
  readonly nodeId: number;
  /** Distinguishes nodes that reuse a node id; 0 where ids are never reused. */
  readonly generation: number;
  readonly entryTimeoutMs: number;
  readonly attrTimeoutMs: number;
  readonly attr: Attr;
}

/** "No such name, for so long": the reply of a look-up that the kernel shall remember as missing. */
export interface NegativeEntryReply {
  readonly nodeId: 0;
  readonly entryTimeoutMs: number;
}

export interface AttrReply {
  readonly attrTimeoutMs: number;
  readonly attr: Attr;
}

export interface OpenReply {
  readonly fh: number;
  /** FOPEN bits. */
  readonly flags?: number;
  /** With FOPEN.PASSTHROUGH: the id from BACKING_OPEN. */
  readonly backingId?: number;
}

export interface CreateReply {
  readonly entry: EntryReply;
  readonly open: OpenReply;
}

/** statfs(2); block counts in units of `frsize` bytes. */
export interface StatfsReply {
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly bsize: number;
  readonly namelen: number;
  readonly frsize: number;
}

export interface StatxReply extends AttrReply {
  /** Which fields are valid (STATX_* of linux/stat.h). */
  readonly mask: number;
  readonly btimeNs?: bigint;
  /** STATX_ATTR_* bits, and which of them are known. */
  readonly attributes?: number;
  readonly attributesMask?: number;
}

export interface FileLock {
  readonly start: number;
  /** Last byte; undefined is the end of the file, however far. */
  readonly end: number | undefined;
  /** F_RDLCK 0, F_WRLCK 1, F_UNLCK 2 (asm-generic/fcntl.h). */
  readonly type: number;
  readonly pid: number;
}

/** Who asks. Uid, gid and pid are the caller's file system ids and process in the mount's namespaces. */
export interface RequestContext {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** The kernel's number for this request, without the resend bit; absent with a driver that never asks again. */
  readonly unique?: number;
  /** The request was sent to an earlier daemon too, which may have done it already (7.40, RESEND). */
  readonly resent?: boolean;
  /** Aborts when the caller is interrupted or the session ends. A handler that then rejects is answered EINTR. */
  readonly signal: AbortSignal;
}

export interface NodeRequest {
  readonly nodeId: number;
}
/** A name in a directory: not empty, no NUL, valid UTF-8 (else the driver answers EILSEQ), any length. */
export interface NameRequest {
  readonly parent: number;
  readonly name: string;
}
export interface GetattrRequest extends NodeRequest {
  /** The open file that fstat(2) was called on. */
  readonly fh: number | undefined;
}
export interface StatxRequest extends GetattrRequest {
  /** AT_STATX_* flags and STATX_* mask (linux/stat.h). */
  readonly flags: number;
  readonly mask: number;
}
/** Only what shall change is present. Times in nanoseconds; 'now' is the server's clock. */
export interface SetattrRequest extends NodeRequest {
  readonly fh?: number;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: bigint | 'now';
  readonly mtime?: bigint | 'now';
  readonly ctime?: bigint;
  readonly lockOwner?: bigint;
  /** Clear set-uid, and set-gid where the group may execute (HANDLE_KILLPRIV_V2). */
  readonly killSuidgid: boolean;
}
export interface SymlinkRequest extends NameRequest {
  readonly target: string;
}
export interface MknodRequest extends NameRequest {
  readonly mode: number;
  readonly rdev: number;
  /** Already applied to `mode` unless DONT_MASK is negotiated. */
  readonly umask: number;
}
export interface MkdirRequest extends NameRequest {
  readonly mode: number;
  readonly umask: number;
}
export interface RenameRequest extends NameRequest {
  readonly newParent: number;
  readonly newName: string;
  /** RENAME bits; 0 replaces. */
  readonly flags: number;
}
export interface LinkRequest {
  /** The node that gets another name. */
  readonly nodeId: number;
  readonly newParent: number;
  readonly newName: string;
}
export interface OpenRequest extends NodeRequest {
  /** open(2) flags. */
  readonly flags: number;
  readonly killSuidgid: boolean;
}
export interface CreateRequest extends NameRequest {
  readonly flags: number;
  readonly mode: number;
  readonly umask: number;
  readonly killSuidgid: boolean;
}
export interface ReadRequest extends NodeRequest {
  readonly fh: number;
  readonly offset: number;
  readonly size: number;
  readonly flags: number;
  readonly lockOwner: bigint | undefined;
  /**
   * Room for `size` bytes inside the reply: fill it and return how many bytes are there, and the data is copied once,
   * into the kernel. Made at first use, valid until the handler has answered.
   */
  readonly buffer: Buffer;
}
export interface WriteRequest extends NodeRequest {
  readonly fh: number;
  readonly offset: number;
  /** A view of the receive buffer, valid until the handler returns or its promise settles. */
  readonly data: Buffer;
  readonly flags: number;
  /** From the page cache: `fh` and the caller are guesses of the kernel. */
  readonly fromCache: boolean;
  readonly killSuidgid: boolean;
  readonly lockOwner: bigint | undefined;
}
export interface FlushRequest extends NodeRequest {
  readonly fh: number;
  readonly lockOwner: bigint;
}
export interface FsyncRequest extends NodeRequest {
  readonly fh: number;
  /** fdatasync(2): only the data and what is needed to read it. */
  readonly dataOnly: boolean;
}
export interface ReleaseRequest extends NodeRequest {
  readonly fh: number;
  readonly flags: number;
  readonly flush: boolean;
  readonly flockUnlock: boolean;
  readonly lockOwner: bigint;
}
export interface ReaddirRequest extends NodeRequest {
  readonly fh: number;
  /** 0, or the `offset` that an earlier entry was added with: continue after that entry. */
  readonly offset: number;
  readonly entries: DirentSink;
}
/** Packs directory entries straight into the reply. */
export interface DirentSink {
  /** True for READDIRPLUS: `entry` is used, and counts as a look-up. */
  readonly plus: boolean;
  /**
   * Adds one entry. `type` is a DT value, `offset` what a later request continues from. Without `entry` (or with its
   * nodeId 0) READDIRPLUS tells only the name. Returns false, and adds nothing, when the reply is full.
   */
  add(name: string, ino: number, type: number, offset: number, entry?: EntryReply): boolean;
}
export interface AccessRequest extends NodeRequest {
  /** R_OK 4, W_OK 2, X_OK 1, F_OK 0. */
  readonly mask: number;
}
export interface XattrNameRequest extends NodeRequest {
  readonly name: string;
}
export interface SetxattrRequest extends XattrNameRequest {
  /** A view of the receive buffer, valid until the handler returns or its promise settles. */
  readonly value: Buffer;
  /** XATTR_CREATE 1, XATTR_REPLACE 2. */
  readonly flags: number;
  /** Clear set-gid when this sets system.posix_acl_access. */
  readonly aclKillSgid: boolean;
}
export interface LseekRequest extends NodeRequest {
  readonly fh: number;
  readonly offset: number;
  /** SEEK.DATA or SEEK.HOLE. */
  readonly whence: number;
}
export interface FallocateRequest extends NodeRequest {
  readonly fh: number;
  readonly offset: number;
  readonly length: number;
  /** FALLOC_FL_* of linux/falloc.h. */
  readonly mode: number;
}
export interface CopyFileRangeRequest extends NodeRequest {
  readonly fh: number;
  readonly offset: number;
  readonly toNodeId: number;
  readonly toFh: number;
  readonly toOffset: number;
  readonly length: number;
  readonly flags: number;
}
export interface LockRequest extends NodeRequest {
  readonly fh: number;
  readonly owner: bigint;
  readonly lock: FileLock;
  /** flock(2) rather than fcntl(2). */
  readonly flock: boolean;
}
export interface SetlkRequest extends LockRequest {
  /** Wait until the lock is free (SETLKW); the context's signal ends the wait. */
  readonly wait: boolean;
}

type Handler<Request, Reply> = (request: Request, context: RequestContext) => MaybePromise<Reply>;

/** The file system. Methods are called with `this` set to the object. */
export interface FuseHandlers {
  /** ENOENT by a NegativeEntryReply is remembered by the kernel, by a FuseError it is not. */
  lookup?: Handler<NameRequest, EntryReply | NegativeEntryReply>;
  /** The kernel gives back `count` references. Never answered, so it must not fail. */
  forget?(nodeId: number, count: number): void;
  getattr?: Handler<GetattrRequest, AttrReply>;
  statx?: Handler<StatxRequest, StatxReply>;
  setattr?: Handler<SetattrRequest, AttrReply>;
  readlink?: Handler<NodeRequest, string>;
  symlink?: Handler<SymlinkRequest, EntryReply>;
  mknod?: Handler<MknodRequest, EntryReply>;
  mkdir?: Handler<MkdirRequest, EntryReply>;
  unlink?: Handler<NameRequest, void>;
  rmdir?: Handler<NameRequest, void>;
  /** RENAME and RENAME2. */
  rename?: Handler<RenameRequest, void>;
  link?: Handler<LinkRequest, EntryReply>;
  open?: Handler<OpenRequest, OpenReply>;
  create?: Handler<CreateRequest, CreateReply>;
  tmpfile?: Handler<CreateRequest, CreateReply>;
  /** The data, or the number of bytes put into `request.buffer`. Fewer than asked for means the end of the file. */
  read?: Handler<ReadRequest, Uint8Array | number>;
  /** How many bytes were taken. */
  write?: Handler<WriteRequest, number>;
  flush?: Handler<FlushRequest, void>;
  fsync?: Handler<FsyncRequest, void>;
  release?: Handler<ReleaseRequest, void>;
  opendir?: Handler<OpenRequest, OpenReply>;
  readdir?: Handler<ReaddirRequest, void>;
  readdirplus?: Handler<ReaddirRequest, void>;
  releasedir?: Handler<ReleaseRequest, void>;
  fsyncdir?: Handler<FsyncRequest, void>;
  statfs?: Handler<NodeRequest, StatfsReply>;
  setxattr?: Handler<SetxattrRequest, void>;
  /** The whole value; the driver keeps to the size protocol of getxattr(2). */
  getxattr?: Handler<XattrNameRequest, Uint8Array>;
  /** All names; the driver keeps to the size protocol of listxattr(2). */
  listxattr?: Handler<NodeRequest, readonly string[]>;
  removexattr?: Handler<XattrNameRequest, void>;
  access?: Handler<AccessRequest, void>;
  /** The offset of the data or hole; ENXIO beyond the end. */
  lseek?: Handler<LseekRequest, number>;
  fallocate?: Handler<FallocateRequest, void>;
  /** How many bytes were copied. */
  copyFileRange?: Handler<CopyFileRangeRequest, number>;
  /** Asked only when POSIX_LOCKS or FLOCK_LOCKS is negotiated; without them the kernel keeps locks by itself. */
  getlk?: Handler<LockRequest, FileLock>;
  setlk?: Handler<SetlkRequest, void>;
  syncfs?: Handler<NodeRequest, void>;
  /**
   * A request that must not be carried out twice (`once` in opcodes.ts) is answered, or its answer is not wanted: it
   * will not be asked again.
   */
  answered?(unique: number): void;
  /** The program that opened `fh` was killed before it learnt of it: there will be no release. */
  unclaimed?(fh: number): void;
  /**
   * The session is over, by unmount, abort or close: nothing more will be asked. Called once. `handedOver`: another
   * process goes on with this mount; what is open stays open.
   */
  destroy?(handedOver?: boolean): void;
}
