/** A content store without a disk, for tests of the layers above: the same semantics, and restarts by image. */

import { type Ino, RangeSet } from '../base/index.js';
import type { ETag } from '../remote/index.js';
import { ContentError } from './errors.js';
import type { Body, BodyStat, ContentStore, Mark, Snapshot } from './store.js';
import type { VerifyOptions, VerifyReport } from './verify.js';

/** One backing file as a restart would find it again. */
export interface MemoryFile {
  readonly kind: 'clean' | 'staged';
  readonly etag: ETag | undefined;
  readonly bytes: Uint8Array;
  /** Ranges as in `RangeSet.toArray`. */
  readonly present: readonly number[];
  readonly mark: Mark | undefined;
}

export type MemoryImage = ReadonlyMap<Ino, MemoryFile>;

class MemoryBody implements Body {
  readonly ino: Ino;
  kind: 'clean' | 'staged';
  etag: ETag | undefined;
  bytes: Uint8Array;
  present: RangeSet;
  uses = 0;
  /** Gone from the store, alive for those who use it. */
  discarded = false;
  lastUse = 0;
  readonly fd = -1;
  /** In place of a time. */
  #changes = 0n;
  #mark: Mark | undefined;

  constructor(
    ino: Ino,
    kind: 'clean' | 'staged',
    etag: ETag | undefined,
    bytes: Uint8Array,
    present: RangeSet,
  ) {
    this.ino = ino;
    this.kind = kind;
    this.etag = etag;
    this.bytes = bytes;
    this.present = present;
  }

  get size(): number {
    return this.bytes.length;
  }

  get isComplete(): boolean {
    return this.presentBytes === this.size;
  }

  get presentBytes(): number {
    return this.kind === 'staged' ? this.size : this.present.total;
  }

  has(start: number, end: number): boolean {
    return this.kind === 'staged' || this.present.has(start, Math.min(end, this.size));
  }

  firstGap(start: number, end: number): { readonly start: number; readonly end: number } | undefined {
    return this.kind === 'staged' ? undefined : this.present.firstGap(start, Math.min(end, this.size));
  }

  readSync(target: Uint8Array, offset: number, length: number, position: number): number {
    const end = Math.min(position + length, this.size);
    if (position >= end) return 0;
    if (!this.has(position, end)) throw this.#misuse(`bytes ${position}-${end} are read but not present`);
    target.set(this.bytes.subarray(position, end), offset);
    return end - position;
  }

  fill(position: number, data: Uint8Array): void {
    if (this.kind !== 'clean') throw this.#misuse('a staged body is filled');
    if (position + data.length > this.size) throw this.#misuse('a fill ends behind the end of the version');
    this.bytes.set(data, position);
    this.present.add(position, position + data.length);
  }

  beginFilling(): undefined {
    return undefined;
  }

  writeSync(data: Uint8Array, position: number): number {
    this.#assertStaged('written');
    this.#noteChange();
    if (data.length > 0 && position + data.length > this.size) this.#resize(position + data.length);
    this.bytes.set(data, position);
    return data.length;
  }

  truncateSync(size: number): void {
    this.#assertStaged('truncated');
    this.#noteChange();
    this.#resize(size);
  }

  fallocateSync(mode: number, offset: number, length: number): void {
    this.#assertStaged('allocated');
    this.#noteChange();
    const end = offset + length;
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0) this.bytes.fill(0, offset, end);
    else if ((mode & FALLOC_FL_KEEP_SIZE) === 0 && end > this.size) this.#resize(end);
  }

  seekDataHole(offset: number, whence: 'data' | 'hole'): number {
    if (offset >= this.size) return -1;
    return whence === 'data' ? offset : this.size;
  }

  async sync(): Promise<void> {}

  statSync(): BodyStat {
    return { size: this.size, mtimeNs: this.#changes, mark: this.#mark };
  }

  setMark(mark: Mark): void {
    this.#mark = mark;
  }

  #noteChange(): void {
    this.#changes += 1n;
    this.#mark = undefined;
  }

  #resize(size: number): void {
    const bytes = new Uint8Array(size);
    bytes.set(this.bytes.subarray(0, size));
    this.bytes = bytes;
  }

  #assertStaged(what: string): void {
    if (this.kind !== 'staged') throw this.#misuse(`a clean body is ${what}`);
  }

  #misuse(message: string): ContentError {
    return new ContentError('misuse', `node ${this.ino}: ${message}`, this.ino);
  }
}

/** fallocate(2) mode bits, linux/falloc.h. */
const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;

export interface MemoryContentOptions {
  /** What a restart finds. */
  readonly image?: MemoryImage;
  /** Clean bytes that `evict` leaves; no limit when absent. */
  readonly maxCleanBytes?: number;
}

export class MemoryContentStore implements ContentStore {
  readonly #bodies = new Map<Ino, MemoryBody>();
  readonly #maxCleanBytes: number;
  #isKept: (ino: Ino) => boolean = () => false;
  #useCounter = 0;

  constructor({ image, maxCleanBytes = Number.POSITIVE_INFINITY }: MemoryContentOptions = {}) {
    this.#maxCleanBytes = maxCleanBytes;
    for (const [ino, file] of image ?? []) {
      const present = RangeSet.fromArray(file.present);
      const body = new MemoryBody(ino, file.kind, file.etag, file.bytes.slice(), present);
      if (file.mark !== undefined) body.setMark(file.mark);
      this.#bodies.set(ino, body);
    }
  }

  /** A copy of all that a restart would find. */
  image(): MemoryImage {
    const files = new Map<Ino, MemoryFile>();
    for (const [ino, body] of this.#bodies) {
      if (body.discarded) continue;
      files.set(ino, {
        kind: body.kind,
        etag: body.etag,
        bytes: body.bytes.slice(),
        present: body.present.toArray(),
        mark: body.statSync().mark,
      });
    }
    return files;
  }

  peek(ino: Ino): Body | undefined {
    const body = this.#bodies.get(ino);
    return body !== undefined && body.uses > 0 ? body : undefined;
  }

  acquireClean(ino: Ino, version: { readonly etag: ETag | undefined; readonly size: number }): Body {
    const found = this.#bodies.get(ino);
    if (found !== undefined) {
      if (found.kind === 'staged') throw misuse(ino, 'its staged body is asked for as a clean one');
      if (found.etag === version.etag && found.size === version.size) return this.#use(found);
      if (found.uses > 0) throw misuse(ino, 'its body of another version is in use');
    }
    const empty = new MemoryBody(ino, 'clean', version.etag, new Uint8Array(version.size), new RangeSet());
    return this.#use(empty);
  }

  cleanVersion(ino: Ino): { readonly etag: ETag | undefined; readonly size: number } | undefined {
    const found = this.#bodies.get(ino);
    return found?.kind === 'clean' ? found : undefined;
  }

  acquireStaged(ino: Ino): Body {
    const found = this.#bodies.get(ino);
    if (found?.kind !== 'staged')
      throw new ContentError('lost', `node ${ino}: its staged file is not there`, ino);
    return this.#use(found);
  }

  createStaged(ino: Ino): Body {
    const found = this.#bodies.get(ino);
    if (found === undefined)
      return this.#use(new MemoryBody(ino, 'staged', undefined, new Uint8Array(0), new RangeSet()));
    if (found.discarded) throw misuse(ino, 'its discarded body is staged');
    found.kind = 'staged';
    found.etag = undefined;
    found.bytes = new Uint8Array(0);
    found.present.clear();
    return this.#use(found);
  }

  release(ino: Ino): void {
    const body = this.#bodies.get(ino);
    if (body === undefined || body.uses === 0) throw misuse(ino, 'its body is released but not in use');
    body.uses--;
    if (body.uses === 0 && body.discarded) this.#bodies.delete(ino);
  }

  toStaged(ino: Ino): void {
    const body = this.#bodies.get(ino);
    if (
      body === undefined ||
      body.uses === 0 ||
      body.kind !== 'clean' ||
      !body.isComplete ||
      body.discarded
    ) {
      throw misuse(ino, 'only a complete clean body in use can be staged');
    }
    body.kind = 'staged';
    body.etag = undefined;
    body.present.clear();
  }

  emptyToClean(ino: Ino, version: { readonly etag: ETag; readonly size: number }): void {
    const body = this.#bodies.get(ino);
    if (body?.kind !== 'staged' || body.uses === 0 || body.discarded || body.size > 0)
      throw misuse(ino, 'only an empty staged body in use can become that of a version');
    body.kind = 'clean';
    body.etag = version.etag;
    body.bytes = new Uint8Array(version.size);
  }

  async copyBytes(): Promise<undefined> {
    return undefined;
  }

  toClean(ino: Ino, etag: ETag | undefined): void {
    const body = this.#bodies.get(ino);
    if (body?.kind !== 'staged' || body.discarded)
      throw new ContentError('lost', `node ${ino}: its staged file is not there`, ino);
    body.kind = 'clean';
    body.etag = etag;
    body.present = RangeSet.upTo(body.size);
  }

  retag(ino: Ino, etag: ETag): void {
    const body = this.#bodies.get(ino);
    if (body?.kind === 'clean' && !body.discarded) body.etag = etag;
  }

  /** Without a descriptor: `fd` is -1. */
  separate(): void {
    // Nobody else has what is only in memory.
  }

  async snapshot(ino: Ino): Promise<Snapshot> {
    const body = this.#bodies.get(ino);
    if (body?.kind !== 'staged' || body.discarded)
      throw new ContentError('lost', `node ${ino}: its staged file is not there`, ino);
    const bytes = body.bytes.slice();
    return {
      size: bytes.length,
      fd: -1,
      readSync: (target, offset, length, position) => {
        const part = bytes.subarray(position, position + length);
        target.set(part, offset);
        return part.length;
      },
      close: () => undefined,
    };
  }

  discard(ino: Ino): void {
    const body = this.#bodies.get(ino);
    if (body === undefined) return;
    if (body.uses === 0) this.#bodies.delete(ino);
    else body.discarded = true;
  }

  async evict(): Promise<number> {
    return this.#evictFor(0);
  }

  async makeRoom(bytes: number): Promise<boolean> {
    this.#evictFor(bytes);
    return this.stats().cleanBytes + bytes <= this.#maxCleanBytes;
  }

  #evictFor(moreBytes: number): number {
    const victims = [...this.#bodies.values()].filter((body) => body.kind === 'clean' && body.uses === 0);
    victims.sort((a, b) => a.lastUse - b.lastUse);
    let freed = 0;
    for (const { ino } of victims) {
      if (this.stats().cleanBytes + moreBytes <= this.#maxCleanBytes) break;
      if (!this.#isKept(ino)) freed += this.evictFile(ino);
    }
    return freed;
  }

  keep(isKept: (ino: Ino) => boolean): void {
    this.#isKept = isKept;
  }

  evictFile(ino: Ino): number {
    const body = this.#bodies.get(ino);
    if (body?.kind !== 'clean' || body.uses > 0) return 0;
    this.#bodies.delete(ino);
    return body.presentBytes;
  }

  cleanFiles(): readonly Ino[] {
    return this.#files('clean');
  }

  stagedFiles(): readonly Ino[] {
    return this.#files('staged');
  }

  #files(kind: 'clean' | 'staged'): readonly Ino[] {
    const bodies = [...this.#bodies.values()].filter((body) => body.kind === kind && !body.discarded);
    return bodies.map(({ ino }) => ino);
  }

  presentBytes(ino: Ino, version: { readonly etag: ETag | undefined; readonly size: number }): number {
    const body = this.#bodies.get(ino);
    if (body?.kind !== 'clean' || body.discarded) return 0;
    return body.etag === version.etag && body.size === version.size ? body.presentBytes : 0;
  }

  /** Memory keeps what it has; only sizes can be wrong. */
  async verify({ stagedSize }: VerifyOptions = {}): Promise<VerifyReport> {
    const idle = [...this.#bodies.values()].filter((body) => body.uses === 0);
    const damagedStaged = idle.filter(({ ino, kind, size }) => {
      const expected = kind === 'staged' ? stagedSize?.(ino) : undefined;
      return expected !== undefined && expected !== size;
    });
    return {
      checkedFiles: idle.length,
      checkedBytes: idle.reduce((sum, body) => sum + body.presentBytes, 0),
      damagedFiles: 0,
      damagedStaged: damagedStaged.map(({ ino }) => ino),
    };
  }

  stats(): {
    readonly cleanBytes: number;
    readonly stagedBytes: number;
    readonly cleanFiles: number;
    readonly stagedFiles: number;
  } {
    const stats = { cleanBytes: 0, stagedBytes: 0, cleanFiles: 0, stagedFiles: 0 };
    for (const body of this.#bodies.values()) {
      if (body.discarded) continue;
      if (body.kind === 'clean') {
        stats.cleanFiles++;
        stats.cleanBytes += body.presentBytes;
      } else {
        stats.stagedFiles++;
        stats.stagedBytes += body.size;
      }
    }
    return stats;
  }

  async syncAll(): Promise<void> {}

  async close(): Promise<void> {}

  #use(body: MemoryBody): Body {
    this.#bodies.set(body.ino, body);
    body.uses++;
    body.lastUse = ++this.#useCounter;
    return body;
  }
}

function misuse(ino: Ino, what: string): ContentError {
  return new ContentError('misuse', `node ${ino}: ${what}`, ino);
}
