import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import {
  DIRECTORY_SIZE_BYTES,
  UNKNOWN_VOLUME_BYTES,
  XATTR_TOTAL_MAX_BYTES,
  XATTR_VALUE_MAX_BYTES,
} from '../../../src/vfs/index.js';
import { CALLER, fails, makeWorld, mkdir, now, put, WRITE } from './support.js';

describe('attributes', () => {
  test('of each kind', async () => {
    const world = makeWorld();
    const { vfs } = world;
    const file = vfs.attributes.get(put(world, ROOT_INO, 'f', 'x'.repeat(513)));
    assert.deepEqual([file.kind, file.size, file.blocks, file.nlink], ['file', 513, 2, 1]);
    const dir = vfs.attributes.get(mkdir(world, ROOT_INO, 'd'));
    assert.deepEqual([dir.kind, dir.size, dir.nlink, dir.mode], ['dir', DIRECTORY_SIZE_BYTES, 1, 0o755]);
    const link = now(vfs.names.symlink(ROOT_INO, 's', 'zwölf', CALLER));
    assert.deepEqual([link.kind, link.size], ['symlink', 6]);
    await fails('ESTALE', () => vfs.attributes.get(999 as Ino));
  });

  test('mode, owner and times change by themselves and keep the content clean', () => {
    const world = makeWorld();
    const ino = world.serverFile(ROOT_INO, 'f', 'abc');
    const before = world.vfs.attributes.get(ino);
    const changed = now(world.vfs.attributes.set(ino, { mode: 0o100600, atime: 7n, mtime: 8n }));
    assert.deepEqual([changed.mode, changed.atime, changed.mtime], [0o600, 7n, 8n]);
    assert(changed.ctime > before.ctime);
    assert.equal(now(world.vfs.attributes.set(ino, { ctime: 9n })).ctime, 9n);
    const touched = now(world.vfs.attributes.set(ino, { atime: 'now', mtime: 'now' }));
    assert.equal(touched.atime, touched.mtime);
    assert.equal(touched.mtime, touched.ctime);
    assert.equal(world.state.dirtyCount, 0);
    world.check();
  });

  test('a time set while the file is being written is not overwritten by its close', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f');
    const fh = now(world.vfs.files.open(ino, WRITE));
    now(world.vfs.files.write(fh, Buffer.from('data'), 0));
    assert.deepEqual(now(world.vfs.attributes.set(ino, { mtime: 42n }, fh)).size, 4);
    now(world.vfs.files.flush(fh));
    world.vfs.files.release(fh);
    assert.equal(world.vfs.attributes.get(ino).mtime, 42n);
  });

  test('a change while the file is being written is one commit, with what was written', () => {
    const world = makeWorld();
    const { vfs, state } = world;
    const made = now(
      vfs.names.create(ROOT_INO, 'f', { mode: 0o644, caller: CALLER, open: WRITE, exclusive: true }),
    );
    const { ino } = made.attributes;
    now(vfs.files.write(made.fh, Buffer.from('abc'), 0));
    let commits = 0;
    state.onCommit(() => {
      commits += 1;
    });
    now(vfs.attributes.set(ino, { mode: 0o600 }, made.fh));
    assert.equal(commits, 1);
    const record = state.get(ino);
    assert(record?.kind === 'file');
    assert.deepEqual([record.size, record.mode, record.writing], [3, 0o600, true]);
    now(vfs.files.flush(made.fh));
    vfs.files.release(made.fh);
    assert.deepEqual([vfs.attributes.get(ino).size, vfs.attributes.get(ino).mode], [3, 0o600]);
    world.check();
  });

  test('a change of owner takes set-id bits from files, not from directories', () => {
    const table = [
      { mode: 0o6755, changes: { uid: 5 }, expected: 0o755 },
      { mode: 0o2745, changes: { gid: 5 }, expected: 0o2745 },
      { mode: 0o4755, changes: { gid: 5, mode: 0o4700 }, expected: 0o4700 },
      { mode: 0o6755, changes: { killPrivileges: true }, expected: 0o755 },
      { mode: 0o6755, changes: { atime: 5n }, expected: 0o6755 },
    ];
    for (const { mode, changes, expected } of table) {
      const world = makeWorld();
      const ino = put(world, ROOT_INO, 'f');
      now(world.vfs.attributes.set(ino, { mode }));
      assert.equal(now(world.vfs.attributes.set(ino, changes)).mode, expected);
    }
    const world = makeWorld();
    const dir = mkdir(world, ROOT_INO, 'd');
    now(world.vfs.attributes.set(dir, { mode: 0o2755 }));
    assert.equal(now(world.vfs.attributes.set(dir, { uid: 5 })).mode, 0o2755);
  });

  test('read-only mounts refuse', async () => {
    const world = makeWorld({ readOnly: true });
    const ino = world.serverFile(ROOT_INO, 'f', '');
    await fails('EROFS', () => world.vfs.attributes.set(ino, { mode: 0 }));
    await fails('EROFS', () => world.vfs.xattrs.set(ino, 'user.a', Buffer.from('x'), 'any'));
    await fails('EROFS', () => world.vfs.xattrs.remove(ino, 'user.a'));
  });
});

describe('extended attributes', () => {
  test('are set, listed, read, replaced and removed', async () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f');
    const { xattrs } = world.vfs;
    const value = Buffer.from('one');
    xattrs.set(ino, 'user.a', value, 'create');
    value.fill(0);
    xattrs.set(ino, 'user.__proto__', Buffer.from(''), 'any');
    assert.deepEqual([...xattrs.list(ino)].sort(), ['user.__proto__', 'user.a']);
    assert.equal(Buffer.from(xattrs.get(ino, 'user.a')).toString(), 'one');
    await fails('EEXIST', () => xattrs.set(ino, 'user.a', Buffer.from('x'), 'create'));
    await fails('ENODATA', () => xattrs.set(ino, 'user.b', Buffer.from('x'), 'replace'));
    xattrs.set(ino, 'user.a', Buffer.from('two'), 'replace');
    assert.equal(Buffer.from(xattrs.get(ino, 'user.a')).toString(), 'two');
    xattrs.remove(ino, 'user.a');
    await fails('ENODATA', () => xattrs.get(ino, 'user.a'));
    await fails('ENODATA', () => xattrs.remove(ino, 'user.a'));
    await fails('ENODATA', () => xattrs.get(ino, 'user.constructor'));
    assert.deepEqual(xattrs.list(ino), ['user.__proto__']);
    world.check();
  });

  test('have limits', async () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f');
    const { xattrs } = world.vfs;
    await fails('E2BIG', () => xattrs.set(ino, 'user.a', Buffer.alloc(XATTR_VALUE_MAX_BYTES + 1), 'any'));
    xattrs.set(ino, 'user.a', Buffer.alloc(XATTR_TOTAL_MAX_BYTES - 'user.a'.length), 'any');
    await fails('ENOSPC', () => xattrs.set(ino, 'user.b', Buffer.alloc(0), 'any'));
    xattrs.set(ino, 'user.a', Buffer.alloc(1), 'any');
    xattrs.set(ino, 'user.b', Buffer.alloc(0), 'any');
  });

  test('of other namespaces are refused', async () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f');
    for (const name of ['security.capability', 'trusted.x', 'system.posix_acl_access', 'plain']) {
      await fails('EOPNOTSUPP', () => world.vfs.xattrs.get(ino, name));
      await fails('EOPNOTSUPP', () => world.vfs.xattrs.set(ino, name, Buffer.from('x'), 'any'));
      await fails('EOPNOTSUPP', () => world.vfs.xattrs.remove(ino, name));
    }
    await fails('EINVAL', () => world.vfs.xattrs.set(ino, 'user.', Buffer.from('x'), 'any'));
    const symlink = now(world.vfs.names.symlink(ROOT_INO, 's', 't', CALLER)).ino;
    await fails('EPERM', () => world.vfs.xattrs.set(symlink, 'user.a', Buffer.from('x'), 'any'));
    await fails('ESTALE', () => world.vfs.xattrs.list(999 as Ino));
  });
});

describe('statfs', () => {
  test('from the quota, less what waits for its upload', () => {
    const world = makeWorld({ volumeSizeBytes: 1 << 30 });
    world.sync.quotaAnswer = { used: 40_960, available: 81_920 };
    put(world, ROOT_INO, 'f', 'x'.repeat(8192));
    const { blockSize, totalBlocks, freeBlocks, availableBlocks, nameMax } = now(world.vfs.statfs());
    assert.deepEqual([blockSize, totalBlocks, freeBlocks, availableBlocks, nameMax], [4096, 30, 18, 18, 255]);
    world.sync.quotaAnswer = { used: 122_880, available: 4096 };
    assert.equal(now(world.vfs.statfs()).freeBlocks, 0);
  });

  test('right after the start, once the server has told its figures', async () => {
    const world = makeWorld();
    let settle: () => void = () => undefined;
    world.sync.quotaPending = new Promise((resolve) => {
      settle = resolve;
    });
    const answer = world.vfs.statfs();
    world.sync.quotaAnswer = { used: 0, available: 40_960 };
    settle();
    assert.equal((await answer).totalBlocks, 10);
  });

  test('from the configuration, or large: never full because nobody knows', () => {
    assert.equal(now(makeWorld({ volumeSizeBytes: 40_960 }).vfs.statfs()).freeBlocks, 10);
    const unknown = now(makeWorld().vfs.statfs());
    assert.equal(unknown.freeBlocks, UNKNOWN_VOLUME_BYTES / 4096);
  });
});
