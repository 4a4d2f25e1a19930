/** Requests that take effect on the server after it was asked whether they had: nothing that was removed comes back. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FakeVerb } from '../../support/fake-remote.js';
import { scriptedFaults } from '../../support/faulty-remote.js';
import { Gate } from './gate.js';
import { makeWorld, remote, type World } from './world.js';

const SOON_MS = 10_000;

/** The next call of the verb is on its way for as long as the test likes. */
function delayNext(world: World, verb: FakeVerb): void {
  world.remote.setPlan(scriptedFaults([{ verb, fault: { kind: 'late' } }]));
}

/**
 * A world whose daemon was killed while a new file `/a` was on its way to the server, which has nothing of it yet.
 * `meanwhile`: what is done before the next daemon has asked the server for it.
 */
async function killedWhileSending(
  meanwhile: (world: World) => Promise<void> | void = () => undefined,
  files: Record<string, string> = {},
) {
  const world = await makeWorld(files);
  delayNext(world, 'write');
  await world.write('/a', 'first');
  await world.clock.advance(250);
  world.restart();
  await meanwhile(world);
  return world;
}

async function sameOnBothSides(world: World, expected: Record<string, string | null>): Promise<void> {
  await world.converge();
  world.check();
  assert.deepEqual(world.server.textTree(), expected);
  assert.deepEqual(await world.localTree(), expected);
}

describe('an upload that arrives after the server was asked for it', () => {
  test('does not bring back a file that was removed meanwhile', async () => {
    const world = await killedWhileSending((made) => made.unlink('/a'));
    await world.clock.advance(SOON_MS);
    assert.equal(world.engine.pendingCount(), 0);
    assert.deepEqual(await world.remote.arrive(), []);
    assert.deepEqual(world.server.textTree(), { '/a': 'first' });
    await world.refreshAll();
    assert.deepEqual(world.localPaths(), []);
    await sameOnBothSides(world, {});
  });

  test('nor before the answer to that question', async () => {
    const world = await killedWhileSending((made) => {
      made.engine.pause();
      return made.unlink('/a');
    });
    await world.remote.arrive();
    await world.refreshAll();
    assert.deepEqual(world.localPaths(), []);
    world.engine.resume();
    await sameOnBothSides(world, {});
  });

  test('nor under its old name a file that was renamed', async () => {
    const world = await killedWhileSending((made) => made.rename('/a', '/b'));
    await world.clock.advance(SOON_MS);
    await world.remote.arrive();
    await sameOnBothSides(world, { '/b': 'first' });
  });

  test('nor does it after one more crash', async () => {
    const world = await killedWhileSending((made) => made.unlink('/a'));
    await world.clock.advance(SOON_MS);
    world.restart();
    await world.remote.arrive();
    await sameOnBothSides(world, {});
  });

  test('is no conflict with what the file has become', async () => {
    const world = await killedWhileSending((made) => made.write('/a', 'second'));
    await world.remote.arrive();
    await sameOnBothSides(world, { '/a': 'second' });
  });

  test('is no conflict with a new file of that name', async () => {
    const world = await killedWhileSending((made) => made.unlink('/a'));
    await world.clock.advance(SOON_MS);
    await world.write('/a', 'other');
    await world.remote.arrive();
    await sameOnBothSides(world, { '/a': 'other' });
  });

  test('is no conflict where it replaces an older version', async () => {
    const world = await killedWhileSending((made) => made.write('/a', 'second'), { '/a': 'zero!' });
    await world.remote.arrive();
    await sameOnBothSides(world, { '/a': 'second' });
  });

  test('is taken for what it is when another client puts a file of that size there', async () => {
    const world = await killedWhileSending((made) => made.unlink('/a'));
    await world.clock.advance(SOON_MS);
    world.server.writeDirect(remote('/a'), 'FIRST');
    await sameOnBothSides(world, { '/a': 'FIRST' });
  });

  test('is not waited for for ever', async () => {
    const world = await killedWhileSending((made) => made.unlink('/a'));
    await world.clock.advance(60 * 60_000);
    world.server.writeDirect(remote('/a'), 'first');
    await sameOnBothSides(world, { '/a': 'first' });
  });
});

describe('a new directory that arrives late', () => {
  /** A world in which `/d` was removed while the request that makes it was on its way, and has just arrived. */
  async function arrivedRemoved(): Promise<World> {
    const world = await makeWorld();
    delayNext(world, 'makeDirectory');
    await world.mkdir('/d');
    await world.clock.advance(250);
    world.restart();
    await world.rmdir('/d');
    await world.clock.advance(SOON_MS);
    await world.remote.arrive();
    assert.deepEqual(world.server.textTree(), { '/d/': null });
    return world;
  }

  test('does not come back when it was removed meanwhile', async () => {
    await sameOnBothSides(await arrivedRemoved(), {});
  });

  test('comes back with what another client has put into it', async () => {
    const world = await arrivedRemoved();
    world.server.writeDirect(remote('/d/theirs'), '1');
    await sameOnBothSides(world, { '/d/': null, '/d/theirs': '1' });
  });
});

describe('a move whose answer is lost', () => {
  /** A world in which the server has moved `/a` to `/b`, and this side does not know that. */
  async function movedUnknown(files: Record<string, string>) {
    const world = await makeWorld(files);
    world.remote.setPlan(
      scriptedFaults([
        { verb: 'move', fault: { kind: 'after', code: 'timeout' } },
        { verb: 'stat', fault: { kind: 'before', code: 'unreachable' } },
      ]),
    );
    await world.rename('/a', '/b');
    await world.clock.advance(250);
    return world;
  }

  test('is found when the file has another name by then', async () => {
    const world = await movedUnknown({ '/a': 'one' });
    await world.rename('/b', '/c');
    await sameOnBothSides(world, { '/c': 'one' });
    assert.equal(world.server.counts().write, 0);
  });

  test('is found an hour later, on a line that was dead for as long', async () => {
    const world = await movedUnknown({ '/a': 'one' });
    world.server.online = false;
    await world.rename('/b', '/c');
    await world.mkdir('/d');
    await world.clock.advance(60 * 60_000);
    world.server.online = true;
    await sameOnBothSides(world, { '/c': 'one', '/d/': null });
    assert.equal(world.server.counts().write, 0);
  });

  test('is found when the file is removed by then', async () => {
    const world = await movedUnknown({ '/a': 'one' });
    await world.unlink('/b');
    await sameOnBothSides(world, {});
  });

  test('is no conflict with what it replaced', async () => {
    const world = await movedUnknown({ '/a': 'one', '/b': 'two' });
    await sameOnBothSides(world, { '/b': 'one' });
  });

  test('is found before the listing in which the old name is missing', async () => {
    const world = await movedUnknown({ '/a': 'one', '/d/e': 'x' });
    world.engine.pause();
    await world.rename('/b', '/c');
    await world.refreshAll();
    assert.deepEqual(
      world.localPaths().map(({ path }) => path),
      ['/c', '/d', '/d/e'],
    );
    world.engine.resume();
    await sameOnBothSides(world, { '/c': 'one', '/d/': null, '/d/e': 'x' });
  });
});

describe('a removal whose answer is lost', () => {
  test('does not take with it the same bytes, saved again', async () => {
    const world = await makeWorld();
    await world.write('/a', 'one');
    await world.clock.advance(SOON_MS);
    world.remote.setPlan(scriptedFaults([{ verb: 'remove', fault: { kind: 'after', code: 'interrupted' } }]));
    await world.unlink('/a');
    await world.clock.advance(250);
    assert.deepEqual(world.server.textTree(), {});
    await world.write('/a', 'one');
    await sameOnBothSides(world, { '/a': 'one' });
  });
});

describe('a copy on the server', () => {
  test('is no conflict with itself when its answer is lost', async () => {
    const world = await makeWorld({ '/a': 'one' });
    world.remote.setPlan(scriptedFaults([{ verb: 'copy', fault: { kind: 'after', code: 'timeout' } }]));
    await world.copy('/a', '/b');
    await sameOnBothSides(world, { '/a': 'one', '/b': 'one' });
    assert.equal(world.server.counts().write, 0);
  });

  test('is not given up when nobody wants it any more: what it brings is removed', async () => {
    const gate = new Gate('copy');
    const world = await makeWorld({ '/a': 'one' }, { pause: gate.pause });
    gate.close();
    await world.copy('/a', '/b');
    await world.clock.advance(250);
    await world.unlink('/b');
    await gate.open();
    await world.clock.advance(SOON_MS);
    assert.deepEqual(
      world.server.log.filter(({ verb }) => verb === 'copy' || verb === 'remove').map(({ result }) => result),
      ['ok', 'ok'],
    );
    assert.deepEqual(world.server.textTree(), { '/a': 'one' });
  });

  test('that nobody wants any more is removed when it is made', async () => {
    const world = await makeWorld({ '/a': 'one' });
    delayNext(world, 'copy');
    await world.copy('/a', '/b');
    await world.clock.advance(250);
    world.remote.setPlan(undefined);
    await world.unlink('/b');
    await world.clock.advance(SOON_MS);
    await world.remote.arrive();
    await sameOnBothSides(world, { '/a': 'one' });
  });
});
