import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Ino } from '../../../src/base/index.js';
import {
  type Body,
  ContentError,
  type ContentStore,
  MemoryContentStore,
} from '../../../src/content/index.js';
import type { ETag } from '../../../src/remote/index.js';
import { openTemporary, temporaryDir } from './support.js';

const INO = 300 as Ino;
const V1 = { etag: '"1"' as ETag, size: 10 };
const V2 = { etag: '"2"' as ETag, size: 4 };

function isError(code: ContentError['code']): (error: unknown) => boolean {
  return (error) => error instanceof ContentError && error.code === code;
}

function read(body: Body, position = 0, length = body.size): string {
  const target = Buffer.alloc(length);
  return target.toString('latin1', 0, body.readSync(target, 0, length, position));
}

const bytes = (text: string) => Buffer.from(text, 'latin1');

interface Harness {
  readonly store: ContentStore;
  dispose(): Promise<void>;
}

const IMPLEMENTATIONS: readonly { readonly title: string; readonly create: () => Harness }[] = [
  {
    title: 'memory',
    create: () => {
      const store = new MemoryContentStore({ maxCleanBytes: 15 });
      return { store, dispose: () => store.close() };
    },
  },
  {
    title: 'files',
    create: () => {
      const dir = temporaryDir();
      const { store } = openTemporary(dir, { limits: { maxCleanBytes: 15, minFreeBytes: 0 } });
      return {
        store,
        dispose: async () => {
          await store.close();
          rmSync(dir, { recursive: true });
        },
      };
    },
  },
];

for (const { title, create } of IMPLEMENTATIONS) {
  describe(`ContentStore contract: ${title}`, () => {
    let harness: Harness;
    let store: ContentStore;
    beforeEach(() => {
      harness = create();
      store = harness.store;
    });
    afterEach(() => harness.dispose());

    test('a clean body begins empty and is filled in pieces', () => {
      const body = store.acquireClean(INO, V1);
      assert.deepEqual([body.kind, body.size, body.etag, body.isComplete], ['clean', 10, V1.etag, false]);
      assert.deepEqual(body.firstGap(0, 100), { start: 0, end: 10 });
      body.fill(4, bytes('4567'));
      assert.equal(body.has(4, 8), true);
      assert.equal(body.has(3, 8), false);
      assert.deepEqual(body.firstGap(5, 10), { start: 8, end: 10 });
      assert.equal(read(body, 5, 2), '56');
      assert.throws(() => read(body, 3, 2), isError('misuse'));
      body.fill(0, bytes('0123'));
      body.fill(8, bytes('89'));
      assert.equal(body.isComplete, true);
      assert.equal(body.has(0, 1000), true);
      assert.equal(body.presentBytes, 10);
      assert.equal(read(body, 8, 100), '89');
      assert.equal(read(body, 10, 5), '');
      assert.equal(body.seekDataHole(3, 'data'), 3);
      assert.equal(body.seekDataHole(3, 'hole'), 10);
      assert.equal(body.seekDataHole(10, 'hole'), -1);
      store.release(INO);
    });

    test('an empty version is complete at once', () => {
      const body = store.acquireClean(INO, { etag: undefined, size: 0 });
      assert.equal(body.isComplete, true);
      assert.equal(body.firstGap(0, 10), undefined);
      assert.equal(read(body, 0, 5), '');
      store.release(INO);
      assert.equal(store.acquireClean(INO, { etag: undefined, size: 0 }).isComplete, true);
      store.release(INO);
    });

    test('one object per inode while it is used, its bytes stay after', () => {
      const first = store.acquireClean(INO, V1);
      assert.equal(store.acquireClean(INO, V1), first);
      assert.equal(store.peek(INO), first);
      first.fill(0, bytes('01'));
      store.release(INO);
      assert.equal(store.peek(INO), first);
      store.release(INO);
      assert.equal(store.peek(INO), undefined);
      assert.throws(() => store.release(INO), isError('misuse'));
      const again = store.acquireClean(INO, V1);
      assert.equal(read(again, 0, 2), '01');
      assert.deepEqual(again.firstGap(0, 10), { start: 2, end: 10 });
      store.release(INO);
    });

    test('another version begins anew, but not under a reader', () => {
      store.acquireClean(INO, V1).fill(0, bytes('0123456789'));
      assert.throws(() => store.acquireClean(INO, V2), isError('misuse'));
      assert.throws(() => store.acquireClean(INO, { ...V1, size: 11 }), isError('misuse'));
      store.release(INO);
      const body = store.acquireClean(INO, V2);
      assert.equal(body.presentBytes, 0);
      assert.equal(body.size, 4);
      assert.throws(() => body.fill(2, bytes('345')), isError('misuse'));
      store.release(INO);
      assert.equal(store.stats().cleanFiles, 1);
    });

    test('a staged body is written, grows, shrinks and has holes', async () => {
      const body = store.createStaged(INO);
      assert.deepEqual([body.kind, body.size, body.isComplete, body.etag], ['staged', 0, true, undefined]);
      assert.equal(body.writeSync(bytes('hello'), 0), 5);
      body.writeSync(bytes('!'), 10);
      assert.equal(read(body), 'hello\0\0\0\0\0!');
      body.truncateSync(3);
      body.truncateSync(6);
      assert.equal(read(body), 'hel\0\0\0');
      assert.equal(read(body, 4, 100), '\0\0');
      assert.equal(read(body, 6, 1), '');
      body.fallocateSync(0, 0, 9);
      assert.equal(body.size, 9);
      body.fallocateSync(3, 0, 2);
      assert.equal(read(body, 0, 3), '\0\0l');
      body.fallocateSync(1, 0, 50);
      assert.equal(body.size, 9);
      assert.equal(body.seekDataHole(9, 'data'), -1);
      assert.ok(body.seekDataHole(0, 'hole') <= 9);
      assert.equal(body.statSync().size, 9);
      assert.throws(() => body.fill(0, bytes('x')), isError('misuse'));
      await body.sync();
      store.release(INO);
      assert.equal(read(store.acquireStaged(INO)), '\0\0l\0\0\0\0\0\0');
      store.release(INO);
    });

    test('a clean body cannot be written', () => {
      const body = store.acquireClean(INO, V1);
      assert.throws(() => body.writeSync(bytes('x'), 0), isError('misuse'));
      assert.throws(() => body.truncateSync(0), isError('misuse'));
      assert.throws(() => body.fallocateSync(0, 0, 1), isError('misuse'));
      store.release(INO);
    });

    test('clean becomes staged and clean again in place', () => {
      const body = store.acquireClean(INO, V2);
      assert.throws(() => store.toStaged(INO), isError('misuse'));
      body.fill(0, bytes('abcd'));
      const { fd } = body;
      store.toStaged(INO);
      assert.equal(store.peek(INO), body);
      assert.deepEqual([body.kind, body.fd, read(body)], ['staged', fd, 'abcd']);
      body.writeSync(bytes('e'), 4);
      assert.deepEqual(store.stats(), { cleanBytes: 0, cleanFiles: 0, stagedBytes: 5, stagedFiles: 1 });
      assert.throws(() => store.acquireClean(INO, V2), isError('misuse'));
      store.toClean(INO, V1.etag);
      assert.deepEqual([body.kind, body.etag, body.size, body.isComplete], ['clean', V1.etag, 5, true]);
      assert.deepEqual(store.stats(), { cleanBytes: 5, cleanFiles: 1, stagedBytes: 0, stagedFiles: 0 });
      store.release(INO);
      assert.equal(read(store.acquireClean(INO, { etag: V1.etag, size: 5 })), 'abcde');
      store.release(INO);
    });

    test('a staged body becomes clean while nobody uses it', () => {
      store.createStaged(INO).writeSync(bytes('abcd'), 0);
      store.release(INO);
      store.toClean(INO, V2.etag);
      assert.throws(() => store.acquireStaged(INO), isError('lost'));
      assert.throws(() => store.toClean(INO, V2.etag), isError('lost'));
      assert.equal(read(store.acquireClean(INO, V2)), 'abcd');
      store.release(INO);
    });

    test('a new staged body takes the place of a clean one', () => {
      const body = store.acquireClean(INO, V1);
      body.fill(0, bytes('0123456789'));
      assert.equal(store.createStaged(INO), body);
      assert.deepEqual([body.kind, body.size], ['staged', 0]);
      body.writeSync(bytes('new'), 0);
      store.release(INO);
      store.release(INO);
      assert.equal(read(store.acquireStaged(INO)), 'new');
      assert.equal(store.createStaged(INO).size, 0);
      store.release(INO);
      store.release(INO);
      const other = (INO + 1) as Ino;
      store.acquireClean(other, V1);
      store.release(other);
      assert.equal(store.createStaged(other).size, 0);
      store.release(other);
      assert.deepEqual(store.stats(), { cleanBytes: 0, cleanFiles: 0, stagedBytes: 0, stagedFiles: 2 });
    });

    test('a staged body that is not there is lost', async () => {
      assert.throws(() => store.acquireStaged(INO), isError('lost'));
      assert.throws(() => store.toClean(INO, undefined), isError('lost'));
      await assert.rejects(store.snapshot(INO), isError('lost'));
    });

    test('what is discarded goes on for those who use it', () => {
      const clean = store.acquireClean(INO, V1);
      clean.fill(0, bytes('0123'));
      store.discard(INO);
      clean.fill(4, bytes('456789'));
      assert.equal(read(clean), '0123456789');
      assert.deepEqual(store.stats(), { cleanBytes: 0, cleanFiles: 0, stagedBytes: 0, stagedFiles: 0 });
      store.release(INO);
      assert.equal(store.acquireClean(INO, V1).presentBytes, 0);
      store.release(INO);
      store.discard(INO);

      const staged = store.createStaged(INO);
      store.discard(INO);
      staged.writeSync(bytes('still'), 0);
      assert.equal(read(staged), 'still');
      store.release(INO);
      assert.throws(() => store.acquireStaged(INO), isError('lost'));
      store.discard(INO);
      assert.deepEqual(store.stats(), { cleanBytes: 0, cleanFiles: 0, stagedBytes: 0, stagedFiles: 0 });
    });

    test('a new tag for the same bytes', () => {
      const body = store.acquireClean(INO, V2);
      body.fill(0, bytes('abcd'));
      store.retag(INO, '"3"' as ETag);
      assert.equal(body.etag, '"3"');
      store.release(INO);
      store.retag(INO, '"4"' as ETag);
      assert.equal(read(store.acquireClean(INO, { etag: '"4"' as ETag, size: 4 })), 'abcd');
      store.release(INO);
      store.retag(77 as Ino, '"4"' as ETag);
      assert.equal(store.stats().cleanFiles, 1);
    });

    test('a snapshot stays as it was', async () => {
      const body = store.createStaged(INO);
      body.writeSync(bytes('before'), 0);
      const snapshot = await store.snapshot(INO);
      body.writeSync(bytes('after!'), 0);
      const target = Buffer.alloc(10);
      assert.equal(snapshot.size, 6);
      assert.equal(target.toString('latin1', 0, snapshot.readSync(target, 0, 10, 0)), 'before');
      snapshot.close();
      store.release(INO);
    });

    test('eviction takes the least recently used clean bodies that nobody uses', async () => {
      const [a, b, c, d] = [1, 2, 3, 4] as Ino[] as [Ino, Ino, Ino, Ino];
      const staged = 5 as Ino;
      store.createStaged(staged).writeSync(bytes('x'.repeat(100)), 0);
      store.release(staged);
      for (const ino of [a, b, c, d]) {
        store.acquireClean(ino, V1).fill(0, bytes('0123456789'));
        if (ino !== a) store.release(ino);
      }
      assert.equal((await store.evict()) >= 0, true);
      await store.evict();
      assert.ok(store.stats().cleanBytes <= 15);
      assert.equal(read(store.peek(a) as Body), '0123456789');
      assert.equal(store.stats().stagedBytes, 100);
      store.release(a);
    });

    test('what is kept is evicted by nobody but by its name', async () => {
      const [kept, other] = [1, 2] as Ino[] as [Ino, Ino];
      store.keep((ino) => ino === kept);
      for (const ino of [kept, other]) {
        store.acquireClean(ino, V1).fill(0, bytes('0123456789'));
        store.release(ino);
      }
      // One that is under way may have begun before the release.
      await store.evict();
      await store.evict();
      assert.deepEqual([...store.cleanFiles()], [kept]);
      assert.equal(store.evictFile(kept), 10);
      assert.equal(store.evictFile(kept), 0);
      assert.deepEqual([...store.cleanFiles()], []);
    });

    test('a body in use or staged is not evicted by its name', () => {
      store.acquireClean(INO, V1).fill(0, bytes('01234'));
      assert.equal(store.evictFile(INO), 0);
      store.createStaged(2 as Ino);
      store.release(2 as Ino);
      assert.equal(store.evictFile(2 as Ino), 0);
      assert.deepEqual(store.stagedFiles(), [2]);
      store.release(INO);
      assert.equal(store.evictFile(INO), 5);
    });

    test('room is made by what may go, as far as that reaches', async () => {
      store.acquireClean(INO, V1).fill(0, bytes('0123456789'));
      assert.equal(await store.makeRoom(5), true);
      assert.equal(await store.makeRoom(6), false);
      store.release(INO);
      assert.equal(await store.makeRoom(6), true);
      assert.equal(store.stats().cleanBytes, 0);
      assert.equal(await store.makeRoom(16), false);
    });

    test('what is here of a version is known without taking a use', () => {
      assert.equal(store.presentBytes(INO, V1), 0);
      store.acquireClean(INO, V1).fill(2, bytes('234'));
      assert.equal(store.presentBytes(INO, V1), 3);
      store.release(INO);
      assert.equal(store.presentBytes(INO, V1), 3);
      assert.equal(store.presentBytes(INO, V2), 0);
    });

    test('syncs', async () => {
      store.createStaged(INO).writeSync(bytes('x'), 0);
      await store.syncAll();
      store.release(INO);
      await store.syncAll();
    });
  });
}
