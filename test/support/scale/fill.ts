/** Fills the state and the cache of a drive with as many nodes as a test wants, through the real stores. */

import { type Ino, type Name, type Ns, ROOT_INO } from '../../../src/base/index.js';
import type { FileContentStore } from '../../../src/content/index.js';
import type { ETag } from '../../../src/remote/index.js';
import type { DirRecord, FileRecord, StateStore, StateTransaction } from '../../../src/state/index.js';

/** Nodes put in one transaction; after each the store gets a turn to bring them into the database. */
const NODES_PER_TRANSACTION = 1_000;
const FILES_PER_DIRECTORY = 250;
const DIRECTORIES_PER_GROUP = 64;
const TIME = 1_700_000_000_000_000_000n as Ns;
const MTIME_MS = 1_700_000_000_000;

export interface Filled {
  /** Directories that hold files. */
  readonly directories: readonly Ino[];
  readonly files: readonly Ino[];
}

/** About `nodes` nodes as listings leave them, all on the server: 250 files in each directory. */
export async function fillState(state: StateStore, nodes: number, sizeBytes = 10): Promise<Filled> {
  const directories: Ino[] = [];
  const files: Ino[] = [];
  const nowMs = Date.now();
  let group: Ino = ROOT_INO;
  state.transact((tx) => {
    const root = tx.get(ROOT_INO);
    if (root?.kind === 'dir') tx.put({ ...root, listedAtMs: nowMs });
  });
  for (let done = 0; done < nodes; ) {
    state.transact((tx) => {
      for (let end = Math.min(nodes, done + NODES_PER_TRANSACTION); done < end; ) {
        if (directories.length % DIRECTORIES_PER_GROUP === 0) {
          group = putDirectory(tx, ROOT_INO, `group${directories.length / DIRECTORIES_PER_GROUP}`, nowMs);
          done += 1;
        }
        const dir = putDirectory(tx, group, `directory${directories.length}`, nowMs);
        directories.push(dir);
        done += 1;
        for (let file = 0; file < FILES_PER_DIRECTORY && done < end; file += 1, done += 1)
          files.push(putFile(tx, dir, `file${file}.txt`, sizeBytes));
      }
    });
    await new Promise((resolve) => setImmediate(resolve));
  }
  await state.durable();
  return { directories, files };
}

/** One directory with as many files as wanted. */
export async function fillDirectory(state: StateStore, name: string, count: number): Promise<Ino> {
  const dir = state.transact((tx) => putDirectory(tx, ROOT_INO, name, Date.now()));
  for (let done = 0; done < count; ) {
    state.transact((tx) => {
      for (let end = Math.min(count, done + NODES_PER_TRANSACTION); done < end; done += 1)
        putFile(tx, dir, `file${done}.txt`, 10);
    });
    await new Promise((resolve) => setImmediate(resolve));
  }
  return dir;
}

/** Makes the bodies of these files whole in the cache. */
export async function fillContent(
  state: StateStore,
  content: FileContentStore,
  files: Iterable<Ino>,
  bytesOf: (file: FileRecord) => Uint8Array = ({ size }) => Buffer.alloc(size, 'content '),
): Promise<number> {
  let count = 0;
  for (const ino of files) {
    const node = state.get(ino);
    if (node?.kind !== 'file' || node.base === undefined) continue;
    const body = content.acquireClean(ino, { etag: node.base.etag, size: node.size });
    if (!body.isComplete) body.fill(0, bytesOf(node));
    content.release(ino);
    count += 1;
    if (count % NODES_PER_TRANSACTION === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return count;
}

function putDirectory(tx: StateTransaction, parent: Ino, name: string, listedAtMs: number): Ino {
  const ino = tx.allocate();
  const place = { parent, name: name as Name };
  const dir: DirRecord = {
    kind: 'dir',
    ino,
    local: place,
    base: { ...place, etag: undefined, size: 0, mtimeMs: MTIME_MS, gen: 0 },
    remote: undefined,
    mode: 0o755,
    uid: 0,
    gid: 0,
    atime: TIME,
    mtime: TIME,
    ctime: TIME,
    listedAtMs,
  };
  tx.put(dir);
  return ino;
}

function putFile(tx: StateTransaction, parent: Ino, name: string, size: number): Ino {
  const ino = tx.allocate();
  const place = { parent, name: name as Name };
  const file: FileRecord = {
    kind: 'file',
    ino,
    local: place,
    base: { ...place, etag: `"${ino.toString(16)}-620b5c0d3f4c1"` as ETag, size, mtimeMs: MTIME_MS, gen: 0 },
    remote: undefined,
    mode: 0o644,
    uid: 0,
    gid: 0,
    atime: TIME,
    mtime: TIME,
    ctime: TIME,
    size,
    gen: 0,
    content: 'clean',
    writing: false,
    interrupted: false,
    attempt: undefined,
    aliases: [],
  };
  tx.put(file);
  return ino;
}

/** Every file that the directories below the root hold. */
export function* allFiles(state: StateStore, dir: Ino = ROOT_INO): Generator<Ino> {
  for (const { local } of state.entries(dir)) {
    const node = local === undefined ? undefined : state.get(local);
    if (node?.kind === 'file') yield node.ino;
    else if (node?.kind === 'dir' && node.ino !== dir) yield* allFiles(state, node.ino);
  }
}
