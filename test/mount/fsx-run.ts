/**
 * Random operations on one file, each checked against bytes in memory. Runs in the child process that touches the
 * mount; one seed is one run.
 */

import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { copyFileRange, fallocate, SharedMapping } from '../support/mount/syscalls.js';
import { type Random, seededRandom } from '../support/random.js';

/** linux/falloc.h */
const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const ZERO_RANGE = 0x10;

export interface FsxOptions {
  readonly seed: number;
  readonly operations: number;
  readonly maxBytes: number;
  /** Whether the mount has fallocate(2). */
  readonly fallocates: boolean;
}

/** What the file must hold. */
class Model {
  #bytes: Buffer;

  constructor(initial: Uint8Array) {
    this.#bytes = Buffer.from(initial);
  }

  get size(): number {
    return this.#bytes.length;
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  resize(size: number): void {
    const resized = Buffer.alloc(size);
    this.#bytes.copy(resized);
    this.#bytes = resized;
  }

  write(position: number, data: Buffer): void {
    if (position + data.length > this.size) this.resize(position + data.length);
    data.copy(this.#bytes, position);
  }

  zero(start: number, end: number): void {
    this.#bytes.fill(0, start, Math.min(end, this.size));
  }
}

class Exerciser {
  readonly #random: Random;
  readonly #model: Model;
  readonly #maxBytes: number;
  readonly #fallocates: boolean;
  readonly #history: string[] = [];
  #path: string;
  #fd: number;

  constructor(path: string, options: FsxOptions, initial: Uint8Array) {
    this.#random = seededRandom(options.seed);
    this.#maxBytes = options.maxBytes;
    this.#fallocates = options.fallocates;
    this.#model = new Model(initial);
    this.#path = path;
    this.#fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
  }

  run(operations: number): Buffer {
    const acts: readonly (readonly [number, string, () => string])[] = [
      [20, 'write', () => this.#write()],
      [20, 'read', () => this.#read()],
      [5, 'append', () => this.#append()],
      [5, 'truncate', () => this.#truncate()],
      [6, 'map', () => this.#map()],
      [this.#fallocates ? 5 : 0, 'fallocate', () => this.#fallocate()],
      [4, 'copy', () => this.#copy()],
      [3, 'fsync', () => this.#fsync()],
      [5, 'reopen', () => this.#reopen()],
      [2, 'replace', () => this.#replace()],
      [2, 'rename', () => this.#rename()],
      [3, 'whole', () => this.#whole()],
    ];
    const weights = acts.flatMap(([weight], index) => Array.from({ length: weight }, () => index));
    try {
      for (let count = 0; count < operations; count++) {
        const act = acts[weights[this.#below(weights.length)] ?? 0];
        if (act === undefined) continue;
        this.#history.push(act[1]);
        this.#history[this.#history.length - 1] = `${act[1]} ${act[2]()}`;
        assert.equal(fs.fstatSync(this.#fd).size, this.#model.size, 'size');
      }
      this.#whole();
      fs.closeSync(this.#fd);
    } catch (error) {
      throw new Error(`${String(error)}\nafter:\n${this.#history.slice(-25).join('\n')}`, { cause: error });
    }
    return this.#model.bytes;
  }

  get path(): string {
    return this.#path;
  }

  #below(limit: number): number {
    return this.#random.below(Math.max(1, limit));
  }

  #data(): Buffer {
    const longest = this.#below(4) === 0 ? this.#maxBytes / 2 : 9_000;
    const data = Buffer.alloc(1 + this.#below(longest));
    const first = this.#below(256);
    for (let i = 0; i < data.length; i++) data[i] = (first + i * 7 + (i >> 8)) & 0xff;
    return data;
  }

  #range(): readonly [start: number, end: number] {
    const start = this.#below(this.#model.size + 1);
    const longest = this.#below(3) === 0 ? this.#maxBytes : 20_000;
    return [start, Math.min(this.#maxBytes, start + 1 + this.#below(longest))];
  }

  #same(found: Buffer, start: number, what: string): void {
    const wanted = this.#model.bytes.subarray(start, start + found.length);
    if (found.equals(wanted)) return;
    const at = found.findIndex((byte, index) => byte !== wanted[index]);
    assert.fail(`${what}: byte ${start + at} of ${this.#model.size} is ${found[at]}, not ${wanted[at]}`);
  }

  #write(): string {
    const data = this.#data();
    const position = this.#below(Math.min(this.#model.size + 30_000, this.#maxBytes - data.length));
    assert.equal(fs.writeSync(this.#fd, data, 0, data.length, position), data.length);
    this.#model.write(position, data);
    return `${position}+${data.length}`;
  }

  #append(): string {
    const data = this.#data().subarray(0, this.#maxBytes - this.#model.size);
    const fd = fs.openSync(this.#path, 'a');
    if (data.length > 0) fs.writeSync(fd, data);
    fs.closeSync(fd);
    this.#model.write(this.#model.size, data);
    return `${data.length}`;
  }

  #read(): string {
    const [start, end] = this.#range();
    const target = Buffer.alloc(end - start);
    const count = fs.readSync(this.#fd, target, 0, target.length, start);
    assert.equal(count, Math.min(end, this.#model.size) - start, `length of a read at ${start}`);
    this.#same(target.subarray(0, count), start, 'read');
    return `${start}-${end}`;
  }

  #whole(): string {
    const found = fs.readFileSync(this.#path);
    assert.equal(found.length, this.#model.size, 'length of the whole');
    this.#same(found, 0, 'whole');
    return '';
  }

  #truncate(): string {
    const size = this.#below(3) === 0 ? 0 : this.#below(this.#maxBytes);
    if (this.#below(2) === 0) fs.ftruncateSync(this.#fd, size);
    else fs.truncateSync(this.#path, size);
    this.#model.resize(size);
    return `${size}`;
  }

  #map(): string {
    const { size } = this.#model;
    if (size === 0) return 'nothing';
    const [start, end] = this.#range();
    const stop = Math.min(end, size, start + 30_000);
    if (stop <= start) return 'nothing';
    const mapping = new SharedMapping(this.#fd, size);
    try {
      this.#same(mapping.read(start, stop - start), start, 'mapping');
      const data = Buffer.alloc(stop - start, this.#below(256));
      mapping.write(start, data);
      this.#model.write(start, data);
      if (this.#below(2) === 0) mapping.sync();
    } finally {
      mapping.close();
    }
    return `${start}-${stop}`;
  }

  #fallocate(): string {
    const [start, end] = this.#range();
    if (end <= start) return 'nothing';
    const kind = this.#below(4);
    const mode = [0, KEEP_SIZE, KEEP_SIZE | PUNCH_HOLE, ZERO_RANGE][kind] ?? 0;
    fallocate(this.#fd, mode, start, end - start);
    if (kind >= 2) this.#model.zero(start, end);
    if ((mode & KEEP_SIZE) === 0 && end > this.#model.size) this.#model.resize(end);
    return `mode ${mode} ${start}-${end}`;
  }

  /** Into a file of its own and back, so that ranges never overlap. */
  #copy(): string {
    const aside = `${this.#path}.aside`;
    const bytes = Buffer.from(this.#model.bytes);
    const from = fs.openSync(this.#path, 'r');
    const to = fs.openSync(aside, 'w+');
    for (let left = bytes.length; left > 0; ) {
      const copied = copyFileRange(from, to, left);
      assert.ok(copied > 0, `copy_file_range ends ${left} bytes early`);
      left -= copied;
    }
    fs.closeSync(from);
    fs.closeSync(to);
    this.#same(fs.readFileSync(aside), 0, 'copy');
    if (this.#below(2) === 0) fs.unlinkSync(aside);
    return `${bytes.length}`;
  }

  #fsync(): string {
    fs.fsyncSync(this.#fd);
    return '';
  }

  #reopen(): string {
    fs.closeSync(this.#fd);
    const pauseMs = this.#below(3) === 0 ? this.#below(60) : 0;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
    this.#fd = fs.openSync(this.#path, 'r+');
    return `after ${pauseMs} ms`;
  }

  /** As editors save: the whole content under another name, renamed over the file. */
  #replace(): string {
    const data = this.#data();
    const temporary = `${this.#path}.tmp`;
    fs.writeFileSync(temporary, data);
    fs.renameSync(temporary, this.#path);
    fs.closeSync(this.#fd);
    this.#fd = fs.openSync(this.#path, 'r+');
    this.#model.resize(0);
    this.#model.write(0, data);
    return `${data.length}`;
  }

  #rename(): string {
    const other = `${this.#path}.moved`;
    fs.renameSync(this.#path, other);
    if (this.#below(2) === 0) this.#reopenAs(other);
    fs.renameSync(other, this.#path);
    return '';
  }

  #reopenAs(path: string): void {
    fs.closeSync(this.#fd);
    this.#fd = fs.openSync(path, 'r+');
  }
}

/** Works on `path`, which holds `initial`; returns what it holds at the end. */
export function exercise(path: string, options: FsxOptions, initial: Uint8Array): Buffer {
  return new Exerciser(path, options, initial).run(options.operations);
}
