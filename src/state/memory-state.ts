/** A state store without a disk, for tests of the layers above: the same semantics, and restarts by snapshot. */

import type { Ino, Name } from '../base/index.js';
import type { Backing, Changes } from './backing.js';
import { type NameSlot, NameTable } from './name-table.js';
import type { NameEntry, NodeRecord } from './records.js';
import { TreeStore, type TreeStoreOptions } from './trees.js';

/** All that a restart would find again. */
export interface MemoryStateSnapshot {
  readonly nodes: ReadonlyMap<Ino, NodeRecord>;
  readonly names: NameTable;
  readonly dirty: ReadonlySet<Ino>;
  readonly meta: ReadonlyMap<string, unknown>;
}

class MemoryBacking implements Backing {
  #nodes = new Map<Ino, NodeRecord>();
  #names = new NameTable();
  #dirty = new Set<Ino>();
  #meta = new Map<string, unknown>();

  node(ino: Ino): NodeRecord | undefined {
    return this.#nodes.get(ino);
  }

  name(parent: Ino, name: Name): NameEntry | undefined {
    return this.#names.get(parent, name);
  }

  names(parent: Ino, after: Name | undefined, limit: number): readonly NameSlot[] {
    return this.#names.range(parent, after, limit);
  }

  meta(key: string): unknown {
    return structuredClone(this.#meta.get(key));
  }

  commit(changes: Changes): void {
    for (const [ino, record] of changes.nodes) {
      if (record === undefined) this.#nodes.delete(ino);
      else this.#nodes.set(ino, record);
    }
    for (const { parent, name, entry } of changes.names.all()) {
      if (entry === undefined) this.#names.delete(parent, name);
      else this.#names.set(parent, name, entry);
    }
    for (const [ino, dirty] of changes.dirty) {
      if (dirty) this.#dirty.add(ino);
      else this.#dirty.delete(ino);
    }
    for (const [key, value] of changes.meta) {
      if (value === undefined) this.#meta.delete(key);
      else this.#meta.set(key, value);
    }
  }

  allDirty(): Iterable<Ino> {
    return this.#dirty;
  }

  allNodes(): Iterable<NodeRecord> {
    return this.#nodes.values();
  }

  *allNames(): Generator<{ readonly parent: Ino; readonly entry: NameEntry }> {
    for (const { parent, entry } of this.#names.all()) if (entry !== undefined) yield { parent, entry };
  }

  async durable(): Promise<void> {}

  async close(): Promise<void> {}

  snapshot(): MemoryStateSnapshot {
    return {
      nodes: new Map(this.#nodes),
      names: this.#names.clone(),
      dirty: new Set(this.#dirty),
      meta: new Map(this.#meta),
    };
  }

  restore(snapshot: MemoryStateSnapshot): void {
    this.#nodes = new Map(snapshot.nodes);
    this.#names = snapshot.names.clone();
    this.#dirty = new Set(snapshot.dirty);
    this.#meta = new Map(snapshot.meta);
  }
}

export class MemoryStateStore extends TreeStore {
  readonly #memory: MemoryBacking;

  constructor(memory: MemoryBacking, options: TreeStoreOptions) {
    super(memory, options);
    this.#memory = memory;
  }

  /** A copy of all that is committed; works on a closed store too. */
  snapshot(): MemoryStateSnapshot {
    return this.#memory.snapshot();
  }

  /** Goes back to a snapshot in place; listeners stay, inode numbers go on as after a crash. */
  restore(snapshot: MemoryStateSnapshot): void {
    this.#memory.restore(snapshot);
    this.reload();
  }
}

/** Opens an empty store, or one that finds what the snapshot holds (a restart). Deterministic. */
export function openMemoryState(
  options: TreeStoreOptions & { readonly from?: MemoryStateSnapshot } = {},
): MemoryStateStore {
  const memory = new MemoryBacking();
  if (options.from !== undefined) memory.restore(options.from);
  return new MemoryStateStore(memory, options);
}
