/**
 * The table of opcodes: one row each, with number, first minor version, wire structs, decoding, encoding, and what is
 * answered when there is no handler. Decoding (decode.ts), dispatch and printing all go through it.
 *
 * `missing` follows what the kernel makes of the answer (fs/fuse): ENOSYS where it then stops asking and does
 * without (OPEN, OPENDIR, FLUSH, ACCESS, CREATE falls back to MKNOD and OPEN, RENAME2, xattrs, LSEEK, FALLOCATE,
 * COPY_FILE_RANGE, TMPFILE, STATX, POLL, BMAP) and EOPNOTSUPP for FSYNC, FSYNCDIR and SYNCFS, because the kernel takes
 * ENOSYS for a success there.
 */

import { LOCK_TO_END } from './abi.js';
import type { Call } from './call.js';
import * as decode from './decode.js';
import { type ErrnoName, FuseError } from './errno.js';
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
  /** Carrying it out twice is not the same as once: the handlers are told when it is answered. */
  readonly once: boolean;
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
  Pick<OpcodeRow, 'in' | 'inCompat' | 'strings' | 'data' | 'out' | 'outData' | 'missing' | 'once'>
> & {
  readonly since?: number;
};

/** Minor versions below the oldest that the driver speaks are all the same to it. */
const ALWAYS = 0;

function plain(shape: Shape): Omit<OpcodeRow, 'name' | 'number' | 'answered' | 'by' | 'bind'> {
  const { since = ALWAYS, missing = 'ENOSYS', once = false, ...rest } = shape;
  return { minMinor: since, missing, once, ...rest };
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

function entry(reply: Reply, value: h.EntryReply | h.NegativeEntryReply, call: Call): void {
  call.handedOver = value.nodeId;
  reply.entry(value);
}

function created(reply: Reply, value: h.CreateReply, call: Call): void {
  call.handedOver = value.entry.nodeId;
  reply.entry(value.entry);
  opened(reply, value.open, call);
}

function opened(reply: Reply, value: h.OpenReply, call: Call): void {
  call.opened = value.fh;
  reply.open(value);
}

function readReply(reply: Reply, value: Uint8Array | number, call: Call, request: h.ReadRequest): void {
  const length = typeof value === 'number' ? value : value.length;
  if (length > request.size) throw new RangeError(`read handler returned ${length} of ${request.size} bytes`);
  if (typeof value !== 'number') reply.data(value);
  else if (length > 0 && call.replyLease === undefined) {
    throw new RangeError('read handler returned a number but did not fill request.buffer');
  } else reply.claim(length);
}

function direntsReply(reply: Reply, _value: unknown, call: Call): void {
  reply.claim(call.entries?.length ?? 0);
}

/** getxattr(2), listxattr(2): size 0 asks how large it is, and a buffer that is too small is ERANGE. */
function xattrReply(reply: Reply, value: Uint8Array, call: Call): void {
  if (call.wantedBytes === 0) reply.size(value.length);
  else if (value.length > call.wantedBytes) throw new FuseError('ERANGE');
  else reply.data(value);
}

function lockReply(reply: Reply, value: h.FileLock): void {
  const end = value.end === undefined ? LOCK_TO_END : BigInt(value.end);
  const lk = { start: BigInt(value.start), end, type: value.type, pid: value.pid };
  l.LK_OUT.encode(reply.view, reply.struct(l.LK_OUT.size), { lk });
}

/** Every opcode of linux/fuse.h up to 7.45, in order of number. */
export const OPCODES: readonly OpcodeRow[] = [
  handled('LOOKUP', 1, { strings: 1, out: [l.ENTRY_OUT] }, (on) => on.lookup, decode.named, entry),
  driver('FORGET', 2, false, { in: l.FORGET_IN }),
  handled(
    'GETATTR',
    3,
    { in: l.GETATTR_IN, out: [l.ATTR_OUT] },
    (on) => on.getattr,
    decode.getattr,
    (r, v) => r.attr(v),
  ),
  handled(
    'SETATTR',
    4,
    { in: l.SETATTR_IN, out: [l.ATTR_OUT] },
    (on) => on.setattr,
    decode.setattr,
    (r, v) => r.attr(v),
  ),
  handled(
    'READLINK',
    5,
    { outData: 'text' },
    (on) => on.readlink,
    decode.node,
    (r, v) => r.data(Buffer.from(v)),
  ),
  handled(
    'SYMLINK',
    6,
    { strings: 2, out: [l.ENTRY_OUT], once: true },
    (on) => on.symlink,
    (message, call) => ({ ...decode.named(message, call), target: message.string() }),
    entry,
  ),
  handled(
    'MKNOD',
    8,
    { in: l.MKNOD_IN, strings: 1, out: [l.ENTRY_OUT], once: true },
    (on) => on.mknod,
    decode.mknod,
    entry,
  ),
  handled(
    'MKDIR',
    9,
    { in: l.MKDIR_IN, strings: 1, out: [l.ENTRY_OUT], once: true },
    (on) => on.mkdir,
    decode.mkdir,
    entry,
  ),
  handled('UNLINK', 10, { strings: 1, once: true }, (on) => on.unlink, decode.named, nothing),
  handled('RMDIR', 11, { strings: 1, once: true }, (on) => on.rmdir, decode.named, nothing),
  handled(
    'RENAME',
    12,
    { in: l.RENAME_IN, strings: 2, once: true },
    (on) => on.rename,
    decode.rename(l.RENAME_IN),
    nothing,
  ),
  handled(
    'LINK',
    13,
    { in: l.LINK_IN, strings: 1, out: [l.ENTRY_OUT], once: true },
    (on) => on.link,
    decode.link,
    entry,
  ),
  handled('OPEN', 14, { in: l.OPEN_IN, out: [l.OPEN_OUT] }, (on) => on.open, decode.open, opened),
  handled(
    'READ',
    15,
    { in: l.READ_IN, outData: 'bytes' },
    (on) => on.read,
    (message, call): h.ReadRequest => new decode.Read(message, call),
    readReply,
  ),
  handled(
    'WRITE',
    16,
    { in: l.WRITE_IN, data: true, out: [l.WRITE_OUT] },
    (on) => on.write,
    decode.write,
    (r, v) => r.size(v),
  ),
  handled(
    'STATFS',
    17,
    { out: [l.STATFS_OUT] },
    (on) => on.statfs,
    decode.node,
    (r, v) => r.statfs(v),
  ),
  handled('RELEASE', 18, { in: l.RELEASE_IN }, (on) => on.release, decode.release, nothing),
  handled('FSYNC', 20, { in: l.FSYNC_IN, missing: 'EOPNOTSUPP' }, (on) => on.fsync, decode.fsync, nothing),
  handled(
    'SETXATTR',
    21,
    { in: l.SETXATTR_IN, inCompat: l.SETXATTR_IN_COMPAT, strings: 1, data: true, once: true },
    (on) => on.setxattr,
    decode.setxattr,
    nothing,
  ),
  handled(
    'GETXATTR',
    22,
    { in: l.GETXATTR_IN, strings: 1, outData: 'bytes' },
    (on) => on.getxattr,
    (message, call): h.XattrNameRequest => {
      decode.xattrSize(message, call);
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
      decode.xattrSize(message, call);
      return { nodeId: call.nodeId };
    },
    (reply, names, call) => xattrReply(reply, Buffer.from(names.map((name) => `${name}\0`).join('')), call),
  ),
  handled(
    'REMOVEXATTR',
    24,
    { strings: 1, once: true },
    (on) => on.removexattr,
    (message, call): h.XattrNameRequest => ({ nodeId: call.nodeId, name: message.string() }),
    nothing,
  ),
  handled('FLUSH', 25, { in: l.FLUSH_IN }, (on) => on.flush, decode.flush, nothing),
  driver('INIT', 26, true, { in: l.INIT_IN, inCompat: l.INIT_IN_COMPAT, out: [l.INIT_OUT] }),
  handled('OPENDIR', 27, { in: l.OPEN_IN, out: [l.OPEN_OUT] }, (on) => on.opendir, decode.open, opened),
  handled(
    'READDIR',
    28,
    { in: l.READ_IN, outData: 'dirents' },
    (on) => on.readdir,
    decode.readdir(false),
    direntsReply,
  ),
  handled('RELEASEDIR', 29, { in: l.RELEASE_IN }, (on) => on.releasedir, decode.release, nothing),
  handled(
    'FSYNCDIR',
    30,
    { in: l.FSYNC_IN, missing: 'EOPNOTSUPP' },
    (on) => on.fsyncdir,
    decode.fsync,
    nothing,
  ),
  handled('GETLK', 31, { in: l.LK_IN, out: [l.LK_OUT] }, (on) => on.getlk, decode.lock, lockReply),
  handled('SETLK', 32, { in: l.LK_IN }, (on) => on.setlk, decode.setlk(false), nothing),
  handled('SETLKW', 33, { in: l.LK_IN }, (on) => on.setlk, decode.setlk(true), nothing),
  handled('ACCESS', 34, { in: l.ACCESS_IN }, (on) => on.access, decode.access, nothing),
  handled(
    'CREATE',
    35,
    { in: l.CREATE_IN, strings: 1, out: [l.ENTRY_OUT, l.OPEN_OUT], once: true },
    (on) => on.create,
    decode.create,
    created,
  ),
  driver('INTERRUPT', 36, false, { in: l.INTERRUPT_IN }),
  refused('BMAP', 37, { in: l.BMAP_IN }),
  driver('DESTROY', 38, true, {}),
  refused('IOCTL', 39, { in: l.IOCTL_IN, data: true, missing: 'ENOTTY' }),
  refused('POLL', 40, { in: l.POLL_IN }),
  driver('NOTIFY_REPLY', 41, false, {}),
  driver('BATCH_FORGET', 42, false, { in: l.BATCH_FORGET_IN, data: true }),
  handled('FALLOCATE', 43, { in: l.FALLOCATE_IN }, (on) => on.fallocate, decode.fallocate, nothing),
  handled(
    'READDIRPLUS',
    44,
    { in: l.READ_IN, outData: 'direntsplus' },
    (on) => on.readdirplus,
    decode.readdir(true),
    direntsReply,
  ),
  handled(
    'RENAME2',
    45,
    { in: l.RENAME2_IN, strings: 2, once: true },
    (on) => on.rename,
    decode.rename(l.RENAME2_IN),
    nothing,
  ),
  handled(
    'LSEEK',
    46,
    { in: l.LSEEK_IN, out: [l.LSEEK_OUT] },
    (on) => on.lseek,
    decode.lseek,
    (r, v) => r.u53(v),
  ),
  handled(
    'COPY_FILE_RANGE',
    47,
    { in: l.COPY_FILE_RANGE_IN, out: [l.WRITE_OUT] },
    (on) => on.copyFileRange,
    decode.copyFileRange,
    (r, v) => r.size(v),
  ),
  refused('SETUPMAPPING', 48, { in: l.SETUPMAPPING_IN }),
  refused('REMOVEMAPPING', 49, { in: l.REMOVEMAPPING_IN, data: true }),
  handled(
    'SYNCFS',
    50,
    { since: 34, in: l.SYNCFS_IN, missing: 'EOPNOTSUPP' },
    (on) => on.syncfs,
    decode.node,
    nothing,
  ),
  handled(
    'TMPFILE',
    51,
    { since: 37, in: l.CREATE_IN, strings: 1, out: [l.ENTRY_OUT, l.OPEN_OUT], once: true },
    (on) => on.tmpfile,
    decode.create,
    created,
  ),
  handled(
    'STATX',
    52,
    { since: 39, in: l.STATX_IN, out: [l.STATX_OUT] },
    (on) => on.statx,
    decode.statx,
    (r, v) => r.statx(v),
  ),
  handled(
    'COPY_FILE_RANGE_64',
    53,
    { since: 45, in: l.COPY_FILE_RANGE_IN, out: [l.COPY_FILE_RANGE_OUT] },
    (on) => on.copyFileRange,
    decode.copyFileRange,
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
