/**
 * A file system over memory for the tests of the layers above it: the real state and content interfaces, and a
 * synchronisation that does nothing but what a test tells it to. After each step the invariants of all tables hold.
 */

import assert from 'node:assert/strict';
import type { Clock, Ino, Name, Ns, Timer } from '../../../src/base/index.js';
import { ROOT_INO, toName } from '../../../src/base/index.js';
import { MemoryContentStore } from '../../../src/content/index.js';
import type { ETag, Quota } from '../../../src/remote/index.js';
import {
  type AliasRecord,
  type Base,
  contentGen,
  type FileRecord,
  type MemoryStateStore,
  type NodeRecord,
  openMemoryState,
  type Place,
  type StateTransaction,
  type StateView,
} from '../../../src/state/index.js';
import type { Invalidation, Sync, Usage, Written } from '../../../src/sync/index.js';
import {
  type Caller,
  type Fh,
  type HandleLog,
  Vfs,
  VfsError,
  type VfsErrorCode,
  type VfsOptions,
} from '../../../src/vfs/index.js';

const NS_PER_MS = 1_000_000n;

/** A clock that moves one millisecond each time it is looked at. */
export class SteppingClock implements Clock {
  #ms = 1_000_000;

  nowMs(): number {
    this.#ms += 1;
    return this.#ms;
  }

  nowNs(): Ns {
    return BigInt(this.nowMs()) * NS_PER_MS;
  }

  after(_delayMs: number, callback: () => void): Timer {
    const timer = setImmediate(callback);
    return { cancel: () => clearImmediate(timer) };
  }
}

/** What the synchronisation was told, in order. */
export type SyncCall =
  | {
      readonly what: 'commit';
      readonly ino: Ino;
      readonly size: number;
      readonly stillOpen: boolean;
      readonly copyOf?: Written['copyOf'];
    }
  | {
      readonly what:
        | 'fsynced'
        | 'unused'
        | 'settled'
        | 'present'
        | 'begin'
        | 'unseen'
        | 'unwritten'
        | 'created';
      readonly ino: Ino;
    };

export class FakeSync implements Sync {
  readonly calls: SyncCall[] = [];
  /** Bytes that the server has of a file. */
  readonly serverBytes = new Map<Ino, Uint8Array>();
  /** What a listing brings, once. */
  readonly listings = new Map<Ino, () => void>();
  /** What asking for a file's version brings, once. */
  readonly news = new Map<Ino, () => void>();
  /** Files that an upload reads. */
  readonly read = new Set<Ino>();
  /** What `present` rejects with. */
  presentError: unknown;
  /** What is done when the server is asked for a copy; undefined: it is not. */
  cloning: ((from: Ino, to: Ino) => Promise<boolean>) | undefined;
  /** What `settled` rejects with. */
  settleError: unknown;
  quotaAnswer: Quota | undefined;
  quotaPending: Promise<void> | undefined;
  usage: Usage | undefined;
  readonly listeners: ((event: Invalidation) => void)[] = [];
  readonly #state: MemoryStateStore;
  readonly #content: MemoryContentStore;

  constructor(state: MemoryStateStore, content: MemoryContentStore) {
    this.#state = state;
    this.#content = content;
  }

  setUsage(usage: Usage): void {
    this.usage = usage;
  }

  onInvalidate(listener: (event: Invalidation) => void): void {
    this.listeners.push(listener);
  }

  listed(dir: Ino): Promise<void> | undefined {
    return this.#once(this.listings, dir);
  }

  fresh(file: Ino): Promise<void> | undefined {
    return this.#once(this.news, file);
  }

  present(file: Ino, start: number, end: number): Promise<void> | undefined {
    this.calls.push({ what: 'present', ino: file });
    const body = this.#content.peek(file);
    assert(body !== undefined, 'present of a body that is not in use');
    if (body.has(start, end)) return undefined;
    return Promise.resolve().then(() => {
      if (this.presentError !== undefined) throw this.presentError;
      body.fill(start, this.#bytes(file).subarray(start, end));
    });
  }

  created(file: Ino): void {
    this.calls.push({ what: 'created', ino: file });
  }

  beginWrite(file: Ino, keepBytes: number): Promise<void> | undefined {
    this.calls.push({ what: 'begin', ino: file });
    const body = this.#content.peek(file);
    assert(body !== undefined, 'beginWrite of a body that is not in use');
    if (body.kind === 'staged') {
      this.#markWriting(file);
      return undefined;
    }
    if (keepBytes === 0) {
      this.#content.createStaged(file);
      this.#content.release(file);
      this.#markWriting(file);
      return undefined;
    }
    return Promise.resolve().then(() => {
      if (body.kind === 'staged') return;
      body.fill(0, this.#bytes(file));
      this.#content.toStaged(file);
      this.#markWriting(file);
    });
  }

  isRead(file: Ino): boolean {
    return this.read.has(file);
  }

  whenUnread(): undefined {
    return undefined;
  }

  beginUnseen(file: Ino, keepBytes: number): void {
    const body = this.#content.peek(file);
    assert(body !== undefined && !this.read.has(file), 'beginUnseen of what is not free');
    if (body.kind === 'clean' && keepBytes > 0) this.#content.toStaged(file);
    else if (body.kind === 'clean') {
      this.#content.createStaged(file);
      this.#content.release(file);
    }
    this.#state.transact((tx) => tx.put({ ...this.#file(file), content: 'staged', writing: true }));
  }

  wroteUnseen(file: Ino): void {
    this.calls.push({ what: 'unseen', ino: file });
    this.#markWriting(file);
  }

  unwritten(file: Ino): void {
    this.calls.push({ what: 'unwritten', ino: file });
    const record = this.#file(file);
    this.#state.transact((tx) => tx.put({ ...record, writing: false }));
  }

  commitWrite(file: Ino, { copyOf, ...attributes }: Written, stillOpen: boolean): void {
    const source = copyOf === undefined ? {} : { copyOf };
    this.calls.push({ what: 'commit', ino: file, size: attributes.size, stillOpen, ...source });
    this.#state.transact((tx) => tx.put({ ...this.#file(file), ...attributes, writing: stillOpen }));
  }

  clone(from: Ino, to: Ino): Promise<boolean> | undefined {
    return this.cloning?.(from, to);
  }

  fsynced(ino: Ino): void {
    this.calls.push({ what: 'fsynced', ino });
  }

  writersGone(): void {}

  unused(ino: Ino): void {
    this.calls.push({ what: 'unused', ino });
    if (this.usage?.isInUse(ino) === true) return;
    const record = this.#state.get(ino);
    if (record === undefined || record.local !== undefined || record.base !== undefined) return;
    if (record.kind === 'file' && record.aliases.length > 0) return;
    this.#state.transact((tx) => tx.remove(ino));
    this.#content.discard(ino);
  }

  async settled(ino: Ino): Promise<void> {
    this.calls.push({ what: 'settled', ino });
    await Promise.resolve();
    if (this.settleError !== undefined) throw this.settleError;
  }

  async drained(): Promise<void> {}

  quota(): Quota | undefined {
    return this.quotaAnswer;
  }

  quotaSettling(): Promise<void> | undefined {
    return this.quotaPending;
  }

  /** The calls of one kind, and forgets all. */
  take(what: SyncCall['what']): SyncCall[] {
    const found = this.calls.filter((call) => call.what === what);
    this.calls.length = 0;
    return found;
  }

  #once(steps: Map<Ino, () => void>, ino: Ino): Promise<void> | undefined {
    const step = steps.get(ino);
    if (step === undefined) return undefined;
    return Promise.resolve().then(() => {
      if (steps.delete(ino)) step();
    });
  }

  #bytes(ino: Ino): Uint8Array {
    const bytes = this.serverBytes.get(ino);
    assert(bytes !== undefined, `the server has no bytes of ${ino}`);
    return bytes;
  }

  #file(ino: Ino): FileRecord {
    const record = this.#state.get(ino);
    assert(record?.kind === 'file');
    return record;
  }

  #markWriting(ino: Ino): void {
    const record = this.#file(ino);
    if (record.content === 'staged' && record.writing && record.base?.gen !== record.gen) return;
    const gen = record.base?.gen === record.gen ? record.gen + 1 : record.gen;
    this.#state.transact((tx) => tx.put({ ...record, content: 'staged', gen, writing: true }));
  }
}

export const CALLER: Caller = { uid: 1000, gid: 1001 };

export interface World {
  readonly state: MemoryStateStore;
  readonly content: MemoryContentStore;
  readonly sync: FakeSync;
  readonly vfs: Vfs;
  /** Throws when any table contradicts itself or another. */
  check(): void;
  /** Adds a file that the server has and this machine knows of, without its bytes. */
  serverFile(parent: Ino, name: string, bytes: Uint8Array | string): Ino;
  /** Adds a directory as the server listed it. */
  serverDir(parent: Ino, name: string): Ino;
  /** Pretends that the server took everything. */
  uploadAll(): void;
}

/** `parts`: what an earlier process left. */
export function makeWorld(
  options: Partial<VfsOptions> = {},
  parts: { readonly from?: World; readonly handleLog?: HandleLog } = {},
): World {
  const { from, handleLog } = parts;
  const state = openMemoryState(from === undefined ? {} : { from: from.state.snapshot() });
  const content = new MemoryContentStore(from === undefined ? {} : { image: from.content.image() });
  const sync = new FakeSync(state, content);
  const vfs = new Vfs({
    state,
    content,
    sync,
    clock: new SteppingClock(),
    options: { readOnly: false, sync: 'write-back', volumeSizeBytes: undefined, ...options },
    ...(handleLog === undefined ? {} : { handleLog }),
  });
  const node = (ino: Ino, parent: Ino, name: string, size: number) => {
    const place = { parent, name: nameOf(name) };
    return {
      ino,
      local: place,
      base: { ...place, etag: `"${ino}-1"` as ETag, size, mtimeMs: 5000, gen: 1 },
      remote: undefined,
      uid: 0,
      gid: 0,
      atime: 5_000_000_000n,
      mtime: 5_000_000_000n,
      ctime: 5_000_000_000n,
    };
  };
  return {
    state,
    content,
    sync,
    vfs,
    check() {
      state.checkInvariants();
      vfs.checkInvariants();
    },
    serverFile(parent, name, bytes) {
      const data = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
      const ino = state.transact((tx) => {
        const made = tx.allocate();
        tx.put({
          kind: 'file',
          ...node(made, parent, name, data.length),
          mode: 0o644,
          size: data.length,
          gen: 1,
          content: 'clean',
          writing: false,
          interrupted: false,
          attempt: undefined,
          aliases: [],
        });
        return made;
      });
      sync.serverBytes.set(ino, data);
      return ino;
    },
    serverDir(parent, name) {
      return state.transact((tx) => {
        const made = tx.allocate();
        tx.put({ kind: 'dir', ...node(made, parent, name, 0), mode: 0o755, listedAtMs: undefined });
        return made;
      });
    },
    uploadAll() {
      const dirty = [...state.dirty()];
      state.transact((tx) => {
        // All at once: what is in a name's way goes with what takes its place.
        for (const ino of dirty) {
          const record = tx.get(ino);
          if (record !== undefined) tx.put({ ...record, base: undefined });
        }
        for (const ino of dirty) {
          const record = tx.get(ino);
          if (record?.local !== undefined) tx.put({ ...record, base: confirmed(tx, record, record.local) });
          else if (record?.kind === 'alias') forgetAlias(tx, record);
        }
      });
      for (const ino of dirty) sync.unused(ino);
    },
  };
}

function confirmed(view: StateView, record: NodeRecord, place: Place): Base {
  const gen = contentGen(record, view);
  const size = record.kind === 'file' ? record.size : 0;
  return { ...place, etag: `"${record.ino}-${gen}"` as ETag, size, mtimeMs: 0, gen };
}

function forgetAlias(tx: StateTransaction, alias: AliasRecord): void {
  const target = tx.get(alias.target);
  if (target?.kind === 'file') {
    tx.put({ ...target, aliases: target.aliases.filter((ino) => ino !== alias.ino) });
  }
  tx.remove(alias.ino);
}

export function nameOf(text: string): Name {
  const name = toName(text);
  assert(name !== undefined, `"${text}" is no name`);
  return name;
}

/** The value of an answer that must not need a wait. */
export function now<T>(value: T | Promise<T>): T {
  assert(!(value instanceof Promise), 'answered by a promise, though everything is on this machine');
  return value;
}

/** That a call fails with a code, at once or by its promise. */
export async function fails(code: VfsErrorCode, call: () => unknown): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof VfsError)) throw error;
    assert.equal(error.code, code);
    return;
  }
  assert.fail(`did not fail with ${code}`);
}

export const READ = { writable: false, append: false, truncate: false } as const;
export const WRITE = { writable: true, append: false, truncate: false } as const;

/** Makes a file with content, closed, its handle released. */
export function put(world: World, parent: Ino, name: string, text = ''): Ino {
  const request = { mode: 0o644, caller: CALLER, open: WRITE, exclusive: true };
  const { attributes, fh } = now(world.vfs.names.create(parent, name, request));
  if (text !== '') now(world.vfs.files.write(fh, Buffer.from(text), 0));
  now(world.vfs.files.flush(fh));
  world.vfs.files.release(fh);
  return attributes.ino;
}

export function mkdir(world: World, parent: Ino, name: string): Ino {
  return now(world.vfs.names.mkdir(parent, name, { mode: 0o755, caller: CALLER })).ino;
}

/** What a name stands for, without keeping the reference. */
export function find(world: World, parent: Ino, name: string) {
  const found = now(world.vfs.names.lookup(parent, name));
  if (found !== undefined) world.vfs.names.forget(found.ino, 1);
  return found;
}

/** The whole content behind an open handle. */
export function contentOf(world: World, fh: Fh): string {
  const buffer = Buffer.alloc(1 << 16);
  return buffer.subarray(0, now(world.vfs.files.read(fh, buffer, 0, buffer.length, 0))).toString();
}

/** The whole content of a file by its name. */
export function readFile(world: World, parent: Ino, name: string): string {
  const found = find(world, parent, name);
  assert(found !== undefined, `no "${name}"`);
  const fh = now(world.vfs.files.open(found.ino, READ));
  const text = contentOf(world, fh);
  world.vfs.files.release(fh);
  return text;
}

/** Names in a directory, in the order given, without `.` and `..`. */
export function list(world: World, ino: Ino = ROOT_INO): string[] {
  const fh = now(world.vfs.directories.open(ino));
  const names: string[] = [];
  world.vfs.directories.read(fh, 0, ({ name }) => {
    names.push(name);
    return true;
  });
  world.vfs.directories.release(fh);
  return names.slice(2);
}
