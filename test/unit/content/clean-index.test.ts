import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Ino } from '../../../src/base/index.js';
import { CleanIndex } from '../../../src/content/clean-index.js';
import { type FileContentStore, MemoryPresenceTable } from '../../../src/content/index.js';
import { type CleanEntry, PresenceRecords } from '../../../src/content/presence.js';
import type { ETag } from '../../../src/remote/index.js';
import { NO_LIMITS, openTemporary, StepClock, temporaryDir } from './support.js';

const MANY = 20_000;

/** Counts rows that are read. Writes wait until they are let through, as on a busy disk. */
class CountingTable extends MemoryPresenceTable {
  reads = 0;
  hold = false;
  readonly #held: (() => void)[] = [];

  override get(ino: Ino): unknown {
    this.reads += 1;
    return super.get(ino);
  }

  override *entries(after?: Ino, limit?: number): Generator<readonly [Ino, unknown]> {
    for (const row of super.entries(after, limit)) {
      this.reads += 1;
      yield row;
    }
  }

  override async put(ino: Ino, value: unknown): Promise<void> {
    if (this.hold) await new Promise<void>((resolve) => this.#held.push(resolve));
    await super.put(ino, value);
  }

  async letThrough(): Promise<void> {
    this.hold = false;
    for (const resume of this.#held.splice(0)) resume();
    await settle();
  }
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

function entry(size: number, lastUseMs = 0): CleanEntry {
  return { etag: '"1"' as ETag, size, generation: 'a', ranges: 'whole', presentBytes: size, lastUseMs };
}

function openIndex(table: MemoryPresenceTable): CleanIndex {
  const failed = (cause: unknown) => assert.fail(String(cause));
  const records: PresenceRecords = new PresenceRecords(table, 'boot', () => index.totals, failed);
  const index = new CleanIndex(records, records.begin());
  records.note();
  return index;
}

const numbers = (index: CleanIndex) => [...index.entries()].map(([ino]) => ino);

describe('the index of clean files', () => {
  let table: CountingTable;
  let index: CleanIndex;

  beforeEach(() => {
    table = new CountingTable();
    index = openIndex(table);
  });

  async function fill(count: number): Promise<void> {
    for (let ino = 1; ino <= count; ino += 1) index.set(ino as Ino, entry(10));
    index.writeBack(() => undefined);
    await settle();
  }

  test('tells the newest, whatever the table has so far', async () => {
    await fill(3);
    table.hold = true;
    index.set(2 as Ino, entry(20));
    index.writeBack(() => undefined);
    index.set(2 as Ino, entry(30));
    assert.equal(index.get(2 as Ino)?.size, 30);
    await table.letThrough();
    assert.equal(index.get(2 as Ino)?.size, 30);
    index.delete(2 as Ino);
    assert.equal(index.get(2 as Ino), undefined);
    await settle();
    assert.equal(index.get(2 as Ino), undefined);
    assert.deepEqual(numbers(index), [1, 3]);
  });

  test('walks through all, those in memory alone as well', async () => {
    await fill(300);
    index.set(150 as Ino, entry(99));
    index.set(1_000 as Ino, entry(10));
    index.delete(7 as Ino);
    const found = new Map(index.entries());
    assert.equal(found.size, 300);
    assert.equal(found.get(150 as Ino)?.size, 99);
    assert.ok(found.has(1_000 as Ino) && !found.has(7 as Ino));
  });

  test('more than fits into memory is still known', async () => {
    await fill(MANY);
    assert.equal(index.get(1 as Ino)?.size, 10);
    assert.equal(index.get(MANY as Ino)?.size, 10);
    assert.equal(numbers(index).length, MANY);
    assert.deepEqual(index.totals, { files: MANY, bytes: 10 * MANY, isExact: true });
  });

  test('a count beside changes is exact', async () => {
    await fill(3_000);
    const again = openIndex(table);
    assert.equal(again.totals.isExact, false);
    const counting = again.recount(() => false);
    for (let ino = 1; ino <= 3_000; ino += 100) {
      again.delete(ino as Ino);
      again.set((ino + 10_000) as Ino, entry(5));
      await settle();
    }
    await counting;
    assert.deepEqual(again.totals, { files: 3_000, bytes: 2_970 * 10 + 30 * 5, isExact: true });
  });
});

describe('a large cache', () => {
  let dir: string;
  let table: CountingTable;
  let store: FileContentStore;

  beforeEach(() => {
    dir = temporaryDir();
    table = new CountingTable();
  });
  afterEach(async () => {
    await store.close();
    rmSync(dir, { recursive: true });
  });

  const V1 = { etag: '"1"' as ETag, size: 10 };

  async function fill(count: number): Promise<void> {
    store = openTemporary(dir, { presence: table }).store;
    for (let ino = 1; ino <= count; ino += 1) {
      store.acquireClean(ino as Ino, V1).fill(0, Buffer.from('0123456789'));
      store.release(ino as Ino);
    }
    await store.close();
  }

  test('is opened by a look at one row, and a file of it by one more', async () => {
    await fill(500);
    table.reads = 0;
    store = openTemporary(dir, { presence: table }).store;
    await store.reconcile({ of: () => ({ kind: 'clean', ...V1 }), staged: () => [] });
    assert.deepEqual(await store.tidy({ of: () => ({ kind: 'clean', ...V1 }) }), {
      lostAndFound: [],
      deletedClean: 0,
    });
    assert.equal(table.reads, 1);
    assert.equal(store.stats().cleanFiles, 500);
    assert.equal(store.stats().cleanBytes, 5_000);
    assert.equal(store.acquireClean(77 as Ino, V1).isComplete, true);
    store.release(77 as Ino);
    assert.equal(table.reads, 2);
  });

  test('gives up the files used longest ago, and no more than it must', async () => {
    await fill(500);
    const clock = new StepClock();
    const limits = { ...NO_LIMITS };
    store = openTemporary(dir, { presence: table, clock, limits }).store;
    // Much later than the files were made; these are used in the reverse of the order of their numbers.
    for (let ino = 500; ino > 0; ino -= 1) {
      store.acquireClean(ino as Ino, V1);
      store.release(ino as Ino);
    }
    limits.maxCleanBytes = 4_000;
    // One that is under way may have begun before there was a limit.
    await store.evict();
    await store.evict();
    const left = [...store.cleanFiles()];
    assert.ok(left.length <= 400 && left.length >= 370, `${left.length} left`);
    assert.deepEqual(
      left,
      Array.from(left, (_, index) => index + 1),
    );
  });
});
