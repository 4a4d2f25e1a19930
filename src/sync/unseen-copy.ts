/**
 * Copies of files that the kernel writes to by itself (passthrough). Nobody can be made to wait meanwhile, so what was
 * copied is looked at afterwards: a copy into which something was written is no state that the file ever had.
 */

import { read } from 'node:fs';
import { promisify } from 'node:util';
import type { Body, ContentStore, Snapshot } from '../content/index.js';
import { Superseded } from './superseded.js';

const readAt = promisify(read);

const CHUNK_BYTES = 512 * 1024;

export type UnseenCopy = Uint8Array | Pick<Snapshot, 'fd' | 'size' | 'close'>;

/**
 * What a staged body held at one moment after its mark `copied` was set; bytes for up to `inMemoryBytes`. A file that only
 * grew meanwhile is copied as far as it was. Throws {@link Superseded} where bytes changed while they were copied.
 */
export async function unseenCopy(
  body: Body,
  content: ContentStore,
  inMemoryBytes: number,
): Promise<UnseenCopy> {
  // Stores into pages that are mapped and were written before show again from here on.
  await body.sync();
  const { size } = body;
  return size <= inMemoryBytes ? bytesOf(body, size) : await snapshotOf(body, content, size);
}

function bytesOf(body: Body, size: number): Uint8Array {
  const read = () => {
    const bytes = Buffer.allocUnsafe(size);
    return bytes.subarray(0, body.readSync(bytes, 0, size, 0));
  };
  const bytes = read();
  if (isUnchanged(body) || read().equals(bytes)) return bytes;
  throw changed();
}

async function snapshotOf(body: Body, content: ContentStore, size: number): Promise<UnseenCopy> {
  const copy = await content.snapshot(body.ino);
  try {
    if (!isUnchanged(body) && !(await hasSameStart(copy.fd, body.fd, size))) throw changed();
    return { fd: copy.fd, size: Math.min(size, copy.size), close: () => copy.close() };
  } catch (error) {
    copy.close();
    throw error;
  }
}

function isUnchanged(body: Body): boolean {
  return body.statSync().mark === 'copied';
}

function changed(): Superseded {
  return new Superseded('it was written to while it was copied');
}

/**
 * Whether two files begin with the same bytes. Where one is a copy of the other, and was finished before, each byte was the
 * same from the moment it was copied until now; so the copy is what the file was when the copy was finished.
 */
async function hasSameStart(copyFd: number, fd: number, size: number): Promise<boolean> {
  const copied = Buffer.allocUnsafe(CHUNK_BYTES);
  const present = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let position = 0; position < size; ) {
    const length = Math.min(CHUNK_BYTES, size - position);
    const [{ bytesRead }, other] = await Promise.all([
      readAt(copyFd, copied, 0, length, position),
      readAt(fd, present, 0, length, position),
    ]);
    if (bytesRead === 0 || bytesRead !== other.bytesRead) return false;
    if (!copied.subarray(0, bytesRead).equals(present.subarray(0, bytesRead))) return false;
    position += bytesRead;
  }
  return true;
}
