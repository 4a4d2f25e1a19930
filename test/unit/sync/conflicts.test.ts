/** Conflicts: they are noted, outlive a restart, and end as they are told to. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Invalidation } from '../../../src/sync/index.js';
import { inoOf, makeWorld, remote, type World } from './world.js';

/** A world in which `/d/f` was changed on both sides. */
async function makeConflict(): Promise<{ world: World; copy: string }> {
  const world = await makeWorld({ '/d/f': 'before' });
  await world.write('/d/f', 'ours');
  world.server.writeDirect(remote('/d/f'), 'theirs');
  await world.clock.advance(10_000);
  const [conflict] = world.engine.conflicts();
  assert.ok(conflict !== undefined);
  return { world, copy: conflict.copy };
}

describe('a conflict', () => {
  test('is listed with both places, follows renames, and is gone with its copy', async () => {
    const { world, copy } = await makeConflict();
    assert.match(copy, /^\/d\/f \(conflict here/);
    const [conflict] = world.engine.conflicts();
    assert.deepEqual(
      { ...conflict, atMs: typeof conflict?.atMs },
      { ino: inoOf(world, copy), path: '/d/f', copy, atMs: 'number' },
    );
    await world.rename(copy, '/mine');
    await world.rename('/d', '/e');
    assert.deepEqual(
      world.engine.conflicts().map(({ path, copy: at }) => [path, at]),
      [['/e/f', '/mine']],
    );
    world.restart();
    assert.equal(world.engine.conflicts().length, 1);
    await world.unlink('/mine');
    assert.deepEqual(world.engine.conflicts(), []);
    await world.converge();
  });

  test('resolved for this side: the copy replaces the original, in one conditional upload or move', async () => {
    const { world, copy } = await makeConflict();
    const seen: Invalidation[] = [];
    world.engine.onInvalidate((event) => seen.push(event));
    const ino = inoOf(world, copy);
    world.engine.resolveConflict(ino, 'local');
    world.check();
    assert.equal(inoOf(world, '/d/f'), ino);
    assert.equal(world.ino(copy), undefined);
    assert.ok(seen.some((event) => event.kind === 'entry' && event.name === 'f'));
    assert.ok(seen.some((event) => event.kind === 'entry' && copy.endsWith(`/${event.name}`)));
    await world.clock.advance(10_000);
    assert.deepEqual(world.server.textTree(), { '/d/': null, '/d/f': 'ours' });
    assert.deepEqual(world.engine.conflicts(), []);
    await world.converge();
  });

  test('resolved before the copy went up: one conditional upload', async () => {
    const world = await makeWorld({ '/f': 'before' });
    await world.write('/f', 'ours');
    world.server.writeDirect(remote('/f'), 'theirs');
    world.remote.setPlan(({ verb, path }) =>
      verb === 'write' && path.includes('conflict') ? { kind: 'before', code: 'forbidden' } : undefined,
    );
    await world.clock.advance(1_000);
    const [conflict] = world.engine.conflicts();
    assert.ok(conflict !== undefined);
    world.server.clearLog();
    world.engine.resolveConflict(conflict.ino, 'local');
    await world.clock.advance(60_000);
    const writes = world.server.log.filter(({ verb }) => verb === 'write' || verb === 'remove');
    assert.deepEqual(
      writes.map(({ verb, path, condition }) => [verb, path, condition?.startsWith('"')]),
      [['write', '/f', true]],
    );
    assert.deepEqual(world.server.textTree(), { '/f': 'ours' });
  });

  test('resolved for the server: the copy is removed', async () => {
    const { world, copy } = await makeConflict();
    const seen: Invalidation[] = [];
    world.engine.onInvalidate((event) => seen.push(event));
    world.engine.resolveConflict(inoOf(world, copy), 'server');
    world.check();
    assert.equal(world.ino(copy), undefined);
    assert.ok(seen.some((event) => event.kind === 'delete'));
    await world.clock.advance(10_000);
    assert.deepEqual(world.server.textTree(), { '/d/': null, '/d/f': 'theirs' });
    assert.deepEqual(world.engine.conflicts(), []);
  });

  test('resolved for both: they stay, and are no longer listed', async () => {
    const { world, copy } = await makeConflict();
    const ino = inoOf(world, copy);
    world.engine.resolveConflict(ino, 'both');
    assert.deepEqual(world.engine.conflicts(), []);
    assert.deepEqual(Object.keys(world.server.textTree()), ['/d/', '/d/f', copy]);
    assert.throws(() => world.engine.resolveConflict(ino, 'server'), { code: 'not-a-conflict' });
  });

  test('whoever reads the original goes on with what he has', async () => {
    const { world, copy } = await makeConflict();
    const original = inoOf(world, '/d/f');
    const fh = await world.vfs.files.open(original, { writable: false, append: false, truncate: false });
    world.engine.resolveConflict(inoOf(world, copy), 'local');
    await world.clock.advance(10_000);
    const target = Buffer.alloc(6);
    assert.equal(await world.vfs.files.read(fh, target, 0, 6, 0), 6);
    assert.equal(target.toString(), 'theirs');
    world.vfs.files.release(fh);
    await world.converge();
    assert.deepEqual(world.server.textTree(), { '/d/': null, '/d/f': 'ours' });
  });

  test('where the original was taken away meanwhile the copy gets its name', async () => {
    const { world, copy } = await makeConflict();
    await world.unlink('/d/f');
    world.engine.resolveConflict(inoOf(world, copy), 'local');
    await world.clock.advance(10_000);
    assert.deepEqual(world.server.textTree(), { '/d/': null, '/d/f': 'ours' });
  });

  test('a directory is neither replaced nor removed', async () => {
    const world = await makeWorld();
    await world.mkdir('/x');
    await world.write('/x/in', '1');
    world.server.writeDirect(remote('/x'), 'a file');
    await world.clock.advance(10_000);
    const [conflict] = world.engine.conflicts();
    assert.ok(conflict !== undefined);
    for (const keep of ['local', 'server'] as const)
      assert.throws(() => world.engine.resolveConflict(conflict.ino, keep), { code: 'not-a-file' });
    world.engine.resolveConflict(conflict.ino, 'both');
    assert.deepEqual(world.engine.conflicts(), []);
  });
});
