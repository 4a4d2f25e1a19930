import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BufferPool } from '../../../src/fuse/buffers.js';
import { DirentWriter } from '../../../src/fuse/dirents.js';
import type { EntryReply } from '../../../src/fuse/index.js';
import { DIRENT, DIRENTPLUS } from '../../../src/fuse/layouts.js';

const pool = new BufferPool([], 1 << 20);
const attr = {
  ino: 9,
  size: 10,
  blocks: 1,
  atimeNs: 1_500_000_001n,
  mtimeNs: -1n,
  ctimeNs: 0n,
  mode: 0o100644,
  nlink: 1,
  uid: 1,
  gid: 2,
  rdev: 0,
  blksize: 4096,
};
const entry = (nodeId: number): EntryReply => ({
  nodeId,
  generation: 0,
  entryTimeoutMs: 1500,
  attrTimeoutMs: Number.POSITIVE_INFINITY,
  attr,
});

describe('plain entries', () => {
  test('are packed at multiples of 8 bytes, names in UTF-8, padding zero', () => {
    const lease = pool.take(4096);
    lease.bytes.fill(0xee);
    const sink = new DirentWriter(lease, 4000, false);
    assert.ok(sink.add('abc', 5, 8, 1));
    assert.ok(sink.add('日本語', 6, 4, Number.MAX_SAFE_INTEGER));
    assert.equal(sink.length, 32 + 40);
    assert.deepEqual(DIRENT.decode(lease.view, 16), { ino: 5n, off: 1n, namelen: 3, type: 8 });
    assert.equal(lease.bytes.toString('hex', 40, 48), '6162630000000000');
    assert.equal(lease.bytes.toString('utf8', 16 + 32 + 24, 16 + 32 + 24 + 9), '日本語');
    assert.deepEqual(sink.handedOver, []);
  });

  test('stop exactly when the next does not fit, and add nothing of it', () => {
    for (let size = 0; size < 200; size++) {
      const sink = new DirentWriter(pool.take(16 + size), size, false);
      let count = 0;
      while (sink.add('12345678', 1, 8, count + 1)) count++;
      assert.equal(count, Math.floor(size / 32), `size ${size}`);
      assert.equal(sink.length, count * 32);
    }
  });

  test('a three-byte letter is counted as it is, not as the worst case', () => {
    const sink = new DirentWriter(pool.take(16 + 32), 32, false);
    assert.ok(sink.add('abcdefgh', 1, 8, 1));
    const wide = new DirentWriter(pool.take(16 + 32), 32, false);
    assert.ok(!wide.add('日本語', 1, 8, 1));
  });
});

describe('entries with attributes', () => {
  test('hand over each node but the two dots and nameless ones', () => {
    const lease = pool.take(8192);
    lease.bytes.fill(0xee);
    const sink = new DirentWriter(lease, 8000, true);
    sink.add('.', 1, 4, 1, entry(1));
    sink.add('..', 1, 4, 2, entry(1));
    sink.add('only-name', 3, 8, 3);
    sink.add('none', 4, 8, 4, entry(0));
    sink.add('file', 9, 8, 5, entry(9));
    assert.deepEqual(sink.handedOver, [9]);
    const third = 16 + 2 * 160;
    assert.deepEqual(DIRENTPLUS.decode(lease.view, third).entry_out.nodeid, 0n);
    assert.ok(lease.bytes.subarray(third, third + 128).every((byte) => byte === 0));
    const { entry_out } = DIRENTPLUS.decode(lease.view, third + 168 + 160);
    assert.equal(entry_out.nodeid, 9n);
    assert.deepEqual([entry_out.entry_valid, entry_out.entry_valid_nsec], [1n, 500_000_000]);
    assert.equal(entry_out.attr_valid, 315_360_000n);
    assert.deepEqual([entry_out.attr.atime, entry_out.attr.atimensec], [1n, 500_000_001]);
    assert.deepEqual([entry_out.attr.mtime, entry_out.attr.mtimensec], [-1n, 999_999_999]);
  });

  test('one that does not fit is not handed over', () => {
    const sink = new DirentWriter(pool.take(16 + 200), 200, true);
    assert.ok(sink.add('a', 2, 8, 1, entry(2)));
    assert.ok(!sink.add('b', 3, 8, 2, entry(3)));
    assert.deepEqual(sink.handedOver, [2]);
  });
});
