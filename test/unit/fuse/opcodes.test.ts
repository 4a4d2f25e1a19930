/** Every opcode: what its handler gets, and what the kernel gets back. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Attr, EntryReply, FuseHandlers } from '../../../src/fuse/index.js';
import { ERRNO, OPCODES, opcodeRow } from '../../../src/fuse/index.js';
import * as l from '../../../src/fuse/layouts.js';
import { body, type FakeReply, strings, withSession } from './fake-kernel.js';

const attr: Attr = {
  ino: 42,
  size: 2 ** 40,
  blocks: 3,
  atimeNs: 1n,
  mtimeNs: 2_000_000_003n,
  ctimeNs: -5n,
  mode: 0o100640,
  nlink: 2,
  uid: 10,
  gid: 20,
  rdev: 0,
  blksize: 4096,
};
const attrWire = {
  ino: 42n,
  size: 2n ** 40n,
  blocks: 3n,
  atime: 0n,
  atimensec: 1,
  mtime: 2n,
  mtimensec: 3,
  ctime: -1n,
  ctimensec: 999_999_995,
  mode: 0o100640,
  nlink: 2,
  uid: 10,
  gid: 20,
  rdev: 0,
  blksize: 4096,
  flags: 0,
};
const entry: EntryReply = { nodeId: 42, generation: 3, entryTimeoutMs: 2000, attrTimeoutMs: 500, attr };
const entryWire = {
  nodeid: 42n,
  generation: 3n,
  entry_valid: 2n,
  entry_valid_nsec: 0,
  attr_valid: 0n,
  attr_valid_nsec: 500_000_000,
  attr: attrWire,
};
const openWire = { fh: 6n, open_flags: 2, backing_id: 0 };

interface Row {
  readonly name: string;
  readonly content?: Buffer;
  readonly method: keyof FuseHandlers;
  /** The request without `nodeId` or `parent`, which is 5. */
  readonly request: object;
  readonly value?: unknown;
  readonly expect?: (reply: FakeReply) => void;
}

const isEntry = (reply: FakeReply): void => assert.deepEqual(l.ENTRY_OUT.decode(reply.view, 0), entryWire);
const isAttr = (reply: FakeReply): void => {
  const out = l.ATTR_OUT.decode(reply.view, 0);
  assert.deepEqual(out, { attr_valid: 1n, attr_valid_nsec: 0, attr: attrWire });
};
const isOpen = (reply: FakeReply): void => assert.deepEqual(l.OPEN_OUT.decode(reply.view, 0), openWire);
const isCreated = (reply: FakeReply): void => {
  isEntry(reply);
  assert.deepEqual(l.OPEN_OUT.decode(reply.view, l.ENTRY_OUT.size), openWire);
};
const isBytes = (text: string) => (reply: FakeReply) => assert.equal(reply.body.toString(), text);
const isSize = (size: number) => (reply: FakeReply) => {
  assert.deepEqual([reply.view.getUint32(0, true), reply.body.length], [size, 8]);
};
const isU64 = (value: bigint) => (reply: FakeReply) => {
  assert.deepEqual([reply.view.getBigUint64(0, true), reply.body.length], [value, 8]);
};

const lockWire = { start: 1n, end: 0x7fff_ffff_ffff_ffffn, type: 1, pid: 9 };
const lock = { start: 1, end: undefined, type: 1, pid: 9 };
const copyWire = { fh_in: 1n, off_in: 2n, nodeid_out: 8n, fh_out: 3n, off_out: 4n, len: 5n, flags: 0n };
const copy = { fh: 1, offset: 2, toNodeId: 8, toFh: 3, toOffset: 4, length: 5, flags: 0 };
const create = { flags: 2, mode: 0o100644, umask: 0o22, open_flags: 1 };
const open = { fh: 6, flags: 2 };
const created = { name: 'n', flags: 2, mode: 0o100644, umask: 0o22, killSuidgid: true };
const released = { fh: 6, flags: 1, flush: true, flockUnlock: true, lockOwner: 2n ** 63n };
const releaseWire = { fh: 6n, flags: 1, release_flags: 3, lock_owner: 2n ** 63n };

const ROWS: readonly Row[] = [
  {
    name: 'LOOKUP',
    content: strings('a b'),
    method: 'lookup',
    request: { name: 'a b' },
    value: entry,
    expect: isEntry,
  },
  {
    name: 'GETATTR',
    content: body(l.GETATTR_IN, {}),
    method: 'getattr',
    request: { fh: undefined },
    value: { attr, attrTimeoutMs: 1000 },
    expect: isAttr,
  },
  {
    name: 'GETATTR',
    content: body(l.GETATTR_IN, { getattr_flags: 1, fh: 6n }),
    method: 'getattr',
    request: { fh: 6 },
    value: { attr, attrTimeoutMs: 1000 },
    expect: isAttr,
  },
  {
    name: 'SETATTR',
    content: body(l.SETATTR_IN, {
      valid: 0b1000_0000_0000 | 0b111_1111,
      mode: 0o4755,
      uid: 1,
      gid: 2,
      size: 3n,
      atime: -1n,
      atimensec: 4,
      mtime: 9n,
      fh: 6n,
    }),
    method: 'setattr',
    request: {
      killSuidgid: true,
      fh: 6,
      mode: 0o4755,
      uid: 1,
      gid: 2,
      size: 3,
      atime: -999_999_996n,
      mtime: 9_000_000_000n,
    },
    value: { attr, attrTimeoutMs: 1000 },
    expect: isAttr,
  },
  {
    name: 'SETATTR',
    content: body(l.SETATTR_IN, { valid: 0b111_1011_0000, lock_owner: 77n, ctime: 1n, ctimensec: 5 }),
    method: 'setattr',
    request: { killSuidgid: false, atime: 'now', mtime: 'now', ctime: 1_000_000_005n, lockOwner: 77n },
    value: { attr, attrTimeoutMs: 1000 },
    expect: isAttr,
  },
  { name: 'READLINK', method: 'readlink', request: {}, value: 'to/日本', expect: isBytes('to/日本') },
  {
    name: 'SYMLINK',
    content: strings('n', '../t'),
    method: 'symlink',
    request: { name: 'n', target: '../t' },
    value: entry,
    expect: isEntry,
  },
  {
    name: 'MKNOD',
    content: body(l.MKNOD_IN, { mode: 0o100600, rdev: 0, umask: 0o77 }, 'n'),
    method: 'mknod',
    request: { name: 'n', mode: 0o100600, rdev: 0, umask: 0o77 },
    value: entry,
    expect: isEntry,
  },
  {
    name: 'MKDIR',
    content: body(l.MKDIR_IN, { mode: 0o755, umask: 0o22 }, 'n'),
    method: 'mkdir',
    request: { name: 'n', mode: 0o755, umask: 0o22 },
    value: entry,
    expect: isEntry,
  },
  { name: 'UNLINK', content: strings('n'), method: 'unlink', request: { name: 'n' } },
  { name: 'RMDIR', content: strings('n'), method: 'rmdir', request: { name: 'n' } },
  {
    name: 'RENAME',
    content: body(l.RENAME_IN, { newdir: 7n }, 'n', 'm'),
    method: 'rename',
    request: { name: 'n', newParent: 7, newName: 'm', flags: 0 },
  },
  {
    name: 'RENAME2',
    content: body(l.RENAME2_IN, { newdir: 7n, flags: 2 }, 'n', 'm'),
    method: 'rename',
    request: { name: 'n', newParent: 7, newName: 'm', flags: 2 },
  },
  {
    name: 'LINK',
    content: body(l.LINK_IN, { oldnodeid: 42n }, 'm'),
    method: 'link',
    request: { nodeId: 42, newParent: 5, newName: 'm' },
    value: entry,
    expect: isEntry,
  },
  {
    name: 'OPEN',
    content: body(l.OPEN_IN, { flags: 0o1001, open_flags: 1 }),
    method: 'open',
    request: { flags: 0o1001, killSuidgid: true },
    value: open,
    expect: isOpen,
  },
  {
    name: 'OPENDIR',
    content: body(l.OPEN_IN, { flags: 0 }),
    method: 'opendir',
    request: { flags: 0, killSuidgid: false },
    value: open,
    expect: isOpen,
  },
  {
    name: 'CREATE',
    content: body(l.CREATE_IN, create, 'n'),
    method: 'create',
    request: created,
    value: { entry, open },
    expect: isCreated,
  },
  {
    name: 'TMPFILE',
    content: body(l.CREATE_IN, create, 'n'),
    method: 'tmpfile',
    request: created,
    value: { entry, open },
    expect: isCreated,
  },
  {
    name: 'WRITE',
    content: body(
      l.WRITE_IN,
      { fh: 6n, offset: 2n ** 52n, size: 5, write_flags: 7, lock_owner: 3n, flags: 1 },
      Buffer.from('hello'),
    ),
    method: 'write',
    request: {
      fh: 6,
      offset: 2 ** 52,
      data: Buffer.from('hello'),
      flags: 1,
      fromCache: true,
      killSuidgid: true,
      lockOwner: 3n,
    },
    value: 5,
    expect: isSize(5),
  },
  {
    name: 'STATFS',
    method: 'statfs',
    request: {},
    value: { blocks: 1, bfree: 2, bavail: 3, files: 4, ffree: 5, bsize: 4096, namelen: 255, frsize: 512 },
    expect: (reply) =>
      assert.deepEqual(l.STATFS_OUT.decode(reply.view, 0).st, {
        blocks: 1n,
        bfree: 2n,
        bavail: 3n,
        files: 4n,
        ffree: 5n,
        bsize: 4096,
        namelen: 255,
        frsize: 512,
      }),
  },
  { name: 'RELEASE', content: body(l.RELEASE_IN, releaseWire), method: 'release', request: released },
  { name: 'RELEASEDIR', content: body(l.RELEASE_IN, releaseWire), method: 'releasedir', request: released },
  {
    name: 'FSYNC',
    content: body(l.FSYNC_IN, { fh: 6n, fsync_flags: 1 }),
    method: 'fsync',
    request: { fh: 6, dataOnly: true },
  },
  {
    name: 'FSYNCDIR',
    content: body(l.FSYNC_IN, { fh: 6n }),
    method: 'fsyncdir',
    request: { fh: 6, dataOnly: false },
  },
  {
    name: 'FLUSH',
    content: body(l.FLUSH_IN, { fh: 6n, lock_owner: 3n }),
    method: 'flush',
    request: { fh: 6, lockOwner: 3n },
  },
  {
    name: 'SETXATTR',
    content: body(l.SETXATTR_IN, { size: 2, flags: 1, setxattr_flags: 1 }, 'user.a', Buffer.from([0, 9])),
    method: 'setxattr',
    request: { name: 'user.a', value: Buffer.from([0, 9]), flags: 1, aclKillSgid: true },
  },
  {
    name: 'GETXATTR',
    content: body(l.GETXATTR_IN, { size: 100 }, 'user.a'),
    method: 'getxattr',
    request: { name: 'user.a' },
    value: Buffer.from('val'),
    expect: isBytes('val'),
  },
  {
    name: 'GETXATTR',
    content: body(l.GETXATTR_IN, { size: 0 }, 'user.a'),
    method: 'getxattr',
    request: { name: 'user.a' },
    value: Buffer.from('val'),
    expect: isSize(3),
  },
  {
    name: 'LISTXATTR',
    content: body(l.GETXATTR_IN, { size: 16 }),
    method: 'listxattr',
    request: {},
    value: ['user.a', 'user.bb'],
    expect: isBytes('user.a\0user.bb\0'),
  },
  {
    name: 'LISTXATTR',
    content: body(l.GETXATTR_IN, {}),
    method: 'listxattr',
    request: {},
    value: ['user.a', 'user.bb'],
    expect: isSize(15),
  },
  { name: 'REMOVEXATTR', content: strings('user.a'), method: 'removexattr', request: { name: 'user.a' } },
  { name: 'ACCESS', content: body(l.ACCESS_IN, { mask: 5 }), method: 'access', request: { mask: 5 } },
  {
    name: 'LSEEK',
    content: body(l.LSEEK_IN, { fh: 6n, offset: 7n, whence: 4 }),
    method: 'lseek',
    request: { fh: 6, offset: 7, whence: 4 },
    value: 2 ** 45,
    expect: isU64(2n ** 45n),
  },
  {
    name: 'FALLOCATE',
    content: body(l.FALLOCATE_IN, { fh: 6n, offset: 1n, length: 2n, mode: 3 }),
    method: 'fallocate',
    request: { fh: 6, offset: 1, length: 2, mode: 3 },
  },
  {
    name: 'COPY_FILE_RANGE',
    content: body(l.COPY_FILE_RANGE_IN, copyWire),
    method: 'copyFileRange',
    request: copy,
    value: 5,
    expect: isSize(5),
  },
  {
    name: 'COPY_FILE_RANGE_64',
    content: body(l.COPY_FILE_RANGE_IN, copyWire),
    method: 'copyFileRange',
    request: copy,
    value: 2 ** 33,
    expect: isU64(2n ** 33n),
  },
  { name: 'SYNCFS', content: body(l.SYNCFS_IN, {}), method: 'syncfs', request: {} },
  {
    name: 'STATX',
    content: body(l.STATX_IN, { getattr_flags: 1, fh: 6n, sx_flags: 2, sx_mask: 0xfff }),
    method: 'statx',
    request: { fh: 6, flags: 2, mask: 0xfff },
    value: { attr, attrTimeoutMs: 1000, mask: 0xfff, btimeNs: 3n },
    expect: (reply) => {
      const { stat, attr_valid } = l.STATX_OUT.decode(reply.view, 0);
      assert.deepEqual(
        [attr_valid, stat.mask, stat.ino, stat.size, stat.mode],
        [1n, 0xfff, 42n, 2n ** 40n, 0o100640],
      );
      assert.deepEqual(
        [stat.btime, stat.ctime],
        [
          { tv_sec: 0n, tv_nsec: 3 },
          { tv_sec: -1n, tv_nsec: 999_999_995 },
        ],
      );
    },
  },
  {
    name: 'GETLK',
    content: body(l.LK_IN, { fh: 6n, owner: 8n, lk: lockWire, lk_flags: 0 }),
    method: 'getlk',
    request: { fh: 6, owner: 8n, lock, flock: false },
    value: lock,
    expect: (reply) => assert.deepEqual(l.LK_OUT.decode(reply.view, 0).lk, lockWire),
  },
  {
    name: 'SETLK',
    content: body(l.LK_IN, { fh: 6n, owner: 8n, lk: lockWire, lk_flags: 1 }),
    method: 'setlk',
    request: { fh: 6, owner: 8n, lock, flock: true, wait: false },
  },
  {
    name: 'SETLKW',
    content: body(l.LK_IN, { fh: 6n, owner: 8n, lk: lockWire, lk_flags: 1 }),
    method: 'setlk',
    request: { fh: 6, owner: 8n, lock, flock: true, wait: true },
  },
];

describe('the table', () => {
  test('has every opcode of linux/fuse.h up to 7.45, once', () => {
    const numbers = OPCODES.map((row) => row.number);
    const expected = Array.from({ length: 53 }, (_, index) => index + 1).filter((n) => n !== 7 && n !== 19);
    assert.deepEqual(numbers, expected);
    assert.equal(new Set(OPCODES.map((row) => row.name)).size, OPCODES.length);
    assert.equal(opcodeRow(7), undefined);
    assert.equal(opcodeRow(4096), undefined);
  });

  test('without handlers: ENOSYS, and where the kernel takes that for a success EOPNOTSUPP', async () => {
    await withSession({}, async ({ kernel }) => {
      for (const row of OPCODES.filter((each) => each.by !== 'driver')) {
        const reply = await kernel.call(row.number, 5, Buffer.alloc(100));
        assert.equal(reply.errno, ERRNO[row.missing], row.name);
      }
      for (const name of ['FSYNC', 'FSYNCDIR', 'SYNCFS']) {
        assert.equal((await kernel.call(name, 5)).errno, ERRNO.EOPNOTSUPP, name);
      }
      assert.equal((await kernel.call('IOCTL', 5)).errno, ERRNO.ENOTTY);
      assert.equal((await kernel.call(99, 5)).errno, ERRNO.ENOSYS);
    });
  });

  test('each row that a handler serves is in the test below', () => {
    const served = new Set(ROWS.map((row) => row.name));
    const elsewhere = ['READ', 'READDIR', 'READDIRPLUS'];
    const missing = OPCODES.filter((row) => row.by === 'handler' && !served.has(row.name)).map(
      (row) => row.name,
    );
    assert.deepEqual(missing, elsewhere);
  });
});

describe('requests and replies', () => {
  for (const late of [false, true]) {
    test(late ? 'answered by a promise' : 'answered at once', async () => {
      let row: Row | undefined;
      let got: unknown;
      const handle = (request: object) => {
        got = { ...request, ...('data' in request && { data: Buffer.from(request.data as Buffer) }) };
        return late ? new Promise((resolve) => setImmediate(() => resolve(row?.value))) : row?.value;
      };
      const methods = new Set(ROWS.map((each) => each.method));
      const handlers = Object.fromEntries([...methods].map((method) => [method, handle])) as FuseHandlers;
      await withSession(handlers, async ({ kernel, session, unexpected, lines }) => {
        for (row of ROWS) {
          got = undefined;
          const reply = await kernel.call(row.name, 5, row.content);
          assert.equal(reply.errno, 0, row.name);
          const place =
            'newParent' in row.request && !('name' in row.request) ? {} : { nodeId: 5, parent: 5 };
          assert.deepEqual({ ...(got as object), ...place }, { ...row.request, ...place }, row.name);
          if (row.expect !== undefined) row.expect(reply);
          else assert.equal(reply.body.length, 0, row.name);
        }
        assert.deepEqual(unexpected, []);
        assert.deepEqual([session.counters.malformed, session.inFlight], [0, 0]);
        assert.deepEqual(
          lines.filter((line) => line.includes('malformed')),
          [],
        );
        assert.equal(lines.filter((line) => line.startsWith('<- ')).length, ROWS.length + 1);
      });
    });
  }

  test('SETXATTR in its short form before 7.33', async () => {
    let got: unknown;
    const handlers: FuseHandlers = {
      setxattr: ({ name, value, flags }) => {
        got = { name, value: value.toString(), flags };
      },
    };
    const content = body(l.SETXATTR_IN_COMPAT, { size: 3, flags: 2 }, 'user.a', Buffer.from('abc'));
    const run = { minor: 31 };
    await withSession(
      handlers,
      async ({ kernel }) => {
        assert.equal((await kernel.call('SETXATTR', 5, content)).errno, 0);
        assert.deepEqual(got, { name: 'user.a', value: 'abc', flags: 2 });
      },
      run,
    );
  });
});
