/** Leave for another thread to write into a clean body: what it claims, and when it ends. */

import assert from 'node:assert/strict';
import { fstatSync, rmSync, statSync } from 'node:fs';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type Ino, writeGated } from '../../../src/base/index.js';
import { ContentError, type FileContentStore, type Filling } from '../../../src/content/index.js';
import type { ETag } from '../../../src/remote/index.js';
import { openTemporary, temporaryDir } from './support.js';

const INO = 300 as Ino;
const VERSION = { etag: '"1"' as ETag, size: 10 };
const bytes = (text: string) => Buffer.from(text);

let dir: string;
let store: FileContentStore;

beforeEach(() => {
  dir = temporaryDir();
  ({ store } = openTemporary(dir));
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

function begin(): Filling {
  const filling = store.acquireClean(INO, VERSION).beginFilling();
  assert.ok(filling !== undefined);
  return filling;
}

/** Whether no byte can be written, and none that was is claimed. */
function isOver(filling: Filling): boolean {
  const before = store.stats().cleanBytes;
  const isShut = writeGated(filling.file, bytes('late'), 0) === 'shut';
  filling.filled(0, 4);
  return isShut && store.stats().cleanBytes === before;
}

describe('a filling', () => {
  test('claims what was written, and no more than the version has', () => {
    const filling = begin();
    assert.equal(writeGated(filling.file, bytes('01234'), 0), 'written');
    const body = store.peek(INO);
    assert.equal(body?.presentBytes, 0);
    filling.filled(0, 5);
    assert.deepEqual([body?.presentBytes, store.stats().cleanBytes], [5, 5]);
    assert.equal(writeGated(filling.file, bytes('567890'), 5), 'beyond');
    assert.throws(() => filling.filled(5, 11), ContentError);
    const target = Buffer.alloc(5);
    body?.readSync(target, 0, 5, 0);
    assert.equal(target.toString(), '01234');
    filling.end();
    assert.ok(isOver(filling));
  });

  test('ends when the body is staged, and what a program writes then stays', () => {
    const filling = begin();
    const body = store.peek(INO);
    body?.fill(0, bytes('0123456789'));
    store.toStaged(INO);
    body?.writeSync(bytes('mine'), 0);
    assert.ok(isOver(filling));
    const target = Buffer.alloc(10);
    body?.readSync(target, 0, 10, 0);
    assert.equal(target.toString(), 'mine456789');
  });

  test('ends when the body is emptied to be written anew', () => {
    const filling = begin();
    const body = store.createStaged(INO);
    assert.ok(isOver(filling));
    assert.equal(body.size, 0);
  });

  test('ends when the last user gives the body back, not before', () => {
    const filling = begin();
    store.acquireClean(INO, VERSION);
    store.release(INO);
    assert.equal(writeGated(filling.file, bytes('0'), 0), 'written');
    store.release(INO);
    assert.ok(isOver(filling));
  });

  test('leaves no room taken on the disk by what it did not claim', () => {
    const version = { ...VERSION, size: 1024 * 1024 };
    const body = store.acquireClean(INO, version);
    const filling = body.beginFilling();
    assert.ok(filling !== undefined);
    writeGated(filling.file, Buffer.alloc(version.size, 1), 0);
    filling.filled(0, 100_000);
    const file = fstatSync(body.fd);
    const taken = () => statSync(`/proc/self/fd/${body.fd}`).blocks * 512;
    assert.ok(file.blocks * 512 >= version.size);
    filling.end();
    store.release(INO);
    assert.ok(taken() < 110_000, `${taken()} bytes`);
    const again = store.acquireClean(INO, version);
    assert.deepEqual([again.presentBytes, again.has(0, 100_000)], [100_000, true]);
    const target = Buffer.alloc(100_000);
    again.readSync(target, 0, target.length, 0);
    assert.ok(target.every((byte) => byte === 1));
  });

  test('ends with the store', async () => {
    const filling = begin();
    await store.close();
    assert.equal(writeGated(filling.file, bytes('0'), 0), 'shut');
  });

  test('is not to be had of a staged body', () => {
    assert.throws(() => store.createStaged(INO).beginFilling(), ContentError);
  });
});
