import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RangeSet } from '../../../src/base/index.js';

function lcg(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('RangeSet', () => {
  test('touching and overlapping ranges become one', () => {
    const set = new RangeSet();
    set.add(10, 20);
    set.add(30, 40);
    set.add(20, 25);
    assert.deepEqual(set.toArray(), [10, 25, 30, 40]);
    set.add(5, 35);
    assert.deepEqual(set.toArray(), [5, 40]);
    assert.equal(set.total, 35);
  });

  test('empty ranges change nothing and are always there', () => {
    const set = new RangeSet();
    set.add(3, 3);
    set.add(5, 4);
    assert.equal(set.rangeCount, 0);
    assert.equal(set.has(7, 7), true);
    assert.equal(set.firstGap(7, 7), undefined);
  });

  test('removing from the middle leaves both ends', () => {
    const set = RangeSet.upTo(100);
    set.remove(40, 60);
    assert.deepEqual(
      [...set],
      [
        { start: 0, end: 40 },
        { start: 60, end: 100 },
      ],
    );
    assert.deepEqual(set.firstGap(0, 100), { start: 40, end: 60 });
    assert.deepEqual(
      [...set.gaps(30, 120)],
      [
        { start: 40, end: 60 },
        { start: 100, end: 120 },
      ],
    );
  });

  test('refuses an array that is not sorted, not disjoint or not whole', () => {
    for (const flat of [[1], [5, 5], [5, 4], [0, 5, 5, 6], [0, 5, 3, 8], [0, Number.NaN], [-1, 2.5]]) {
      assert.throws(() => RangeSet.fromArray(flat), RangeError, JSON.stringify(flat));
    }
    assert.deepEqual(RangeSet.fromArray([0, 5, 6, 8]).toArray(), [0, 5, 6, 8]);
  });

  test('a copy is its own', () => {
    const set = RangeSet.upTo(10);
    const copy = set.clone();
    copy.remove(0, 5);
    assert.equal(set.total, 10);
    assert.equal(copy.total, 5);
  });

  for (const seed of [1, 2, 3, 4]) {
    test(`agrees with a bitmap, seed ${seed}`, () => {
      const random = lcg(seed);
      const size = 120;
      const bits = new Array<boolean>(size).fill(false);
      let set = new RangeSet();
      for (let step = 0; step < 3000; step++) {
        const start = random(size);
        const end = Math.min(size, start + random(20));
        const action = random(10);
        if (action < 5) {
          set.add(start, end);
          bits.fill(true, start, end);
        } else if (action < 9) {
          set.remove(start, end);
          bits.fill(false, start, end);
        } else {
          set = RangeSet.fromArray(set.toArray());
        }
        set.checkInvariants();
        assert.equal(set.total, bits.filter(Boolean).length);
        const from = random(size);
        const to = Math.min(size, from + random(30));
        assert.equal(set.has(from, to), bits.slice(from, to).every(Boolean));
        let gapStart = from;
        while (gapStart < to && bits[gapStart]) gapStart++;
        let gapEnd = gapStart;
        while (gapEnd < to && !bits[gapEnd]) gapEnd++;
        const expected = gapStart < to ? { start: gapStart, end: gapEnd } : undefined;
        assert.deepEqual(set.firstGap(from, to), expected);
      }
    });
  }
});
