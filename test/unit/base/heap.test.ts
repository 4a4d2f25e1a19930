import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Heap } from '../../../src/base/index.js';
import { seededRandom } from '../../support/random.js';

const ascending = () => new Heap<number>((a, b) => a < b);

describe('Heap', () => {
  test('an empty one has nothing to give', () => {
    const heap = ascending();
    assert.equal(heap.peek(), undefined);
    assert.equal(heap.pop(), undefined);
    assert.equal(heap.size, 0);
  });

  test('gives the earliest first, among pushes and pops in any order', () => {
    const random = seededRandom(1);
    const heap = ascending();
    let model: number[] = [];
    for (let step = 0; step < 2_000; step += 1) {
      if (random.chance(0.55)) {
        const item = random.below(50);
        heap.push(item);
        model = [...model, item].sort((a, b) => a - b);
      } else {
        assert.equal(heap.peek(), model[0]);
        assert.equal(heap.pop(), model.shift());
      }
      assert.equal(heap.size, model.length);
    }
  });

  test('order is what it is told', () => {
    const heap = new Heap<string>((a, b) => a.length > b.length);
    for (const word of ['a', 'ccc', 'bb']) heap.push(word);
    assert.deepEqual([heap.pop(), heap.pop(), heap.pop(), heap.pop()], ['ccc', 'bb', 'a', undefined]);
  });
});
