/**
 * One reply under construction: the 16-byte out header and what follows, in a buffer that a single write(2) sends.
 * It knows the shapes that several replies share (entry, attributes, open); which reply has which is in opcodes.ts.
 */

import { OUT_HEADER_BYTES } from './abi.js';
import type { Lease } from './buffers.js';
import { FuseError } from './errno.js';
import type {
  Attr,
  AttrReply,
  EntryReply,
  NegativeEntryReply,
  OpenReply,
  StatfsReply,
  StatxReply,
} from './handlers.js';
import {
  ATTR,
  ATTR_OUT,
  ENTRY_OUT,
  KSTATFS,
  OPEN_OUT,
  OUT_HEADER,
  STATX,
  STATX_OUT,
  type SX_TIME,
} from './layouts.js';
import { writeU53 } from './struct.js';

const NS_PER_S = 1_000_000_000n;
/** Longer time-outs are as good as for ever, and the kernel turns them into jiffies (10 years). */
const MAX_TIMEOUT_MS = 10 * 365 * 24 * 3600 * 1000;

/** Splits nanoseconds since the epoch into whole seconds, rounded down, and the rest. */
export function splitNs(ns: bigint): { readonly sec: bigint; readonly nsec: number } {
  const rest = ns % NS_PER_S;
  return rest < 0n
    ? { sec: ns / NS_PER_S - 1n, nsec: Number(rest + NS_PER_S) }
    : { sec: ns / NS_PER_S, nsec: Number(rest) };
}

function putTime(view: DataView, secAt: number, nsecAt: number, ns: bigint): void {
  const { sec, nsec } = splitNs(ns);
  view.setBigInt64(secAt, sec, true);
  view.setUint32(nsecAt, nsec, true);
}

function putTimeout(view: DataView, secAt: number, nsecAt: number, timeoutMs: number): void {
  const ms = Math.min(Math.max(timeoutMs, 0), MAX_TIMEOUT_MS);
  const sec = Math.floor(ms / 1000);
  writeU53(view, secAt, sec);
  view.setUint32(nsecAt, Math.floor((ms - sec * 1000) * 1_000_000), true);
}

/** Writes a `fuse_attr` at `at`. */
export function putAttr(view: DataView, at: number, attr: Attr): void {
  const to = ATTR.at;
  writeU53(view, at + to.ino, attr.ino);
  writeU53(view, at + to.size, attr.size);
  writeU53(view, at + to.blocks, attr.blocks);
  putTime(view, at + to.atime, at + to.atimensec, attr.atimeNs);
  putTime(view, at + to.mtime, at + to.mtimensec, attr.mtimeNs);
  putTime(view, at + to.ctime, at + to.ctimensec, attr.ctimeNs);
  view.setUint32(at + to.mode, attr.mode, true);
  view.setUint32(at + to.nlink, attr.nlink, true);
  view.setUint32(at + to.uid, attr.uid, true);
  view.setUint32(at + to.gid, attr.gid, true);
  view.setUint32(at + to.rdev, attr.rdev, true);
  view.setUint32(at + to.blksize, attr.blksize, true);
  view.setUint32(at + to.flags, 0, true);
}

/** Writes a `fuse_entry_out` at `at`. */
export function putEntry(view: DataView, at: number, entry: EntryReply): void {
  const to = ENTRY_OUT.at;
  writeU53(view, at + to.nodeid, entry.nodeId);
  writeU53(view, at + to.generation, entry.generation);
  putTimeout(view, at + to.entry_valid, at + to.entry_valid_nsec, entry.entryTimeoutMs);
  putTimeout(view, at + to.attr_valid, at + to.attr_valid_nsec, entry.attrTimeoutMs);
  putAttr(view, at + to.attr, entry.attr);
}

export class Reply {
  #bytes: Buffer;
  #view: DataView;
  #length = OUT_HEADER_BYTES;
  #tail: Uint8Array | undefined;

  constructor(lease: Lease) {
    this.#bytes = lease.bytes;
    this.#view = lease.view;
  }

  /** Header and body so far; {@link finish} makes the header. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  get view(): DataView {
    return this.#view;
  }

  /** Length of header and body in `bytes`. */
  get length(): number {
    return this.#length;
  }

  /** Data of the handler's that follows `bytes` and is sent with it. */
  get tail(): Uint8Array | undefined {
    return this.#tail;
  }

  /** Begins another reply, in `lease`. */
  reset(lease: Lease): void {
    this.#bytes = lease.bytes;
    this.#view = lease.view;
    this.#length = OUT_HEADER_BYTES;
    this.#tail = undefined;
  }

  #grow(size: number): number {
    const at = this.#length;
    if (at + size > this.#bytes.length) throw new FuseError('EIO');
    this.#length = at + size;
    return at;
  }

  /** Writes the out header: `errno` 0, or positive and then there is no body. */
  finish(uniqueLow: number, uniqueHigh: number, errno: number): void {
    if (errno !== 0) {
      this.#length = OUT_HEADER_BYTES;
      this.#tail = undefined;
    }
    const to = OUT_HEADER.at;
    this.#view.setUint32(to.len, this.#length + (this.#tail?.length ?? 0), true);
    this.#view.setInt32(to.error, -errno, true);
    this.#view.setUint32(to.unique, uniqueLow, true);
    this.#view.setUint32(to.unique + 4, uniqueHigh, true);
  }

  /** Says that `size` bytes of body are in place already. */
  claim(size: number): void {
    this.#grow(size);
  }

  data(data: Uint8Array): void {
    this.#tail = data;
  }

  entry(entry: EntryReply | NegativeEntryReply): void {
    const at = this.#grow(ENTRY_OUT.size);
    if ('attr' in entry) {
      putEntry(this.#view, at, entry);
      return;
    }
    this.#bytes.fill(0, at, at + ENTRY_OUT.size);
    const to = ENTRY_OUT.at;
    putTimeout(this.#view, at + to.entry_valid, at + to.entry_valid_nsec, entry.entryTimeoutMs);
  }

  attr(reply: AttrReply): void {
    const at = this.#grow(ATTR_OUT.size);
    const to = ATTR_OUT.at;
    putTimeout(this.#view, at + to.attr_valid, at + to.attr_valid_nsec, reply.attrTimeoutMs);
    this.#view.setUint32(at + to.dummy, 0, true);
    putAttr(this.#view, at + to.attr, reply.attr);
  }

  statx(reply: StatxReply): void {
    const at = this.#grow(STATX_OUT.size);
    this.#bytes.fill(0, at, at + STATX_OUT.size);
    const { attr } = reply;
    const out = STATX_OUT.at;
    putTimeout(this.#view, at + out.attr_valid, at + out.attr_valid_nsec, reply.attrTimeoutMs);
    const time = (ns: bigint) => {
      const { sec, nsec } = splitNs(ns);
      return { tv_sec: sec, tv_nsec: nsec } satisfies Parameters<typeof SX_TIME.encode>[2];
    };
    STATX.encode(this.#view, at + out.stat, {
      mask: reply.mask,
      blksize: attr.blksize,
      attributes: BigInt(reply.attributes ?? 0),
      attributes_mask: BigInt(reply.attributesMask ?? 0),
      nlink: attr.nlink,
      uid: attr.uid,
      gid: attr.gid,
      mode: attr.mode,
      ino: BigInt(attr.ino),
      size: BigInt(attr.size),
      blocks: BigInt(attr.blocks),
      atime: time(attr.atimeNs),
      btime: time(reply.btimeNs ?? 0n),
      ctime: time(attr.ctimeNs),
      mtime: time(attr.mtimeNs),
    });
  }

  open(reply: OpenReply): void {
    const at = this.#grow(OPEN_OUT.size);
    const to = OPEN_OUT.at;
    writeU53(this.#view, at + to.fh, reply.fh);
    this.#view.setUint32(at + to.open_flags, reply.flags ?? 0, true);
    this.#view.setInt32(at + to.backing_id, reply.backingId ?? 0, true);
  }

  statfs(reply: StatfsReply): void {
    const at = this.#grow(KSTATFS.size);
    KSTATFS.encode(this.#view, at, {
      blocks: BigInt(reply.blocks),
      bfree: BigInt(reply.bfree),
      bavail: BigInt(reply.bavail),
      files: BigInt(reply.files),
      ffree: BigInt(reply.ffree),
      bsize: reply.bsize,
      namelen: reply.namelen,
      frsize: reply.frsize,
    });
  }

  /** A u32 and four bytes of padding: `fuse_write_out`, `fuse_getxattr_out`. */
  size(size: number): void {
    const at = this.#grow(8);
    this.#view.setUint32(at, size, true);
    this.#view.setUint32(at + 4, 0, true);
  }

  /** A u64: `fuse_lseek_out`, `fuse_copy_file_range_out`. */
  u53(value: number): void {
    writeU53(this.#view, this.#grow(8), value);
  }

  /** Where a struct of `size` bytes may be encoded. */
  struct(size: number): number {
    return this.#grow(size);
  }
}
