/** The small parts: error table, buffer pool, mount table. */

import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, test } from 'node:test';
import { BufferPool } from '../../../src/fuse/buffers.js';
import { ERRNO, errnoName, FuseError, parseMountinfo } from '../../../src/fuse/index.js';
import { ATTR } from '../../../src/fuse/layouts.js';
import { putAttr, splitNs } from '../../../src/fuse/reply.js';
import { seededRandom } from '../../support/random.js';

describe('error numbers', () => {
  test('agree with this machine', () => {
    for (const [name, number] of Object.entries(constants.errno)) {
      if (name in ERRNO) assert.equal(ERRNO[name as keyof typeof ERRNO], number, name);
    }
    assert.equal(new Set(Object.values(ERRNO)).size, Object.keys(ERRNO).length);
  });

  test('have names, also the unknown ones', () => {
    assert.equal(errnoName(2), 'ENOENT');
    assert.equal(errnoName(512), 'errno 512');
  });

  test('FuseError carries number, name and cause, and leaves stack traces on', () => {
    const cause = new Error('below');
    const error = new FuseError('ENOTEMPTY', { cause });
    assert.deepEqual([error.errno, error.code, error.cause], [39, 'ENOTEMPTY', cause]);
    assert.match(new Error('x').stack ?? '', /parts\.test/);
  });
});

describe('buffer pool', () => {
  test('reuses by size, counts what is held, says when that is too much', () => {
    const pool = new BufferPool([100, 1000], 1500);
    const small = pool.take(50);
    const large = pool.take(101);
    assert.deepEqual([small.bytes.length, large.bytes.length, pool.heldBytes], [100, 1000, 1100]);
    assert.equal(pool.exhausted, false);
    const own = pool.take(5000);
    assert.deepEqual([own.bytes.length, pool.exhausted], [5000, true]);
    pool.give(own);
    pool.give(large);
    assert.equal(pool.take(900), large);
    assert.notEqual(pool.take(5000), own);
  });
});

describe('times', () => {
  test('are split downwards, before 1970 too', () => {
    assert.deepEqual(splitNs(1_000_000_001n), { sec: 1n, nsec: 1 });
    assert.deepEqual(splitNs(-1n), { sec: -1n, nsec: 999_999_999 });
    assert.deepEqual(splitNs(-2_000_000_000n), { sec: -2n, nsec: 0 });
  });

  test('are put as they are split, as far as 64 bits reach', () => {
    const view = new DataView(new ArrayBuffer(ATTR.size));
    const others = { ino: 1, size: 0, blocks: 0, mode: 0, nlink: 1, uid: 0, gid: 0, rdev: 0, blksize: 0 };
    const random = seededRandom(1);
    const limit = 2n ** 63n;
    const times = [0n, limit - 1n, -limit];
    for (let bits = 1n; bits < 63n; bits++) {
      const any = BigInt(Math.floor(random.next() * 2 ** 53)) * 1_000n + BigInt(random.below(1_000));
      times.push(2n ** bits, -(2n ** bits), any % 2n ** bits, -(any % 2n ** bits));
    }
    for (const second of times.map((ns) => ns - (ns % 1_000_000_000n))) {
      for (const ns of [second - 1n, second, second + 1n, second + 999_999_999n]) {
        if (ns >= -limit && ns < limit) times.push(ns);
      }
    }
    for (const ns of times) {
      putAttr(view, 0, { ...others, atimeNs: ns, mtimeNs: ns, ctimeNs: ns });
      const { sec, nsec } = splitNs(ns);
      for (const [secAt, nsecAt] of [
        [ATTR.at.atime, ATTR.at.atimensec],
        [ATTR.at.mtime, ATTR.at.mtimensec],
        [ATTR.at.ctime, ATTR.at.ctimensec],
      ] as const) {
        assert.deepEqual(
          [view.getBigInt64(secAt, true), view.getUint32(nsecAt, true)],
          [sec, nsec],
          `${ns} ns`,
        );
      }
    }
  });
});

test('mount table: escapes, subtypes, optional fields, lines of another shape', () => {
  const text = [
    '36 35 0:41 / /mnt/a\\040b rw,nosuid shared:1 master:2 - fuse.infinimount http://x/\\134 rw,user_id=0',
    'nonsense',
    '25 30 0:23 / /sys rw - sysfs sysfs rw',
    '',
  ].join('\n');
  assert.deepEqual(parseMountinfo(text), [
    {
      mountId: 36,
      device: '0:41',
      mountPoint: '/mnt/a b',
      flags: ['rw', 'nosuid'],
      type: 'fuse.infinimount',
      source: 'http://x/\\',
      userId: 0,
    },
    { mountId: 25, device: '0:23', mountPoint: '/sys', flags: ['rw'], type: 'sysfs', source: 'sysfs' },
  ]);
});
