/**
 * A server of nothing but places: carries out what the planner says, in random order, and checks that a real server
 * could have done so. The local tree is random from the start.
 */

import assert from 'node:assert/strict';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import { contentGen, type NodeRecord, type Place, type StateTransaction } from '../../../src/state/index.js';
import { decide, type Op } from '../../../src/sync/decide.js';
import { isBelowInBase } from '../../../src/sync/server-tree.js';
import { seededRandom } from '../../support/random.js';
import { baseOf, place } from '../state/support/records.js';
import { Trees } from './trees.js';

const NAMES = ['a', 'b', 'c'];
const FIRST = 2;
const LAST = 11;

export class PlannerModel {
  readonly #trees = new Trees();
  readonly #random;
  readonly #seed: number;
  readonly #done: string[] = [];

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = seededRandom(seed);
  }

  run(): void {
    this.#plant();
    this.#shuffle();
    const { state, context } = this.#trees;
    for (let step = 0; ; step += 1) {
      const dirty = [...state.dirty()].filter((node) => decide(state, node, context).kind !== 'clean');
      if (dirty.length === 0) return;
      const runnable = dirty.filter((node) => decide(state, node, context).kind === 'run');
      const chosen = this.#random.pick(runnable);
      const plans = dirty.map((node) => this.#trees.plan(node));
      const where = `seed ${this.#seed}, after ${this.#done.join('; ')}: ${plans.join('; ')}`;
      assert.ok(chosen !== undefined, `all wait: ${where}`);
      assert.ok(step < 100, `no end: ${where}`);
      const decision = decide(state, chosen, context);
      if (decision.kind !== 'run') continue;
      this.#done.push(this.#trees.plan(chosen));
      this.#carryOut(decision.op, where);
      state.checkInvariants();
    }
  }

  /** Directories and files that both sides have. */
  #plant(): void {
    for (let node = FIRST; node <= LAST; node += 1) {
      const spot = this.#freeSpot('base', undefined);
      if (spot === undefined) continue;
      const text = `${spot.parent}/${spot.name}`;
      if (this.#random.chance(0.5)) this.#trees.dir(node, { local: text, base: text });
      else this.#trees.file(node, { local: text, base: text });
    }
  }

  /** Moves, deletions and new nodes as a program makes them. */
  #shuffle(): void {
    const { state } = this.#trees;
    let fresh = LAST + 1;
    for (let step = 0; step < 25; step += 1) {
      const node = state.get((FIRST + this.#random.below(fresh - FIRST)) as Ino);
      const chance = this.#random.next();
      if (chance < 0.2) {
        const spot = this.#freeSpot('local', undefined);
        if (spot === undefined) continue;
        const text = `${spot.parent}/${spot.name}`;
        if (this.#random.chance(0.5)) this.#trees.dir(fresh, { local: text });
        else this.#trees.file(fresh, { local: text });
        fresh += 1;
      } else if (node?.local === undefined) {
      } else if (chance < 0.4) {
        if (!state.hasLocalChildren(node.ino)) this.#trees.put({ ...node, local: undefined });
      } else if (chance < 0.5 && node.kind === 'file') {
        this.#trees.put({ ...node, gen: node.gen + 1 });
      } else if (chance < 0.65) {
        this.#exchange(node, state.get((FIRST + this.#random.below(fresh - FIRST)) as Ino));
      } else {
        const spot = this.#freeSpot('local', node.ino);
        if (spot !== undefined) this.#trees.put({ ...node, local: spot });
      }
    }
  }

  #exchange(one: NodeRecord, other: NodeRecord | undefined): void {
    if (other?.local === undefined || one.local === undefined || one.ino === other.ino) return;
    if (this.#isBelow(other.local.parent, one.ino) || this.#isBelow(one.local.parent, other.ino)) return;
    this.#trees.put({ ...one, local: other.local }, { ...other, local: one.local });
  }

  #isBelow(dir: Ino, above: Ino): boolean {
    const { state } = this.#trees;
    for (let up = dir; up !== ROOT_INO; up = state.get(up)?.local?.parent ?? ROOT_INO) {
      if (up === above) return true;
    }
    return false;
  }

  /** A free name in a directory of one of the trees that is not below `mover`. */
  #freeSpot(tree: 'local' | 'base', mover: Ino | undefined): Place | undefined {
    const { state } = this.#trees;
    const dirs: Ino[] = [ROOT_INO];
    for (let node = FIRST; node <= LAST + 25; node += 1) {
      const found = state.get(node as Ino);
      if (found?.kind === 'dir' && found[tree] !== undefined) dirs.push(found.ino);
    }
    const parent = this.#random.pick(dirs) ?? ROOT_INO;
    if (mover !== undefined && this.#isBelow(parent, mover)) return undefined;
    const spot = place(this.#random.pick(NAMES) ?? 'a', parent);
    const child = tree === 'local' ? state.localChild(parent, spot.name) : state.baseChild(parent, spot.name);
    return child === undefined ? spot : undefined;
  }

  #carryOut(op: Op, where: string): void {
    const { state } = this.#trees;
    const node = state.get(op.ino);
    assert.ok(node !== undefined, where);
    const replaced = 'replaces' in op ? op.replaces : undefined;
    const target = 'to' in op ? op.to : op.place;
    const onServer = target.parent === ROOT_INO || state.get(target.parent)?.base !== undefined;
    assert.ok(onServer, `the directory is not on the server: ${where}`);
    state.transact((tx) => {
      switch (op.kind) {
        case 'mkcol':
        case 'put':
          this.#give(tx, node, target, contentGen(node, tx), replaced, where);
          break;
        case 'move':
        case 'step-aside':
          assert.ok(node.base !== undefined, where);
          assert.ok(
            node.kind !== 'dir' || !isBelowInBase(tx, target.parent, node.ino),
            `into itself: ${where}`,
          );
          this.#give(tx, node, target, node.base.gen, replaced, where);
          break;
        case 'delete':
          assert.equal(node.kind, 'file', where);
          tx.put({ ...node, base: undefined });
          break;
        case 'delete-tree':
          assert.equal(node.kind, 'dir', where);
          this.#deleteTree(tx, node, where);
          break;
        case 'reconcile':
          assert.fail(`nothing is uncertain: ${where}`);
      }
    });
  }

  #give(
    tx: StateTransaction,
    node: NodeRecord,
    target: Place,
    gen: number,
    replaced: Ino | undefined,
    where: string,
  ): void {
    const occupant = tx.baseChild(target.parent, target.name);
    if (occupant !== node.ino) assert.equal(occupant, replaced, `the name is taken: ${where}`);
    const old = replaced === undefined ? undefined : tx.get(replaced);
    if (old !== undefined) {
      assert.ok(old.kind === 'file' && old.local === undefined, `a living node is replaced: ${where}`);
      tx.put({ ...old, base: undefined });
    }
    tx.put({ ...node, base: baseOf(target, gen) });
  }

  #deleteTree(tx: StateTransaction, node: NodeRecord, where: string): void {
    assert.equal(node.local, undefined, `a living node is deleted: ${where}`);
    for (const entry of [...tx.entries(node.ino)]) {
      const child = entry.base === undefined ? undefined : tx.get(entry.base);
      if (child !== undefined) this.#deleteTree(tx, child, where);
    }
    tx.put({ ...node, base: undefined });
  }
}
