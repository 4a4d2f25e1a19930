/** What was uploaded, and that the server does not show yet. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inoOf, makeWorld, remote, type World } from './world.js';

async function uploaded(world: World): Promise<void> {
  await world.write('/a', 'saved');
  await world.clock.advance(1_000);
  assert.deepEqual(world.server.textTree(), { '/a': 'saved' });
}

describe('a file that was just uploaded', () => {
  test('stays as it is while listings do not show it yet', async () => {
    const world = await makeWorld({ '/b': 'old' }, { listsLateMs: 30_000 });
    await world.clock.advance(60_000);
    await world.refreshAll();
    await world.write('/a', 'saved');
    await world.clock.advance(1_000);
    const ino = inoOf(world, '/a');
    await world.engine.refresh(inoOf(world, '/'));
    assert.equal(world.ino('/a'), ino);
    await world.clock.advance(60_000);
    await world.refreshAll();
    assert.equal(world.ino('/a'), ino);
    assert.equal(world.server.counts().write, 1);
  });

  test('and is the only one there, too', async () => {
    const world = await makeWorld({}, { listsLateMs: 30_000 });
    await uploaded(world);
    await world.engine.refresh(inoOf(world, '/'));
    assert.equal(await world.read('/a'), 'saved');
  });

  test('is removed here when another client has removed it', async () => {
    const world = await makeWorld();
    await uploaded(world);
    world.server.removeDirect(remote('/a'));
    await world.converge();
    assert.deepEqual(await world.localTree(), {});
    assert.deepEqual(world.server.textTree(), {});
  });
});
