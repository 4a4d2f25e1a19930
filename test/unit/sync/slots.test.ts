import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Ino } from '../../../src/base/index.js';
import { Concurrency } from '../../../src/sync/concurrency.js';
import type { Connectivity } from '../../../src/sync/connectivity.js';
import { Slots, sizeOf } from '../../../src/sync/slots.js';
import { quiesce } from '../../support/manual-clock.js';
import { makeWorld } from './world.js';

const MIB = 1024 * 1024;

/** Slots of which `limit` may be taken, with programs that do nothing. */
function slotsOf(limit: number, max = 16) {
  const concurrency = new Concurrency(max);
  while (concurrency.limit < limit) concurrency.succeeded(0, 0, false);
  for (let nowMs = 1; concurrency.limit > limit; nowMs += 1) concurrency.complained(nowMs, nowMs);
  const state = { kind: 'online' } as Connectivity['state'];
  return new Slots({ concurrency, connectivity: { state } as Connectivity });
}

function takeAll(slots: Slots, size: 'small' | 'large'): number {
  let taken = 0;
  while (slots.hasRoom(size)) {
    slots.take(size);
    taken += 1;
  }
  return taken;
}

describe('Slots', () => {
  test('large uploads leave one of four', () => {
    for (const [limit, large] of [
      [1, 1],
      [2, 1],
      [4, 3],
      [8, 6],
      [16, 12],
    ] as const) {
      const slots = slotsOf(limit);
      assert.equal(takeAll(slots, 'large'), large, `of ${limit}`);
      assert.equal(takeAll(slots, 'small'), Math.max(1, limit - large), `small ones of ${limit}`);
    }
    assert.equal(takeAll(slotsOf(8), 'small'), 8);
  });

  test('not more than the user allows', () => {
    const slots = slotsOf(1, 1);
    assert.equal(takeAll(slots, 'large'), 1);
    assert.equal(takeAll(slots, 'small'), 0);
  });

  test('those who wait come when there is room, small ones first, each once', () => {
    const slots = slotsOf(2);
    const giveBack = [slots.take('large'), slots.take('small')];
    for (const ino of [1, 2]) slots.wait(ino as Ino, 'large', false);
    slots.wait(3 as Ino, 'small', false);
    slots.wait(4 as Ino, 'large', true);
    const tried: Ino[] = [];
    const attempt = (ino: Ino) => void tried.push(ino);
    slots.fill(attempt);
    assert.deepEqual(tried, []);
    for (const release of giveBack) release();
    slots.fill((ino) => {
      attempt(ino);
      if (ino === 1) slots.wait(ino, 'large', false);
    });
    assert.deepEqual(tried, [4, 3, 1, 2]);
    assert.ok(slots.isWaiting(1 as Ino));
    assert.equal(slots.waiting, 1);
  });

  test('an upload is large from a mebibyte on', () => {
    assert.deepEqual([0, MIB - 1, MIB].map(sizeOf), ['small', 'small', 'large']);
  });
});

test('a small file does not wait for any of many large ones to end', async () => {
  const held: (() => void)[] = [];
  const pause = (verb: string, path: string) =>
    verb === 'write' && path.startsWith('/large')
      ? new Promise<void>((resolve) => held.push(resolve))
      : Promise.resolve();
  const world = await makeWorld({}, { pause });
  for (let index = 0; index < 8; index += 1) await world.write(`/large-${index}`, 'x'.repeat(MIB));
  await world.clock.advance(2_000);
  assert.equal(held.length, 3, 'large uploads at a time, of four');
  for (let index = 0; index < 3; index += 1) {
    await world.write(`/small-${index}`, 'at once');
    await world.clock.advance(1_000);
    assert.equal(world.server.textTree()[`/small-${index}`], 'at once');
  }
  assert.ok(!Object.keys(world.server.textTree()).some((path) => path.startsWith('/large')));
  while (world.engine.pendingCount() > 0) {
    for (const resume of held.splice(0)) resume();
    await world.clock.advance(1_000);
    await quiesce();
  }
  assert.equal(Object.keys(world.server.textTree()).length, 11);
});
