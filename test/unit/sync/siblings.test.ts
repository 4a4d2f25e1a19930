/** Small files that are read one after the other: what is fetched ahead of the reader, and what is not. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Ino } from '../../../src/base/index.js';
import type { FakeRemoteOptions } from '../../support/fake-remote.js';
import { remote, World } from './world.js';

const COUNT = 30;
const SIZE = 10 * 1024;

const nameAt = (index: number) => `/dir/f${String(index).padStart(3, '0')}`;

async function directory(options: Partial<FakeRemoteOptions> = {}): Promise<World> {
  const world = new World(() => 0.5, options);
  world.server.mkdirDirect(remote('/dir'));
  for (let index = 0; index < COUNT; index += 1)
    world.server.writeDirect(remote(nameAt(index)), new Uint8Array(SIZE).fill(index));
  await world.refreshAll();
  world.server.clearLog();
  return world;
}

/** What open(2), read(2) and close(2) ask for; `afterwards`: what runs meanwhile comes to its end. */
async function read(world: World, index: number): Promise<void> {
  const ino = world.ino(nameAt(index)) as Ino;
  const opening = world.engine.fresh(ino, undefined, true);
  await world.clock.advance(0);
  await opening;
  const node = world.state.get(ino);
  assert(node?.kind === 'file');
  world.content.acquireClean(ino, { etag: node.base?.etag, size: node.size });
  const reading = world.engine.present(ino, 0, SIZE);
  await world.clock.advance(0);
  await reading;
  world.content.release(ino);
  world.engine.unused(ino);
}

/** How many files are here. */
function here(world: World): number {
  let count = 0;
  for (let index = 0; index < COUNT; index += 1) {
    const node = world.state.get(world.ino(nameAt(index)) as Ino);
    assert(node?.kind === 'file');
    const version = { etag: node.base?.etag, size: node.size };
    if (world.content.presentBytes(node.ino, version) === SIZE) count += 1;
  }
  return count;
}

test('a reader who goes in order finds the next ones here', async () => {
  const world = await directory();
  for (let index = 0; index < 4; index += 1) await read(world, index);
  await world.clock.advance(100);
  assert.ok(here(world) > 10, `${here(world)} files`);
  for (let index = 4; index < COUNT; index += 1) await read(world, index);
  assert.equal(here(world), COUNT);
  assert.equal(world.server.counts().read, COUNT);
});

test('two connections are left to whoever waits', async () => {
  let running = 0;
  let most = 0;
  const world = await directory({
    pause: async (verb) => {
      if (verb !== 'read') return;
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
    },
  });
  for (let index = 0; index < COUNT; index += 1) await read(world, index);
  assert.equal(here(world), COUNT);
  // Of the four that the engine may use; the reader himself waits for one more.
  assert.ok(most === 2 || most === 3, `${most} at a time`);
});

test('one who jumps gets what he reads', async () => {
  const world = await directory();
  for (const index of [20, 3, 17, 9, 1]) await read(world, index);
  await world.clock.advance(100);
  assert.equal(here(world), 5);
});

test('a first part that is here already does not keep the rest from coming ahead', async () => {
  const world = await directory();
  for (const index of [4, 3, 2, 1, 0]) await read(world, index);
  for (let index = 0; index < 6; index += 1) await read(world, index);
  await world.clock.advance(100);
  assert.ok(here(world) > 10, `${here(world)} files`);
});

test('a directory that is here is not gone through again', async () => {
  const world = await directory();
  for (let index = 0; index < COUNT; index += 1) await read(world, index);
  assert.equal(here(world), COUNT);
  const taken = new Set<Ino>();
  const { content } = world;
  const acquire = content.acquireClean.bind(content);
  content.acquireClean = (ino, version) => {
    taken.add(ino);
    return acquire(ino, version);
  };
  await read(world, 20);
  for (let index = 0; index < 10; index += 1) await read(world, index);
  assert.equal(taken.size, 11);
});
