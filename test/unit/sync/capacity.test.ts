import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLog } from '../../../src/base/index.js';
import { type Quota, REMOTE_ROOT, RemoteError } from '../../../src/remote/index.js';
import { Capacity } from '../../../src/sync/capacity.js';
import { ManualClock, quiesce } from '../../support/manual-clock.js';

const MINUTE_MS = 60_000;

function rig(answers: ReadonlyArray<Quota | undefined | Error | Promise<Quota>>) {
  const clock = new ManualClock();
  const asked: number[] = [];
  const capacity = new Capacity({
    clock,
    log: silentLog,
    ask: async () => {
      const answer = answers[Math.min(asked.length, answers.length - 1)];
      asked.push(clock.nowMs());
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
  capacity.start();
  return { clock, asked, capacity };
}

const offline = new RemoteError('unreachable', 'no', { method: 'GET', path: REMOTE_ROOT, outcome: 'none' });

describe('Capacity', () => {
  test('is pending until the first answer, and not for ever', async () => {
    const known = rig([{ used: 1, available: 2 }]);
    assert.ok(known.capacity.settling instanceof Promise);
    await known.capacity.settling;
    assert.equal(known.capacity.settling, undefined);
    assert.deepEqual(known.capacity.quota, { used: 1, available: 2 });

    const silent = rig([new Promise(() => undefined)]);
    const { settling } = silent.capacity;
    await silent.clock.advance(2_000);
    await settling;
    assert.equal(silent.capacity.settling, undefined);
    assert.equal(silent.capacity.quota, undefined);
  });

  test('counts what went up since, and asks again soon after', async () => {
    const { clock, capacity, asked } = rig([
      { used: 10, available: 90 },
      { used: 25, available: 75 },
    ]);
    await quiesce();
    capacity.uploaded(10);
    capacity.uploaded(10);
    assert.deepEqual(capacity.quota, { used: 30, available: 70 });
    await clock.advance(MINUTE_MS);
    assert.equal(asked.length, 2);
    assert.deepEqual(capacity.quota, { used: 25, available: 75 });
  });

  test('never falls below nothing', async () => {
    const { capacity } = rig([{ used: 10, available: 5 }]);
    await quiesce();
    capacity.uploaded(50);
    assert.deepEqual(capacity.quota, { used: 15, available: 0 });
  });

  test('keeps the last answer while the server cannot be asked', async () => {
    const { clock, capacity, asked } = rig([{ used: 1, available: 2 }, offline]);
    await clock.advance(60 * MINUTE_MS);
    assert.ok(asked.length > 3);
    assert.deepEqual(capacity.quota, { used: 1, available: 2 });
  });

  for (const answer of [undefined, { used: 0, available: 0 }, { used: 5, available: -1 }]) {
    test(`is not known by ${JSON.stringify(answer)}`, async () => {
      const { capacity } = rig([answer]);
      await quiesce();
      assert.equal(capacity.quota, undefined);
    });
  }

  test('a full account is full', async () => {
    const { capacity } = rig([{ used: 5, available: 0 }]);
    await quiesce();
    assert.deepEqual(capacity.quota, { used: 5, available: 0 });
  });

  test('is not asked any more once closed', async () => {
    const { clock, capacity, asked } = rig([{ used: 1, available: 2 }]);
    await quiesce();
    capacity.close();
    await clock.advance(60 * MINUTE_MS);
    assert.equal(asked.length, 1);
  });
});
