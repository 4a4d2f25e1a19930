/**
 * A server in memory that behaves as a WebDAV server does, for tests of the layers above: deterministic, with the clock
 * injected, and open to changes "by another client". Faults are a decorator of their own (faulty-remote.ts).
 */

import { type Clock, type Name, toName } from '../../src/base/index.js';
import {
  type Capabilities,
  type ETag,
  isWithin,
  joinRemote,
  type MoveOptions,
  nameOfRemote,
  parentOfRemote,
  type Quota,
  REMOTE_ROOT,
  type ReadOptions,
  type RemoteBody,
  type RemoteDelivery,
  type RemoteEntry,
  RemoteError,
  type RemoteErrorCode,
  type RemotePath,
  type RemoteStore,
  type RequestOptions,
  type UploadBody,
  type WriteOptions,
  type WriteResult,
} from '../../src/remote/index.js';
import { asDelivery } from './delivery.js';

interface FakeFile {
  readonly kind: 'file';
  content: Uint8Array;
  serial: number;
  mtimeMs: number;
}

interface FakeDir {
  readonly kind: 'dir';
  readonly children: Map<Name, FakeNode>;
  mtimeMs: number;
}

type FakeNode = FakeFile | FakeDir;

/** The methods of the port, as counters and log name them. */
export type FakeVerb =
  | 'list'
  | 'stat'
  | 'read'
  | 'write'
  | 'makeDirectory'
  | 'remove'
  | 'move'
  | 'copy'
  | 'quota'
  | 'probe';

export interface FakeLogEntry {
  readonly verb: FakeVerb;
  readonly path: RemotePath;
  /** Target of a move or copy. */
  readonly to?: RemotePath;
  /** Condition of a write, as `any`, `absent` or the tag. */
  readonly condition?: string;
  /** Bytes asked for by a read, or sent by a write. */
  readonly bytes?: number;
  /** `ok`, or the code of the error. */
  result: 'ok' | RemoteErrorCode | 'pending';
}

export interface FakeRemoteOptions {
  readonly clock: Clock;
  /** What the server honours; all of it when absent. A condition that it does not honour is checked first, then raced. */
  readonly capabilities?: Partial<Capabilities>;
  /**
   * `strong`: always strong; `young-weak`: weak in a file's first second, as mod_dav_fs; `none`: none of its own, so that
   * the tag is made of size and time, is weak for ever, and two changes within a second that keep the size look the same.
   */
  readonly tags?: 'strong' | 'young-weak' | 'none';
  /** Whether MOVE keeps the tag, as mod_dav_fs does; true when absent. */
  readonly movesKeepTag?: boolean;
  /** Bytes that fit; unlimited when absent. */
  readonly capacityBytes?: number;
  /** Listings leave out what was written less than this long ago, as those of servers do that keep them apart. */
  readonly listsLateMs?: number;
  /** Entries a batch of a listing. */
  readonly batchSize?: number;
  /** Bytes a chunk of a body. */
  readonly chunkSize?: number;
  /** Awaited at each point where a real server lets others in; the default gives way once. */
  readonly pause?: (verb: FakeVerb, path: RemotePath) => Promise<void>;
}

const ALL: Capabilities = {
  ifMatch: true,
  ifNoneMatch: true,
  ranges: true,
  deadProperties: true,
  lock: true,
  etagOnPut: true,
};

/** A tag made of size and time stays weak for ever. */
const YOUNG_MS = 1_000;

export class FakeRemoteStore implements RemoteStore {
  readonly capabilities: Capabilities;
  /** Every call, oldest first. */
  readonly log: FakeLogEntry[] = [];
  /** When false, every call fails with `unreachable`. */
  online = true;
  /** When set, every call fails with it: `unauthorized`, `throttled`, ... */
  refusal: RemoteErrorCode | undefined;
  readonly #clock: Clock;
  readonly #options: FakeRemoteOptions;
  readonly #root: FakeDir;
  readonly #pause: (verb: FakeVerb, path: RemotePath) => Promise<void>;
  #serial = 0;
  #closed = false;

  constructor(options: FakeRemoteOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.capabilities = { ...ALL, ...options.capabilities };
    this.#root = { kind: 'dir', children: new Map(), mtimeMs: options.clock.nowMs() };
    this.#pause = options.pause ?? (() => Promise.resolve());
  }

  // The port.

  async *list(dir: RemotePath, options: RequestOptions = {}): AsyncIterable<readonly RemoteEntry[]> {
    const entry = this.#begin('list', dir);
    try {
      await this.#enter(entry, options);
      const node = this.#need(dir, 'list');
      if (node.kind !== 'dir') throw fail('not-found', 'list', dir, `"${dir}" is not a directory`);
      const untilMs = this.#clock.nowMs() - (this.#options.listsLateMs ?? 0);
      const entries = [...node.children]
        .filter(([, child]) => child.kind === 'dir' || child.mtimeMs <= untilMs)
        .map(([name, child]) => this.#entry(joinRemote(dir, name), child));
      const size = this.#options.batchSize ?? 100;
      for (let at = 0; at < entries.length; at += size) {
        yield entries.slice(at, at + size);
        this.#checkAbort('list', dir, options, 'none');
      }
      entry.result = 'ok';
    } catch (error) {
      throw note(entry, error);
    }
  }

  stat(path: RemotePath, options: RequestOptions = {}): Promise<RemoteEntry> {
    return this.#run(this.#begin('stat', path), options, () => this.#entry(path, this.#need(path, 'stat')));
  }

  read(path: RemotePath, options: ReadOptions = {}): Promise<RemoteBody> {
    const log = this.#begin('read', path);
    return this.#run(log, options, () => {
      const file = this.#need(path, 'read');
      if (file.kind !== 'file') throw fail('not-found', 'read', path, `"${path}" is a directory`);
      const etag = this.#tag(file);
      if (options.etag !== undefined && options.etag !== etag) {
        throw fail('changed', 'read', path, `"${path}" is another version`);
      }
      const ranged = this.capabilities.ranges === true;
      const total = file.content.length;
      const start = ranged ? Math.min(options.start ?? 0, total) : 0;
      const end = ranged ? Math.min(options.end ?? total, total) : total;
      // The bytes are the ones of this moment: a server keeps an opened version for the reader that opened it.
      const content = file.content.subarray(start, Math.max(start, end));
      Object.assign(log, { bytes: content.length });
      return { start, totalSize: total, etag, chunks: this.#chunks(path, content, options) };
    });
  }

  async deliver(path: RemotePath, options: ReadOptions = {}): Promise<RemoteDelivery> {
    return asDelivery(path, await this.read(path, options));
  }

  write(path: RemotePath, body: UploadBody, options: WriteOptions): Promise<WriteResult> {
    const { condition } = options;
    const log = this.#begin('write', path, {
      condition: condition.kind === 'match' ? condition.etag : condition.kind,
      bytes: body.size,
    });
    const check = () => this.#checkWrite(path, options);
    return this.#run(log, options, async () => {
      const atomic = this.#isAtomic(options);
      if (!atomic) check();
      const content = await this.#collect(path, body, options);
      options.onSent?.();
      await this.#pause('write', path);
      this.#checkAbort('write', path, options, 'unknown');
      if (atomic) check();
      const file = this.#put(path, content);
      const etag = this.capabilities.etagOnPut === true ? this.#tag(file) : undefined;
      return { etag, mtimeMs: undefined };
    });
  }

  makeDirectory(path: RemotePath, options: RequestOptions = {}): Promise<void> {
    return this.#run(this.#begin('makeDirectory', path), options, () => {
      const parent = this.#needParent(path, 'makeDirectory');
      if (this.#find(path) !== undefined) throw fail('exists', 'makeDirectory', path, `"${path}" exists`);
      parent.children.set(needName(path), { kind: 'dir', children: new Map(), mtimeMs: this.#touch(parent) });
    });
  }

  remove(
    path: RemotePath,
    options: RequestOptions & { readonly etag?: ETag; readonly directory?: boolean } = {},
  ): Promise<void> {
    return this.#run(this.#begin('remove', path), options, () => {
      const node = this.#need(path, 'remove');
      if (path === REMOTE_ROOT) throw fail('forbidden', 'remove', path, 'the root cannot be removed');
      this.#checkKind('remove', path, node, options.directory);
      if (options.etag !== undefined && (node.kind === 'dir' || this.#tag(node) !== options.etag)) {
        throw fail('changed', 'remove', path, `"${path}" is another version`);
      }
      this.#detach(path);
    });
  }

  move(from: RemotePath, to: RemotePath, options: RequestOptions & MoveOptions): Promise<void> {
    return this.#run(this.#begin('move', from, { to }), options, () => {
      const node = this.#transferable('move', from, to, options);
      this.#detach(from);
      this.#attach(to, node);
      if (this.#options.movesKeepTag === false) this.#renew(node);
    });
  }

  copy(from: RemotePath, to: RemotePath, options: RequestOptions & MoveOptions): Promise<void> {
    return this.#run(this.#begin('copy', from, { to }), options, () => {
      this.#attach(to, this.#clone(this.#transferable('copy', from, to, options)));
    });
  }

  quota(options: RequestOptions = {}): Promise<Quota | undefined> {
    return this.#run(this.#begin('quota', REMOTE_ROOT), options, () => {
      const capacity = this.#options.capacityBytes;
      if (capacity === undefined) return undefined;
      const used = this.usedBytes();
      return { used, available: Math.max(0, capacity - used) };
    });
  }

  probe(options: RequestOptions = {}): Promise<Capabilities> {
    return this.#run(this.#begin('probe', REMOTE_ROOT), options, () => this.capabilities);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  // What tests look at.

  /** Paths to contents; a directory's path ends with a slash and has no content. Sorted. */
  tree(): Map<string, Uint8Array | undefined> {
    const found = new Map<string, Uint8Array | undefined>();
    for (const [path, node] of this.#walk(REMOTE_ROOT, this.#root)) {
      if (node.kind === 'file') found.set(path, node.content);
      else if (path !== REMOTE_ROOT) found.set(`${path}/`, undefined);
    }
    return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** As {@link tree} with contents as text. */
  textTree(): Record<string, string | null> {
    return Object.fromEntries(
      [...this.tree()].map(([path, content]) => [
        path,
        content === undefined ? null : Buffer.from(content).toString(),
      ]),
    );
  }

  contentOf(path: RemotePath): Uint8Array | undefined {
    const node = this.#find(path);
    return node?.kind === 'file' ? node.content : undefined;
  }

  entryOf(path: RemotePath): RemoteEntry | undefined {
    const node = this.#find(path);
    return node === undefined ? undefined : this.#entry(path, node);
  }

  usedBytes(): number {
    let used = 0;
    for (const [, node] of this.#walk(REMOTE_ROOT, this.#root)) {
      if (node.kind === 'file') used += node.content.length;
    }
    return used;
  }

  /** How often each method was called, since the start or the last {@link clearLog}. */
  counts(): Record<FakeVerb, number> {
    const counts: Record<FakeVerb, number> = {
      ...{ list: 0, stat: 0, read: 0, write: 0, makeDirectory: 0 },
      ...{ remove: 0, move: 0, copy: 0, quota: 0, probe: 0 },
    };
    for (const entry of this.log) counts[entry.verb] += 1;
    return counts;
  }

  clearLog(): void {
    this.log.length = 0;
  }

  // What another client does: no fault, no log, no condition.

  /** Makes or replaces a file, with the directories above it. */
  writeDirect(path: RemotePath, content: Uint8Array | string): RemoteEntry {
    this.mkdirDirect(parentOfRemote(path));
    const file = this.#put(
      path,
      typeof content === 'string' ? Buffer.from(content) : Uint8Array.from(content),
    );
    return this.#entry(path, file);
  }

  /** Makes a directory, with those above it; does nothing where it is. */
  mkdirDirect(path: RemotePath): void {
    if (path === REMOTE_ROOT || this.#find(path)?.kind === 'dir') return;
    const parentPath = parentOfRemote(path);
    this.mkdirDirect(parentPath);
    const parent = this.#find(parentPath);
    if (parent?.kind !== 'dir') throw new Error(`${parentPath} is no directory`);
    parent.children.set(needName(path), { kind: 'dir', children: new Map(), mtimeMs: this.#touch(parent) });
  }

  /** Removes what is there, whole; says whether there was anything. */
  removeDirect(path: RemotePath): boolean {
    if (path === REMOTE_ROOT || this.#find(path) === undefined) return false;
    this.#detach(path);
    return true;
  }

  moveDirect(from: RemotePath, to: RemotePath): void {
    const node = this.#find(from);
    if (node === undefined || isWithin(to, from)) throw new Error(`cannot move ${from} to ${to}`);
    this.mkdirDirect(parentOfRemote(to));
    this.#detach(from);
    this.#attach(to, node);
  }

  // Inside.

  #begin(verb: FakeVerb, path: RemotePath, more: Partial<FakeLogEntry> = {}): FakeLogEntry {
    const entry: FakeLogEntry = { verb, path, result: 'pending', ...more };
    this.log.push(entry);
    return entry;
  }

  async #run<T>(entry: FakeLogEntry, options: RequestOptions, work: () => T | Promise<T>): Promise<T> {
    try {
      await this.#enter(entry, options);
      const result = await work();
      entry.result = 'ok';
      return result;
    } catch (error) {
      throw note(entry, error);
    }
  }

  async #enter(entry: FakeLogEntry, options: RequestOptions): Promise<void> {
    const { verb, path } = entry;
    if (this.#closed) throw fail('aborted', verb, path, 'the store is closed');
    this.#checkAbort(verb, path, options, 'none');
    await this.#pause(verb, path);
    this.#checkAbort(verb, path, options, 'none');
    if (!this.online) throw fail('unreachable', verb, path, 'the server is offline');
    if (this.refusal !== undefined) throw fail(this.refusal, verb, path, 'the server refuses');
  }

  #checkAbort(verb: FakeVerb, path: RemotePath, options: RequestOptions, outcome: 'none' | 'unknown'): void {
    if (options.signal?.aborted !== true) return;
    throw new RemoteError('aborted', `${verb} ${path}: aborted`, {
      method: verb,
      path,
      outcome,
      cause: options.signal.reason,
    });
  }

  #isAtomic({ condition }: WriteOptions): boolean {
    if (condition.kind === 'absent') return this.capabilities.ifNoneMatch === true;
    if (condition.kind === 'match')
      return this.capabilities.ifMatch === true && this.#options.tags !== 'none';
    return true;
  }

  #checkWrite(path: RemotePath, { condition }: WriteOptions): void {
    const node = this.#find(path);
    if (node?.kind === 'dir') throw fail('exists', 'write', path, `"${path}" is a directory`);
    if (condition.kind === 'absent' && node !== undefined) {
      throw fail('exists', 'write', path, `"${path}" exists`);
    }
    if (condition.kind === 'match' && (node === undefined || this.#tag(node) !== condition.etag)) {
      throw fail('changed', 'write', path, `"${path}" is another version`);
    }
    this.#needParent(path, 'write');
  }

  async #collect(path: RemotePath, body: UploadBody, options: WriteOptions): Promise<Uint8Array> {
    const source = body.open();
    const parts: Uint8Array[] = [];
    let size = 0;
    const take = (chunk: Uint8Array) => {
      parts.push(Uint8Array.from(chunk));
      size += chunk.length;
      this.#checkAbort('write', path, options, 'none');
      options.onProgress?.(size);
    };
    if (source instanceof Uint8Array) take(source);
    else for await (const chunk of source) take(chunk);
    if (size !== body.size) {
      throw fail('aborted', 'write', path, `the body has ${size} bytes, ${body.size} were announced`);
    }
    const capacity = this.#options.capacityBytes;
    const old = this.contentOf(path)?.length ?? 0;
    if (capacity !== undefined && this.usedBytes() - old + size > capacity) {
      throw fail('no-space', 'write', path, 'the server is full');
    }
    return Buffer.concat(parts);
  }

  async *#chunks(path: RemotePath, content: Uint8Array, options: RequestOptions): AsyncIterable<Uint8Array> {
    const size = this.#options.chunkSize ?? 64 * 1024;
    for (let at = 0; at < content.length; at += size) {
      await this.#pause('read', path);
      this.#checkAbort('read', path, options, 'none');
      if (!this.online) throw fail('interrupted', 'read', path, 'the connection ended');
      yield Uint8Array.from(content.subarray(at, at + size));
    }
  }

  #put(path: RemotePath, content: Uint8Array): FakeFile {
    const parent = this.#needParent(path, 'write');
    const old = this.#find(path);
    if (old?.kind === 'dir') throw fail('exists', 'write', path, `"${path}" is a directory`);
    const now = this.#clock.nowMs();
    if (old === undefined) this.#touch(parent);
    // Replaced, not changed in place: a reader that holds the old one keeps it.
    const file: FakeFile = { kind: 'file', content, serial: this.#nextSerial(), mtimeMs: now };
    parent.children.set(needName(path), file);
    return file;
  }

  #transferable(verb: 'move' | 'copy', from: RemotePath, to: RemotePath, options: MoveOptions): FakeNode {
    const node = this.#need(from, verb);
    if (from === REMOTE_ROOT || isWithin(to, from)) {
      throw fail('forbidden', verb, from, `"${from}" cannot go to "${to}"`);
    }
    this.#checkKind(verb, from, node, options.directory);
    this.#needParent(to, verb);
    if (this.#find(to) !== undefined) {
      if (!options.overwrite) throw fail('exists', verb, from, `"${to}" exists`);
      if (isWithin(from, to)) throw fail('forbidden', verb, from, `"${to}" holds "${from}"`);
      this.#detach(to);
    }
    return node;
  }

  #checkKind(verb: FakeVerb, path: RemotePath, node: FakeNode, directory: boolean | undefined): void {
    if (directory === undefined || directory === (node.kind === 'dir')) return;
    throw fail('changed', verb, path, `"${path}" is a ${node.kind}`);
  }

  #detach(path: RemotePath): void {
    const parent = this.#needParent(path, 'remove');
    parent.children.delete(needName(path));
    this.#touch(parent);
  }

  #attach(path: RemotePath, node: FakeNode): void {
    const parent = this.#needParent(path, 'move');
    parent.children.set(needName(path), node);
    this.#touch(parent);
  }

  #clone(node: FakeNode): FakeNode {
    const mtimeMs = this.#clock.nowMs();
    if (node.kind === 'file')
      return { kind: 'file', content: node.content, serial: this.#nextSerial(), mtimeMs };
    const children = new Map([...node.children].map(([name, child]) => [name, this.#clone(child)]));
    return { kind: 'dir', children, mtimeMs };
  }

  #renew(node: FakeNode): void {
    for (const [, each] of this.#walk(REMOTE_ROOT, node)) {
      if (each.kind === 'file') each.serial = this.#nextSerial();
    }
  }

  #touch(dir: FakeDir): number {
    dir.mtimeMs = this.#clock.nowMs();
    return dir.mtimeMs;
  }

  #nextSerial(): number {
    this.#serial += 1;
    return this.#serial;
  }

  #find(path: RemotePath): FakeNode | undefined {
    let node: FakeNode = this.#root;
    for (const segment of path.split('/')) {
      if (segment === '') continue;
      const name = toName(segment);
      const child: FakeNode | undefined =
        node.kind === 'dir' && name !== undefined ? node.children.get(name) : undefined;
      if (child === undefined) return undefined;
      node = child;
    }
    return node;
  }

  #need(path: RemotePath, verb: FakeVerb): FakeNode {
    const node = this.#find(path);
    if (node === undefined) throw fail('not-found', verb, path, `"${path}" does not exist`);
    return node;
  }

  #needParent(path: RemotePath, verb: FakeVerb): FakeDir {
    if (path === REMOTE_ROOT) throw fail('exists', verb, path, 'the root exists');
    const parent = this.#find(parentOfRemote(path));
    if (parent?.kind !== 'dir') throw fail('parent-missing', verb, path, `"${path}" has no parent`);
    return parent;
  }

  #entry(path: RemotePath, node: FakeNode): RemoteEntry {
    const isFile = node.kind === 'file';
    return {
      path,
      name: nameOfRemote(path),
      kind: node.kind,
      size: isFile ? node.content.length : 0,
      etag: isFile ? this.#tag(node) : undefined,
      weak: isFile && this.#isWeak(node),
      mtimeMs: wholeSeconds(node.mtimeMs),
    };
  }

  #isWeak(file: FakeFile): boolean {
    if (this.#options.tags === 'none') return true;
    return this.#options.tags === 'young-weak' && this.#clock.nowMs() - file.mtimeMs < YOUNG_MS;
  }

  #tag(node: FakeNode): ETag | undefined {
    if (node.kind !== 'file') return undefined;
    const size = node.content.length.toString(16);
    if (this.#options.tags === 'none') return `"~${size}-${wholeSeconds(node.mtimeMs).toString(16)}"` as ETag;
    return `"${size}-${node.serial.toString(16)}"` as ETag;
  }

  *#walk(path: RemotePath, node: FakeNode): Generator<[RemotePath, FakeNode]> {
    yield [path, node];
    if (node.kind === 'file') return;
    for (const [name, child] of node.children) yield* this.#walk(joinRemote(path, name), child);
  }
}

/** HTTP dates have whole seconds. */
function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

function needName(path: RemotePath): Name {
  const name = nameOfRemote(path);
  if (name === undefined) throw new Error('the root has no name');
  return name;
}

function fail(code: RemoteErrorCode, verb: FakeVerb, path: RemotePath, why: string): RemoteError {
  return new RemoteError(code, `Cannot ${verb} "${path}": ${why}`, { method: verb, path, outcome: 'none' });
}

function note(entry: FakeLogEntry, error: unknown): unknown {
  if (error instanceof RemoteError) entry.result = error.code;
  return error;
}

export * from './faulty-remote.js';
