/** What is pinned is here, stays here, and is no more than that. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryContentStore } from '../../../src/content/index.js';
import type { SyncEvent } from '../../../src/sync/index.js';
import { Gate } from './gate.js';
import { inoOf, makeWorld, remote, World } from './world.js';

const MINUTE_MS = 60_000;

/** Whether all of a file is on this machine. */
function isHere(world: World, path: string): boolean {
  const node = world.state.get(inoOf(world, path));
  if (node?.kind !== 'file') return false;
  if (node.content === 'staged') return true;
  return world.content.presentBytes(node.ino, { etag: node.base?.etag, size: node.size }) === node.size;
}

describe('a pinned directory', () => {
  const files = { '/d/a': 'aa', '/d/sub/b': 'bbb', '/d/sub/deep/c': 'cccc', '/other': 'o' };

  test('is fetched with all below it, also what was never listed, and nothing else is', async () => {
    const world = new World();
    for (const [path, content] of Object.entries(files)) world.server.writeDirect(remote(path), content);
    await world.engine.refresh(inoOf(world, '/'));
    world.engine.pin(inoOf(world, '/d'));
    await world.clock.advance(1_000);
    for (const path of ['/d/a', '/d/sub/b', '/d/sub/deep/c']) assert.ok(isHere(world, path), path);
    assert.equal(isHere(world, '/other'), false);
    assert.deepEqual(await world.engine.pins(), [
      { ino: inoOf(world, '/d'), path: '/d', files: 3, bytes: 9, presentBytes: 9 },
    ]);
  });

  test('fetches what comes later: from the server, by a move, as a new version', async () => {
    const world = await makeWorld({ ...files, '/tree/x/y': 'yy' });
    world.engine.pin(inoOf(world, '/d'));
    await world.clock.advance(1_000);
    world.server.writeDirect(remote('/d/sub/new'), 'new');
    world.server.writeDirect(remote('/d/a'), 'another version');
    await world.refreshAll();
    await world.rename('/tree', '/d/tree');
    await world.rename('/other', '/d/other');
    await world.clock.advance(5_000);
    for (const path of ['/d/sub/new', '/d/a', '/d/tree/x/y', '/d/other'])
      assert.ok(isHere(world, path), path);
    assert.equal(await world.read('/d/a'), 'another version');
  });

  test('what moves out and in again is looked through again', async () => {
    const world = await makeWorld(files);
    world.engine.pin(inoOf(world, '/d'));
    await world.clock.advance(1_000);
    await world.rename('/d/sub', '/sub');
    await world.clock.advance(1_000);
    assert.ok((await world.engine.evict(inoOf(world, '/sub'))) > 0);
    await world.rename('/sub', '/d/sub');
    await world.clock.advance(1_000);
    assert.ok(isHere(world, '/d/sub/deep/c'));
  });

  test('is fetched behind what programs wait for, but not never', async () => {
    const gate = new Gate('read');
    const big = 9 * 1024 * 1024;
    const world = await makeWorld({ '/d/big': 'b'.repeat(big), '/f': 'f' }, { pause: gate.pause });
    const fetched = () =>
      world.server.log.filter(({ verb, path }) => verb === 'read' && path === '/d/big').length;
    gate.close();
    const reading = world.read('/f');
    await world.clock.advance(0);
    world.engine.pin(inoOf(world, '/d'));
    await world.clock.advance(4_000);
    assert.equal(fetched(), 0);
    await world.clock.advance(2_000);
    assert.equal(fetched(), 1);
    await gate.open();
    assert.equal(await reading, 'f');
    await world.clock.advance(1_000);
    assert.equal(fetched(), 3);
    assert.ok(isHere(world, '/d/big'));
  });

  test('what cannot be had is tried again, ever less often', async () => {
    const world = await makeWorld(files);
    const times: number[] = [];
    world.remote.setPlan(({ verb, path }) => {
      if (verb !== 'read' || path !== '/d/a') return undefined;
      times.push(world.clock.nowMs());
      return { kind: 'before', code: 'forbidden' };
    });
    world.engine.pin(inoOf(world, '/d'));
    await world.clock.advance(120 * MINUTE_MS);
    assert.ok(isHere(world, '/d/sub/b'));
    assert.ok(times.length >= 5 && times.length <= 10, `${times.length} tries in two hours`);
    assert.deepEqual(
      world.engine.troubles.map(({ code, path }) => [code, path]),
      [['forbidden', '/d/a']],
    );
    world.remote.setPlan(undefined);
    await world.clock.advance(61 * MINUTE_MS);
    assert.ok(isHere(world, '/d/a'));
  });

  test('survives a restart', async () => {
    const world = await makeWorld(files);
    world.engine.pin(inoOf(world, '/d'));
    world.restart();
    await world.clock.advance(1_000);
    assert.ok(isHere(world, '/d/sub/deep/c'));
    assert.equal(world.engine.pinCount, 1);
  });

  test('is fetched when the line is back', async () => {
    const world = await makeWorld(files);
    world.server.online = false;
    world.engine.pin(inoOf(world, '/d'));
    await world.clock.advance(5 * MINUTE_MS);
    assert.equal(isHere(world, '/d/a'), false);
    world.server.online = true;
    await world.clock.advance(5 * MINUTE_MS);
    assert.ok(isHere(world, '/d/a') && isHere(world, '/d/sub/deep/c'));
  });

  test('is not evicted, neither by want of room nor by hand', async () => {
    const world = await makeWorld({ '/d/a': 'x'.repeat(100), '/other': 'y'.repeat(100) });
    world.engine.pin(inoOf(world, '/d'));
    await world.clock.advance(1_000);
    await world.read('/other');
    await world.clock.advance(0);
    assert.equal(await world.engine.evict(), 100);
    assert.ok(isHere(world, '/d/a'));
    await assert.rejects(world.engine.evict(inoOf(world, '/d')), { code: 'pinned' });
    await assert.rejects(world.engine.evict(inoOf(world, '/d/a')), { code: 'pinned' });
    world.engine.unpin(inoOf(world, '/d'));
    assert.equal(await world.engine.evict(inoOf(world, '/d')), 100);
    assert.throws(() => world.engine.unpin(inoOf(world, '/d')), { code: 'not-found' });
  });

  test('what does not fit into the cache is told, and nothing pinned goes for it', async () => {
    const content = new MemoryContentStore({ maxCleanBytes: 250 });
    const world = new World(() => 0.5, {}, content);
    const names = ['a', 'b', 'c', 'd'];
    for (const name of names) world.server.writeDirect(remote(`/d/${name}`), name.repeat(100));
    world.server.writeDirect(remote('/other'), 'o'.repeat(100));
    await world.refreshAll();
    await world.read('/other');
    await world.clock.advance(0);
    const events: SyncEvent[] = [];
    world.engine.onEvent((event) => events.push(event));
    world.engine.pin(inoOf(world, '/d'));
    await world.clock.advance(1_000);
    const [pin] = await world.engine.pins();
    assert.equal(pin?.bytes, 400);
    assert.equal(pin?.presentBytes, 200);
    assert.equal(isHere(world, '/other'), false);
    assert.deepEqual(
      events.map((event) => (event.type === 'trouble' ? event.code : event.type)),
      ['pins-exceed-cache'],
    );
    await world.unlink('/d/a');
    await world.clock.advance(10 * MINUTE_MS);
    assert.equal((await world.engine.pins())[0]?.presentBytes, 200);
    assert.ok(content.stats().cleanBytes <= 250);
  });
});

describe('a pinned file', () => {
  test('keeps its pin over a rename, and gives it to the file that takes its name', async () => {
    const world = await makeWorld({ '/f': 'one', '/d/x': '1' });
    world.engine.pin(inoOf(world, '/f'));
    await world.rename('/f', '/d/g');
    await world.clock.advance(1_000);
    assert.deepEqual(
      (await world.engine.pins()).map(({ path }) => path),
      ['/d/g'],
    );
    await world.write('/d/g.tmp', 'saved');
    await world.rename('/d/g.tmp', '/d/g');
    await world.clock.advance(1_000);
    const pins = await world.engine.pins();
    assert.deepEqual(pins, [
      { ino: inoOf(world, '/d/g'), path: '/d/g', files: 1, bytes: 5, presentBytes: 5 },
    ]);
    await world.unlink('/d/g');
    assert.deepEqual(await world.engine.pins(), []);
    assert.equal(world.engine.pinCount, 0);
  });

  test('follows the server to a new version, also while a program has it open', async () => {
    const world = await makeWorld({ '/f': 'one' });
    world.engine.pin(inoOf(world, '/f'));
    await world.clock.advance(1_000);
    const fh = await world.vfs.files.open(inoOf(world, '/f'), {
      writable: false,
      append: false,
      truncate: false,
    });
    world.server.writeDirect(remote('/f'), 'version two');
    await world.refreshAll();
    await world.clock.advance(1_000);
    assert.ok(isHere(world, '/f'));
    assert.equal(world.engine.pinCount, 1);
    world.vfs.files.release(fh);
    assert.equal(await world.read('/f'), 'version two');
  });

  test('links and what is gone cannot be pinned', async () => {
    const world = await makeWorld({ '/f': '1' });
    const root = inoOf(world, '/');
    await world.vfs.names.symlink(root, 'l', 'f', { uid: 0, gid: 0 });
    assert.throws(() => world.engine.pin(inoOf(world, '/l')), { code: 'not-a-file' });
    assert.throws(() => world.engine.pin(999_999 as never), { code: 'not-found' });
  });
});
