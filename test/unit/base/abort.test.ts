import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { abortable, forEachLimited } from '../../../src/base/index.js';
import { quiesce } from '../../support/manual-clock.js';

describe('abortable', () => {
  test('without a signal it is the promise itself', () => {
    const promise = Promise.resolve(1);
    assert.equal(abortable(promise, undefined), promise);
  });

  test('passes on what the promise brings', async () => {
    const { signal } = new AbortController();
    assert.equal(await abortable(Promise.resolve(1), signal), 1);
    const error = new Error('no');
    await assert.rejects(abortable(Promise.reject(error), signal), error);
  });

  test('rejects with the reason as soon as the signal aborts', async () => {
    const controller = new AbortController();
    const reason = new Error('killed');
    const waiting = abortable(new Promise<void>(() => undefined), controller.signal);
    controller.abort(reason);
    await assert.rejects(waiting, reason);
  });

  test('a rejection that comes after the abort troubles nobody', async (t) => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', note);
    t.after(() => process.off('unhandledRejection', note));
    const reason = new Error('killed');
    let fail: (error: Error) => void = () => assert.fail('the promise was not made');
    const late = new Promise<void>((_, reject) => {
      fail = reject;
    });
    await assert.rejects(abortable(late, AbortSignal.abort(reason)), reason);
    const controller = new AbortController();
    const waiting = abortable(late, controller.signal);
    controller.abort(reason);
    await assert.rejects(waiting, reason);
    fail(new Error('the connection broke'));
    await quiesce();
    assert.deepEqual(unhandled, []);
  });
});

describe('forEachLimited', () => {
  test('works on so many at a time and on each once', async () => {
    let running = 0;
    let most = 0;
    const done: number[] = [];
    await forEachLimited([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
      running += 1;
      most = Math.max(most, running);
      await quiesce();
      running -= 1;
      done.push(item);
    });
    assert.equal(most, 3);
    assert.deepEqual(done, [1, 2, 3, 4, 5, 6, 7]);
  });

  test('nothing to do is done at once', async () => {
    await forEachLimited([], 3, () => Promise.reject(new Error('never called')));
  });

  test('the first rejection rejects all, and nothing more is begun', async () => {
    const error = new Error('the second fails');
    const begun: number[] = [];
    const running = forEachLimited([1, 2, 3, 4, 5, 6], 2, async (item) => {
      begun.push(item);
      await quiesce();
      if (item === 2) throw error;
    });
    await assert.rejects(running, error);
    await quiesce();
    await quiesce();
    assert.ok(begun.length <= 3, `began ${begun}`);
  });
});
