import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import { InodeTable } from '../../../src/vfs/inode-table.js';

const INO = 7 as Ino;

test('an inode is in use by references and handles, the root always', () => {
  const table = new InodeTable();
  assert.equal(table.isInUse(ROOT_INO), true);
  assert.equal(table.forget(ROOT_INO, 1), false);
  table.reference(INO);
  table.reference(INO);
  assert.equal(table.forget(INO, 1), false);
  table.opened(INO);
  assert.equal(table.forget(INO, 1), false);
  assert.deepEqual([table.isOpen(INO), table.isInUse(INO)], [true, true]);
  assert.equal(table.closed(INO), true);
  assert.deepEqual([table.isOpen(INO), table.isInUse(INO)], [false, false]);
  table.checkInvariants();
});

test('it is open for writing between the first change and the flush of each handle', () => {
  const table = new InodeTable();
  table.opened(INO);
  table.opened(INO);
  assert.equal(table.isOpenForWriting(INO), false);
  table.beganWriting(INO);
  table.beganWriting(INO);
  table.flushed(INO);
  assert.equal(table.isOpenForWriting(INO), true);
  table.flushed(INO);
  assert.equal(table.isOpenForWriting(INO), false);
  table.checkInvariants();
});

test('live attributes belong to open inodes and go with the last handle', () => {
  const table = new InodeTable();
  assert.throws(() => table.setLive(INO, { size: 1, mtime: 1n, ctime: 1n }));
  table.opened(INO);
  table.setLive(INO, { size: 1, mtime: 1n, ctime: 1n });
  assert.deepEqual(table.liveInodes(), [INO]);
  table.closed(INO);
  assert.equal(table.live(INO), undefined);
  assert.deepEqual(table.liveInodes(), []);
});

test('broken counts are noticed', () => {
  const table = new InodeTable();
  table.opened(INO);
  table.flushed(INO);
  assert.throws(() => table.checkInvariants(), /unflushed/);
});
