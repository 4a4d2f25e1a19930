/** Where the bytes of an upload come from: memory for what is small, the staged file or a copy of it for what is not. */

import { createHash } from 'node:crypto';
import { read } from 'node:fs';
import { promisify } from 'node:util';
import type { Ino } from '../base/index.js';
import type { Body, ContentStore } from '../content/index.js';
import type { UploadBody } from '../remote/index.js';
import {
  type Base,
  cleanVersion,
  type FileRecord,
  type NodeRecord,
  type StateStore,
} from '../state/index.js';
import type { Usage } from './api.js';
import type { Version } from './effects.js';
import type { Fetcher } from './fetcher.js';
import { Superseded } from './superseded.js';
import { unseenCopy } from './unseen-copy.js';
import type { WriteSessions } from './write-sessions.js';
import { encodeXSym } from './xsym.js';

const readAt = promisify(read);
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A body up to this size is read into memory at once, so that nobody has to wait for its upload to end. */
const IN_MEMORY_BYTES = 1024 * 1024;
const CHUNK_BYTES = 512 * 1024;

export interface SourceDeps {
  readonly state: StateStore;
  readonly content: ContentStore;
  readonly fetcher: Fetcher;
  readonly sessions: WriteSessions;
  readonly usage: Usage;
}

export interface UploadSource {
  readonly body: UploadBody;
  /** The content generation of these bytes. */
  readonly gen: number;
  /** SHA-256 of the whole body in hex; undefined until all of it was read. */
  sha256(): string | undefined;
  close(): void;
}

/** A body of bytes at hand. */
function memorySource(bytes: Uint8Array, gen: number): UploadSource {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return {
    body: { size: bytes.length, open: () => bytes },
    gen,
    sha256: () => sha256,
    close: () => undefined,
  };
}

/** As a body in use is known by, since names pass what the server has to one another; else as the file is. */
function heldVersion(file: FileRecord, content: ContentStore): Pick<Base, 'etag' | 'size'> {
  return content.peek(file.ino) ?? cleanVersion(file) ?? { etag: undefined, size: file.size };
}

/** See `TreeContext.wholeVersion`. */
export function wholeVersion(content: ContentStore, ino: Ino, version: Version): Version | undefined {
  const open = content.peek(ino);
  if (open !== undefined) {
    const isWhole = open.kind === 'clean' && open.size === version.size && open.isComplete;
    return isWhole ? { etag: open.etag, size: open.size } : undefined;
  }
  const { isComplete } = content.acquireClean(ino, version);
  content.release(ino);
  return isComplete ? version : undefined;
}

/** SHA-256 of what the source has, in hex; where it is not known, all of it is read for that. */
export async function digestOf(source: UploadSource): Promise<string | undefined> {
  if (source.sha256() === undefined) {
    const opened = source.body.open();
    if (!(opened instanceof Uint8Array)) for await (const _ of opened);
  }
  return source.sha256();
}

/** SHA-256 in hex of a file's version as the server has it; undefined where not all of it is here. */
export async function cleanDigest(file: FileRecord, content: ContentStore): Promise<string | undefined> {
  const version = cleanVersion(file);
  if (file.content !== 'clean' || version === undefined) return undefined;
  if (content.presentBytes(file.ino, version) !== version.size) return undefined;
  const body = content.acquireClean(file.ino, version);
  try {
    const hash = createHash('sha256');
    for (let position = 0; position < body.size; ) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, body.size - position));
      // It may have been given up for another version in between.
      if (body.kind !== 'clean' || !body.has(position, position + chunk.length)) return undefined;
      const bytesRead = body.readSync(chunk, 0, chunk.length, position);
      hash.update(chunk.subarray(0, bytesRead));
      position += bytesRead;
      await turn();
    }
    return hash.digest('hex');
  } finally {
    content.release(file.ino);
  }
}

/**
 * What an upload of a node sends: a file's content, that of the file which a further name stands for, or the file that
 * stands for a symbolic link. See {@link fileSource} for `stop`.
 */
export async function nodeSource(
  node: NodeRecord,
  deps: SourceDeps,
  stop: () => void,
): Promise<UploadSource> {
  if (node.kind === 'symlink') {
    const file = encodeXSym(node.target);
    if (file === undefined) throw new Error(`symbolic link ${node.ino} is too long to be kept on the server`);
    return memorySource(file, node.gen);
  }
  const file = node.kind === 'alias' ? deps.state.get(node.target) : node;
  if (file?.kind !== 'file') throw new Error(`inode ${node.ino} has no content to upload`);
  if (file.content === 'staged') return fileSource(file, deps, stop);
  // A further name of a file that the server has, but cannot copy itself.
  const { content, fetcher } = deps;
  content.acquireClean(file.ino, heldVersion(file, content));
  try {
    await fetcher.whole(file.ino);
    const now = deps.state.get(file.ino);
    if (now?.kind !== 'file' || now.gen !== file.gen)
      throw new Superseded('the file was changed while it was fetched');
    return await fileSource(now, deps, stop);
  } finally {
    content.release(file.ino);
  }
}

/**
 * The content of a file as it is now. What is larger than memory should hold is streamed from the body in place, and
 * `stop` is called when a program is about to change it; from a file that is open for writing, a copy is made first.
 */
async function fileSource(file: FileRecord, deps: SourceDeps, stop: () => void): Promise<UploadSource> {
  const { content, sessions } = deps;
  const { ino, gen } = file;
  const body =
    file.content === 'staged'
      ? content.acquireStaged(ino)
      : content.acquireClean(ino, heldVersion(file, content));
  const release = () => content.release(ino);
  try {
    if (!body.isComplete) throw new Error(`inode ${ino} is to be uploaded, but not all of it is here`);
    if (deps.usage.isWrittenUnseen(ino)) return await unseenSource(ino, body, deps, release);
    sessions.seal(ino, gen);
    const isOpen = file.writing || deps.usage.hasWritableHandle(ino);
    if (isOpen && body.kind === 'staged') body.setMark('copied');
    if (body.size <= IN_MEMORY_BYTES) {
      const bytes = Buffer.allocUnsafe(body.size);
      const length = body.readSync(bytes, 0, body.size, 0);
      release();
      return memorySource(bytes.subarray(0, length), gen);
    }
    if (isOpen) return await copySource(ino, gen, deps, release);
  } catch (error) {
    release();
    throw error;
  }
  let end: () => void = () => undefined;
  const begin = () => {
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    sessions.readWhile(ino, ended, stop);
  };
  begin();
  const hooks: StreamHooks = {
    // Writers need not wait for the answer, and must not stop a request of which the server may have every byte: it
    // could take effect long after it was given up, over what was sent since.
    onRead: () => end(),
    onAgain: () => {
      const now = deps.state.get(ino);
      if (now?.kind !== 'file' || now.gen !== gen || now.writing || deps.usage.hasWritableHandle(ino))
        throw new Superseded('the file may be changed before it is sent again');
      begin();
    },
    onClose: () => {
      end();
      release();
    },
  };
  return streamSource(body.fd, body.size, gen, hooks);
}

/** As {@link fileSource}, of a file that the kernel writes to by itself. */
async function unseenSource(
  ino: Ino,
  body: Body,
  deps: SourceDeps,
  release: () => void,
): Promise<UploadSource> {
  const { state, content, sessions, usage } = deps;
  try {
    if (!usage.markCopied(ino)) throw new Superseded('a program has it open and has not written to it');
    const node = state.get(ino);
    if (node?.kind !== 'file') throw new Superseded('the file is gone');
    sessions.seal(ino, node.gen);
    const copy = await unseenCopy(body, content, IN_MEMORY_BYTES);
    release();
    return copy instanceof Uint8Array
      ? memorySource(copy, node.gen)
      : streamSource(copy.fd, copy.size, node.gen, { onClose: () => copy.close() });
  } finally {
    sessions.copyTaken(ino);
  }
}

/** What a stream tells of itself. */
interface StreamHooks {
  /** All of it was read; the last chunk goes out now. */
  readonly onRead?: () => void;
  /** It was read whole before, and is to be read again; throws where it may be another by now. */
  readonly onAgain?: () => void;
  readonly onClose: () => void;
}

async function copySource(
  ino: Ino,
  gen: number,
  deps: SourceDeps,
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
  return streamSource(copy.fd, copy.size, gen, { onClose: () => copy.close() });
}

function streamSource(fd: number, size: number, gen: number, hooks: StreamHooks): UploadSource {
  let sha256: string | undefined;
  async function* open(): AsyncGenerator<Uint8Array> {
    if (sha256 !== undefined) hooks.onAgain?.();
    const hash = createHash('sha256');
    for (let position = 0; position < size; ) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size - position));
      const { bytesRead } = await readAt(fd, buffer, 0, buffer.length, position);
      if (bytesRead === 0) throw new Error(`the staged file ends at ${position} of ${size} bytes`);
      const chunk = buffer.subarray(0, bytesRead);
      hash.update(chunk);
      position += bytesRead;
      if (position === size) {
        sha256 = hash.digest('hex');
        hooks.onRead?.();
      }
      yield chunk;
    }
  }
  return { body: { size, open }, gen, sha256: () => sha256, close: hooks.onClose };
}
