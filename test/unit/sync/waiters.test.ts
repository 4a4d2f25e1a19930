/** Waiting for something by name, and going away again. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Waiters } from '../../../src/sync/waiters.js';

test('all who wait for a thing are told, and nobody else', async () => {
  const waiters = new Waiters<string>();
  const both = [waiters.wait('a'), waiters.wait('a')];
  const other = waiters.wait('b');
  waiters.resolve('a');
  await Promise.all(both);
  assert.equal(waiters.size, 1);
  waiters.reject('b', new Error('no'));
  await assert.rejects(other, /no/);
  assert.equal(waiters.size, 0);
});

test('who is called off leaves nothing behind', async () => {
  const waiters = new Waiters<string>();
  const controller = new AbortController();
  const waiting = waiters.wait('a', controller.signal);
  controller.abort(new Error('killed'));
  await assert.rejects(waiting, /killed/);
  assert.equal(waiters.size, 0);
  await assert.rejects(waiters.wait('a', controller.signal), /killed/);
  assert.equal(waiters.size, 0);
});

test('the end rejects all', async () => {
  const waiters = new Waiters<string>();
  const all = [waiters.wait('a'), waiters.wait('b')].map((each) => assert.rejects(each, /end/));
  waiters.rejectAll(new Error('end'));
  await Promise.all(all);
  assert.equal(waiters.size, 0);
});
