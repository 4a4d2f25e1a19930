/** What is carried up gives way to programs that are busy with the mount, and gets on all the same. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Courtesy } from '../../../src/sync/courtesy.js';
import { ManualClock } from '../../support/manual-clock.js';
import { makeWorld, type World } from './world.js';

/** Programs that ask once a millisecond; `each` is called before each request. */
async function beBusy(world: World, forMs: number, each: () => void = () => undefined): Promise<void> {
  for (let ms = 0; ms < forMs; ms += 1) {
    each();
    world.engine.noteRequest();
    await world.clock.advance(1);
  }
}

const writes = (world: World) => world.server.log.filter(({ verb }) => verb === 'write').length;

describe('carrying up', () => {
  test('waits for programs that ask on and on, and begins in a gap of a tenth of a second', async () => {
    const world = await makeWorld();
    await world.write('/a', '1');
    await beBusy(world, 2_000);
    assert.equal(writes(world), 0);
    await world.clock.advance(80);
    assert.equal(writes(world), 0);
    await world.clock.advance(30);
    assert.equal(writes(world), 1);
  });

  test('does not wait for a program that asks now and then', async () => {
    const world = await makeWorld();
    await world.write('/a', '1');
    for (let time = 0; time < 30; time += 1) {
      world.engine.noteRequest();
      await world.clock.advance(10);
    }
    assert.equal(writes(world), 1);
  });

  test('gets on beside programs that never stop', async () => {
    const world = await makeWorld();
    for (let file = 0; file < 20; file += 1) await world.write(`/${file}`, '1');
    await beBusy(world, 5_000);
    assert.equal(writes(world), 0);
    await beBusy(world, 1_000);
    assert.equal(writes(world), 20);
  });

  test('of what somebody waits for begins at once', async () => {
    const world = await makeWorld();
    await world.write('/a', '1');
    await beBusy(world, 1_000);
    const draining = world.engine.drained();
    await beBusy(world, 10);
    await draining;
    assert.equal(writes(world), 1);
  });
});

describe('giving way', () => {
  test('after the longest hold is for three quarters of the time', async () => {
    const clock = new ManualClock();
    const courtesy = new Courtesy(clock);
    let free = 0;
    const startMs = clock.nowMs();
    for (let ms = 0; ms < 5_000 + 4_000; ms += 1) {
      courtesy.noteRequest();
      if (clock.nowMs() - startMs >= 5_000 && !courtesy.givesWay()) free += 1;
      await clock.advance(1);
    }
    assert.equal(free, 1_000);
  });

  test('ends where the clock is set back', () => {
    const clock = new ManualClock();
    let nowMs = clock.nowMs();
    const courtesy = new Courtesy({
      nowMs: () => nowMs,
      nowNs: () => clock.nowNs(),
      after: (ms, callback) => clock.after(ms, callback),
    });
    for (let request = 0; request < 20; request += 1) courtesy.noteRequest();
    assert.equal(courtesy.givesWay(), true);
    nowMs -= 3_600_000;
    assert.equal(courtesy.givesWay(), false);
  });
});
