/** The fault decorator that the tests of other layers lean on. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RemotePath } from '../../../src/remote/index.js';
import { bodyOf, collect, listAll, put, rejectsWith } from '../../contract/helpers.js';
import {
  FakeRemoteStore,
  FaultyRemoteStore,
  randomFaults,
  scriptedFaults,
} from '../../support/fake-remote.js';
import { ManualClock } from '../../support/manual-clock.js';

const FILE = '/file' as RemotePath;

function makeStores(...rules: Parameters<typeof scriptedFaults>[0]) {
  const fake = new FakeRemoteStore({ clock: new ManualClock(), chunkSize: 4, batchSize: 1 });
  return { fake, store: new FaultyRemoteStore(fake, scriptedFaults(rules)) };
}

describe('FaultyRemoteStore', () => {
  test('before: nothing happened', async () => {
    const { fake, store } = makeStores({
      verb: 'write',
      fault: { kind: 'before', code: 'throttled', retryAfterMs: 5 },
    });
    const error = await rejectsWith(put(store, FILE, 'x'), 'throttled');
    assert.deepEqual([error.outcome, error.retryAfterMs], ['none', 5]);
    assert.deepEqual(fake.textTree(), {});
    await put(store, FILE, 'x');
    assert.deepEqual(fake.textTree(), { '/file': 'x' });
  });

  test('after: it happened, and nobody was told', async () => {
    const { fake, store } = makeStores({ verb: 'write', fault: { kind: 'after', code: 'timeout' } });
    assert.equal((await rejectsWith(put(store, FILE, 'x'), 'timeout')).outcome, 'unknown');
    assert.deepEqual(fake.textTree(), { '/file': 'x' });
  });

  test('cut: a body ends early on its way down, and on its way up', async () => {
    const { fake, store } = makeStores(
      { verb: 'read', fault: { kind: 'cut', afterBytes: 6 } },
      { verb: 'write', fault: { kind: 'cut', afterBytes: 3 } },
      { verb: 'list', fault: { kind: 'cut', afterBytes: 1 } },
    );
    fake.writeDirect(FILE, '0123456789');
    fake.writeDirect('/other' as RemotePath, '');
    await rejectsWith(store.read(FILE).then(collect), 'interrupted');
    const write = store.write(FILE, bodyOf('new content'), { condition: { kind: 'any' } });
    assert.equal((await rejectsWith(write, 'interrupted')).outcome, 'none');
    assert.equal(fake.textTree()['/file'], '0123456789');
    await rejectsWith(listAll(store, '/' as RemotePath), 'interrupted');
    assert.deepEqual(
      store.played.map(({ verb }) => verb),
      ['read', 'write', 'list'],
    );
  });

  test('random faults repeat with their seed', () => {
    const sequence = (seed: number) => {
      let state = seed;
      const random = () => {
        state = (state * 48_271) % 2_147_483_647;
        return state / 2_147_483_647;
      };
      const plan = randomFaults(random, 0.5);
      return Array.from({ length: 50 }, (_, nth) => plan({ verb: 'write', path: FILE, nth }));
    };
    assert.deepEqual(sequence(7), sequence(7));
    assert.notDeepEqual(sequence(7), sequence(8));
    assert.ok(sequence(7).some((fault) => fault === undefined));
  });
});
