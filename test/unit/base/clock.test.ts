import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SystemClock, sleep } from '../../../src/base/index.js';
import { ManualClock, quiesce } from '../../support/manual-clock.js';

const NS_PER_MS = 1_000_000n;
const HOUR_MS = 3_600_000;

describe('SystemClock', () => {
  test('nanoseconds rise with every look', () => {
    const clock = new SystemClock();
    let last = clock.nowNs();
    for (let look = 0; look < 10_000; look += 1) {
      const now = clock.nowNs();
      assert.ok(now > last);
      last = now;
    }
  });

  test('nanoseconds follow the wall clock over a suspend, which the monotonic clock does not count', (t) => {
    const clock = new SystemClock();
    const startMs = Date.now();
    clock.nowNs();
    const now = t.mock.method(Date, 'now', () => startMs + 8 * HOUR_MS);
    assert.equal(clock.nowNs() / NS_PER_MS, BigInt(startMs + 8 * HOUR_MS));
    now.mock.mockImplementation(() => startMs + 9 * HOUR_MS);
    assert.equal(clock.nowNs() / NS_PER_MS, BigInt(startMs + 9 * HOUR_MS));
  });

  test('nanoseconds never run backwards when the wall clock is set back', (t) => {
    const clock = new SystemClock();
    const before = clock.nowNs();
    const setBackMs = Date.now() - HOUR_MS;
    t.mock.method(Date, 'now', () => setBackMs);
    const first = clock.nowNs();
    assert.ok(first > before);
    assert.ok(clock.nowNs() > first);
    assert.ok(first - before < BigInt(HOUR_MS) * NS_PER_MS);
  });

  test('a timer fires once, a cancelled one never', async () => {
    const clock = new SystemClock();
    let cancelled = 0;
    clock.after(0, () => (cancelled += 1)).cancel();
    let fired = 0;
    // The timer holds no process up, so something else has to.
    const holding = setInterval(() => undefined, 1_000);
    await new Promise<void>((resolve) => {
      const timer = clock.after(1, () => {
        fired += 1;
        timer.cancel();
        resolve();
      });
    });
    clearInterval(holding);
    assert.equal(fired, 1);
    assert.equal(cancelled, 0);
  });
});

describe('sleep', () => {
  test('ends when its time has come', async () => {
    const clock = new ManualClock();
    let awake = false;
    const sleeping = sleep(clock, 100).then(() => {
      awake = true;
    });
    await clock.advance(99);
    assert.equal(awake, false);
    await clock.advance(1);
    await sleeping;
  });

  test('rejects with the reason of its signal, before and while it sleeps, and forgets its timer', async () => {
    const clock = new ManualClock();
    const reason = new Error('enough');
    await assert.rejects(sleep(clock, 100, AbortSignal.abort(reason)), reason);
    const controller = new AbortController();
    const sleeping = sleep(clock, 100, controller.signal);
    controller.abort(reason);
    await assert.rejects(sleeping, reason);
    await clock.advance(200);
  });

  test('an abort after its end does nothing', async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const sleeping = sleep(clock, 1, controller.signal);
    await clock.advance(1);
    await sleeping;
    controller.abort();
    await quiesce();
  });
});
