/** Requests and replies as lines of text with every field, from the opcode table's structs. */

import { IN_HEADER_BYTES, OUT_HEADER_BYTES } from './abi.js';
import { errnoName, FuseError, MalformedRequest } from './errno.js';
import { DIRENT, DIRENTPLUS, FORGET_ONE, GETXATTR_OUT, IN_HEADER } from './layouts.js';
import { Message } from './message.js';
import type { OpcodeRow } from './opcodes.js';
import { OP } from './opcodes.js';
import type { Reply } from './reply.js';

/** Data is shown up to this many bytes. */
const SHOWN_BYTES = 32;
const RECORD_ALIGN = 8;

function printData(data: Uint8Array): string {
  const shown = Buffer.from(data.buffer, data.byteOffset, Math.min(data.length, SHOWN_BYTES)).toString('hex');
  return `${data.length} bytes${data.length === 0 ? '' : `: ${shown}${data.length > SHOWN_BYTES ? '...' : ''}`}`;
}

function printHeader(message: Message): string {
  const nodeid = message.view.getBigUint64(IN_HEADER.at.nodeid, true);
  const resent = message.resent ? ' resent' : '';
  return `unique=${message.unique}${resent} node=${nodeid} uid=${message.uid} gid=${message.gid} pid=${message.pid}`;
}

function printBody(message: Message, row: OpcodeRow): readonly string[] {
  const parts: string[] = [];
  try {
    const short = row.inCompat !== undefined && row.in !== undefined;
    const compat =
      short && (row.number === OP.INIT ? message.remaining < row.in.size : !message.wire.setxattrExtended);
    const layout = compat ? row.inCompat : row.in;
    if (layout !== undefined) parts.push(layout.print(message.view, message.struct(layout)));
    for (let count = row.strings ?? 0; count > 0; count--) parts.push(JSON.stringify(message.string()));
    if (row.number === OP.BATCH_FORGET) {
      while (message.remaining >= FORGET_ONE.size) {
        parts.push(FORGET_ONE.print(message.view, message.struct(FORGET_ONE)));
      }
    } else if (row.data) parts.push(printData(message.data(message.remaining)));
  } catch (error) {
    if (!(error instanceof FuseError)) throw error;
    parts.push(`[malformed: ${error instanceof MalformedRequest ? error.detail : error.code}]`);
  }
  return parts;
}

/** `-> LOOKUP unique=4 node=1 uid=0 gid=0 pid=77 "name"`, of the `length` bytes received. */
export function printRequest(received: Message, row: OpcodeRow | undefined): string {
  // A cursor of its own: printing must not move the one that the decoder uses.
  const message = new Message(received.lease, received.wire);
  if (!message.load(received.length)) return `-> [malformed: ${received.length} bytes]`;
  const head = `-> ${row?.name ?? `opcode ${message.opcode}`} ${printHeader(message)}`;
  if (row === undefined) return `${head} ${received.length - IN_HEADER_BYTES} bytes`;
  return [head, ...printBody(message, row)].join(' ');
}

function printDirents(view: DataView, bytes: Buffer, end: number, plus: boolean): readonly string[] {
  const parts: string[] = [];
  let at = OUT_HEADER_BYTES;
  while (at < end) {
    const dirent = plus ? at + DIRENTPLUS.at.dirent : at;
    const nameEnd = dirent + DIRENT.size + view.getUint32(dirent + DIRENT.at.namelen, true);
    const name = JSON.stringify(bytes.toString('utf8', dirent + DIRENT.size, nameEnd));
    parts.push(`${name} ${(plus ? DIRENTPLUS : DIRENT).print(view, at)}`);
    at += Math.ceil((nameEnd - at) / RECORD_ALIGN) * RECORD_ALIGN;
  }
  return parts;
}

function printReplyBody(row: OpcodeRow, reply: Reply, asksSize: boolean): readonly string[] {
  const { view, bytes, tail } = reply;
  if (asksSize) return [GETXATTR_OUT.print(view, OUT_HEADER_BYTES)];
  const parts: string[] = [];
  let at = OUT_HEADER_BYTES;
  for (const layout of row.out ?? []) {
    parts.push(layout.print(view, at));
    at += layout.size;
  }
  const data = tail ?? bytes.subarray(at, reply.length);
  switch (row.outData) {
    case 'text':
      return [...parts, JSON.stringify(Buffer.from(data).toString('utf8'))];
    case 'bytes':
      return [...parts, printData(data)];
    case 'dirents':
    case 'direntsplus':
      return [...parts, ...printDirents(view, bytes, reply.length, row.outData === 'direntsplus')];
    default:
      return parts;
  }
}

/** `<- LOOKUP unique=4 ENOENT`, or the reply's structs. `asksSize`: an xattr request that asks only for the size. */
export function printReply(
  row: OpcodeRow | undefined,
  unique: number,
  errno: number,
  reply: Reply,
  asksSize: boolean,
): string {
  const head = `<- ${row?.name ?? 'unknown'} unique=${unique} ${errno === 0 ? 'OK' : errnoName(errno)}`;
  if (errno !== 0 || row === undefined) return head;
  return [head, ...printReplyBody(row, reply, asksSize)].join(' ');
}
