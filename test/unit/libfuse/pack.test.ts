import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Attr } from '../../../src/fuse/index.js';
import { joinHalves, packEntry, packStat, packStatfs, timesOf } from '../../../src/libfuse/pack.js';

const ATTR: Attr = {
  ino: 7,
  size: 5 * 2 ** 32 + 3,
  blocks: 2 ** 33,
  atimeNs: 1_600_000_000_123_999_999n,
  mtimeNs: -1n,
  ctimeNs: 0n,
  mode: 0o100644,
  nlink: 0,
  uid: 1000,
  gid: 1001,
  rdev: 0,
  blksize: 4096,
};

/** A thread's record with the times that libfuse passed, in milliseconds. */
function slot(atimeMs: bigint, mtimeMs: bigint): Buffer {
  const record = Buffer.alloc(256);
  record.writeBigUInt64LE(BigInt.asUintN(64, atimeMs), 104);
  record.writeBigUInt64LE(BigInt.asUintN(64, mtimeMs), 112);
  return record;
}

function times(record: Buffer, atimeMs: bigint): unknown {
  const bits = BigInt.asUintN(64, atimeMs);
  return timesOf(record, Number(bits & 0xffff_ffffn), Number(bits >> 32n));
}

describe('numbers of the native part', () => {
  test('attributes: halves of large numbers, whole milliseconds, no links of a removed file', () => {
    const words = packStat(ATTR);
    assert.deepEqual([...words.subarray(0, 3)], [0o100644, 1000, 1001]);
    assert.equal(joinHalves(words[3] ?? 0, words[4] ?? 0), ATTR.size);
    assert.equal(words[6], 0);
    assert.equal(words[7], 7);
    assert.equal(joinHalves(words[10] ?? 0, words[11] ?? 0), ATTR.blocks);
    assert.equal(joinHalves(words[12] ?? 0, words[13] ?? 0), 1_600_000_000_123);
    assert.equal(joinHalves(words[14] ?? 0, words[15] ?? 0), 0, 'no time before 1970');
  });

  test('a directory entry has its type in the mode', () => {
    assert.equal(packEntry(9, 4)[0], 0o040000);
    assert.equal(packEntry(9, 4)[7], 9);
  });

  test('a volume too large for 32 bits of blocks is told in larger ones', () => {
    const volume = { blocks: 2 ** 40, bfree: 2 ** 39, bavail: 2 ** 39, bsize: 4096, frsize: 4096 };
    const words = packStatfs({ ...volume, files: 2 ** 40, ffree: 5, namelen: 255 });
    const [, frsize = 0, blocks = 0, bfree = 0] = words;
    assert.equal(frsize * blocks, 4096 * 2 ** 40);
    assert.equal(frsize * bfree, 4096 * 2 ** 39);
    assert.equal(words[5], 2 ** 32 - 1);
    assert.equal(words[10], 255);
  });

  test('times: mtime is read from the record', () => {
    assert.deepEqual(times(slot(1_000n, -2_000n), 1_000n), { atime: 1_000_000_000n, mtime: -2_000_000_000n });
  });

  test('times: what is left out is left as it is, and nothing given is now', () => {
    assert.deepEqual(times(slot(1073n, 5n), 1073n), { mtime: 5_000_000n });
    assert.deepEqual(times(slot(5n, 1073n), 5n), { atime: 5_000_000n });
    assert.deepEqual(times(slot(1073n, 1073n), 1073n), { atime: 'now', mtime: 'now' });
  });

  test('times: a record of another layout is not believed', () => {
    assert.equal(times(slot(1_000n, 2_000n), 999n), undefined);
    assert.equal(times(Buffer.alloc(64), 0n), undefined);
  });
});
