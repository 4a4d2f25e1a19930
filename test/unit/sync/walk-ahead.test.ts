import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import { WalkAhead } from '../../../src/sync/walk-ahead.js';
import { dirNode, ino, Trees } from './trees.js';

/** A tree of `fanOut` directories in each, named in order, of which only the tops are listed; numbered breadth first. */
class Walk extends Trees {
  readonly asked: Ino[] = [];
  readonly #under = new Map<Ino, () => void>();
  readonly ahead: WalkAhead;

  constructor(parents: Readonly<Record<number, number>>) {
    super();
    this.state.transact((tx) => {
      for (const [number, parent] of Object.entries(parents)) {
        const name = `${parent}/d${number.padStart(3, '0')}`;
        tx.put(dirNode(Number(number), { local: name, base: name }));
      }
    });
    this.ahead = new WalkAhead({
      state: this.state,
      list: (dir) => {
        this.asked.push(dir);
        return new Promise((resolve) => this.#under.set(dir, resolve));
      },
      isListing: (dir) => this.#under.has(dir),
      mayAsk: () => true,
      atOnce: () => 12,
    });
  }

  /** A program opens a directory; its listing comes if it was not there. */
  open(dir: number): void {
    const node = this.state.get(ino(dir));
    assert.equal(node?.kind, 'dir');
    const isListed = node.listedAtMs !== undefined;
    if (!isListed && !this.#under.has(node.ino)) this.#under.set(node.ino, () => undefined);
    this.ahead.opened(node);
    if (!isListed) this.arrive(dir);
  }

  /** Its listing is taken in, of which {@link WalkAhead} is not told yet. */
  takeIn(dir: number): void {
    this.state.transact((tx) => {
      const node = tx.get(ino(dir));
      if (node?.kind === 'dir') tx.put({ ...node, listedAtMs: 1 });
    });
  }

  arrive(dir: number): void {
    this.takeIn(dir);
    this.#under.get(ino(dir))?.();
    this.#under.delete(ino(dir));
    this.ahead.settled(ino(dir));
  }
}

describe('listings ahead of a walk', () => {
  test('come in the order of a reader who goes depth first', () => {
    // 2 holds 5, 6; 3 holds 7, 8; 4 holds nothing.
    const walk = new Walk({ 2: ROOT_INO, 3: ROOT_INO, 4: ROOT_INO, 5: 2, 6: 2, 7: 3, 8: 3 });
    walk.open(ROOT_INO);
    assert.deepEqual(walk.asked, [], 'one directory is no walk');
    walk.open(2);
    assert.deepEqual(walk.asked, [ino(3), ino(4), ino(5), ino(6)], 'what follows it, then what is in it');
    walk.arrive(3);
    assert.deepEqual(walk.asked.slice(4), [ino(7), ino(8)]);
  });

  test('that the reader comes to first are asked for first, when there is not enough credit for all', () => {
    const parents: Record<number, number> = { 2: ROOT_INO, 3: ROOT_INO };
    for (let child = 10; child < 40; child += 1) parents[child] = 2;
    for (let child = 40; child < 70; child += 1) parents[child] = 3;
    const walk = new Walk(parents);
    walk.open(ROOT_INO);
    walk.open(2);
    walk.arrive(3);
    walk.open(10);
    for (const dir of walk.asked) assert.ok(dir === ino(3) || (dir >= 10 && dir < 40), `asked for ${dir}`);
    assert.ok(walk.asked.length > 8);
  });

  test('a directory full of files is not gone through for the directories among them', () => {
    const walk = new Walk({ 2: ROOT_INO, 3: ROOT_INO });
    for (let file = 10; file < 3_000; file += 1) {
      const name = `2/f${String(file).padStart(5, '0')}`;
      walk.file(file, { local: name, base: name });
    }
    let reads = 0;
    const get = walk.state.get.bind(walk.state);
    walk.state.get = (node) => {
      reads += 1;
      return get(node);
    };
    walk.open(ROOT_INO);
    walk.open(2);
    walk.arrive(3);
    assert.ok(reads > 1_000 && reads < 2_000, `${reads} records read`);
    assert.deepEqual(walk.asked, [ino(3)]);
  });

  test('of what is in a directory come also when another one is told of between its listing and the word of it', () => {
    const walk = new Walk({ 2: ROOT_INO, 3: ROOT_INO, 4: ROOT_INO, 7: 3, 8: 3 });
    walk.open(ROOT_INO);
    walk.open(2);
    walk.takeIn(3);
    walk.arrive(4);
    walk.arrive(3);
    assert.deepEqual(walk.asked, [ino(3), ino(4), ino(7), ino(8)]);
  });

  test('end when the reader opens nothing any more', () => {
    const parents: Record<number, number> = {};
    for (let child = 2; child < 200; child += 1) parents[child] = ROOT_INO;
    const walk = new Walk(parents);
    walk.open(ROOT_INO);
    walk.open(2);
    for (let round = 0; round < 50; round += 1) for (const dir of [...walk.asked]) walk.arrive(dir);
    assert.ok(walk.asked.length <= 8, `${walk.asked.length} listings for one directory opened`);
  });

  test('a directory that went, or is being listed already, is passed over', () => {
    const walk = new Walk({ 2: ROOT_INO, 3: ROOT_INO, 4: ROOT_INO });
    walk.state.transact((tx) => tx.remove(ino(3)));
    walk.open(ROOT_INO);
    walk.open(2);
    assert.deepEqual(walk.asked, [ino(4)]);
  });
});
