import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SwitchedStore } from '../../../src/daemon/steering/switched-store.js';
import {
  REMOTE_ROOT,
  RemoteError,
  type RemoteErrorCode,
  type RemotePath,
} from '../../../src/remote/index.js';
import { FakeRemoteStore } from '../../support/fake-remote.js';
import { ManualClock } from '../../support/manual-clock.js';

/** A server whose answer to `stat` and `write` a test decides. */
class Server extends FakeRemoteStore {
  maxConnections = 4;
  running = 0;
  isClosed = false;
  answer: (() => Promise<never>) | undefined;

  override stat(...args: Parameters<FakeRemoteStore['stat']>): ReturnType<FakeRemoteStore['stat']> {
    return this.answer === undefined ? super.stat(...args) : this.answer();
  }

  override makeDirectory(...args: Parameters<FakeRemoteStore['makeDirectory']>): Promise<void> {
    return this.answer === undefined ? super.makeDirectory(...args) : this.answer();
  }

  override close(): Promise<void> {
    this.isClosed = true;
    return super.close();
  }
}

function make() {
  const clock = new ManualClock();
  const first = new Server({ clock });
  const second = new Server({ clock });
  const store = new SwitchedStore(first, clock, (error) => assert.fail(String(error)));
  return { clock, first, second, store };
}

/** A request that fails when `fail` is called. */
function pending(code: RemoteErrorCode, outcome: 'none' | 'unknown') {
  let fail: () => void = () => undefined;
  const answer = new Promise<never>((_, reject) => {
    fail = () =>
      reject(new RemoteError(code, 'it failed', { method: 'PROPFIND', path: REMOTE_ROOT, outcome }));
  });
  return { answer, fail: () => fail() };
}

const DIR = '/d' as RemotePath;

describe('a store in the place of another', () => {
  test('gets the requests from then on; the one before is closed when its last request has ended', async () => {
    const { clock, first, second, store } = make();
    first.running = 1;
    store.switchTo(second);
    assert.equal((await store.stat(REMOTE_ROOT)).kind, 'dir');
    assert.deepEqual([first.counts().stat, second.counts().stat], [0, 1]);
    await clock.advance(5_000);
    assert.equal(first.isClosed, false);
    first.running = 0;
    await clock.advance(1_000);
    assert.equal(first.isClosed, true);
    await store.close();
    assert.equal(second.isClosed, true);
  });

  for (const code of ['unreachable', 'timeout', 'not-found', 'unauthorized'] as const) {
    test(`is asked what the one before failed to do: ${code}`, async () => {
      const { first, second, store } = make();
      const { answer, fail } = pending(code, 'none');
      first.answer = () => answer;
      const asked = store.stat(REMOTE_ROOT);
      store.switchTo(second);
      fail();
      assert.equal((await asked).kind, 'dir');
    });
  }

  test('is not asked again what may have been done, nor what was called off', async () => {
    for (const [code, outcome] of [
      ['interrupted', 'unknown'],
      ['aborted', 'none'],
    ] as const) {
      const { first, second, store } = make();
      const { answer, fail } = pending(code, outcome);
      first.answer = () => answer;
      const asked = store.makeDirectory(DIR);
      store.switchTo(second);
      fail();
      await assert.rejects(asked, { code });
      assert.equal(second.counts().makeDirectory, 0);
    }
  });

  test('without a change, a failure is a failure', async () => {
    const { first, store } = make();
    const { answer, fail } = pending('unreachable', 'none');
    first.answer = () => answer;
    const asked = store.stat(REMOTE_ROOT);
    fail();
    await assert.rejects(asked, { code: 'unreachable' });
  });
});
