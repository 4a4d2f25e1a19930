/** The state store over any backing: transactions, dirty set, listeners, invariants. */

import { type Ino, type Log, type Name, type Ns, ROOT_INO, silentLog } from '../base/index.js';
import { type Backing, checkedMetaKey, META_HIGH_WATER, META_ORIGINS } from './backing.js';
import { DirtySet } from './dirty-set.js';
import { StateError } from './errors.js';
import { checkTreeInvariants } from './invariants.js';
import { type NameSlot, NameTable } from './name-table.js';
import { OriginMarks, type OriginRow } from './origin-marks.js';
import type { DirRecord, NameEntry, NodeRecord } from './records.js';
import type { StateStore, StateTransaction } from './store.js';
import { type InoAllocator, Transaction } from './transaction.js';
import { TreeView } from './view.js';

/** Attributes of the root directory where the store is made for the first time. */
export interface RootAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly time: Ns;
}

export interface TreeStoreOptions {
  /** Defaults to mode 0755, owner 0:0, the epoch. */
  readonly root?: RootAttributes;
  /** Told of what no caller waits for. */
  readonly log?: Log;
}

export class TreeStore extends TreeView implements StateStore {
  // Dependencies
  readonly #backing: Backing;
  readonly #log: Log;
  // State
  readonly origins = new OriginMarks((row) => this.#commitMeta(META_ORIGINS, row));
  #dirtySet: DirtySet;
  readonly #allocator: InoAllocator = { next: 0, highWater: 0 };
  readonly #listeners: ((changed: readonly Ino[]) => void)[] = [];
  #version = 0;
  #inTransaction = false;
  #closed = false;

  constructor(backing: Backing, options: TreeStoreOptions = {}) {
    super();
    this.#backing = backing;
    this.#log = options.log ?? silentLog;
    this.#dirtySet = new DirtySet();
    this.reload();
    if (backing.node(ROOT_INO) === undefined) {
      const attributes = options.root ?? { mode: 0o755, uid: 0, gid: 0, time: 0n };
      this.transact((tx) => tx.put(rootRecord(attributes)));
    }
  }

  get(ino: Ino): NodeRecord | undefined {
    return this.#backing.node(ino);
  }

  dirty(): Iterable<Ino> {
    return this.#dirtySet;
  }

  get dirtyCount(): number {
    return this.#dirtySet.size;
  }

  transact<T>(change: (tx: StateTransaction) => T): T {
    this.#assertOpen();
    if (this.#inTransaction) throw new StateError('misuse', 'a transaction inside a transaction');
    const tx = new Transaction(this.#backing, this.#dirtySet, this.#allocator, this.origins);
    let result: T;
    let changed: readonly Ino[];
    this.#inTransaction = true;
    try {
      result = change(tx);
      if (result instanceof Promise) throw new StateError('misuse', 'a transaction cannot wait for anything');
      const changes = tx.seal();
      changed = [...changes.nodes.keys()];
      if (changed.length === 0 && changes.meta.size === 0) return result;
      this.#backing.commit(changes);
      for (const [ino, dirty] of changes.dirty) {
        if (dirty) this.#dirtySet.add(ino);
        else this.#dirtySet.delete(ino);
      }
      this.origins.add(tx.marks);
      const highWater = changes.meta.get(META_HIGH_WATER);
      if (typeof highWater === 'number') this.#allocator.highWater = highWater;
      this.#version++;
    } finally {
      tx.end();
      this.#inTransaction = false;
    }
    if (changed.length > 0) this.#announce(changed);
    return result;
  }

  onCommit(listener: (changed: readonly Ino[]) => void): void {
    this.#listeners.push(listener);
  }

  durable(): Promise<void> {
    return this.#backing.durable();
  }

  getMeta(key: string): unknown {
    return this.#backing.meta(checkedMetaKey(key));
  }

  setMeta(key: string, value: unknown): void {
    this.#commitMeta(checkedMetaKey(key), value === undefined ? undefined : structuredClone(value));
  }

  checkInvariants(): void {
    checkTreeInvariants(this, this.#backing);
    const { next, highWater } = this.#allocator;
    for (const { ino } of this.#backing.allNodes()) {
      if (ino !== ROOT_INO && (ino >= next || ino > highWater)) {
        throw new StateError(
          'invariant',
          `node ${ino} is above the numbers given out (${next - 1}, mark ${highWater})`,
        );
      }
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#backing.close();
  }

  /** Takes everything that is derived from the backing from it anew. */
  protected reload(): void {
    this.#dirtySet = new DirtySet(this.#backing.allDirty());
    const mark = this.#backing.meta(META_HIGH_WATER);
    this.#allocator.highWater = typeof mark === 'number' ? mark : ROOT_INO;
    this.#allocator.next = this.#allocator.highWater + 1;
    this.origins.load(this.#backing.meta(META_ORIGINS) as OriginRow | undefined);
    this.#version++;
  }

  protected slot(parent: Ino, name: Name): NameEntry | undefined {
    return this.#backing.name(parent, name);
  }

  protected slots(parent: Ino, after: Name | undefined, limit: number): readonly NameSlot[] {
    return this.#backing.names(parent, after, limit);
  }

  protected get version(): number {
    return this.#version;
  }

  #commitMeta(key: string, value: unknown): void {
    this.#assertOpen();
    if (this.#inTransaction) throw new StateError('misuse', 'a value is set inside a transaction');
    this.#backing.commit({
      nodes: new Map(),
      names: new NameTable(),
      dirty: new Map(),
      meta: new Map([[key, value]]),
    });
  }

  #announce(changed: readonly Ino[]): void {
    for (const listener of this.#listeners) {
      try {
        listener(changed);
      } catch (cause) {
        // The commit stands, so its caller must not be told that it failed.
        this.#log.error({ err: cause }, 'A listener of state commits failed');
      }
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new StateError('misuse', 'the state store is closed');
  }
}

/** The server always has the root, so its base is there from the beginning. */
function rootRecord({ mode, uid, gid, time }: RootAttributes): DirRecord {
  const place = { parent: ROOT_INO, name: '' as Name };
  return {
    kind: 'dir',
    ino: ROOT_INO,
    local: place,
    base: { ...place, etag: undefined, size: 0, mtimeMs: undefined, gen: 0 },
    remote: undefined,
    mode,
    uid,
    gid,
    atime: time,
    mtime: time,
    ctime: time,
    listedAtMs: undefined,
  };
}
