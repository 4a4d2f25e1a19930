/** Uploads that are paused, and who waits for them. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { scriptedFaults } from '../../support/faulty-remote.js';
import { Gate } from './gate.js';
import { inoOf, makeWorld, remote } from './world.js';

const MINUTE_MS = 60_000;
const LARGE = 600 * 1024;

describe('paused uploads', () => {
  test('nothing is sent until they are resumed, and reading goes on', async () => {
    const world = await makeWorld({ '/old': 'there' });
    world.engine.pause();
    await world.write('/a', '1');
    await world.mkdir('/d');
    await world.unlink('/old');
    await world.clock.advance(10 * MINUTE_MS);
    assert.deepEqual(world.server.textTree(), { '/old': 'there' });
    assert.equal(world.engine.paused, true);
    assert.deepEqual(
      world.engine.entries(10).map(({ path, operation, state }) => `${operation} ${path} ${state}`),
      ['upload /a paused', 'create-directory /d paused', 'delete /old paused'],
    );
    world.server.writeDirect(remote('/theirs'), 'new');
    await world.refreshAll();
    assert.equal(await world.read('/theirs'), 'new');
    world.engine.resume();
    await world.clock.advance(1_000);
    assert.deepEqual(world.server.textTree(), { '/a': '1', '/d/': null, '/theirs': 'new' });
    assert.deepEqual(world.engine.entries(10), []);
  });

  test('a restart finds them paused', async () => {
    const world = await makeWorld();
    world.engine.pause();
    await world.write('/a', '1');
    world.restart();
    await world.clock.advance(MINUTE_MS);
    assert.equal(world.engine.paused, true);
    assert.deepEqual(world.server.textTree(), {});
    world.engine.resume();
    world.restart();
    await world.clock.advance(MINUTE_MS);
    assert.equal(world.engine.paused, false);
    assert.deepEqual(world.server.textTree(), { '/a': '1' });
  });

  test('a long upload is stopped and begins anew, a short one is finished', async () => {
    const gate = new Gate('write');
    const world = await makeWorld({}, { pause: gate.pause });
    gate.close();
    await world.write('/long', 'x'.repeat(LARGE));
    await world.write('/short', 'y');
    await world.clock.advance(1_000);
    assert.equal(world.engine.summary().running, 2);
    world.engine.pause();
    await gate.open();
    await world.clock.advance(MINUTE_MS);
    assert.deepEqual(world.server.textTree(), { '/short': 'y' });
    assert.equal(world.engine.summary().running, 0);
    world.engine.resume();
    await world.clock.advance(1_000);
    assert.equal(world.server.textTree()['/long']?.length, LARGE);
    world.check();
  });

  test('whoever waits for the server is refused, then and afterwards', async () => {
    const world = await makeWorld();
    world.server.online = false;
    await world.write('/a', '1');
    const ino = inoOf(world, '/a');
    const waiting = [
      assert.rejects(world.engine.settled(ino), { code: 'paused' }),
      assert.rejects(world.engine.drained(), { code: 'paused' }),
    ];
    await world.clock.advance(100);
    world.engine.pause();
    await Promise.all(waiting);
    await assert.rejects(world.engine.settled(ino), { code: 'paused' });
    await assert.rejects(world.engine.drained(), { code: 'paused' });
    world.server.online = true;
    world.engine.resume();
    await world.clock.advance(2 * MINUTE_MS);
    assert.deepEqual(world.server.textTree(), { '/a': '1' });
  });

  test('with nothing to carry up, nobody is refused', async () => {
    const world = await makeWorld({ '/a': '1' });
    world.engine.pause();
    await world.engine.drained();
    await world.engine.settled(inoOf(world, '/a'));
  });

  test('what failed before is tried when they are resumed', async () => {
    const world = await makeWorld();
    world.remote.setPlan(scriptedFaults([{ verb: 'write', fault: { kind: 'before', code: 'server' } }]));
    await world.write('/a', '1');
    await world.clock.advance(300);
    world.engine.pause();
    await world.clock.advance(MINUTE_MS);
    world.engine.resume();
    await world.clock.advance(0);
    assert.deepEqual(world.server.textTree(), { '/a': '1' });
  });
});
