/**
 * copy_file_range(2): by the server where it has the bytes and this machine does not, by the kernel between two files of
 * the cache, else through memory. It remembers which files came to be whole copies of a server's version, so that their
 * bytes need not be sent there once more.
 */

import { after, type Ino, type MaybePromise } from '../base/index.js';
import type { Body } from '../content/index.js';
import type { ETag } from '../remote/index.js';
import type { VfsCore } from './core.js';
import type { FileHandle } from './handle-table.js';
import type { VfsRequest } from './request.js';

/** What copying asks of open files. */
export interface CopyIo {
  /** Waits until bytes of a file are here. */
  present(
    ino: Ino,
    body: Body,
    start: number,
    end: number,
    request: VfsRequest | undefined,
  ): Promise<void> | undefined;
  /** Runs a change of a file's bytes when it may be changed. */
  changing<T>(handle: FileHandle, request: VfsRequest | undefined, change: () => T): MaybePromise<T>;
  /** The bytes were changed. */
  touched(handle: FileHandle): void;
}

/** A file that begins as a copy of another one's version. */
interface Progress {
  readonly ino: Ino;
  readonly etag: ETag;
  /** Bytes of the version. */
  readonly sizeBytes: number;
  /** Bytes that are the same so far. */
  bytes: number;
  /** When the backing file was changed last: others may have its descriptor. */
  mtimeNs: bigint;
}

/** One step through memory: short enough not to hold up other requests. */
const STEP_BYTES = 4 * 1024 * 1024;
/** One step of the kernel's: after each it is looked whether anybody waits for the end. */
const KERNEL_STEP_BYTES = 64 * 1024 * 1024;
/** From this size on a copy is worth the way through another thread. */
const BY_KERNEL_FROM_BYTES = 256 * 1024;

export class RangeCopies {
  readonly #core: VfsCore;
  readonly #io: CopyIo;
  readonly #progress = new Map<Ino, Progress>();

  constructor(core: VfsCore, io: CopyIo) {
    this.#core = core;
    this.#io = io;
  }

  /** Bytes copied, 0 at the end of the source. */
  run(
    from: { readonly handle: FileHandle; readonly position: number },
    to: { readonly handle: FileHandle; readonly position: number },
    length: number,
    request: VfsRequest | undefined,
  ): MaybePromise<number> {
    const { body, ino } = from.handle;
    const wanted = Math.min(length, Math.max(0, body.size - from.position));
    if (wanted === 0) return 0;
    const isWhole = from.position === 0 && to.position === 0 && wanted === body.size;
    const isCold = body.kind === 'clean' && !body.isComplete;
    // What the server makes is not here: the kernel would read holes of it.
    if (isWhole && isCold && to.handle.body.size === 0 && to.handle.backing === undefined) {
      const cloning = this.#core.sync.clone(ino, to.handle.ino, request);
      if (cloning !== undefined) {
        return cloning.then((isMade) => {
          if (!isMade) return this.#copy(from, to, wanted, request);
          this.#core.inodes.setLive(to.handle.ino, undefined);
          return wanted;
        });
      }
    }
    return this.#copy(from, to, wanted, request);
  }

  /** Somebody else changed the file. */
  forget(ino: Ino): void {
    this.#progress.delete(ino);
  }

  /** The version that the whole file is a copy of, once: it is to be committed. */
  finished(ino: Ino): { readonly ino: Ino; readonly etag: ETag } | undefined {
    const progress = this.#progress.get(ino);
    this.#progress.delete(ino);
    const body = this.#core.content.peek(ino);
    if (progress === undefined || body?.kind !== 'staged') return undefined;
    if (progress.bytes !== progress.sizeBytes || body.size !== progress.sizeBytes) return undefined;
    return body.statSync().mtimeNs === progress.mtimeNs
      ? { ino: progress.ino, etag: progress.etag }
      : undefined;
  }

  #copy(
    from: { readonly handle: FileHandle; readonly position: number },
    to: { readonly handle: FileHandle; readonly position: number },
    wanted: number,
    request: VfsRequest | undefined,
  ): MaybePromise<number> {
    const source = from.handle;
    const target = to.handle;
    const isHere = source.body.kind === 'staged' || source.body.isComplete;
    const progress = this.#begin(from, to);
    const done = (count: number) => {
      this.#note(progress, source, target, to.position + count);
      return count;
    };
    if (isHere && source.ino !== target.ino && wanted >= BY_KERNEL_FROM_BYTES)
      return this.#byKernel(from, to, wanted, request).then(done);
    return after(this.#throughMemory(from, to, wanted, request), done);
  }

  async #byKernel(
    from: { readonly handle: FileHandle; readonly position: number },
    to: { readonly handle: FileHandle; readonly position: number },
    wanted: number,
    request: VfsRequest | undefined,
  ): Promise<number> {
    const { content } = this.#core;
    const target = to.handle;
    let copied = 0;
    while (copied < wanted && request?.signal.aborted !== true) {
      await this.#io.changing(target, request, () => undefined);
      const count = await content.copyBytes(
        { ino: from.handle.ino, position: from.position + copied },
        { ino: target.ino, position: to.position + copied },
        Math.min(KERNEL_STEP_BYTES, wanted - copied),
      );
      if (count === undefined) break;
      // An upload from a copy may have begun in between, which has less: what follows is another generation.
      await this.#io.changing(target, request, () => this.#io.touched(target));
      if (count === 0) break;
      copied += count;
    }
    if (copied > 0) return copied;
    return this.#throughMemory(from, to, wanted, request);
  }

  #throughMemory(
    from: { readonly handle: FileHandle; readonly position: number },
    to: { readonly handle: FileHandle; readonly position: number },
    wanted: number,
    request: VfsRequest | undefined,
  ): MaybePromise<number> {
    const { body, ino } = from.handle;
    const bytes = new Uint8Array(Math.min(wanted, STEP_BYTES));
    const end = from.position + bytes.length;
    return after(this.#io.present(ino, body, from.position, end, request), () => {
      const length = body.readSync(bytes, 0, bytes.length, from.position);
      return this.#io.changing(to.handle, request, () => {
        const written = to.handle.body.writeSync(bytes.subarray(0, length), to.position);
        this.#io.touched(to.handle);
        return written;
      });
    });
  }

  /** What is known so far of a copy that begins at the file's begin, or goes on where the last piece ended. */
  #begin(
    from: { readonly handle: FileHandle; readonly position: number },
    to: { readonly handle: FileHandle; readonly position: number },
  ): Progress | undefined {
    const { ino, body } = from.handle;
    const target = to.handle;
    const known = this.#progress.get(target.ino);
    this.#progress.delete(target.ino);
    if (body.kind !== 'clean' || body.etag === undefined || from.position !== to.position) return undefined;
    const isNew = to.position === 0 && target.body.size === 0;
    const goesOn =
      known?.ino === ino &&
      known.etag === body.etag &&
      known.bytes === to.position &&
      target.body.statSync().mtimeNs === known.mtimeNs;
    if (!isNew && !goesOn) return undefined;
    const progress: Progress = {
      ino,
      etag: body.etag,
      sizeBytes: body.size,
      bytes: to.position,
      mtimeNs: 0n,
    };
    this.#progress.set(target.ino, progress);
    return progress;
  }

  /** Nobody may have changed either of the two meanwhile. */
  #note(progress: Progress | undefined, source: FileHandle, target: FileHandle, bytes: number): void {
    if (progress === undefined || this.#progress.get(target.ino) !== progress) return;
    const { body } = source;
    if (body.kind !== 'clean' || body.etag !== progress.etag || target.body.size !== bytes) {
      this.#progress.delete(target.ino);
      return;
    }
    progress.bytes = bytes;
    progress.mtimeNs = target.body.statSync().mtimeNs;
  }
}
