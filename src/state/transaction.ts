/** One transaction over the committed trees: gathers changes, keeps the indexes in step, and checks them at the end. */

import { type Ino, type Name, ROOT_INO } from '../base/index.js';
import type { Backing, Changes } from './backing.js';
import { checkedMetaKey, META_HIGH_WATER, META_ORIGINS } from './backing.js';
import type { DirtySet } from './dirty-set.js';
import { StateError } from './errors.js';
import { mergeSlots, type NameSlot, NameTable } from './name-table.js';
import type { OriginMark, OriginMarks } from './origin-marks.js';
import type { NameEntry, NodeRecord, Place } from './records.js';
import { isDirty, type StateTransaction } from './store.js';
import { TreeView } from './view.js';

type Tree = 'local' | 'base';
const TREES: readonly Tree[] = ['local', 'base'];

/** Gives out inode numbers; the mark that no number given out is above is committed ahead, a block at a time. */
export interface InoAllocator {
  /** The next number. */
  next: number;
  /** The committed mark. */
  highWater: number;
}

const INO_BLOCK = 1024;

export class Transaction extends TreeView implements StateTransaction {
  readonly #backing: Backing;
  readonly #dirtySet: DirtySet;
  readonly #allocator: InoAllocator;
  /** Numbers from this one on are given out in this transaction, so that nothing is committed of them. */
  readonly #firstNew: number;
  readonly #nodes = new Map<Ino, NodeRecord | undefined>();
  readonly #names = new NameTable();
  /** Nodes that another one was put in the place of: an exchange moves them on, anything else is an error. */
  readonly #displaced = new Set<Ino>();
  readonly #meta = new Map<string, unknown>();
  /** Requests that this transaction carries out. */
  readonly marks: OriginMark[] = [];
  readonly #origins: OriginMarks;
  #highWater: number | undefined;
  #version = 0;
  #open = true;

  constructor(backing: Backing, dirtySet: DirtySet, allocator: InoAllocator, origins: OriginMarks) {
    super();
    this.#backing = backing;
    this.#dirtySet = dirtySet;
    this.#allocator = allocator;
    this.#firstNew = allocator.next;
    this.#origins = origins;
  }

  get(ino: Ino): NodeRecord | undefined {
    return this.#nodes.has(ino) ? this.#nodes.get(ino) : this.#committed(ino);
  }

  *dirty(): Generator<Ino> {
    const changed = this.#dirtyChanges();
    const members = [...this.#dirtySet].filter((ino) => changed.get(ino) !== false);
    for (const [ino, dirty] of changed) if (dirty) members.push(ino);
    yield* members.sort((a, b) => a - b);
  }

  get dirtyCount(): number {
    let count = this.#dirtySet.size;
    for (const dirty of this.#dirtyChanges().values()) count += dirty ? 1 : -1;
    return count;
  }

  allocate(): Ino {
    this.#assertOpen();
    const ino = this.#allocator.next++;
    if (ino > (this.#highWater ?? this.#allocator.highWater)) this.#highWater = ino + INO_BLOCK - 1;
    return ino as Ino;
  }

  put(record: NodeRecord): void {
    this.#assertOpen();
    const old = this.get(record.ino);
    this.#nodes.set(record.ino, record);
    for (const tree of TREES) this.#move(record.ino, tree, old?.[tree], record[tree]);
  }

  remove(ino: Ino): void {
    this.#assertOpen();
    const old = this.get(ino);
    this.#nodes.set(ino, undefined);
    for (const tree of TREES) this.#move(ino, tree, old?.[tree], undefined);
  }

  getMeta(key: string): unknown {
    if (this.#meta.has(key)) return structuredClone(this.#meta.get(key));
    return this.#backing.meta(checkedMetaKey(key));
  }

  setMeta(key: string, value: unknown): void {
    this.#assertOpen();
    this.#meta.set(checkedMetaKey(key), value === undefined ? undefined : structuredClone(value));
  }

  markDone(origin: number, ino: Ino): void {
    this.#assertOpen();
    this.marks.push([origin, ino]);
  }

  /** Ends the transaction; its view must not be used to change anything afterwards. */
  end(): void {
    this.#open = false;
  }

  /** Checks the whole and returns what is to be committed. Throws `StateError` 'invariant'. */
  seal(): Changes {
    this.#checkPlaces();
    const meta = new Map<string, unknown>(this.#meta);
    if (this.#highWater !== undefined) meta.set(META_HIGH_WATER, this.#highWater);
    if (this.marks.length > 0) meta.set(META_ORIGINS, this.#origins.rowWith(this.marks));
    return { nodes: this.#nodes, names: this.#names, dirty: this.#dirtyChanges(), meta };
  }

  protected slot(parent: Ino, name: Name): NameEntry | undefined {
    return this.#names.has(parent, name) ? this.#names.get(parent, name) : this.#backing.name(parent, name);
  }

  protected slots(parent: Ino, after: Name | undefined, limit: number): readonly NameSlot[] {
    return mergeSlots(
      (from, count) => this.#names.range(parent, from, count),
      (from, count) => this.#backing.names(parent, from, count),
      after,
      limit,
    );
  }

  protected get version(): number {
    return this.#version;
  }

  #committed(ino: Ino): NodeRecord | undefined {
    return ino >= this.#firstNew ? undefined : this.#backing.node(ino);
  }

  #move(ino: Ino, tree: Tree, from: Place | undefined, to: Place | undefined): void {
    // The root is nobody's child, though its record says where it is.
    if (ino === ROOT_INO || samePlace(from, to)) return;
    if (from !== undefined && this.slot(from.parent, from.name)?.[tree] === ino)
      this.#setSlot(from, tree, undefined);
    if (to !== undefined) {
      const occupant = this.slot(to.parent, to.name)?.[tree];
      if (occupant !== undefined && occupant !== ino) this.#displaced.add(occupant);
      this.#setSlot(to, tree, ino);
    }
  }

  #setSlot({ parent, name }: Place, tree: Tree, ino: Ino | undefined): void {
    const old = this.slot(parent, name);
    const local = tree === 'local' ? ino : old?.local;
    const base = tree === 'base' ? ino : old?.base;
    this.#names.set(
      parent,
      name,
      local === undefined && base === undefined ? undefined : { name, local, base },
    );
    this.#version++;
  }

  #checkPlaces(): void {
    for (const ino of [...this.#nodes.keys(), ...this.#displaced]) {
      const record = this.get(ino);
      if (record === undefined) this.#checkRemoved(ino);
      else for (const tree of TREES) this.#checkPlace(record, tree);
    }
  }

  #checkRemoved(ino: Ino): void {
    if (ino === ROOT_INO) throw new StateError('invariant', 'the root directory cannot be removed');
    if (this.#committed(ino)?.kind !== 'dir') return;
    for (const entry of this.entries(ino)) {
      const child = entry.local ?? entry.base;
      throw new StateError(
        'invariant',
        `directory ${ino} is removed but has "${entry.name}" (node ${child})`,
      );
    }
  }

  #checkPlace(record: NodeRecord, tree: Tree): void {
    const { ino } = record;
    const place = record[tree];
    if (ino === ROOT_INO) {
      if (place?.parent === ROOT_INO && place.name === '' && record.kind === 'dir') return;
      throw new StateError('invariant', `the root directory must stay where it is in the ${tree} tree`);
    }
    if (place === undefined) return;
    const occupant = this.slot(place.parent, place.name)?.[tree];
    if (occupant === undefined) {
      // Another node was put here and moved on again.
      this.#setSlot(place, tree, ino);
    } else if (occupant !== ino) {
      const where = `"${place.name}" in directory ${place.parent} of the ${tree} tree`;
      throw new StateError('invariant', `nodes ${ino} and ${occupant} would both be ${where}`);
    }
    const before = this.#committed(ino)?.[tree];
    if (before?.parent === place.parent) return;
    if (this.get(place.parent)?.kind !== 'dir') {
      throw new StateError('invariant', `node ${ino}: its ${tree} parent ${place.parent} is no directory`);
    }
    if (record.kind === 'dir') this.#checkNoCycle(ino, tree);
  }

  #checkNoCycle(ino: Ino, tree: Tree): void {
    const seen = new Set<Ino>([ino]);
    let at = this.get(ino)?.[tree]?.parent;
    while (at !== undefined && at !== ROOT_INO) {
      if (seen.has(at))
        throw new StateError('invariant', `directory ${ino} would be below itself in the ${tree} tree`);
      seen.add(at);
      at = this.get(at)?.[tree]?.parent;
    }
  }

  /** For each node whose membership in the dirty set changes: whether it is dirty now. */
  #dirtyChanges(): Map<Ino, boolean> {
    const changes = new Map<Ino, boolean>();
    const consider = (ino: Ino) => {
      const record = this.get(ino);
      const dirty = record !== undefined && isDirty(record, this);
      if (dirty === this.#dirtySet.has(ino)) changes.delete(ino);
      else changes.set(ino, dirty);
    };
    for (const [ino, record] of this.#nodes) {
      consider(ino);
      const old = this.#committed(ino);
      const gen = record?.kind === 'file' ? record.gen : undefined;
      const oldGen = old?.kind === 'file' ? old.gen : undefined;
      if (gen === oldGen) continue;
      // What an alias would upload is its target's content.
      if (record?.kind === 'file') record.aliases.forEach(consider);
      if (old?.kind === 'file') old.aliases.forEach(consider);
    }
    return changes;
  }

  #assertOpen(): void {
    if (!this.#open) throw new StateError('misuse', 'the transaction has ended');
  }
}

function samePlace(a: Place | undefined, b: Place | undefined): boolean {
  return a?.parent === b?.parent && a?.name === b?.name;
}
