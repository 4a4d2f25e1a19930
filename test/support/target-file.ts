/** A file that deliveries are written into. */

import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type GatedFile, makeGate, shutGate, writeGated } from '../../src/base/index.js';

export class TargetFile implements GatedFile, Disposable {
  readonly fd: number;
  readonly size: number;
  readonly gate = makeGate();
  readonly #dir = mkdtempSync(join(tmpdir(), 'infinimount-target-'));

  /** `path`: a device in place of an empty file. */
  constructor(size: number, path?: string) {
    this.size = size;
    this.fd = path === undefined ? openSync(join(this.#dir, 'file'), 'w+') : openSync(path, 'r+');
    if (path === undefined) ftruncateSync(this.fd, size);
  }

  get isShut(): boolean {
    return writeGated(this, new Uint8Array(0), 0) === 'shut';
  }

  content(): Buffer {
    return readFileSync(join(this.#dir, 'file'));
  }

  shut(): void {
    shutGate(this.gate);
  }

  empty(): void {
    ftruncateSync(this.fd, 0);
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
    rmSync(this.#dir, { recursive: true });
  }
}
