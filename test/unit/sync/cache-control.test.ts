/** Paths, listings of trees, giving up what is here, and checking it. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ROOT_INO } from '../../../src/base/index.js';
import type { Invalidation } from '../../../src/sync/index.js';
import { inoOf, makeWorld, remote, World } from './world.js';

const READ = { writable: false, append: false, truncate: false };

/** A world in which nothing was listed yet. */
function makeUnseen(paths: readonly string[]): World {
  const world = new World();
  for (const path of paths) world.server.writeDirect(remote(path), path);
  return world;
}

describe('inoOfPath', () => {
  test('lists what was never seen on its way', async () => {
    const world = makeUnseen(['/a/b/c', '/a/x']);
    assert.equal(await world.engine.inoOfPath('/'), ROOT_INO);
    const ino = await world.engine.inoOfPath('/a/b/c');
    assert.equal(ino, inoOf(world, '/a/b/c'));
    assert.equal(await world.engine.inoOfPath('/a//b/'), inoOf(world, '/a/b'));
  });

  test('tells what is wrong', async () => {
    const world = makeUnseen(['/a/b']);
    await assert.rejects(world.engine.inoOfPath('/none'), { code: 'not-found' });
    await assert.rejects(world.engine.inoOfPath('/a/../a'), { code: 'not-found' });
    await assert.rejects(world.engine.inoOfPath('/a/b/c'), { code: 'not-a-directory' });
    const offline = makeUnseen(['/a/b']);
    offline.server.online = false;
    await assert.rejects(offline.engine.inoOfPath('/a'), { code: 'offline' });
  });

  test('a further name is its file', async () => {
    const world = await makeWorld({ '/f': '1' });
    await world.link('/f', '/g');
    assert.equal(await world.engine.inoOfPath('/g'), inoOf(world, '/f'));
  });
});

describe('refreshTree', () => {
  test('lists one directory or all below, and counts them', async () => {
    const world = makeUnseen(['/a/b/c/d', '/a/x/y', '/z']);
    assert.equal(await world.engine.refreshTree(ROOT_INO, false), 1);
    assert.equal(world.ino('/a/b'), undefined);
    assert.equal(await world.engine.refreshTree(ROOT_INO, true), 5);
    world.server.writeDirect(remote('/a/b/c/new'), 'n');
    assert.equal(await world.engine.refreshTree(inoOf(world, '/a/b'), true), 2);
    assert.ok(world.ino('/a/b/c/new') !== undefined);
  });

  test('what is only here is not counted, and what is no directory is refused', async () => {
    const world = await makeWorld({ '/f': '1' });
    world.server.online = false;
    await world.mkdir('/only');
    assert.equal(await world.engine.refreshTree(inoOf(world, '/only'), true), 0);
    await assert.rejects(world.engine.refreshTree(inoOf(world, '/f'), true), { code: 'not-a-directory' });
    await assert.rejects(world.engine.refreshTree(ROOT_INO, true), { code: 'offline' });
    await assert.rejects(world.engine.refreshTree(999_999 as never, true), { code: 'not-found' });
  });

  test('one directory that may not be looked into does not hide the others', async () => {
    const world = makeUnseen(['/a/f', '/b/g', '/c/h']);
    world.remote.setPlan(({ verb, path }) =>
      verb === 'list' && path === '/b' ? { kind: 'before', code: 'forbidden' } : undefined,
    );
    assert.equal(await world.engine.refreshTree(ROOT_INO, true), 3);
    assert.deepEqual(
      world.engine.troubles.map(({ code, path }) => [code, path]),
      [['forbidden', '/b']],
    );
  });

  test('a listing that was under way already does not count', async () => {
    const world = await makeWorld({ '/f': '1' });
    const early = world.engine.refresh(ROOT_INO);
    const refreshing = world.engine.refreshTree(ROOT_INO, false);
    await Promise.all([early, refreshing]);
    assert.equal(world.server.log.filter(({ verb }) => verb === 'list').length, 2);
  });

  test('stops when it is called off', async () => {
    const world = await makeWorld({ '/a/f': '1' });
    const signal = AbortSignal.abort(new Error('enough'));
    await assert.rejects(world.engine.refreshTree(ROOT_INO, true, signal), /enough/);
  });
});

describe('evict', () => {
  async function makeRead() {
    const world = await makeWorld({ '/d/a': 'aaaa', '/d/e/b': 'bb', '/c': 'c' });
    for (const path of ['/d/a', '/d/e/b', '/c']) await world.read(path);
    await world.clock.advance(0);
    return world;
  }

  test('one file, a tree, everything; and what is read again is fetched again', async () => {
    const world = await makeRead();
    assert.equal(await world.engine.evict(inoOf(world, '/d/a')), 4);
    assert.equal(await world.engine.evict(inoOf(world, '/d')), 2);
    assert.equal(await world.engine.evict(), 1);
    assert.equal(await world.engine.evict(), 0);
    assert.equal(world.content.stats().cleanBytes, 0);
    assert.equal(await world.read('/d/a'), 'aaaa');
  });

  test('nothing that the server does not have, and nothing in use', async () => {
    const world = await makeRead();
    await world.write('/d/a', 'changed');
    const fh = await world.vfs.files.open(inoOf(world, '/c'), READ);
    await world.clock.advance(0);
    assert.equal(await world.engine.evict(inoOf(world, '/d/a')), 0);
    assert.equal(await world.engine.evict(), 2);
    await assert.rejects(world.engine.evict(inoOf(world, '/c')), { code: 'busy' });
    await assert.rejects(world.engine.evict(999_999 as never), { code: 'not-found' });
    world.vfs.files.release(fh);
    assert.equal(await world.engine.evict(inoOf(world, '/c')), 1);
    assert.equal(await world.read('/d/a'), 'changed');
  });

  test('the kernel forgets the bytes of what it knows', async () => {
    const world = await makeRead();
    const seen: Invalidation[] = [];
    world.engine.onInvalidate((event) => seen.push(event));
    const { parent, name } = world.split('/c');
    const ino = inoOf(world, '/c');
    await world.vfs.names.lookup(parent, name);
    await world.engine.evict();
    assert.deepEqual(seen, [{ kind: 'inode', ino }]);
  });
});

describe('verify', () => {
  test('reads what is here and names what is damaged of what is not on the server', async () => {
    const world = await makeWorld({ '/a': 'aaaa' });
    await world.read('/a');
    await world.clock.advance(0);
    world.server.online = false;
    await world.write('/whole', 'ww');
    await world.write('/short', 'sss');
    await world.write('/lost', 'llll');
    assert.deepEqual(await world.engine.verify(), {
      checkedFiles: 4,
      checkedBytes: 13,
      droppedFiles: 0,
      damaged: [],
    });
    const image = new Map(world.content.image());
    const short = image.get(inoOf(world, '/short'));
    assert.ok(short !== undefined);
    image.set(inoOf(world, '/short'), { ...short, bytes: short.bytes.slice(1) });
    image.delete(inoOf(world, '/lost'));
    world.restart(undefined, image);
    const { damaged } = await world.engine.verify();
    assert.deepEqual([...damaged].sort(), ['/lost', '/short']);
    assert.ok(world.engine.troubles.some(({ code, path }) => code === 'damaged' && path === '/short'));
  });
});
