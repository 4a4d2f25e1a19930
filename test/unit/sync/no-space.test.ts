/** A server without room: what does not fit waits together, and what is not wanted any more is not sent. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SyncEvent } from '../../../src/sync/index.js';
import { Gate } from './gate.js';
import { inoOf, makeWorld, remote, type World } from './world.js';

const MINUTE_MS = 60_000;

const writes = (world: World) => world.server.log.filter(({ verb }) => verb === 'write').length;

describe('a full server', () => {
  test('one refusal holds all that is as large, smaller ones go up, and it is told once', async () => {
    const world = await makeWorld({ '/old': 'o'.repeat(900) }, { capacityBytes: 1_000 });
    const events: SyncEvent[] = [];
    world.engine.onEvent((event) => events.push(event));
    for (let file = 0; file < 20; file += 1) await world.write(`/f${file}`, 'x'.repeat(200 + file));
    await world.clock.advance(5_000);
    await world.write('/small', 's');
    await world.clock.advance(1_000);
    assert.equal(world.server.textTree()['/small'], 's');
    assert.ok(writes(world) <= 6, `${writes(world)} uploads`);
    const entries = world.engine.entries(30);
    assert.deepEqual([...new Set(entries.map(({ state }) => state))], ['waiting']);
    assert.ok(entries.every(({ lastError }) => /full/.test(lastError ?? '')));
    await world.clock.advance(60 * MINUTE_MS);
    assert.ok(writes(world) <= 20, `${writes(world)} uploads in an hour`);
    assert.equal(events.filter(({ type }) => type === 'trouble').length, 1);
    world.check();
  });

  test('it is tried again when something was deleted there', async () => {
    const world = await makeWorld({ '/old': 'o'.repeat(900) }, { capacityBytes: 1_000 });
    await world.write('/a', 'x'.repeat(300));
    await world.write('/b', 'x'.repeat(400));
    await world.clock.advance(1_000);
    await world.unlink('/old');
    await world.clock.advance(7_000);
    assert.deepEqual(Object.keys(world.server.textTree()), ['/a', '/b']);
    assert.equal(world.engine.pendingCount(), 0);
  });

  test('and after a while, by the smallest', async () => {
    const world = await makeWorld({ '/old': 'o'.repeat(900) }, { capacityBytes: 1_000 });
    await world.write('/a', 'x'.repeat(400));
    await world.write('/b', 'x'.repeat(300));
    await world.clock.advance(1_000);
    world.server.removeDirect(remote('/old'));
    world.server.clearLog();
    await world.clock.advance(20 * MINUTE_MS);
    assert.deepEqual(
      world.server.log.filter(({ verb }) => verb === 'write').map(({ path }) => path),
      ['/b', '/a'],
    );
  });

  test('by hand at once', async () => {
    const world = await makeWorld({ '/old': 'o'.repeat(900) }, { capacityBytes: 1_000 });
    await world.write('/a', 'x'.repeat(400));
    await world.clock.advance(1_000);
    world.server.removeDirect(remote('/old'));
    world.engine.retryNow();
    await world.clock.advance(0);
    assert.deepEqual(Object.keys(world.server.textTree()), ['/a']);
  });

  test('whoever waits for an upload that does not fit is told so', async () => {
    const world = await makeWorld({}, { capacityBytes: 100 });
    await world.write('/a', 'x'.repeat(300));
    await world.clock.advance(1_000);
    await world.write('/b', 'x'.repeat(300));
    const waiting = assert.rejects(world.engine.settled(inoOf(world, '/b')), { code: 'no-space' });
    await world.clock.advance(0);
    await waiting;
    assert.equal(writes(world), 1);
  });

  test('a file that is deleted here while it waits is forgotten', async () => {
    const world = await makeWorld({}, { capacityBytes: 100 });
    await world.write('/a', 'x'.repeat(300));
    await world.clock.advance(1_000);
    await world.unlink('/a');
    await world.clock.advance(20 * MINUTE_MS);
    assert.equal(world.engine.pendingCount(), 0);
    await world.write('/b', 'x'.repeat(50));
    await world.clock.advance(1_000);
    assert.deepEqual(Object.keys(world.server.textTree()), ['/b']);
  });
});

describe('an upload under way', () => {
  async function heldUpload() {
    const gate = new Gate('write');
    const world = await makeWorld({}, { pause: gate.pause });
    gate.close();
    await world.write('/a', 'unwanted');
    await world.clock.advance(300);
    assert.equal(world.engine.summary().running, 1);
    return { gate, world };
  }

  test('of a file that is deleted is stopped', async () => {
    const { gate, world } = await heldUpload();
    await world.unlink('/a');
    await gate.open();
    await world.clock.advance(MINUTE_MS);
    assert.deepEqual(
      world.server.log
        .filter(({ verb }) => verb !== 'quota' && verb !== 'list')
        .map(({ verb, result }) => `${verb} ${result}`),
      ['write aborted'],
    );
    assert.equal(world.engine.pendingCount(), 0);
    world.check();
  });

  test('of a file that another one replaces is stopped', async () => {
    const { gate, world } = await heldUpload();
    await world.write('/b', 'wanted');
    await world.rename('/b', '/a');
    await gate.open();
    await world.clock.advance(MINUTE_MS);
    assert.deepEqual(world.server.textTree(), { '/a': 'wanted' });
    assert.equal(
      world.server.log.filter(({ verb, result }) => verb === 'write' && result === 'ok').length,
      1,
    );
    world.check();
  });

  test('of a file that is renamed goes on', async () => {
    const { gate, world } = await heldUpload();
    await world.rename('/a', '/b');
    await gate.open();
    await world.clock.advance(MINUTE_MS);
    assert.deepEqual(world.server.textTree(), { '/b': 'unwanted' });
    assert.equal(world.server.log.filter(({ verb }) => verb === 'write').length, 1);
  });
});
