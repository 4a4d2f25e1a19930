/** Where the bytes of an upload come from: memory for what is small, the staged file or a copy of it for what is not. */

import { createHash } from 'node:crypto';
import { read } from 'node:fs';
import { promisify } from 'node:util';
import type { Ino } from '../base/index.js';
import type { ContentStore } from '../content/index.js';
import type { UploadBody } from '../remote/index.js';
import type { FileRecord } from '../state/index.js';
import type { Usage } from './api.js';
import type { WriteSessions } from './write-sessions.js';

const readAt = promisify(read);

/** A body up to this size is read into memory at once, so that nobody has to wait for its upload to end. */
const IN_MEMORY_BYTES = 1024 * 1024;
const CHUNK_BYTES = 512 * 1024;

export interface UploadSource {
  readonly body: UploadBody;
  /** The content generation of these bytes. */
  readonly gen: number;
  /** SHA-256 of the whole body in hex; undefined until all of it was read. */
  sha256(): string | undefined;
  close(): void;
}

/** A body of bytes at hand. */
export function memorySource(bytes: Uint8Array, gen: number): UploadSource {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return {
    body: { size: bytes.length, open: () => bytes },
    gen,
    sha256: () => sha256,
    close: () => undefined,
  };
}

/**
 * The content of a file as it is now. What is larger than memory should hold is streamed from the body in place, and
 * `stop` is called when a program is about to change it; from a file that is open for writing, a copy is made first.
 */
export async function fileSource(
  file: FileRecord,
  deps: { readonly content: ContentStore; readonly sessions: WriteSessions; readonly usage: Usage },
  stop: () => void,
): Promise<UploadSource> {
  const { content, sessions } = deps;
  const { ino, gen } = file;
  const body =
    file.content === 'staged'
      ? content.acquireStaged(ino)
      : content.acquireClean(ino, { etag: file.base?.etag, size: file.size });
  const release = () => content.release(ino);
  try {
    if (!body.isComplete) throw new Error(`inode ${ino} is to be uploaded, but not all of it is here`);
    sessions.seal(ino, gen);
    if (body.size <= IN_MEMORY_BYTES) {
      const bytes = Buffer.allocUnsafe(body.size);
      const length = body.readSync(bytes, 0, body.size, 0);
      release();
      return memorySource(bytes.subarray(0, length), gen);
    }
    if (file.writing || deps.usage.hasWritableHandle(ino)) return await copySource(ino, gen, deps, release);
  } catch (error) {
    release();
    throw error;
  }
  let end: () => void = () => undefined;
  sessions.readWhile(
    ino,
    new Promise<void>((resolve) => {
      end = resolve;
    }),
    stop,
  );
  return streamSource(body.fd, body.size, gen, () => {
    end();
    release();
  });
}

async function copySource(
  ino: Ino,
  gen: number,
  deps: { readonly content: ContentStore; readonly sessions: WriteSessions },
  release: () => void,
): Promise<UploadSource> {
  const copying = deps.content.snapshot(ino);
  deps.sessions.readWhile(
    ino,
    copying.then(() => undefined),
    undefined,
  );
  const copy = await copying;
  release();
  return streamSource(copy.fd, copy.size, gen, () => copy.close());
}

function streamSource(fd: number, size: number, gen: number, close: () => void): UploadSource {
  let sha256: string | undefined;
  async function* open(): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256');
    for (let position = 0; position < size; ) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size - position));
      const { bytesRead } = await readAt(fd, buffer, 0, buffer.length, position);
      if (bytesRead === 0) throw new Error(`the staged file ends at ${position} of ${size} bytes`);
      const chunk = buffer.subarray(0, bytesRead);
      hash.update(chunk);
      position += bytesRead;
      if (position === size) sha256 = hash.digest('hex');
      yield chunk;
    }
  }
  return { body: { size, open }, gen, sha256: () => sha256, close };
}
