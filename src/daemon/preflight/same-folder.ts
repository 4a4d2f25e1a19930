/** Whether a folder at another address is the one that is mounted: by what is known of it, in a sample. */

import { type Ino, type Name, ROOT_INO } from '../../base/index.js';
import {
  isRemoteError,
  joinRemote,
  REMOTE_ROOT,
  type RemoteEntry,
  type RemotePath,
  type RemoteStore,
} from '../../remote/index.js';
import type { Base, StateView } from '../../state/index.js';

/** Directories that are listed, and entries that are compared at most. */
const MAX_DIRECTORIES = 4;
const MAX_ENTRIES = 256;
/** HTTP dates have whole seconds. */
const SAME_TIME_MS = 1_000;

export interface Likeness {
  /** Entries that were compared. */
  readonly known: number;
  /** Those of them that are there as they should be. */
  readonly found: number;
}

/** Half is enough: other clients go on meanwhile, and a folder of which nothing is known is as good as any. */
export function isAlike({ known, found }: Likeness): boolean {
  return found * 2 >= known;
}

/** Lists what is known best at `store`; rejects with RemoteError. */
export async function likeness(store: RemoteStore, state: StateView, signal: AbortSignal): Promise<Likeness> {
  let known = 0;
  let found = 0;
  for (const [path, expected] of sample(state)) {
    const there = await listed(store, path, signal);
    for (const [name, base] of expected) {
      known += 1;
      if (agrees(there.get(name), base)) found += 1;
    }
  }
  return { known, found };
}

type Expected = ReadonlyMap<Name, Base | 'dir'>;

/** The root and some directories in it, with what the server last confirmed of each. */
function sample(state: StateView): ReadonlyMap<RemotePath, Expected> {
  const result = new Map<RemotePath, Expected>();
  const waiting: { readonly path: RemotePath; readonly ino: Ino }[] = [{ path: REMOTE_ROOT, ino: ROOT_INO }];
  let left = MAX_ENTRIES;
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const expected = new Map<Name, Base | 'dir'>();
    for (const { name, base: ino } of state.entries(next.ino)) {
      const node = ino === undefined ? undefined : state.get(ino);
      if (left === 0) break;
      if (ino === undefined || node?.base === undefined) continue;
      left -= 1;
      expected.set(name, node.kind === 'dir' ? 'dir' : node.base);
      if (node.kind === 'dir') waiting.push({ path: joinRemote(next.path, name), ino });
    }
    if (expected.size > 0) result.set(next.path, expected);
    if (result.size >= MAX_DIRECTORIES || left === 0) break;
  }
  return result;
}

/** By name; of a directory that is not there, nothing. */
async function listed(
  store: RemoteStore,
  path: RemotePath,
  signal: AbortSignal,
): Promise<ReadonlyMap<Name, RemoteEntry>> {
  const entries = new Map<Name, RemoteEntry>();
  try {
    for await (const batch of store.list(path, { signal })) {
      for (const entry of batch) if (entry.name !== undefined) entries.set(entry.name, entry);
    }
  } catch (error) {
    if (path === REMOTE_ROOT || !isRemoteError(error, 'not-found', 'not-webdav')) throw error;
  }
  return entries;
}

/** A copy of the folder on another machine may have other tags, and has the same sizes and times. */
function agrees(entry: RemoteEntry | undefined, expected: Base | 'dir'): boolean {
  if (expected === 'dir') return entry?.kind === 'dir';
  if (entry?.kind !== 'file') return false;
  if (entry.etag !== undefined && entry.etag === expected.etag) return true;
  if (entry.size !== expected.size || entry.mtimeMs === undefined || expected.mtimeMs === undefined)
    return false;
  return Math.abs(entry.mtimeMs - expected.mtimeMs) <= SAME_TIME_MS;
}
