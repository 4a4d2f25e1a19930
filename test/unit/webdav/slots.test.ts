import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slots } from '../../../src/webdav/slots.js';
import { quiesce } from '../../support/manual-clock.js';

test('slots are handed out in order, within the limit, and given back once', async () => {
  const slots = new Slots(2);
  const order: number[] = [];
  const releases = await Promise.all([slots.acquire(undefined), slots.acquire(undefined)]);
  const later = [3, 4, 5].map(async (number) => {
    const release = await slots.acquire(undefined);
    order.push(number);
    return release;
  });
  await quiesce();
  assert.deepEqual(order, []);
  releases[0]?.();
  releases[0]?.();
  await quiesce();
  assert.deepEqual(order, [3]);
  assert.equal(slots.taken, 2);
  slots.limit = 4;
  await quiesce();
  assert.deepEqual(order, [3, 4, 5]);
  slots.limit = 1;
  for (const release of [releases[1], ...(await Promise.all(later))]) release?.();
  assert.equal(slots.taken, 0);
});

test('who is called off while waiting takes no slot', async () => {
  const slots = new Slots(1);
  const release = await slots.acquire(undefined);
  const controller = new AbortController();
  const waiting = slots.acquire(controller.signal);
  controller.abort(new Error('no more'));
  await assert.rejects(waiting, { message: 'no more' });
  release();
  assert.equal(slots.taken, 0);
  await assert.rejects(slots.acquire(AbortSignal.abort()));
  assert.equal(slots.taken, 0);
});
