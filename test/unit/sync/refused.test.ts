/** A server that refuses the credentials for a long time, and then takes the new ones. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLog } from '../../../src/base/index.js';
import { REMOTE_ROOT, RemoteError } from '../../../src/remote/index.js';
import { Connectivity } from '../../../src/sync/connectivity.js';
import { ManualClock } from '../../support/manual-clock.js';
import { remote, World } from './world.js';

const MINUTE_MS = 60_000;

function refuse(world: World): { count: number } {
  const refused = { count: 0 };
  world.remote.setPlan(() => {
    refused.count += 1;
    return { kind: 'before', code: 'unauthorized' };
  });
  return refused;
}

async function makeWorld(): Promise<World> {
  const world = new World();
  for (const name of ['a', 'b', 'c', 'd']) world.server.writeDirect(remote(`/${name}/x`), name);
  await world.refreshAll();
  return world;
}

describe('refused credentials', () => {
  test('hold the queue with a few requests a minute, while what is here can be read', async () => {
    const world = await makeWorld();
    const read = world.read('/a/x');
    await world.clock.advance(1_000);
    assert.equal(await read, 'a');
    const refused = refuse(world);
    for (let count = 0; count < 30; count += 1) await world.write(`/new-${count}`, 'text');
    // Someone looks around meanwhile: each of these may ask the server.
    for (let second = 0; second < 300; second += 1) {
      await world.clock.advance(1_000);
      for (const name of ['b', 'c', 'd']) {
        const ino = world.ino(`/${name}`);
        assert.ok(ino !== undefined);
        world.engine.listed(ino)?.catch(() => undefined);
      }
      assert.equal(await world.read('/a/x'), 'a');
    }
    assert.ok(refused.count >= 5, `it is tried again: ${refused.count}`);
    assert.ok(refused.count <= 60, `${refused.count} requests in 5 minutes`);
    assert.equal(world.engine.connectivity.kind, 'unauthorized');
    assert.equal(world.engine.pendingCount(), 30);
  });

  test('that are renewed let everything go up at once', async () => {
    const world = await makeWorld();
    refuse(world);
    for (let count = 0; count < 9; count += 1) await world.write(`/new-${count}`, 'text');
    await world.clock.advance(20 * MINUTE_MS);
    assert.equal(world.engine.pendingCount(), 9);
    world.remote.setPlan(undefined);
    world.engine.retryNow();
    await world.clock.advance(100);
    assert.equal(world.engine.pendingCount(), 0);
    assert.equal(world.engine.connectivity.kind, 'online');
    world.check();
  });

  test('that begin to work later are found out without anybody saying so', async () => {
    const world = await makeWorld();
    refuse(world);
    await world.write('/new', 'text');
    await world.clock.advance(20 * MINUTE_MS);
    world.remote.setPlan(undefined);
    await world.clock.advance(2 * MINUTE_MS);
    assert.equal(world.engine.pendingCount(), 0);
  });
});

describe('Connectivity', () => {
  const refusal = new RemoteError('unauthorized', 'no', {
    method: 'GET',
    path: REMOTE_ROOT,
    outcome: 'none',
  });

  test('after a refusal one request finds out, and the others wait for it', async () => {
    const clock = new ManualClock();
    const connectivity = new Connectivity(clock, () => 0.5, silentLog);
    assert.ok(connectivity.failed(refusal));
    assert.throws(() => connectivity.check(), refusal);
    await clock.advance(connectivity.waitMs);
    connectivity.check();
    assert.throws(() => connectivity.check(), refusal);
    connectivity.succeeded();
    connectivity.check();
    assert.equal(connectivity.waitMs, 0);
  });

  test('waits longer after each refusal, and starts anew when told that something changed', async () => {
    const clock = new ManualClock();
    const connectivity = new Connectivity(clock, () => 0.5, silentLog);
    const waits: number[] = [];
    for (let count = 0; count < 8; count += 1) {
      connectivity.failed(refusal);
      waits.push(connectivity.waitMs);
      await clock.advance(connectivity.waitMs);
    }
    assert.deepEqual(
      waits,
      [...waits].sort((a, b) => a - b),
    );
    assert.ok((waits.at(-1) ?? 0) <= MINUTE_MS && (waits[0] ?? 0) >= 1_000, String(waits));
    connectivity.failed(refusal);
    connectivity.retryNow();
    assert.equal(connectivity.waitMs, 0);
    connectivity.failed(refusal);
    assert.equal(connectivity.waitMs, waits[0]);
  });
});
