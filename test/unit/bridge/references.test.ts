import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Ino, ROOT_INO, silentLog } from '../../../src/base/index.js';
import { settleReferences } from '../../../src/bridge/index.js';
import type { NotifyOutcome } from '../../../src/fuse/index.js';
import { ManualClock } from '../../support/manual-clock.js';
import { makeWorld, mkdir, now } from '../vfs/support.js';

const TEN_MINUTES_MS = 600_000;

/** A world in which a directory without a name may be somebody's working directory. */
function doubtfulWorld() {
  const earlier = makeWorld();
  const removed = ['a', 'b'].map((name) => {
    const ino = mkdir(earlier, ROOT_INO, name);
    now(earlier.vfs.names.rmdir(ROOT_INO, name));
    return ino;
  });
  const world = makeWorld({}, { from: earlier });
  world.vfs.adopt();
  return { world, removed: removed as [Ino, Ino] };
}

test('of what only doubt keeps, that goes which the kernel does not know', async () => {
  const { world, removed } = doubtfulWorld();
  const [known, unknown] = removed;
  const asked: number[] = [];
  const clock = new ManualClock();
  const doubts = settleReferences({
    vfs: world.vfs,
    notify: {
      invalAttr: async (nodeId): Promise<NotifyOutcome> => {
        asked.push(nodeId);
        return nodeId === unknown ? 'absent' : 'done';
      },
    },
    clock,
    log: silentLog,
  });
  await clock.advance(1);
  assert.deepEqual(asked, removed);
  assert.equal(world.state.get(unknown), undefined);
  assert.notEqual(world.state.get(known), undefined);
  // Its FORGET may have been lost with the earlier process: it is asked for again.
  await clock.advance(TEN_MINUTES_MS);
  assert.deepEqual(asked, [...removed, known]);
  doubts.close();
  await clock.advance(TEN_MINUTES_MS);
  assert.deepEqual(asked, [...removed, known]);
});

test('a kernel that does not answer is told of, and asked again later', async () => {
  const { world } = doubtfulWorld();
  const told: string[] = [];
  let asked = 0;
  const clock = new ManualClock();
  const doubts = settleReferences({
    vfs: world.vfs,
    notify: {
      invalAttr: () => {
        asked += 1;
        return Promise.reject(new Error('no'));
      },
    },
    clock,
    log: { ...silentLog, warn: (_, message) => told.push(message) },
  });
  await clock.advance(1);
  await clock.advance(TEN_MINUTES_MS);
  assert.deepEqual([asked, told.length], [2, 2]);
  doubts.close();
});
