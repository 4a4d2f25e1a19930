import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Ino } from '../../../src/base/index.js';
import { DueQueue } from '../../../src/sync/due-queue.js';
import { ManualClock } from '../../support/manual-clock.js';

const ino = (number: number) => number as Ino;

function make() {
  const clock = new ManualClock(0);
  const taken: string[] = [];
  const queue: DueQueue = new DueQueue(clock, () => {
    for (let next = queue.take(clock.nowMs()); next !== undefined; next = queue.take(clock.nowMs())) {
      taken.push(`${next}@${clock.nowMs()}`);
    }
    queue.arm();
  });
  return { clock, queue, taken };
}

describe('DueQueue', () => {
  test('tells of each node at its time, equal times in the order they came', async () => {
    const { clock, queue, taken } = make();
    queue.set(ino(1), 30);
    queue.set(ino(2), 10);
    queue.set(ino(3), 10);
    queue.arm();
    await clock.advance(100);
    assert.deepEqual(taken, ['2@10', '3@10', '1@30']);
    assert.equal(queue.size, 0);
  });

  test('a node is due at one time only: the last that was set', async () => {
    const { clock, queue, taken } = make();
    for (const atMs of [50, 10, 30, 30]) queue.set(ino(1), atMs);
    assert.equal(queue.size, 1);
    queue.arm();
    await clock.advance(100);
    assert.deepEqual(taken, ['1@30']);
    assert.equal(queue.has(ino(1)), false);
  });

  test('a node that is put off comes behind what was set for that time before', async () => {
    const { clock, queue, taken } = make();
    for (const atMs of [10, 20, 30]) queue.set(ino(1), atMs);
    queue.set(ino(2), 30);
    queue.set(ino(1), 30);
    queue.arm();
    await clock.advance(29);
    assert.deepEqual(taken, []);
    assert.equal(queue.atMs(ino(1)), 30);
    await clock.advance(1);
    assert.deepEqual(taken, ['2@30', '1@30']);
  });

  test('an earlier time moves the timer forward', async () => {
    const { clock, queue, taken } = make();
    queue.set(ino(1), 100);
    queue.arm();
    queue.set(ino(2), 10);
    queue.arm();
    await clock.advance(10);
    assert.deepEqual(taken, ['2@10']);
  });

  test('disarmed it is silent, until it is armed again', async () => {
    const { clock, queue, taken } = make();
    queue.set(ino(1), 10);
    queue.arm();
    queue.disarm();
    await clock.advance(50);
    assert.deepEqual(taken, []);
    queue.arm();
    await clock.advance(0);
    assert.deepEqual(taken, ['1@50']);
  });
});
