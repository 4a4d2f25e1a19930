/**
 * Decoding: from a received message to the plain request object that a handler gets, one function an operation. Fields
 * are read through the structs' offsets, without an object in between.
 */

import {
  FATTR,
  FSYNC_FDATASYNC,
  GETATTR_FH,
  LK_FLOCK,
  LOCK_TO_END,
  OPEN_KILL_SUIDGID,
  READ_LOCKOWNER,
  RELEASE_FLOCK_UNLOCK,
  RELEASE_FLUSH,
  SETXATTR_ACL_KILL_SGID,
  WRITE_CACHE,
  WRITE_KILL_SUIDGID,
  WRITE_LOCKOWNER,
} from './abi.js';
import type { Call } from './call.js';
import { DirentWriter } from './dirents.js';
import { MalformedRequest } from './errno.js';
import type * as h from './handlers.js';
import * as l from './layouts.js';
import type { Message } from './message.js';

export const node = (_message: Message, call: Call): h.NodeRequest => ({ nodeId: call.nodeId });

export const named = (message: Message, call: Call): h.NameRequest => ({
  parent: call.nodeId,
  name: message.string(),
});

export function getattr(message: Message, call: Call): h.GetattrRequest {
  const at = message.struct(l.GETATTR_IN);
  const hasFh = (message.u32(at + l.GETATTR_IN.at.getattr_flags) & GETATTR_FH) !== 0;
  return { nodeId: call.nodeId, fh: hasFh ? message.u53(at + l.GETATTR_IN.at.fh, 'EINVAL') : undefined };
}

export function statx(message: Message, call: Call): h.StatxRequest {
  const at = message.struct(l.STATX_IN);
  const to = l.STATX_IN.at;
  const hasFh = (message.u32(at + to.getattr_flags) & GETATTR_FH) !== 0;
  return {
    nodeId: call.nodeId,
    fh: hasFh ? message.u53(at + to.fh, 'EINVAL') : undefined,
    flags: message.u32(at + to.sx_flags),
    mask: message.u32(at + to.sx_mask),
  };
}

const NS_PER_S = 1_000_000_000n;

function time(message: Message, secAt: number, nsecAt: number): bigint {
  return message.i64(secAt) * NS_PER_S + BigInt(message.u32(nsecAt));
}

export function setattr(message: Message, call: Call): h.SetattrRequest {
  const base = message.struct(l.SETATTR_IN);
  const to = l.SETATTR_IN.at;
  const valid = message.u32(base + to.valid);
  const has = (bit: number): boolean => (valid & bit) !== 0;
  const atime = () => (has(FATTR.ATIME_NOW) ? 'now' : time(message, base + to.atime, base + to.atimensec));
  const mtime = () => (has(FATTR.MTIME_NOW) ? 'now' : time(message, base + to.mtime, base + to.mtimensec));
  return {
    nodeId: call.nodeId,
    killSuidgid: has(FATTR.KILL_SUIDGID),
    ...(has(FATTR.FH) && { fh: message.u53(base + to.fh, 'EINVAL') }),
    ...(has(FATTR.MODE) && { mode: message.u32(base + to.mode) }),
    ...(has(FATTR.UID) && { uid: message.u32(base + to.uid) }),
    ...(has(FATTR.GID) && { gid: message.u32(base + to.gid) }),
    ...(has(FATTR.SIZE) && { size: message.u53(base + to.size, 'EFBIG') }),
    ...(has(FATTR.ATIME) && { atime: atime() }),
    ...(has(FATTR.MTIME) && { mtime: mtime() }),
    ...(has(FATTR.CTIME) && { ctime: time(message, base + to.ctime, base + to.ctimensec) }),
    ...(has(FATTR.LOCKOWNER) && { lockOwner: message.u64(base + to.lock_owner) }),
  };
}

export function mknod(message: Message, call: Call): h.MknodRequest {
  const at = message.struct(l.MKNOD_IN);
  const to = l.MKNOD_IN.at;
  const fields = { mode: message.u32(at + to.mode), rdev: message.u32(at + to.rdev) };
  return { parent: call.nodeId, name: message.string(), ...fields, umask: message.u32(at + to.umask) };
}

export function mkdir(message: Message, call: Call): h.MkdirRequest {
  const at = message.struct(l.MKDIR_IN);
  const to = l.MKDIR_IN.at;
  const fields = { mode: message.u32(at + to.mode), umask: message.u32(at + to.umask) };
  return { parent: call.nodeId, name: message.string(), ...fields };
}

export function rename(layout: typeof l.RENAME_IN | typeof l.RENAME2_IN) {
  return (message: Message, call: Call): h.RenameRequest => {
    const at = message.struct(layout);
    const newParent = message.u53(at + layout.at.newdir, 'ESTALE');
    const flags = 'flags' in layout.at ? message.u32(at + layout.at.flags) : 0;
    call.otherNodeId = newParent;
    const name = message.string();
    return { parent: call.nodeId, name, newParent, newName: message.string(), flags };
  };
}

export function link(message: Message, call: Call): h.LinkRequest {
  const at = message.struct(l.LINK_IN);
  const nodeId = message.u53(at + l.LINK_IN.at.oldnodeid, 'ESTALE');
  call.otherNodeId = nodeId;
  return { nodeId, newParent: call.nodeId, newName: message.string() };
}

export function open(message: Message, call: Call): h.OpenRequest {
  const at = message.struct(l.OPEN_IN);
  const killSuidgid = (message.u32(at + l.OPEN_IN.at.open_flags) & OPEN_KILL_SUIDGID) !== 0;
  return { nodeId: call.nodeId, flags: message.u32(at + l.OPEN_IN.at.flags), killSuidgid };
}

export function create(message: Message, call: Call): h.CreateRequest {
  const at = message.struct(l.CREATE_IN);
  const to = l.CREATE_IN.at;
  return {
    parent: call.nodeId,
    name: message.string(),
    flags: message.u32(at + to.flags),
    mode: message.u32(at + to.mode),
    umask: message.u32(at + to.umask),
    killSuidgid: (message.u32(at + to.open_flags) & OPEN_KILL_SUIDGID) !== 0,
  };
}

/** A READ; a class so that the reply buffer is made only when the handler asks for it. */
export class Read implements h.ReadRequest {
  readonly nodeId: number;
  readonly fh: number;
  readonly offset: number;
  readonly size: number;
  readonly flags: number;
  readonly lockOwner: bigint | undefined;
  readonly #call: Call;

  constructor(message: Message, call: Call) {
    const at = message.struct(l.READ_IN);
    const to = l.READ_IN.at;
    this.#call = call;
    this.nodeId = call.nodeId;
    this.fh = message.u53(at + to.fh, 'EINVAL');
    this.offset = message.u53(at + to.offset, 'EINVAL');
    this.size = message.u32(at + to.size);
    this.flags = message.u32(at + to.flags);
    const owned = (message.u32(at + to.read_flags) & READ_LOCKOWNER) !== 0;
    this.lockOwner = owned ? message.u64(at + to.lock_owner) : undefined;
    if (this.size > message.wire.maxReplyBytes) throw new MalformedRequest(`READ of ${this.size} bytes`);
  }

  get buffer(): Buffer {
    const { bytes } = this.#call.room(this.size);
    return bytes.subarray(l.OUT_HEADER.size, l.OUT_HEADER.size + this.size);
  }
}

export function write(message: Message, call: Call): h.WriteRequest {
  const at = message.struct(l.WRITE_IN);
  const to = l.WRITE_IN.at;
  const writeFlags = message.u32(at + to.write_flags);
  return {
    nodeId: call.nodeId,
    fh: message.u53(at + to.fh, 'EINVAL'),
    offset: message.u53(at + to.offset, 'EFBIG'),
    data: message.data(message.u32(at + to.size)),
    flags: message.u32(at + to.flags),
    fromCache: (writeFlags & WRITE_CACHE) !== 0,
    killSuidgid: (writeFlags & WRITE_KILL_SUIDGID) !== 0,
    lockOwner: (writeFlags & WRITE_LOCKOWNER) !== 0 ? message.u64(at + to.lock_owner) : undefined,
  };
}

export function flush(message: Message, call: Call): h.FlushRequest {
  const at = message.struct(l.FLUSH_IN);
  const to = l.FLUSH_IN.at;
  return {
    nodeId: call.nodeId,
    fh: message.u53(at + to.fh, 'EINVAL'),
    lockOwner: message.u64(at + to.lock_owner),
  };
}

export function fsync(message: Message, call: Call): h.FsyncRequest {
  const at = message.struct(l.FSYNC_IN);
  const dataOnly = (message.u32(at + l.FSYNC_IN.at.fsync_flags) & FSYNC_FDATASYNC) !== 0;
  return { nodeId: call.nodeId, fh: message.u53(at + l.FSYNC_IN.at.fh, 'EINVAL'), dataOnly };
}

export function release(message: Message, call: Call): h.ReleaseRequest {
  const at = message.struct(l.RELEASE_IN);
  const to = l.RELEASE_IN.at;
  const releaseFlags = message.u32(at + to.release_flags);
  return {
    nodeId: call.nodeId,
    fh: message.u53(at + to.fh, 'EINVAL'),
    flags: message.u32(at + to.flags),
    flush: (releaseFlags & RELEASE_FLUSH) !== 0,
    flockUnlock: (releaseFlags & RELEASE_FLOCK_UNLOCK) !== 0,
    lockOwner: message.u64(at + to.lock_owner),
  };
}

/**
 * What one reply to READDIR has at most, whatever the kernel has room for: some hundred entries with their attributes,
 * which is 1 ms. Other requests wait no longer than that; 5,000 entries take 2 ms more that way.
 */
const DIRENTS_REPLY_BYTES = 16 * 1024;

export function readdir(plus: boolean) {
  return (message: Message, call: Call): h.ReaddirRequest => {
    const at = message.struct(l.READ_IN);
    const to = l.READ_IN.at;
    const size = message.u32(at + to.size);
    if (size > message.wire.maxReplyBytes) throw new MalformedRequest(`READDIR of ${size} bytes`);
    const fh = message.u53(at + to.fh, 'EINVAL');
    const offset = message.u53(at + to.offset, 'EINVAL');
    const limit = Math.min(size, DIRENTS_REPLY_BYTES);
    call.entries = new DirentWriter(call.room(limit), limit, plus);
    return { nodeId: call.nodeId, fh, offset, entries: call.entries };
  };
}

export function access(message: Message, call: Call): h.AccessRequest {
  return { nodeId: call.nodeId, mask: message.u32(message.struct(l.ACCESS_IN) + l.ACCESS_IN.at.mask) };
}

export function setxattr(message: Message, call: Call): h.SetxattrRequest {
  const extended = message.wire.setxattrExtended;
  const at = message.struct(extended ? l.SETXATTR_IN : l.SETXATTR_IN_COMPAT);
  const to = l.SETXATTR_IN.at;
  const size = message.u32(at + to.size);
  const flags = message.u32(at + to.flags);
  const aclKillSgid = extended && (message.u32(at + to.setxattr_flags) & SETXATTR_ACL_KILL_SGID) !== 0;
  const name = message.string();
  return { nodeId: call.nodeId, name, value: message.data(size), flags, aclKillSgid };
}

export function xattrSize(message: Message, call: Call): void {
  call.wantedBytes = message.u32(message.struct(l.GETXATTR_IN) + l.GETXATTR_IN.at.size);
}

export function lock(message: Message, call: Call): h.LockRequest {
  const at = message.struct(l.LK_IN);
  const to = l.LK_IN.at;
  const lk = at + to.lk;
  const of = l.FILE_LOCK.at;
  const end = message.u64(lk + of.end) === LOCK_TO_END ? undefined : message.u53(lk + of.end, 'EINVAL');
  return {
    nodeId: call.nodeId,
    fh: message.u53(at + to.fh, 'EINVAL'),
    owner: message.u64(at + to.owner),
    flock: (message.u32(at + to.lk_flags) & LK_FLOCK) !== 0,
    lock: {
      start: message.u53(lk + of.start, 'EINVAL'),
      end,
      type: message.u32(lk + of.type),
      pid: message.u32(lk + of.pid),
    },
  };
}

export function setlk(wait: boolean) {
  return (message: Message, call: Call): h.SetlkRequest => ({ ...lock(message, call), wait });
}

export function lseek(message: Message, call: Call): h.LseekRequest {
  const at = message.struct(l.LSEEK_IN);
  const to = l.LSEEK_IN.at;
  return {
    nodeId: call.nodeId,
    fh: message.u53(at + to.fh, 'EINVAL'),
    offset: message.u53(at + to.offset, 'EINVAL'),
    whence: message.u32(at + to.whence),
  };
}

export function fallocate(message: Message, call: Call): h.FallocateRequest {
  const at = message.struct(l.FALLOCATE_IN);
  const to = l.FALLOCATE_IN.at;
  return {
    nodeId: call.nodeId,
    fh: message.u53(at + to.fh, 'EINVAL'),
    offset: message.u53(at + to.offset, 'EFBIG'),
    length: message.u53(at + to.length, 'EFBIG'),
    mode: message.u32(at + to.mode),
  };
}

export function copyFileRange(message: Message, call: Call): h.CopyFileRangeRequest {
  const at = message.struct(l.COPY_FILE_RANGE_IN);
  const to = l.COPY_FILE_RANGE_IN.at;
  call.otherNodeId = message.u53(at + to.nodeid_out, 'ESTALE');
  return {
    nodeId: call.nodeId,
    fh: message.u53(at + to.fh_in, 'EINVAL'),
    offset: message.u53(at + to.off_in, 'EINVAL'),
    toNodeId: call.otherNodeId,
    toFh: message.u53(at + to.fh_out, 'EINVAL'),
    toOffset: message.u53(at + to.off_out, 'EFBIG'),
    length: message.u53(at + to.len, 'EINVAL'),
    flags: message.u53(at + to.flags, 'EINVAL'),
  };
}
