/** A body over one descriptor of its backing file. The store decides on its kind and where the file is. */

import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { type Ino, makeGate, RangeSet, shutGate } from '../base/index.js';
import type { ETag } from '../remote/index.js';
import { ContentError } from './errors.js';
import { fallocate, lseek, punchHole, SEEK_DATA, SEEK_HOLE } from './libc.js';
import type { Body, BodyStat, Filling, Mark } from './store.js';

const fdatasync = promisify(fs.fdatasync);

const NS_PER_S = 1_000_000_000n;
const MARKS = ['opened', 'copied'] as const;
/** Modification times that no clock gives, in whole seconds, which every file system can keep. */
const MARK_NS: Readonly<Record<Mark, bigint>> = { opened: 1n * NS_PER_S, copied: 2n * NS_PER_S };

/** What a body holds. */
export type Holding =
  | {
      readonly kind: 'clean';
      readonly etag: ETag | undefined;
      readonly size: number;
      readonly generation: string;
      readonly present: RangeSet;
    }
  | { readonly kind: 'staged' };

/** Who is told what happens to a body. */
export interface BodyOwner {
  filled(body: FileBody, addedBytes: number): void;
  /** Makes the name of a staged body's file durable. */
  syncName(body: FileBody): void;
  /** Present bytes of a clean body could not be read: they are forgotten already. */
  damaged(body: FileBody, lostBytes: number): void;
}

export class FileBody implements Body {
  readonly ino: Ino;
  readonly fd: number;
  readonly #owner: BodyOwner;
  #holding: Holding;
  #isNameSynced = false;
  /** Whether another thread may have stored bytes that are not present. */
  #mayHoldMore = false;
  /** Open gates of other threads that write into the file. */
  readonly #gates = new Set<Int32Array>();
  /** For the store: uses taken, and whether the file was deleted under those who use it. */
  uses = 0;
  discarded = false;

  constructor(ino: Ino, fd: number, holding: Holding, owner: BodyOwner) {
    this.ino = ino;
    this.fd = fd;
    this.#holding = holding;
    this.#owner = owner;
  }

  get holding(): Holding {
    return this.#holding;
  }

  /** For the store: after it moved the file. */
  hold(holding: Holding): void {
    this.#holding = holding;
    this.#isNameSynced = false;
  }

  get kind(): 'clean' | 'staged' {
    return this.#holding.kind;
  }

  get size(): number {
    // A staged file may also be written to by others who have its descriptor (passthrough).
    return this.#holding.kind === 'clean' ? this.#holding.size : fs.fstatSync(this.fd).size;
  }

  get etag(): ETag | undefined {
    return this.#holding.kind === 'clean' ? this.#holding.etag : undefined;
  }

  get isComplete(): boolean {
    return this.#holding.kind === 'staged' || this.#holding.present.total === this.#holding.size;
  }

  get presentBytes(): number {
    return this.#holding.kind === 'staged' ? this.size : this.#holding.present.total;
  }

  has(start: number, end: number): boolean {
    if (this.#holding.kind === 'staged') return true;
    return this.#holding.present.has(start, Math.min(end, this.#holding.size));
  }

  firstGap(start: number, end: number): { readonly start: number; readonly end: number } | undefined {
    if (this.#holding.kind === 'staged') return undefined;
    return this.#holding.present.firstGap(start, Math.min(end, this.#holding.size));
  }

  readSync(target: Uint8Array, offset: number, length: number, position: number): number {
    if (this.#holding.kind === 'staged') return this.#readFully(target, offset, length, position);
    const end = Math.min(position + length, this.#holding.size);
    if (position >= end) return 0;
    if (!this.has(position, end)) throw this.#misuse(`bytes ${position}-${end} are read but not present`);
    let count: number;
    try {
      count = this.#readFully(target, offset, end - position, position);
    } catch (cause) {
      throw this.#damage(cause);
    }
    if (count < end - position) throw this.#damage(undefined);
    return count;
  }

  fill(position: number, data: Uint8Array): void {
    const holding = this.#holding;
    if (holding.kind === 'staged') throw this.#misuse('a staged body is filled');
    if (position + data.length > holding.size)
      throw this.#misuse('a fill ends behind the end of the version');
    this.#writeFully(data, position);
    this.#addPresent(holding.present, position, position + data.length);
  }

  beginFilling(): Filling {
    const holding = this.#holding;
    if (holding.kind === 'staged') throw this.#misuse('a staged body is filled');
    const gate = makeGate();
    this.#gates.add(gate);
    this.#mayHoldMore = true;
    return {
      file: { fd: this.fd, size: holding.size, gate },
      filled: (start, end) => {
        const current = this.#holding;
        if (!this.#gates.has(gate) || current.kind === 'staged') return;
        if (end > current.size) throw this.#misuse('a fill ends behind the end of the version');
        this.#addPresent(current.present, start, end);
      },
      end: () => {
        shutGate(gate);
        this.#gates.delete(gate);
      },
    };
  }

  /**
   * For the store, once nobody writes into the file any more: gives back the disk's room of what another thread stored and
   * did not tell of before it was stopped.
   */
  trim(): void {
    const holding = this.#holding;
    if (!this.#mayHoldMore || holding.kind === 'staged') return;
    this.#mayHoldMore = false;
    const { present, size } = holding;
    for (let gap = present.firstGap(0, size); gap !== undefined; gap = present.firstGap(gap.end, size))
      punchHole(this.fd, gap.start, gap.end - gap.start);
  }

  /** For the store: from here on nobody but this thread writes into the file. */
  endFillings(): void {
    for (const gate of this.#gates) shutGate(gate);
    this.#gates.clear();
  }

  writeSync(data: Uint8Array, position: number): number {
    this.#assertStaged('written to');
    return this.#writeFully(data, position);
  }

  truncateSync(size: number): void {
    this.#assertStaged('truncated');
    fs.ftruncateSync(this.fd, size);
  }

  fallocateSync(mode: number, offset: number, length: number): void {
    this.#assertStaged('allocated');
    fallocate(this.fd, mode, offset, length);
  }

  seekDataHole(offset: number, whence: 'data' | 'hole'): number {
    if (this.#holding.kind === 'staged')
      return lseek(this.fd, offset, whence === 'data' ? SEEK_DATA : SEEK_HOLE);
    if (offset >= this.#holding.size) return -1;
    return whence === 'data' ? offset : this.#holding.size;
  }

  async sync(): Promise<void> {
    await fdatasync(this.fd);
    if (this.#holding.kind === 'clean' || this.#isNameSynced) return;
    this.#owner.syncName(this);
    this.#isNameSynced = true;
  }

  statSync(): BodyStat {
    const { size, mtimeNs } = fs.fstatSync(this.fd, { bigint: true });
    return { size: Number(size), mtimeNs, mark: MARKS.find((mark) => MARK_NS[mark] === mtimeNs) };
  }

  setMark(mark: Mark): void {
    this.#assertStaged('marked');
    const seconds = Number(MARK_NS[mark] / NS_PER_S);
    fs.futimesSync(this.fd, seconds, seconds);
  }

  #addPresent(present: RangeSet, start: number, end: number): void {
    const before = present.total;
    present.add(start, end);
    this.#owner.filled(this, present.total - before);
  }

  #readFully(target: Uint8Array, offset: number, length: number, position: number): number {
    let done = 0;
    while (done < length) {
      const count = fs.readSync(this.fd, target, offset + done, length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  #writeFully(data: Uint8Array, position: number): number {
    let done = 0;
    while (done < data.length) {
      done += fs.writeSync(this.fd, data, done, data.length - done, position + done);
    }
    return done;
  }

  #damage(cause: unknown): ContentError {
    if (this.#holding.kind === 'clean') {
      const lostBytes = this.#holding.present.total;
      this.#holding.present.clear();
      this.#owner.damaged(this, lostBytes);
    }
    const message = `node ${this.ino}: its cached copy cannot be read any more`;
    return new ContentError('damaged', message, this.ino, { cause });
  }

  #assertStaged(what: string): void {
    if (this.#holding.kind !== 'staged') throw this.#misuse(`a clean body is ${what}`);
  }

  #misuse(message: string): ContentError {
    return new ContentError('misuse', `node ${this.ino}: ${message}`, this.ino);
  }
}

/** A clean holding with all bytes of the version. */
export function wholeHolding(etag: ETag | undefined, size: number, generation: string): Holding {
  return { kind: 'clean', etag, size, generation, present: RangeSet.upTo(size) };
}
