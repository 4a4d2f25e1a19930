import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { REMOTE_ROOT, RemoteError, type RemoteErrorCode } from '../../../src/remote/index.js';
import { withRetries } from '../../../src/webdav/retry.js';
import { ManualClock } from '../../support/manual-clock.js';

function failing(code: RemoteErrorCode, times: number, retryAfterMs?: number) {
  const calls: number[] = [];
  const work = (clock: ManualClock) => async () => {
    calls.push(clock.nowMs());
    if (calls.length <= times) {
      throw new RemoteError(code, code, {
        method: 'GET',
        path: REMOTE_ROOT,
        outcome: 'none',
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      });
    }
    return 'done';
  };
  return { calls, work };
}

function policy(clock: ManualClock, random = 0.5) {
  return { clock, random: () => random, deadlineMs: 30_000 };
}

describe('withRetries', () => {
  test('waits longer each time', async () => {
    const clock = new ManualClock(0);
    const { calls, work } = failing('server', 3);
    const result = withRetries(policy(clock), undefined, work(clock));
    await clock.advance(10_000);
    assert.equal(await result, 'done');
    assert.deepEqual(calls, [0, 200, 600, 1_400]);
  });

  test('jitter moves the waits between half and one and a half', async () => {
    for (const [random, expected] of [
      [0, 100],
      [0.999, 300],
    ] as const) {
      const clock = new ManualClock(0);
      const { calls, work } = failing('timeout', 1);
      const result = withRetries(policy(clock, random), undefined, work(clock));
      await clock.advance(10_000);
      await result;
      assert.deepEqual(calls, [0, expected]);
    }
  });

  test('gives up after four attempts', async () => {
    const clock = new ManualClock(0);
    const { calls, work } = failing('interrupted', 99);
    const result = assert.rejects(withRetries(policy(clock), undefined, work(clock)), {
      code: 'interrupted',
    });
    await clock.advance(60_000);
    await result;
    assert.equal(calls.length, 4);
  });

  test('honours Retry-After, and gives up at once where it lies beyond the deadline', async () => {
    const clock = new ManualClock(0);
    const patient = failing('throttled', 1, 5_000);
    const result = withRetries(policy(clock), undefined, patient.work(clock));
    await clock.advance(10_000);
    assert.equal(await result, 'done');
    assert.deepEqual(patient.calls, [0, 5_000]);
    const late = failing('throttled', 1, 31_000);
    await assert.rejects(withRetries(policy(clock), undefined, late.work(clock)), { retryAfterMs: 31_000 });
    assert.equal(late.calls.length, 1);
  });

  for (const code of ['not-found', 'unauthorized', 'tls', 'protocol', 'changed', 'locked'] as const) {
    test(`${code} is not tried again`, async () => {
      const clock = new ManualClock(0);
      const { calls, work } = failing(code, 1);
      await assert.rejects(withRetries(policy(clock), undefined, work(clock)), { code });
      assert.equal(calls.length, 1);
    });
  }

  test('ends with aborted when called off while waiting', async () => {
    const clock = new ManualClock(0);
    const controller = new AbortController();
    const { work } = failing('server', 1);
    const result = assert.rejects(withRetries(policy(clock), controller.signal, work(clock)), {
      code: 'aborted',
    });
    await clock.advance(50);
    controller.abort();
    await result;
  });
});
