import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLog } from '../../../src/base/index.js';
import { REMOTE_ROOT, RemoteError, type RemoteErrorCode } from '../../../src/remote/index.js';
import { Connectivity } from '../../../src/sync/connectivity.js';
import { ManualClock } from '../../support/manual-clock.js';

function fail(code: RemoteErrorCode, retryAfterMs?: number): RemoteError {
  const context = { method: 'PUT', path: REMOTE_ROOT, outcome: 'none' as const };
  return new RemoteError(code, code, retryAfterMs === undefined ? context : { ...context, retryAfterMs });
}

/** `random` of one: delays are as long as they can be. */
function make(random = 1) {
  const clock = new ManualClock();
  return { clock, connectivity: new Connectivity(clock, () => random, silentLog) };
}

/** What each of `count` failures in a row makes wait, each tried as soon as it is due. */
async function delays(code: RemoteErrorCode, count: number): Promise<number[]> {
  const { clock, connectivity } = make();
  const found: number[] = [];
  for (let time = 0; time < count; time += 1) {
    connectivity.failed(fail(code));
    found.push(connectivity.waitMs);
    await clock.advance(connectivity.waitMs);
    assert.doesNotThrow(() => connectivity.check());
  }
  return found;
}

describe('Connectivity', () => {
  test('begins online, and stays so for trouble with one request alone', () => {
    const { connectivity } = make();
    for (const code of ['not-found', 'server', 'forbidden', 'locked', 'changed', 'no-space'] as const) {
      assert.equal(connectivity.failed(fail(code)), false);
    }
    assert.equal(connectivity.state.kind, 'online');
    assert.equal(connectivity.waitMs, 0);
    connectivity.check();
  });

  test('no connection: tries again after half a second, then twice as long, up to a minute', async () => {
    const found = await delays('unreachable', 9);
    assert.deepEqual(found, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  });

  test('refused credentials: tries again slowly, though each try is let through by check', async () => {
    const found = await delays('unauthorized', 8);
    const [first = 0] = found;
    const longest = found.at(-1) ?? 0;
    assert.ok(first >= 5_000 && longest >= 60_000, `${found}`);
    assert.deepEqual(
      found,
      found.map((_, index) => Math.min(longest, first * 2 ** index)),
    );
    assert.equal(found.at(-2), longest);
  });

  test('while one request tries the credentials, the others wait for what it finds', async () => {
    const { clock, connectivity } = make();
    connectivity.failed(fail('unauthorized'));
    await clock.advance(connectivity.waitMs);
    connectivity.check();
    assert.throws(() => connectivity.check(), { code: 'unauthorized' });
    assert.ok(connectivity.waitMs > 0);
    await clock.advance(connectivity.waitMs);
    assert.doesNotThrow(() => connectivity.check());
    connectivity.succeeded();
    connectivity.check();
    connectivity.check();
  });

  test('the delay is spread over its upper half', () => {
    const { connectivity } = make(0);
    connectivity.failed(fail('timeout'));
    assert.equal(connectivity.waitMs, 250);
  });

  test('requests that fail together are one failure', () => {
    const { connectivity } = make();
    for (let request = 0; request < 5; request += 1) {
      assert.equal(connectivity.failed(fail('interrupted')), true);
    }
    assert.equal(connectivity.waitMs, 500);
  });

  test('check throws the trouble itself until the next try is due', async () => {
    const { clock, connectivity } = make();
    const error = fail('tls');
    connectivity.failed(error);
    assert.throws(() => connectivity.check(), error);
    await clock.advance(500);
    connectivity.check();
    assert.equal(connectivity.state.kind, 'offline');
  });

  test('Retry-After is honoured, within the longest delay', () => {
    const { connectivity } = make();
    connectivity.failed(fail('throttled', 20_000));
    assert.equal(connectivity.waitMs, 20_000);
    const other = make().connectivity;
    other.failed(fail('throttled', 86_400_000));
    assert.equal(other.waitMs, 60_000);
  });

  test('a success ends the trouble and forgets how long it lasted', async () => {
    const { clock, connectivity } = make();
    for (let time = 0; time < 4; time += 1) {
      connectivity.failed(fail('unreachable'));
      await clock.advance(connectivity.waitMs);
    }
    connectivity.succeeded();
    assert.equal(connectivity.state.kind, 'online');
    connectivity.failed(fail('unreachable'));
    assert.equal(connectivity.waitMs, 500);
  });

  test('where something was put right the next try is due at once', () => {
    const { connectivity } = make();
    connectivity.retryNow();
    assert.equal(connectivity.state.kind, 'online');
    connectivity.failed(fail('unauthorized'));
    const first = connectivity.waitMs;
    connectivity.retryNow();
    assert.equal(connectivity.waitMs, 0);
    connectivity.check();
    connectivity.retryNow();
    connectivity.check();
    connectivity.failed(fail('unauthorized'));
    assert.equal(connectivity.waitMs, first);
  });
});
