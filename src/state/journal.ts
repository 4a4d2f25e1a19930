/**
 * The write-ahead journal: what was committed and is not yet in the database, as append-only segment files
 * `journal-<n>`. One write(2) a record makes it survive the process; fdatasync(2) makes it survive the machine.
 *
 * A segment is MAGIC and then records:
 *
 *     u32le length of the payload | u32le CRC-32 of all that follows | f64le sequence number | payload
 *
 * Sequence numbers go up by one from record to record, across segments. A payload is either changes, or the note that
 * an earlier segment is wholly on the disk: a fault in that one is damage then, not a power loss.
 */

import * as fs from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { syncDirectory } from '../base/index.js';
import { packTransient, unpack } from './codec.js';
import { StateError } from './errors.js';

const fdatasync = promisify(fs.fdatasync);

const MAGIC = Buffer.from('IMJRNL01', 'latin1');
const HEADER_BYTES = 4 + 4 + 8;
const CRC_START = 8;
const SCRATCH_BYTES = 64 * 1024;
const FILE_NAME = /^journal-([0-9]+)$/;

const PAYLOAD_CHANGES = 0;
const PAYLOAD_SEALED = 1;

function segmentPath(dir: string, number: number): string {
  return join(dir, `journal-${number}`);
}

/** One file of the journal that this process writes. */
class Segment {
  readonly number: number;
  readonly path: string;
  readonly fd: number;
  /** Bytes of whole records, and of the magic. */
  written = MAGIC.length;
  /** Sequence number of the last record; 0: none. */
  lastSequence = 0;
  readonly #dir: string;
  #synced = 0;
  #syncing: Promise<void> | undefined;

  constructor(dir: string, number: number) {
    this.#dir = dir;
    this.number = number;
    this.path = segmentPath(dir, number);
    this.fd = fs.openSync(this.path, 'wx', 0o600);
    try {
      fs.writeSync(this.fd, MAGIC, 0, MAGIC.length, 0);
    } catch (error) {
      fs.closeSync(this.fd);
      fs.unlinkSync(this.path);
      throw error;
    }
  }

  /** Resolves when all that is written now is on the disk; callers at the same time share one fdatasync. */
  async sync(): Promise<void> {
    const target = this.written;
    while (this.#synced < target) {
      this.#syncing ??= this.#syncOnce().finally(() => {
        this.#syncing = undefined;
      });
      await this.#syncing;
    }
  }

  async #syncOnce(): Promise<void> {
    const upTo = this.written;
    await fdatasync(this.fd);
    if (this.#synced === 0) syncDirectory(this.#dir);
    this.#synced = upTo;
  }

  /** Closes the file, after a sync that is under way. */
  async close(): Promise<void> {
    await this.#syncing?.catch(() => undefined);
    fs.closeSync(this.fd);
  }
}

export class Journal {
  readonly #dir: string;
  /** Oldest first; the last one is written to. */
  readonly #segments: Segment[];
  #scratch = Buffer.allocUnsafe(SCRATCH_BYTES);
  #nextSequence: number;
  /** Whether bytes of a failed write may be behind the last whole record. */
  #hasTornTail = false;

  /** Starts an empty journal behind the segments that were read. Throws ErrnoException. */
  constructor(dir: string, segmentNumber: number, nextSequence: number) {
    this.#dir = dir;
    this.#segments = [new Segment(dir, segmentNumber)];
    this.#nextSequence = nextSequence;
  }

  /** Bytes in the segment that is written to. */
  get currentBytes(): number {
    return this.#current.written;
  }

  /** Writes one record of changes. Throws ErrnoException; then the journal is as before. */
  append(changes: unknown): void {
    this.#append(packTransient([PAYLOAD_CHANGES, changes]));
  }

  /** Ends the current segment and starts another. Returns what {@link syncThrough} and {@link drop} want. */
  rotate(): { readonly segment: number; readonly lastSequence: number } {
    const sealed = this.#current;
    this.#segments.push(new Segment(this.#dir, sealed.number + 1));
    return { segment: sealed.number, lastSequence: this.#nextSequence - 1 };
  }

  /** Resolves when every segment up to this one is on the disk, and notes it. Rejects with ErrnoException. */
  async syncThrough(segment: number): Promise<void> {
    for (const each of this.#segments.slice()) if (each.number <= segment) await each.sync();
    this.#append(packTransient([PAYLOAD_SEALED, segment]));
  }

  /** Resolves when all that was appended so far is on the disk. Rejects with ErrnoException. */
  async sync(): Promise<void> {
    await Promise.all(this.#segments.map((segment) => segment.sync()));
  }

  /** Deletes the segments up to this one: the database has what is in them. */
  async drop(segment: number): Promise<void> {
    for (
      let first = this.#segments[0];
      first !== undefined && first.number <= segment;
      first = this.#segments[0]
    ) {
      this.#segments.shift();
      await first.close();
      fs.unlinkSync(first.path);
    }
  }

  async close(): Promise<void> {
    for (const segment of this.#segments) await segment.close();
  }

  get #current(): Segment {
    return this.#segments.at(-1) as Segment;
  }

  #append(payload: Buffer): void {
    const segment = this.#current;
    if (this.#hasTornTail) {
      fs.ftruncateSync(segment.fd, segment.written);
      this.#hasTornTail = false;
    }
    const total = HEADER_BYTES + payload.length;
    const buffer = total <= SCRATCH_BYTES ? this.#scratch : Buffer.allocUnsafe(total);
    buffer.writeUInt32LE(payload.length, 0);
    buffer.writeDoubleLE(this.#nextSequence, CRC_START);
    payload.copy(buffer, HEADER_BYTES);
    buffer.writeUInt32LE(crc32(buffer.subarray(CRC_START, total)), 4);
    let done = 0;
    try {
      while (done < total)
        done += fs.writeSync(segment.fd, buffer, done, total - done, segment.written + done);
    } catch (error) {
      this.#hasTornTail = true;
      this.#cutTornTail(segment);
      throw error;
    }
    segment.written += total;
    segment.lastSequence = this.#nextSequence++;
  }

  #cutTornTail(segment: Segment): void {
    try {
      fs.ftruncateSync(segment.fd, segment.written);
      this.#hasTornTail = false;
    } catch {
      // The next append tries again; until then the half record reads as a torn tail.
    }
  }
}

/** Where a segment stops being readable. */
interface Fault {
  readonly offset: number;
  readonly lostBytes: number;
}

interface ReadSegment {
  readonly number: number;
  readonly path: string;
  readonly bytes: number;
  readonly records: readonly { readonly sequence: number; readonly changes: unknown }[];
  /** Of all records, notes as well. */
  readonly firstSequence: number | undefined;
  readonly sealed: readonly number[];
  readonly fault: Fault | undefined;
}

export interface JournalContents {
  /** Changes above `applied`, oldest first. */
  readonly changes: readonly unknown[];
  readonly lastSequence: number;
  /** Every segment file, to be deleted once the changes are in the database. */
  readonly paths: readonly string[];
  readonly nextSegment: number;
  /** An incomplete end, as a power loss leaves it. */
  readonly torn: { readonly path: string; readonly lostBytes: number } | undefined;
}

/**
 * Reads the journal that an earlier process left. `applied`: the last sequence number that the database has.
 * Throws `StateError` 'damaged' for a fault that no power loss explains, and ErrnoException.
 */
export function readJournal(dir: string, applied: number): JournalContents {
  const numbers = fs.readdirSync(dir).flatMap((name) => {
    const match = FILE_NAME.exec(name);
    return match?.[1] === undefined ? [] : [Number(match[1])];
  });
  numbers.sort((a, b) => a - b);
  const segments = numbers.map((number) => readSegment(segmentPath(dir, number), number));
  const changes: unknown[] = [];
  let last = applied;
  let torn: JournalContents['torn'];
  for (const [index, segment] of segments.entries()) {
    if (segment.firstSequence !== undefined && segment.firstSequence > last + 1) {
      if (segments.some((each) => each.sealed.some((number) => !numbers.includes(number)))) {
        throw damaged(
          segment.path,
          `it begins with record ${segment.firstSequence}, record ${last + 1} is missing`,
        );
      }
      // The power loss took the whole file before this one.
      torn = { path: segment.path, lostBytes: segment.bytes };
      break;
    }
    for (const { sequence, changes: change } of segment.records) {
      if (sequence <= last) continue;
      last = sequence;
      if (change !== undefined) changes.push(change);
    }
    const { fault } = segment;
    if (fault === undefined) continue;
    const later = segments.slice(index + 1);
    const next = later.find((each) => each.firstSequence !== undefined)?.firstSequence;
    if (next !== undefined && next <= last + 1) continue;
    if (later.some((each) => each.sealed.includes(segment.number))) {
      throw damaged(segment.path, `the record at offset ${fault.offset} is broken`);
    }
    torn = { path: segment.path, lostBytes: fault.lostBytes };
    // What follows was written after what the power loss took, so it went with it.
    break;
  }
  return {
    changes,
    lastSequence: last,
    paths: segments.map((segment) => segment.path),
    nextSegment: (numbers.at(-1) ?? 0) + 1,
    torn,
  };
}

function readSegment(path: string, number: number): ReadSegment {
  const bytes = fs.readFileSync(path);
  const records: { sequence: number; changes: unknown }[] = [];
  const sealed: number[] = [];
  let fault: Fault | undefined;
  let offset = MAGIC.length;
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    if (bytes.length >= MAGIC.length && bytes.subarray(0, MAGIC.length).some((byte) => byte !== 0)) {
      throw damaged(path, 'it is no journal');
    }
    fault = { offset: 0, lostBytes: bytes.length };
    return { number, path, bytes: bytes.length, records, firstSequence: undefined, sealed, fault };
  }
  while (offset < bytes.length) {
    const record = readRecord(bytes, offset, records.at(-1)?.sequence);
    if (record === undefined) {
      fault = { offset, lostBytes: bytes.length - offset };
      break;
    }
    const [kind, value] = unpack(record.payload, `"${path}"`) as readonly [number, unknown];
    if (kind === PAYLOAD_SEALED) sealed.push(value as number);
    records.push({ sequence: record.sequence, changes: kind === PAYLOAD_CHANGES ? value : undefined });
    offset = record.end;
  }
  return { number, path, bytes: bytes.length, records, firstSequence: records[0]?.sequence, sealed, fault };
}

function readRecord(
  bytes: Buffer,
  offset: number,
  previousSequence: number | undefined,
): { readonly payload: Buffer; readonly sequence: number; readonly end: number } | undefined {
  if (offset + HEADER_BYTES > bytes.length) return undefined;
  const end = offset + HEADER_BYTES + bytes.readUInt32LE(offset);
  if (end > bytes.length) return undefined;
  if (crc32(bytes.subarray(offset + CRC_START, end)) !== bytes.readUInt32LE(offset + 4)) return undefined;
  const sequence = bytes.readDoubleLE(offset + CRC_START);
  if (previousSequence !== undefined && sequence !== previousSequence + 1) return undefined;
  return { payload: bytes.subarray(offset + HEADER_BYTES, end), sequence, end };
}

function damaged(path: string, what: string): StateError {
  return new StateError(
    'damaged',
    `Cannot read the journal "${path}": ${what}. Nothing was changed or deleted`,
  );
}
