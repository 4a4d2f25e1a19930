/**
 * One received message and a cursor over it. Every read is checked against the message's end, so that a truncated or
 * garbled message ends in a MalformedRequest and never in a wrong value or a crash.
 */

import { isUtf8 } from 'node:buffer';
import { IN_HEADER_BYTES, UNIQUE_RESEND_HIGH_BIT } from './abi.js';
import type { Lease } from './buffers.js';
import { type ErrnoName, FuseError, MalformedRequest } from './errno.js';
import { IN_HEADER } from './layouts.js';
import { readU53 } from './struct.js';

const AT = IN_HEADER.at;
const TWO_32 = 0x1_0000_0000;
/** `total_extlen` counts in units of 8 bytes. */
const EXTENSION_UNIT_BYTES = 8;
const REPLACEMENT = '�';

/** `unique` halves as a number, without the resend bit. */
export function uniqueNumber(low: number, high: number): number {
  return (high & ~UNIQUE_RESEND_HIGH_BIT) * TWO_32 + low;
}

/** What the negotiation settled about the wire format. */
export interface Wire {
  /** SETXATTR carries the extended struct (SETXATTR_EXT). */
  readonly setxattrExtended: boolean;
  /** The most data that a reply to READ or READDIR may be asked for. */
  readonly maxReplyBytes: number;
}

export class Message {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly lease: Lease;
  readonly wire: Wire;
  length = 0;
  opcode = 0;
  uniqueLow = 0;
  uniqueHigh = 0;
  /** Where the body ends; extensions (7.38) follow and are not read. */
  #end = 0;
  #cursor = 0;

  constructor(lease: Lease, wire: Wire) {
    this.lease = lease;
    this.wire = wire;
    this.bytes = lease.bytes;
    this.view = lease.view;
  }

  /** Takes the header of the `length` bytes just received. False when not even the header is whole. */
  load(length: number): boolean {
    this.length = length;
    if (length < IN_HEADER_BYTES) return false;
    this.opcode = this.view.getUint32(AT.opcode, true);
    this.uniqueLow = this.view.getUint32(AT.unique, true);
    this.uniqueHigh = this.view.getUint32(AT.unique + 4, true);
    this.#cursor = IN_HEADER_BYTES;
    this.#end = length;
    return true;
  }

  /** Checks the length fields of the header. */
  checkLengths(): void {
    const told = this.view.getUint32(AT.len, true);
    if (told !== this.length)
      throw new MalformedRequest(`header says ${told} bytes, received ${this.length}`);
    const extensions = this.view.getUint16(AT.total_extlen, true) * EXTENSION_UNIT_BYTES;
    if (extensions > this.length - IN_HEADER_BYTES)
      throw new MalformedRequest('extensions beyond the message');
    this.#end = this.length - extensions;
  }

  get unique(): number {
    return uniqueNumber(this.uniqueLow, this.uniqueHigh);
  }

  get resent(): boolean {
    return this.uniqueHigh >= UNIQUE_RESEND_HIGH_BIT;
  }

  get uid(): number {
    return this.view.getUint32(AT.uid, true);
  }

  get gid(): number {
    return this.view.getUint32(AT.gid, true);
  }

  get pid(): number {
    return this.view.getUint32(AT.pid, true);
  }

  /** The header's node id; one that we cannot have given out is stale. */
  get nodeId(): number {
    return this.u53(AT.nodeid, 'ESTALE');
  }

  get remaining(): number {
    return this.#end - this.#cursor;
  }

  /** Steps over a struct of `size` bytes and returns where it begins. */
  struct(layout: { readonly name: string; readonly size: number }): number {
    const base = this.#cursor;
    if (base + layout.size > this.#end) throw new MalformedRequest(`${layout.name} is cut short`);
    this.#cursor = base + layout.size;
    return base;
  }

  u32(at: number): number {
    return this.view.getUint32(at, true);
  }

  /** A u64 that must be below 2^53; else the request is answered `code`. */
  u53(at: number, code: ErrnoName): number {
    const value = readU53(this.view, at);
    if (value < 0) throw new FuseError(code);
    return value;
  }

  u64(at: number): bigint {
    return this.view.getBigUint64(at, true);
  }

  i64(at: number): bigint {
    return this.view.getBigInt64(at, true);
  }

  /** The NUL-terminated string at the cursor. Empty is malformed, what is not UTF-8 is EILSEQ. */
  string(): string {
    const start = this.#cursor;
    const end = this.bytes.indexOf(0, start);
    if (end < 0 || end >= this.#end) throw new MalformedRequest('string without end');
    if (end === start) throw new MalformedRequest('empty string');
    this.#cursor = end + 1;
    const text = this.bytes.toString('utf8', start, end);
    // Decoding replaces what is not UTF-8, so only a text with the replacement character needs the exact check.
    if (text.includes(REPLACEMENT) && !isUtf8(this.bytes.subarray(start, end))) {
      throw new FuseError('EILSEQ');
    }
    return text;
  }

  /** A view of the next `size` bytes. */
  data(size: number): Buffer {
    const start = this.#cursor;
    if (size > this.#end - start) throw new MalformedRequest(`${size} bytes of data announced, fewer came`);
    this.#cursor = start + size;
    return this.bytes.subarray(start, start + size);
  }
}
