import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Ino } from '../../../src/base/index.js';
import {
  type Body,
  ContentError,
  type FileContentStore,
  MemoryPresenceTable,
  type NodeContent,
  type NodeContents,
} from '../../../src/content/index.js';
import type { ETag } from '../../../src/remote/index.js';
import { openState } from '../../../src/state/index.js';
import { openTemporary, StepClock, temporaryDir } from './support.js';

const INO = 300 as Ino;
const V1 = { etag: '"1"' as ETag, size: 10 };

const bytes = (text: string) => Buffer.from(text, 'latin1');

function read(body: Body, position = 0, length = body.size): string {
  const target = Buffer.alloc(length);
  return target.toString('latin1', 0, body.readSync(target, 0, length, position));
}

const nodesOf = (of: (ino: Ino) => NodeContent): NodeContents => ({
  of,
  staged: () => ([1, 2, 3, INO] as Ino[]).filter((ino) => of(ino).kind === 'staged'),
});
const always = (content: NodeContent) => nodesOf(() => content);

describe('content on disk', () => {
  let dir: string;
  let presence: MemoryPresenceTable;
  let clock: StepClock;
  let store: FileContentStore;
  const opened: FileContentStore[] = [];

  /** Opens what is there, as a new process would; the old store is left as a killed one leaves it. */
  function reopen(bootId = 'boot 1'): FileContentStore {
    store = openTemporary(dir, { presence, clock, bootId }).store;
    opened.push(store);
    return store;
  }

  beforeEach(() => {
    dir = temporaryDir();
    presence = new MemoryPresenceTable();
    clock = new StepClock();
    reopen();
  });
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
    rmSync(dir, { recursive: true });
  });

  test('an empty staged body becomes one of a version of which nothing is here, also for the next process', async () => {
    const body = store.createStaged(INO);
    store.emptyToClean(INO, V1);
    assert.deepEqual([body.kind, body.etag, body.size, body.presentBytes], ['clean', V1.etag, 10, 0]);
    assert.throws(() => store.emptyToClean(INO, V1), ContentError);
    body.fill(2, bytes('cd'));
    store.release(INO);
    await store.syncAll();
    await reopen().reconcile(always({ kind: 'clean', ...V1 }));
    assert.deepEqual(
      [...Array(10).keys()].filter((at) => store.acquireClean(INO, V1).has(at, at + 1)),
      [2, 3],
    );
    const again = store.createStaged(INO);
    assert.deepEqual([again.kind, again.size], ['staged', 0]);
  });

  test('killed between the word of that and the deed, nothing is left over', async () => {
    store.createStaged(INO);
    const report = await reopen().reconcile(always({ kind: 'clean', ...V1 }));
    assert.deepEqual([report.lostAndFound, report.madeClean], [[], []]);
    assert.equal(store.acquireClean(INO, V1).presentBytes, 0);
  });

  test('bytes are copied from body to body, wherever they are, up to the end of the source', async () => {
    const TARGET = 301 as Ino;
    const source = store.acquireClean(INO, V1);
    source.fill(0, bytes('0123456789'));
    const target = store.createStaged(TARGET);
    const copy = (from: number, to: number, length: number) =>
      store.copyBytes({ ino: INO, position: from }, { ino: TARGET, position: to }, length);
    assert.equal(await copy(0, 0, 10), 10);
    assert.equal(await copy(8, 12, 100), 2);
    assert.equal(await copy(10, 0, 5), 0);
    assert.equal(read(target), '0123456789\0\x0089');
    const pending = copy(0, 5, 10);
    // Whoever lets go of the bodies meanwhile: the copy has them to its end.
    store.release(INO);
    store.release(TARGET);
    assert.equal(await pending, 10);
    assert.equal(read(store.acquireStaged(TARGET)), '012340123456789');
    await assert.rejects(copy(0, 0, 1), ContentError);
  });

  function fillWhole(ino: Ino, text = '0123456789'): void {
    const body = store.acquireClean(ino, { ...V1, size: text.length });
    body.fill(0, bytes(text));
    store.release(ino);
  }

  const files = (kind: string) =>
    readdirSync(join(dir, kind), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  /** `of` INO and those below ten; all of them where it says staged. */
  const CLEAN: NodeContent = { kind: 'clean', ...V1 };

  test('presence survives a clean end, and a kill once it was written back', async () => {
    fillWhole(INO);
    const partly = store.acquireClean(301 as Ino, V1);
    partly.fill(2, bytes('23'));
    clock.fireAll();
    partly.fill(6, bytes('67'));
    reopen();
    assert.equal(read(store.acquireClean(INO, V1)), '0123456789');
    const again = store.acquireClean(301 as Ino, V1);
    assert.deepEqual(again.firstGap(2, 10), { start: 4, end: 10 });
    await store.tidy(always(CLEAN));
    assert.equal(store.stats().cleanBytes, 12);
    again.fill(4, bytes('45'));
    await store.close();
    reopen();
    assert.equal(read(store.acquireClean(301 as Ino, V1), 2, 4), '2345');
  });

  test('after a reboot only what was synced is believed', async () => {
    fillWhole(1 as Ino);
    await store.syncAll();
    fillWhole(2 as Ino);
    clock.fireAll();
    reopen('boot 2');
    assert.equal(store.acquireClean(1 as Ino, V1).isComplete, true);
    assert.equal(store.acquireClean(2 as Ino, V1).presentBytes, 0);
    const report = await store.reconcile(always(CLEAN));
    assert.equal(report.powerLoss, true);
    await store.close();
    reopen('boot 3');
    assert.equal(store.acquireClean(1 as Ino, V1).isComplete, true);
    assert.equal((await store.reconcile(always(CLEAN))).powerLoss, false);
  });

  test('without a reboot everything that was written back is believed', async () => {
    fillWhole(2 as Ino);
    reopen();
    assert.equal(store.acquireClean(2 as Ino, V1).isComplete, true);
    assert.equal((await store.reconcile(always(CLEAN))).powerLoss, false);
  });

  test('an entry that the table kept too long does not speak for a newer file', () => {
    fillWhole(INO);
    const old = [...presence.entries()];
    store.discard(INO);
    const body = store.acquireClean(INO, V1);
    body.fill(0, bytes('x'));
    for (const [ino, row] of old) void presence.put(ino, row);
    reopen();
    assert.equal(store.acquireClean(INO, V1).presentBytes, 0);
    assert.equal(store.damagedFiles, 1);
  });

  test('a clean file of another size, or gone, is a miss', () => {
    fillWhole(1 as Ino);
    fillWhole(2 as Ino);
    const [first = '', second = ''] = files('clean').sort();
    truncateSync(first, 9);
    rmSync(second);
    for (const ino of [1, 2] as Ino[]) {
      assert.equal(store.acquireClean(ino, V1).presentBytes, 0);
      store.release(ino);
    }
    assert.equal(store.damagedFiles, 2);
  });

  test('a clean file that ends early while it is read is forgotten and can be filled again', () => {
    const body = store.acquireClean(INO, V1);
    body.fill(0, bytes('0123456789'));
    truncateSync(files('clean')[0] as string, 5);
    assert.throws(
      () => read(body),
      (error) => error instanceof ContentError && error.code === 'damaged',
    );
    assert.equal(body.presentBytes, 0);
    assert.equal(store.stats().cleanBytes, 0);
    body.fill(0, bytes('abcdefghij'));
    assert.equal(read(body), 'abcdefghij');
  });

  test('files are sparse until they are filled', () => {
    const body = store.acquireClean(INO, { etag: V1.etag, size: 2 ** 31 });
    body.fill(2 ** 30, bytes('x'));
    assert.equal(read(body, 2 ** 30, 1), 'x');
    assert.equal(store.stats().cleanBytes, 1);
    store.release(INO);
  });

  test('staged data and holes are told apart', () => {
    const body = store.createStaged(INO);
    body.writeSync(bytes('x'), 1024 * 1024);
    assert.equal(body.seekDataHole(0, 'hole'), 0);
    assert.equal(body.seekDataHole(0, 'data'), 1024 * 1024);
    assert.throws(
      () => body.fallocateSync(0, -1, 5),
      (error) => (error as NodeJS.ErrnoException).code === 'EINVAL',
    );
    store.release(INO);
  });

  test('eviction keeps the most recently used', async () => {
    store = openTemporary(dir, { presence, clock, limits: { maxCleanBytes: 50, minFreeBytes: 0 } }).store;
    opened.push(store);
    for (let ino = 1; ino <= 5; ino++) fillWhole(ino as Ino);
    store.acquireClean(1 as Ino, V1);
    store.release(1 as Ino);
    store.createStaged(9 as Ino).writeSync(bytes('x'.repeat(500)), 0);
    assert.equal(await store.evict(), 0);
    fillWhole(6 as Ino);
    await store.evict();
    const kept = [1, 2, 3, 4, 5, 6].filter((ino) => {
      const isComplete = store.acquireClean(ino as Ino, V1).isComplete;
      store.release(ino as Ino);
      return isComplete;
    });
    assert.ok(kept.includes(1) && kept.includes(6), `kept ${kept}`);
    assert.ok(!kept.includes(2), `kept ${kept}`);
    assert.equal(store.stats().stagedBytes, 500);
  });

  test('eviction goes by the room on the disk too', async () => {
    fillWhole(1 as Ino);
    const limits = { maxCleanBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: Number.MAX_SAFE_INTEGER };
    store = openTemporary(dir, { presence, clock, limits }).store;
    opened.push(store);
    await store.tidy(always(CLEAN));
    assert.equal(await store.evict(), 10);
    assert.equal(store.stats().cleanFiles, 0);
    assert.deepEqual(files('clean'), []);
  });

  test('verify finds and removes what is damaged', async () => {
    for (let ino = 1; ino <= 4; ino++) fillWhole(ino as Ino);
    store.acquireClean(4 as Ino, V1);
    const paths = files('clean').sort();
    truncateSync(paths[0] as string, 3);
    rmSync(paths[1] as string);
    assert.deepEqual(await store.verify(), {
      checkedFiles: 3,
      checkedBytes: 10,
      damagedFiles: 2,
      damagedStaged: [],
    });
    assert.equal(store.stats().cleanFiles, 2);
  });

  test('verify names damaged staged files and keeps them', async () => {
    for (const ino of [1, 2, 3, 4] as Ino[]) {
      store.createStaged(ino).writeSync(bytes('0123456789'), 0);
      if (ino !== 4) store.release(ino);
    }
    const paths = files('staged').sort();
    truncateSync(paths[0] as string, 3);
    rmSync(paths[1] as string);
    const report = await store.verify({ stagedSize: () => 10 });
    assert.deepEqual(report, { checkedFiles: 3, checkedBytes: 10, damagedFiles: 0, damagedStaged: [1, 2] });
    assert.equal(files('staged').length, 3);
  });

  test('verify stops when it is called off', async () => {
    fillWhole(1 as Ino);
    await assert.rejects(store.verify({ signal: AbortSignal.abort(new Error('enough')) }), /enough/);
    assert.equal(store.stats().cleanFiles, 1);
  });

  describe('reconcile', () => {
    function stage(ino: Ino, text = '0123456789'): void {
      store.createStaged(ino).writeSync(bytes(text), 0);
      store.release(ino);
    }

    test('changes nothing where files and nodes agree', async () => {
      fillWhole(1 as Ino);
      stage(2 as Ino);
      reopen();
      const nodes = nodesOf((ino) => (ino === 1 ? CLEAN : { kind: 'staged' }));
      const report = await store.reconcile(nodes);
      assert.deepEqual(report, { madeClean: [], madeStaged: [], lostAndFound: [], powerLoss: false });
      assert.deepEqual(await store.tidy(nodes), { lostAndFound: [], deletedClean: 0 });
      assert.equal(store.acquireClean(1 as Ino, V1).isComplete, true);
      assert.equal(read(store.acquireStaged(2 as Ino)), '0123456789');
    });

    test('a staged file whose upload was confirmed becomes clean', async () => {
      stage(INO);
      reopen();
      assert.deepEqual((await store.reconcile(always(CLEAN))).madeClean, [INO]);
      await store.tidy(always(CLEAN));
      assert.equal(read(store.acquireClean(INO, V1)), '0123456789');
      assert.deepEqual(store.stats(), { cleanBytes: 10, cleanFiles: 1, stagedBytes: 0, stagedFiles: 0 });
    });

    test('a staged file of another size than its clean node is kept apart', async () => {
      stage(INO, 'another');
      reopen();
      const report = await store.reconcile(always(CLEAN));
      assert.equal(report.lostAndFound.length, 1);
      assert.equal(readFileSync(report.lostAndFound[0]?.path ?? '', 'latin1'), 'another');
      assert.equal(store.acquireClean(INO, V1).presentBytes, 0);
    });

    test('a staged file without a node is kept apart, never deleted', async () => {
      for (let round = 1; round <= 2; round++) {
        stage(INO, `round ${round}`);
        reopen();
        const report = await store.reconcile(always({ kind: 'unknown' }));
        assert.deepEqual(report.lostAndFound, [
          { ino: INO, path: join(dir, 'lost+found', `${INO}.${round}`) },
        ]);
      }
      assert.equal(files('lost+found').length, 2);
      assert.equal(store.stats().stagedFiles, 0);
    });

    test('a clean file that was to be staged is moved', async () => {
      fillWhole(INO);
      reopen();
      assert.deepEqual((await store.reconcile(always({ kind: 'staged' }))).madeStaged, [INO]);
      await store.tidy(always({ kind: 'staged' }));
      assert.equal(read(store.acquireStaged(INO)), '0123456789');
      assert.deepEqual(store.stats(), { cleanBytes: 0, cleanFiles: 0, stagedBytes: 10, stagedFiles: 1 });
    });

    test('a clean file of which nobody knows whether it is whole is kept apart when its node is staged', async () => {
      const body = store.acquireClean(INO, V1);
      body.fill(0, bytes('0'));
      clock.fireAll();
      reopen();
      assert.deepEqual((await store.reconcile(always({ kind: 'staged' }))).madeStaged, []);
      const report = await store.tidy(always({ kind: 'staged' }));
      assert.equal(report.lostAndFound.length, 1);
      assert.throws(() => store.acquireStaged(INO), ContentError);
    });

    test('clean files without a node or an entry are deleted', async () => {
      fillWhole(1 as Ino);
      fillWhole(2 as Ino);
      mkdirSync(join(dir, 'clean', '03'), { recursive: true });
      writeFileSync(join(dir, 'clean', '03', '3.abc'), 'x');
      reopen();
      const report = await store.tidy(nodesOf((ino) => (ino === 2 ? CLEAN : { kind: 'unknown' })));
      assert.equal(report.deletedClean, 2);
      assert.equal(files('clean').length, 1);
      assert.equal(store.stats().cleanFiles, 1);
    });

    test('files that lie where another rule put them are found', async () => {
      store.createStaged(INO).writeSync(bytes('kept'), 0);
      store.release(INO);
      const [there = ''] = files('staged');
      mkdirSync(join(dir, 'staged', 'elsewhere'));
      renameSync(there, join(dir, 'staged', 'elsewhere', String(INO)));
      rmSync(join(dir, 'layout'));
      reopen();
      assert.deepEqual(files('staged'), [there]);
      assert.equal(store.acquireStaged(INO).size, 4);
    });

    test('an entry without its file is forgotten', async () => {
      fillWhole(INO);
      rmSync(files('clean')[0] as string);
      reopen();
      await store.tidy(always(CLEAN));
      assert.equal(store.stats().cleanFiles, 0);
    });
  });

  test('works with a side table of the state store', async () => {
    const stateDir = temporaryDir();
    const own = temporaryDir();
    let state = openState({ dir: stateDir });
    const first = openTemporary(own, { presence: state.sideTable('presence') }).store;
    const body = first.acquireClean(INO, V1);
    body.fill(3, bytes('345'));
    await first.close();
    await state.close();
    state = openState({ dir: stateDir });
    const second = openTemporary(own, { presence: state.sideTable('presence') }).store;
    assert.equal(read(second.acquireClean(INO, V1), 3, 3), '345');
    await second.close();
    await state.close();
    for (const each of [stateDir, own]) rmSync(each, { recursive: true });
  });

  test('copies under way at a kill are gone at the next start', async () => {
    writeFileSync(join(dir, 'tmp', '5.1'), 'half');
    reopen();
    assert.equal(existsSync(join(dir, 'tmp', '5.1')), false);
  });
});
