/** Short hands of the contract suite. */

import assert from 'node:assert/strict';
import { toName } from '../../src/base/index.js';
import type { ETag, RemoteBody, RemoteEntry, RemoteErrorCode, RemotePath } from '../../src/remote/index.js';
import {
  isRemoteError,
  joinRemote,
  RemoteError,
  type RemoteStore,
  type UploadBody,
  type WriteCondition,
  type WriteResult,
} from '../../src/remote/index.js';

export function child(dir: RemotePath, name: string): RemotePath {
  const checked = toName(name);
  assert.ok(checked !== undefined, `${JSON.stringify(name)} is no name`);
  return joinRemote(dir, checked);
}

export function bodyOf(content: string | Uint8Array): UploadBody {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return { size: bytes.length, open: () => bytes };
}

export function put(
  store: RemoteStore,
  path: RemotePath,
  content: string | Uint8Array,
  condition: WriteCondition = { kind: 'any' },
): Promise<WriteResult> {
  return store.write(path, bodyOf(content), { condition });
}

export async function listAll(store: RemoteStore, dir: RemotePath): Promise<RemoteEntry[]> {
  const entries: RemoteEntry[] = [];
  for await (const batch of store.list(dir)) entries.push(...batch);
  return entries;
}

export async function namesIn(store: RemoteStore, dir: RemotePath): Promise<string[]> {
  return (await listAll(store, dir)).map((entry) => entry.name ?? '').sort();
}

export async function collect(body: RemoteBody): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body.chunks) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export async function textOf(store: RemoteStore, path: RemotePath): Promise<string> {
  return (await collect(await store.read(path))).toString();
}

export async function tagOf(store: RemoteStore, path: RemotePath): Promise<ETag> {
  const { etag } = await store.stat(path);
  assert.ok(etag !== undefined, `${path} has no tag`);
  return etag;
}

/** Waits for a rejection with `code` and gives the error; everything else fails the test. */
export async function rejectsWith(work: Promise<unknown>, code: RemoteErrorCode): Promise<RemoteError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof RemoteError, `not a RemoteError: ${String(error)}`);
    assert.equal(error.code, code, error.message);
    assert.ok(isRemoteError(error, code));
    return error;
  }
  assert.fail(`resolved where ${code} was expected`);
}
