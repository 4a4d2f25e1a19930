import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { INIT_FLAGS, type InitFlag, ProtocolVersionError } from '../../../src/fuse/index.js';
import { type InitOptions, negotiate } from '../../../src/fuse/init.js';
import { INIT_IN, INIT_OUT } from '../../../src/fuse/layouts.js';
import { body, withSession } from './fake-kernel.js';

const EVERY = new Set(Object.keys(INIT_FLAGS) as InitFlag[]);

function settle(minor: number, options: InitOptions = {}, readdirplus = true) {
  return negotiate({ major: 7, minor, maxReadaheadBytes: 131_072, flags: EVERY }, options, readdirplus);
}

const at31 = [
  'ASYNC_READ',
  'ATOMIC_O_TRUNC',
  'BIG_WRITES',
  'DO_READDIRPLUS',
  'ASYNC_DIO',
  'PARALLEL_DIROPS',
  'ABORT_ERROR',
  'MAX_PAGES',
  'CACHE_SYMLINKS',
  'EXPLICIT_INVAL_DATA',
];
const at36 = [...at31, 'SETXATTR_EXT', 'INIT_EXT'];
const at40 = [...at36, 'HAS_EXPIRE_ONLY', 'HAS_RESEND'];

describe('negotiation', () => {
  const rows: readonly (readonly [number, readonly string[]])[] = [
    [31, at31],
    [36, at36],
    [40, at40],
    [45, at40],
  ];
  for (const [minor, flags] of rows) {
    test(`7.${minor}, as the kernel's own and as a ceiling`, () => {
      for (const settled of [settle(minor), settle(45, { maxMinor: minor })]) {
        assert.equal(settled.minor, minor);
        assert.deepEqual([...settled.flags].sort(), [...flags].sort());
      }
    });
  }

  test('a newer kernel is talked to as 7.45', () => {
    assert.deepEqual([settle(99).minor, settle(99).kernelMinor], [45, 99]);
  });

  test('older than 7.31, or another major version, is refused', () => {
    assert.throws(() => settle(30), ProtocolVersionError);
    assert.throws(() => settle(45, { maxMinor: 30 }), ProtocolVersionError);
    const other = { major: 6, minor: 45, maxReadaheadBytes: 0, flags: EVERY };
    assert.throws(() => negotiate(other, {}, true), ProtocolVersionError);
  });

  test('what the kernel lacks is told and done without', () => {
    const settled = settle(31, {
      extraFlags: ['PASSTHROUGH'],
      maskInitFlags: ['MAX_PAGES', 'EXPLICIT_INVAL_DATA'],
    });
    assert.ok(settled.absent.includes('PASSTHROUGH'));
    assert.ok(settled.absent.includes('MAX_PAGES'));
    assert.ok(settled.flags.has('AUTO_INVAL_DATA'));
    assert.deepEqual([settled.maxPages, settled.maxWriteBytes], [32, 131_072]);
  });

  test('flags above bit 31 need INIT_EXT', () => {
    const settled = settle(45, { maskInitFlags: ['INIT_EXT'], extraFlags: ['PASSTHROUGH'] });
    for (const flag of settled.flags) assert.ok(INIT_FLAGS[flag].bit < 32, flag);
  });

  test('options: invalidation, read-dir-plus, sizes, the pair that excludes itself', () => {
    assert.ok(settle(45, { invalidation: 'auto' }).flags.has('AUTO_INVAL_DATA'));
    assert.ok(!settle(45, { invalidation: 'auto' }).flags.has('EXPLICIT_INVAL_DATA'));
    assert.ok(!settle(45, {}, false).flags.has('DO_READDIRPLUS'));
    assert.equal(settle(45, { maxWriteBytes: 65_536 }).maxPages, 16);
    assert.equal(settle(45, { maxWriteBytes: 1 << 30 }).maxWriteBytes, 1 << 20);
    const both = settle(45, { extraFlags: ['PASSTHROUGH', 'WRITEBACK_CACHE'] });
    assert.ok(both.flags.has('PASSTHROUGH') && !both.flags.has('WRITEBACK_CACHE'));
  });
});

describe('INIT on the wire', () => {
  test('the reply carries what was settled', async () => {
    const options = { extraFlags: ['PASSTHROUGH'], maxBackground: 20, timeGranNs: 100 } as const;
    await withSession(
      { readdirplus: () => {} },
      async ({ kernel, session }) => {
        const out = INIT_OUT.decode((await kernel.init(45)).view, 0);
        assert.deepEqual(
          { ...out, flags: out.flags >>> 0 },
          {
            major: 7,
            minor: 45,
            max_readahead: 131_072,
            flags: 0x62e4_a029,
            flags2: (1 << 3) | (1 << 5) | (1 << 7),
            max_background: 20,
            congestion_threshold: 15,
            max_write: 1 << 20,
            time_gran: 100,
            max_pages: 256,
            map_alignment: 0,
            max_stack_depth: 1,
            request_timeout: 0,
          },
        );
        assert.equal((await session.ready).minor, 45);
        assert.equal(session.negotiated?.flags.has('PASSTHROUGH'), true);
      },
      { minor: 0, options },
    );
  });

  test('the short form of older kernels', async () => {
    await withSession(
      {},
      async ({ kernel, session }) => {
        const out = INIT_OUT.decode((await kernel.init(35, false)).view, 0);
        assert.deepEqual([out.minor, out.flags2, out.max_stack_depth], [35, 0, 0]);
        assert.equal(session.negotiated?.flags.has('INIT_EXT'), false);
      },
      { minor: 0 },
    );
  });

  test('a kernel of a later major version is told ours, and asked again', async () => {
    await withSession(
      {},
      async ({ kernel, session }) => {
        const later = await kernel.call('INIT', 0, body(INIT_IN, { major: 8, minor: 0 }));
        assert.equal(later.errno, 0);
        assert.equal(INIT_OUT.decode(later.view, 0).major, 7);
        assert.equal(session.negotiated, undefined);
        await kernel.init(45);
        assert.equal((await session.ready).minor, 45);
      },
      { minor: 0 },
    );
  });

  test('too old: EPROTO, and the session is over', async () => {
    await withSession(
      {},
      async ({ kernel, session }) => {
        assert.equal((await kernel.call('INIT', 0, body(INIT_IN, { major: 7, minor: 12 }))).errno, 71);
        const end = await session.closed;
        assert.ok(end.reason === 'failed' && end.error instanceof ProtocolVersionError);
      },
      { minor: 0 },
    );
  });
});
