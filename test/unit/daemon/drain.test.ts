/** The wait for the queue at the end: its bounds, on a clock of the test's. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { drain, STALL_MS, type UploadProgress } from '../../../src/daemon/service/drain.js';
import { ManualClock } from '../../support/manual-clock.js';

class Queue {
  readonly clock = new ManualClock();
  readonly looks: number[] = [];
  progress: UploadProgress = { pending: 2, bytes: 1000, bytesDone: 0 };
  finish: () => void = () => undefined;
  readonly startMs = this.clock.nowMs();

  run(limitMs: number) {
    return drain({
      clock: this.clock,
      limitMs,
      progress: () => this.progress,
      drained: (signal) =>
        new Promise((resolve, reject) => {
          this.finish = resolve;
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
      onLook: (progress) => this.looks.push(progress.pending),
    });
  }

  get passedMs(): number {
    return this.clock.nowMs() - this.startMs;
  }
}

describe('the wait for the queue', () => {
  test('ends when everything is on the server', async () => {
    const queue = new Queue();
    const end = queue.run(60_000);
    await queue.clock.advance(2_500);
    queue.progress = { pending: 0, bytes: 0, bytesDone: 0 };
    queue.finish();
    assert.equal(await end, 'drained');
    assert.deepEqual(queue.looks, [2, 2, 2]);
  });

  test('is none where nothing waits, or none is allowed', async () => {
    const queue = new Queue();
    assert.equal(await queue.run(0), 'skipped');
    queue.progress = { pending: 0, bytes: 0, bytesDone: 0 };
    assert.equal(await queue.run(60_000), 'skipped');
    assert.deepEqual(queue.looks, []);
  });

  test('ends when nothing moves for a while', async () => {
    const queue = new Queue();
    const end = queue.run(600_000);
    await queue.clock.advance(STALL_MS - 1_000);
    queue.progress = { ...queue.progress, bytesDone: 1 };
    await queue.clock.advance(STALL_MS - 500);
    assert.equal(queue.looks.length, Math.ceil((2 * STALL_MS - 1_500) / 1_000));
    await queue.clock.advance(2_000);
    assert.equal(await end, 'stalled');
  });

  test('ends at its limit, however much moves', async () => {
    const queue = new Queue();
    const end = queue.run(40_500);
    for (let second = 1; second <= 41; second++) {
      queue.progress = { ...queue.progress, bytesDone: second };
      await queue.clock.advance(1_000);
    }
    assert.equal(await end, 'late');
    assert.equal(queue.looks.length, 41);
  });

  test('rejects with what the queue rejects with', async () => {
    const clock = new ManualClock();
    const failure = new Error('the queue broke');
    const plan = {
      clock,
      limitMs: 1_000,
      progress: () => ({ pending: 1, bytes: 0, bytesDone: 0 }),
      drained: () => Promise.reject(failure),
      onLook: () => undefined,
    };
    await assert.rejects(drain(plan), failure);
  });
});
