/**
 * The table of opcodes: one row each, with number, first minor version, wire structs, decoding, encoding, and what is
 * answered when there is no handler. Decoding, dispatch and printing all come from here.
 *
 * `missing` follows what the kernel makes of the answer (fs/fuse): ENOSYS where it then stops asking and does
 * without (OPEN, OPENDIR, FLUSH, ACCESS, CREATE falls back to MKNOD and OPEN, RENAME2, xattrs, LSEEK, FALLOCATE,
 * COPY_FILE_RANGE, TMPFILE, STATX, POLL, BMAP) and EOPNOTSUPP for FSYNC, FSYNCDIR and SYNCFS, because the kernel takes
 * ENOSYS for a success there.
 */

import {
  FATTR,
  FSYNC_FDATASYNC,
  GETATTR_FH,
  LK_FLOCK,
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
import { type ErrnoName, FuseError, MalformedRequest } from './errno.js';
import type * as h from './handlers.js';
import * as l from './layouts.js';
import type { Message } from './message.js';
import type { Reply } from './reply.js';
import type { Fields, Struct } from './struct.js';

type Layout = Pick<Struct<Fields>, 'name' | 'size' | 'print'>;

/** Where a reply is built and sent; one reply at a time, so nothing may be awaited between the two. */
export interface Answering {
  begin(call: Call): Reply;
  /** Never throws. */
  send(call: Call): void;
}

/**
 * Decodes a message, calls the handler, encodes what it returned and sends that: at once (undefined) or when the
 * handler's promise settles. Whatever it throws or rejects with has not been answered.
 */
export type Serve = (message: Message, call: Call, answering: Answering) => Promise<void> | undefined;

export interface OpcodeRow {
  readonly name: string;
  readonly number: number;
  /** First minor version of the protocol that has it. */
  readonly minMinor: number;
  /** The fixed struct of the request. */
  readonly in?: Layout;
  /** The shorter struct that older kernels, or kernels without the extension, send. */
  readonly inCompat?: Layout;
  /** How many NUL-terminated strings follow the struct. */
  readonly strings?: number;
  /** Data follows; a handler that waits holds the receive buffer. */
  readonly data?: true;
  /** The fixed structs of the reply. */
  readonly out?: readonly Layout[];
  /** What follows them. */
  readonly outData?: 'bytes' | 'text' | 'dirents' | 'direntsplus';
  /** False when the kernel expects no reply. */
  readonly answered: boolean;
  /** `driver`: done by the session itself; `handler`: by the file system; `refused`: never. */
  readonly by: 'driver' | 'handler' | 'refused';
  /** The answer when there is no handler. */
  readonly missing: ErrnoName;
  /** Ties the row to the file system; undefined when that has no such method. */
  readonly bind: (handlers: h.FuseHandlers) => Serve | undefined;
}

type Shape = Partial<
  Pick<OpcodeRow, 'in' | 'inCompat' | 'strings' | 'data' | 'out' | 'outData' | 'missing'>
> & {
  readonly since?: number;
};

/** Minor versions below the oldest that the driver speaks are all the same to it. */
const ALWAYS = 0;

function plain(shape: Shape): Omit<OpcodeRow, 'name' | 'number' | 'answered' | 'by' | 'bind'> {
  const { since = ALWAYS, missing = 'ENOSYS', ...rest } = shape;
  return { minMinor: since, missing, ...rest };
}

function handled<Request, Value>(
  name: string,
  number: number,
  shape: Shape,
  pick: (
    handlers: h.FuseHandlers,
  ) => ((request: Request, context: h.RequestContext) => Value | Promise<Value>) | undefined,
  decode: (message: Message, call: Call) => Request,
  encode: (reply: Reply, value: Value, call: Call, request: Request) => void,
): OpcodeRow {
  const bind = (handlers: h.FuseHandlers): Serve | undefined => {
    const handler = pick(handlers)?.bind(handlers);
    if (handler === undefined) return undefined;
    return (message, call, answering) => {
      const request = decode(message, call);
      const answer = (value: Value): void => {
        encode(answering.begin(call), value, call, request);
        answering.send(call);
      };
      const value = handler(request, call);
      if (value instanceof Promise) return value.then(answer);
      answer(value);
      return undefined;
    };
  };
  return { name, number, ...plain(shape), answered: true, by: 'handler', bind };
}

function driver(name: string, number: number, answered: boolean, shape: Shape): OpcodeRow {
  return { name, number, ...plain(shape), answered, by: 'driver', bind: () => undefined };
}

function refused(name: string, number: number, shape: Shape): OpcodeRow {
  return { name, number, ...plain(shape), answered: true, by: 'refused', bind: () => undefined };
}

const nothing = (): void => {};
const node = (_message: Message, call: Call): h.NodeRequest => ({ nodeId: call.nodeId });
const named = (message: Message, call: Call): h.NameRequest => ({
  parent: call.nodeId,
  name: message.string(),
});

function entry(reply: Reply, value: h.EntryReply | h.NegativeEntryReply, call: Call): void {
  call.handedOver = value.nodeId;
  reply.entry(value);
}

function created(reply: Reply, value: h.CreateReply, call: Call): void {
  call.handedOver = value.entry.nodeId;
  reply.entry(value.entry);
  reply.open(value.open);
}

function getattr(message: Message, call: Call): h.GetattrRequest {
  const at = message.struct(l.GETATTR_IN);
  const hasFh = (message.u32(at + l.GETATTR_IN.at.getattr_flags) & GETATTR_FH) !== 0;
  return { nodeId: call.nodeId, fh: hasFh ? message.u53(at + l.GETATTR_IN.at.fh, 'EINVAL') : undefined };
}

function statx(message: Message, call: Call): h.StatxRequest {
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

function setattr(message: Message, call: Call): h.SetattrRequest {
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

function mknod(message: Message, call: Call): h.MknodRequest {
  const at = message.struct(l.MKNOD_IN);
  const to = l.MKNOD_IN.at;
  const fields = { mode: message.u32(at + to.mode), rdev: message.u32(at + to.rdev) };
  return { parent: call.nodeId, name: message.string(), ...fields, umask: message.u32(at + to.umask) };
}

function mkdir(message: Message, call: Call): h.MkdirRequest {
  const at = message.struct(l.MKDIR_IN);
  const to = l.MKDIR_IN.at;
  const fields = { mode: message.u32(at + to.mode), umask: message.u32(at + to.umask) };
  return { parent: call.nodeId, name: message.string(), ...fields };
}

function rename(layout: typeof l.RENAME_IN | typeof l.RENAME2_IN) {
  return (message: Message, call: Call): h.RenameRequest => {
    const at = message.struct(layout);
    const newParent = message.u53(at + layout.at.newdir, 'ESTALE');
    const flags = 'flags' in layout.at ? message.u32(at + layout.at.flags) : 0;
    call.otherNodeId = newParent;
    const name = message.string();
    return { parent: call.nodeId, name, newParent, newName: message.string(), flags };
  };
}

function link(message: Message, call: Call): h.LinkRequest {
  const at = message.struct(l.LINK_IN);
  const nodeId = message.u53(at + l.LINK_IN.at.oldnodeid, 'ESTALE');
  call.otherNodeId = nodeId;
  return { nodeId, newParent: call.nodeId, newName: message.string() };
}

function open(message: Message, call: Call): h.OpenRequest {
  const at = message.struct(l.OPEN_IN);
  const killSuidgid = (message.u32(at + l.OPEN_IN.at.open_flags) & OPEN_KILL_SUIDGID) !== 0;
  return { nodeId: call.nodeId, flags: message.u32(at + l.OPEN_IN.at.flags), killSuidgid };
}

function create(message: Message, call: Call): h.CreateRequest {
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
class Read implements h.ReadRequest {
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

function readReply(reply: Reply, value: Uint8Array | number, call: Call, request: h.ReadRequest): void {
  const length = typeof value === 'number' ? value : value.length;
  if (length > request.size) throw new RangeError(`read handler returned ${length} of ${request.size} bytes`);
  if (typeof value !== 'number') reply.data(value);
  else if (length > 0 && call.replyLease === undefined) {
    throw new RangeError('read handler returned a number but did not fill request.buffer');
  } else reply.claim(length);
}

function write(message: Message, call: Call): h.WriteRequest {
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

function flush(message: Message, call: Call): h.FlushRequest {
  const at = message.struct(l.FLUSH_IN);
  const to = l.FLUSH_IN.at;
  return {
    nodeId: call.nodeId,
    fh: message.u53(at + to.fh, 'EINVAL'),
    lockOwner: message.u64(at + to.lock_owner),
  };
}

function fsync(message: Message, call: Call): h.FsyncRequest {
  const at = message.struct(l.FSYNC_IN);
  const dataOnly = (message.u32(at + l.FSYNC_IN.at.fsync_flags) & FSYNC_FDATASYNC) !== 0;
  return { nodeId: call.nodeId, fh: message.u53(at + l.FSYNC_IN.at.fh, 'EINVAL'), dataOnly };
}

function release(message: Message, call: Call): h.ReleaseRequest {
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

function readdir(plus: boolean) {
  return (message: Message, call: Call): h.ReaddirRequest => {
    const at = message.struct(l.READ_IN);
    const to = l.READ_IN.at;
    const size = message.u32(at + to.size);
    if (size > message.wire.maxReplyBytes) throw new MalformedRequest(`READDIR of ${size} bytes`);
    const fh = message.u53(at + to.fh, 'EINVAL');
    const offset = message.u53(at + to.offset, 'EINVAL');
    call.entries = new DirentWriter(call.room(size), size, plus);
    return { nodeId: call.nodeId, fh, offset, entries: call.entries };
  };
}

function direntsReply(reply: Reply, _value: unknown, call: Call): void {
  reply.claim(call.entries?.length ?? 0);
}

function access(message: Message, call: Call): h.AccessRequest {
  return { nodeId: call.nodeId, mask: message.u32(message.struct(l.ACCESS_IN) + l.ACCESS_IN.at.mask) };
}

function setxattr(message: Message, call: Call): h.SetxattrRequest {
  const extended = message.wire.setxattrExtended;
  const at = message.struct(extended ? l.SETXATTR_IN : l.SETXATTR_IN_COMPAT);
  const to = l.SETXATTR_IN.at;
  const size = message.u32(at + to.size);
  const flags = message.u32(at + to.flags);
  const aclKillSgid = extended && (message.u32(at + to.setxattr_flags) & SETXATTR_ACL_KILL_SGID) !== 0;
  const name = message.string();
  return { nodeId: call.nodeId, name, value: message.data(size), flags, aclKillSgid };
}

function xattrSize(message: Message, call: Call): void {
  call.wantedBytes = message.u32(message.struct(l.GETXATTR_IN) + l.GETXATTR_IN.at.size);
}

/** getxattr(2), listxattr(2): size 0 asks how large it is, and a buffer that is too small is ERANGE. */
function xattrReply(reply: Reply, value: Uint8Array, call: Call): void {
  if (call.wantedBytes === 0) reply.size(value.length);
  else if (value.length > call.wantedBytes) throw new FuseError('ERANGE');
  else reply.data(value);
}

/** The `end` of a lock that reaches to the end of the file (OFFSET_MAX, fs.h). */
const LOCK_TO_END = 0x7fff_ffff_ffff_ffffn;

function lock(message: Message, call: Call): h.LockRequest {
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

function lockReply(reply: Reply, value: h.FileLock): void {
  const end = value.end === undefined ? LOCK_TO_END : BigInt(value.end);
  const lk = { start: BigInt(value.start), end, type: value.type, pid: value.pid };
  l.LK_OUT.encode(reply.view, reply.struct(l.LK_OUT.size), { lk });
}

function setlk(wait: boolean) {
  return (message: Message, call: Call): h.SetlkRequest => ({ ...lock(message, call), wait });
}

function lseek(message: Message, call: Call): h.LseekRequest {
  const at = message.struct(l.LSEEK_IN);
  const to = l.LSEEK_IN.at;
  return {
    nodeId: call.nodeId,
    fh: message.u53(at + to.fh, 'EINVAL'),
    offset: message.u53(at + to.offset, 'EINVAL'),
    whence: message.u32(at + to.whence),
  };
}

function fallocate(message: Message, call: Call): h.FallocateRequest {
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

function copyFileRange(message: Message, call: Call): h.CopyFileRangeRequest {
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

/** Every opcode of linux/fuse.h up to 7.45, in order of number. */
export const OPCODES: readonly OpcodeRow[] = [
  handled('LOOKUP', 1, { strings: 1, out: [l.ENTRY_OUT] }, (on) => on.lookup, named, entry),
  driver('FORGET', 2, false, { in: l.FORGET_IN }),
  handled(
    'GETATTR',
    3,
    { in: l.GETATTR_IN, out: [l.ATTR_OUT] },
    (on) => on.getattr,
    getattr,
    (r, v) => r.attr(v),
  ),
  handled(
    'SETATTR',
    4,
    { in: l.SETATTR_IN, out: [l.ATTR_OUT] },
    (on) => on.setattr,
    setattr,
    (r, v) => r.attr(v),
  ),
  handled(
    'READLINK',
    5,
    { outData: 'text' },
    (on) => on.readlink,
    node,
    (r, v) => r.data(Buffer.from(v)),
  ),
  handled(
    'SYMLINK',
    6,
    { strings: 2, out: [l.ENTRY_OUT] },
    (on) => on.symlink,
    (message, call) => ({ ...named(message, call), target: message.string() }),
    entry,
  ),
  handled('MKNOD', 8, { in: l.MKNOD_IN, strings: 1, out: [l.ENTRY_OUT] }, (on) => on.mknod, mknod, entry),
  handled('MKDIR', 9, { in: l.MKDIR_IN, strings: 1, out: [l.ENTRY_OUT] }, (on) => on.mkdir, mkdir, entry),
  handled('UNLINK', 10, { strings: 1 }, (on) => on.unlink, named, nothing),
  handled('RMDIR', 11, { strings: 1 }, (on) => on.rmdir, named, nothing),
  handled('RENAME', 12, { in: l.RENAME_IN, strings: 2 }, (on) => on.rename, rename(l.RENAME_IN), nothing),
  handled('LINK', 13, { in: l.LINK_IN, strings: 1, out: [l.ENTRY_OUT] }, (on) => on.link, link, entry),
  handled(
    'OPEN',
    14,
    { in: l.OPEN_IN, out: [l.OPEN_OUT] },
    (on) => on.open,
    open,
    (r, v) => r.open(v),
  ),
  handled(
    'READ',
    15,
    { in: l.READ_IN, outData: 'bytes' },
    (on) => on.read,
    (message, call): h.ReadRequest => new Read(message, call),
    readReply,
  ),
  handled(
    'WRITE',
    16,
    { in: l.WRITE_IN, data: true, out: [l.WRITE_OUT] },
    (on) => on.write,
    write,
    (r, v) => r.size(v),
  ),
  handled(
    'STATFS',
    17,
    { out: [l.STATFS_OUT] },
    (on) => on.statfs,
    node,
    (r, v) => r.statfs(v),
  ),
  handled('RELEASE', 18, { in: l.RELEASE_IN }, (on) => on.release, release, nothing),
  handled('FSYNC', 20, { in: l.FSYNC_IN, missing: 'EOPNOTSUPP' }, (on) => on.fsync, fsync, nothing),
  handled(
    'SETXATTR',
    21,
    { in: l.SETXATTR_IN, inCompat: l.SETXATTR_IN_COMPAT, strings: 1, data: true },
    (on) => on.setxattr,
    setxattr,
    nothing,
  ),
  handled(
    'GETXATTR',
    22,
    { in: l.GETXATTR_IN, strings: 1, outData: 'bytes' },
    (on) => on.getxattr,
    (message, call): h.XattrNameRequest => {
      xattrSize(message, call);
      return { nodeId: call.nodeId, name: message.string() };
    },
    xattrReply,
  ),
  handled(
    'LISTXATTR',
    23,
    { in: l.GETXATTR_IN, outData: 'bytes' },
    (on) => on.listxattr,
    (message, call): h.NodeRequest => {
      xattrSize(message, call);
      return { nodeId: call.nodeId };
    },
    (reply, names, call) => xattrReply(reply, Buffer.from(names.map((name) => `${name}\0`).join('')), call),
  ),
  handled(
    'REMOVEXATTR',
    24,
    { strings: 1 },
    (on) => on.removexattr,
    (message, call): h.XattrNameRequest => ({ nodeId: call.nodeId, name: message.string() }),
    nothing,
  ),
  handled('FLUSH', 25, { in: l.FLUSH_IN }, (on) => on.flush, flush, nothing),
  driver('INIT', 26, true, { in: l.INIT_IN, inCompat: l.INIT_IN_COMPAT, out: [l.INIT_OUT] }),
  handled(
    'OPENDIR',
    27,
    { in: l.OPEN_IN, out: [l.OPEN_OUT] },
    (on) => on.opendir,
    open,
    (r, v) => r.open(v),
  ),
  handled(
    'READDIR',
    28,
    { in: l.READ_IN, outData: 'dirents' },
    (on) => on.readdir,
    readdir(false),
    direntsReply,
  ),
  handled('RELEASEDIR', 29, { in: l.RELEASE_IN }, (on) => on.releasedir, release, nothing),
  handled('FSYNCDIR', 30, { in: l.FSYNC_IN, missing: 'EOPNOTSUPP' }, (on) => on.fsyncdir, fsync, nothing),
  handled('GETLK', 31, { in: l.LK_IN, out: [l.LK_OUT] }, (on) => on.getlk, lock, lockReply),
  handled('SETLK', 32, { in: l.LK_IN }, (on) => on.setlk, setlk(false), nothing),
  handled('SETLKW', 33, { in: l.LK_IN }, (on) => on.setlk, setlk(true), nothing),
  handled('ACCESS', 34, { in: l.ACCESS_IN }, (on) => on.access, access, nothing),
  handled(
    'CREATE',
    35,
    { in: l.CREATE_IN, strings: 1, out: [l.ENTRY_OUT, l.OPEN_OUT] },
    (on) => on.create,
    create,
    created,
  ),
  driver('INTERRUPT', 36, false, { in: l.INTERRUPT_IN }),
  refused('BMAP', 37, { in: l.BMAP_IN }),
  driver('DESTROY', 38, true, {}),
  refused('IOCTL', 39, { in: l.IOCTL_IN, data: true, missing: 'ENOTTY' }),
  refused('POLL', 40, { in: l.POLL_IN }),
  driver('NOTIFY_REPLY', 41, false, {}),
  driver('BATCH_FORGET', 42, false, { in: l.BATCH_FORGET_IN, data: true }),
  handled('FALLOCATE', 43, { in: l.FALLOCATE_IN }, (on) => on.fallocate, fallocate, nothing),
  handled(
    'READDIRPLUS',
    44,
    { in: l.READ_IN, outData: 'direntsplus' },
    (on) => on.readdirplus,
    readdir(true),
    direntsReply,
  ),
  handled('RENAME2', 45, { in: l.RENAME2_IN, strings: 2 }, (on) => on.rename, rename(l.RENAME2_IN), nothing),
  handled(
    'LSEEK',
    46,
    { in: l.LSEEK_IN, out: [l.LSEEK_OUT] },
    (on) => on.lseek,
    lseek,
    (r, v) => r.u53(v),
  ),
  handled(
    'COPY_FILE_RANGE',
    47,
    { in: l.COPY_FILE_RANGE_IN, out: [l.WRITE_OUT] },
    (on) => on.copyFileRange,
    copyFileRange,
    (r, v) => r.size(v),
  ),
  refused('SETUPMAPPING', 48, { in: l.SETUPMAPPING_IN }),
  refused('REMOVEMAPPING', 49, { in: l.REMOVEMAPPING_IN, data: true }),
  handled(
    'SYNCFS',
    50,
    { since: 34, in: l.SYNCFS_IN, missing: 'EOPNOTSUPP' },
    (on) => on.syncfs,
    node,
    nothing,
  ),
  handled(
    'TMPFILE',
    51,
    { since: 37, in: l.CREATE_IN, strings: 1, out: [l.ENTRY_OUT, l.OPEN_OUT] },
    (on) => on.tmpfile,
    create,
    created,
  ),
  handled(
    'STATX',
    52,
    { since: 39, in: l.STATX_IN, out: [l.STATX_OUT] },
    (on) => on.statx,
    statx,
    (r, v) => r.statx(v),
  ),
  handled(
    'COPY_FILE_RANGE_64',
    53,
    { since: 45, in: l.COPY_FILE_RANGE_IN, out: [l.COPY_FILE_RANGE_OUT] },
    (on) => on.copyFileRange,
    copyFileRange,
    (r, v) => r.u53(v),
  ),
];

const BY_NUMBER: readonly (OpcodeRow | undefined)[] = OPCODES.reduce<(OpcodeRow | undefined)[]>(
  (table, row) => {
    table[row.number] = row;
    return table;
  },
  [],
);

/** The row of an opcode, undefined when the protocol up to 7.45 has none of that number. */
export function opcodeRow(opcode: number): OpcodeRow | undefined {
  return BY_NUMBER[opcode];
}

/** Opcode numbers that the driver itself names. */
export const OP = {
  FORGET: 2,
  INIT: 26,
  INTERRUPT: 36,
  DESTROY: 38,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
} as const;
