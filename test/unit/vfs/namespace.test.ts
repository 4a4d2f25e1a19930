import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import { LINK_MAX, SYMLINK_MAX_BYTES } from '../../../src/vfs/index.js';
import { CALLER, fails, find, list, makeWorld, mkdir, now, put, READ, readFile, WRITE } from './support.js';

const GONE = 9999 as Ino;

describe('lookup', () => {
  test('finds what is there, at once, and counts a reference', () => {
    const world = makeWorld();
    const ino = world.serverFile(ROOT_INO, 'a', 'abc');
    const found = now(world.vfs.names.lookup(ROOT_INO, 'a'));
    assert.equal(found?.ino, ino);
    assert.equal(found.size, 3);
    assert.equal(world.vfs.inodes.lookupCount(ino), 1);
    now(world.vfs.names.lookup(ROOT_INO, 'a'));
    world.vfs.names.forget(ino, 2);
    assert.equal(world.vfs.inodes.isInUse(ino), false);
    world.check();
  });

  test('says so when a name is missing', () => {
    const world = makeWorld();
    assert.equal(now(world.vfs.names.lookup(ROOT_INO, 'a')), undefined);
    assert.equal(now(world.vfs.names.lookup(ROOT_INO, '.DAV')), undefined);
  });

  test('waits for the listing of a directory never seen', async () => {
    const world = makeWorld();
    const dir = world.serverDir(ROOT_INO, 'd');
    world.sync.listings.set(dir, () => world.serverFile(dir, 'late', 'x'));
    const pending = world.vfs.names.lookup(dir, 'late');
    assert(pending instanceof Promise);
    assert.equal((await pending)?.size, 1);
    assert.equal(now(world.vfs.names.lookup(dir, 'other')), undefined);
  });

  test('answers "." and ".."', () => {
    const world = makeWorld();
    const dir = mkdir(world, ROOT_INO, 'd');
    assert.equal(now(world.vfs.names.lookup(dir, '.'))?.ino, dir);
    assert.equal(now(world.vfs.names.lookup(dir, '..'))?.ino, ROOT_INO);
    assert.equal(now(world.vfs.names.lookup(ROOT_INO, '..'))?.ino, ROOT_INO);
  });

  test('fails on what is no directory', async () => {
    const world = makeWorld();
    const file = put(world, ROOT_INO, 'f');
    await fails('ENOTDIR', () => world.vfs.names.lookup(file, 'a'));
    await fails('ESTALE', () => world.vfs.names.lookup(GONE, 'a'));
    await fails('ENAMETOOLONG', () => world.vfs.names.lookup(ROOT_INO, 'n'.repeat(256)));
  });
});

describe('making', () => {
  const makers: readonly [
    string,
    (world: ReturnType<typeof makeWorld>, parent: Ino, name: string) => unknown,
  ][] = [
    [
      'create',
      ({ vfs }, parent, name) =>
        vfs.names.create(parent, name, { mode: 0o644, caller: CALLER, open: WRITE, exclusive: true }),
    ],
    [
      'mknod',
      ({ vfs }, parent, name) => vfs.names.mknod(parent, name, { kind: 'file', mode: 0o644, caller: CALLER }),
    ],
    ['mkdir', ({ vfs }, parent, name) => vfs.names.mkdir(parent, name, { mode: 0o755, caller: CALLER })],
    ['symlink', ({ vfs }, parent, name) => vfs.names.symlink(parent, name, 'target', CALLER)],
    ['link', (world, parent, name) => world.vfs.names.link(sourceOf(world), parent, name)],
  ];
  const sourceOf = (world: ReturnType<typeof makeWorld>) =>
    find(world, ROOT_INO, 'source')?.ino ?? put(world, ROOT_INO, 'source');

  for (const [what, make] of makers) {
    test(`${what}: a new name, its owner, and the parent's times`, () => {
      const world = makeWorld();
      const dir = mkdir(world, ROOT_INO, 'd');
      sourceOf(world);
      const before = world.vfs.attributes.get(dir);
      make(world, dir, 'ünï 100% #1?');
      const after = world.vfs.attributes.get(dir);
      assert(after.mtime > before.mtime && after.ctime > before.ctime);
      const made = find(world, dir, 'ünï 100% #1?');
      assert.equal(made?.uid, CALLER.uid);
      assert.equal(made.gid, CALLER.gid);
      assert.deepEqual(list(world, dir), ['ünï 100% #1?']);
      world.check();
    });

    test(`${what}: bad names, taken names, bad parents`, async () => {
      const world = makeWorld();
      const file = put(world, ROOT_INO, 'file');
      mkdir(world, ROOT_INO, 'dir');
      sourceOf(world);
      const table = [
        ['EEXIST', ROOT_INO, 'file'],
        ['EEXIST', ROOT_INO, 'dir'],
        ['EEXIST', ROOT_INO, '.'],
        ['ENOENT', ROOT_INO, ''],
        ['EINVAL', ROOT_INO, 'a/b'],
        ['ENAMETOOLONG', ROOT_INO, 'é'.repeat(128)],
        ['EILSEQ', ROOT_INO, 'lone \ud800'],
        ['EPERM', ROOT_INO, '.DAV'],
        ['ENOTDIR', file, 'a'],
        ['ESTALE', GONE, 'a'],
      ] as const;
      for (const [code, parent, name] of table) await fails(code, () => make(world, parent, name));
      assert.deepEqual(list(world), ['dir', 'file', 'source']);
      world.check();
    });

    test(`${what}: not in a directory that was removed, nor on a read-only mount`, async () => {
      const world = makeWorld();
      sourceOf(world);
      const dir = now(world.vfs.names.mkdir(ROOT_INO, 'd', { mode: 0o755, caller: CALLER })).ino;
      now(world.vfs.names.rmdir(ROOT_INO, 'd'));
      await fails('ENOENT', () => make(world, dir, 'a'));
      world.check();
      const readOnly = makeWorld({ readOnly: true });
      readOnly.serverFile(ROOT_INO, 'source', '');
      await fails('EROFS', () => make(readOnly, ROOT_INO, 'a'));
    });

    test(`${what}: not in a directory that is removed while its listing is awaited`, async () => {
      const world = makeWorld();
      sourceOf(world);
      const dir = world.serverDir(ROOT_INO, 'd');
      now(world.vfs.names.lookup(ROOT_INO, 'd'));
      world.sync.listings.set(dir, () => {
        world.sync.listings.delete(dir);
        now(world.vfs.names.rmdir(ROOT_INO, 'd'));
      });
      await fails('ENOENT', () => make(world, dir, 'a'));
      assert.equal(world.vfs.inodes.isOpen(dir), false);
      world.check();
    });

    test(`${what}: what the listing brings is not overwritten`, async () => {
      const world = makeWorld();
      sourceOf(world);
      const dir = world.serverDir(ROOT_INO, 'd');
      world.sync.listings.set(dir, () => world.serverFile(dir, 'a', 'theirs'));
      await fails('EEXIST', () => make(world, dir, 'a'));
      world.check();
    });
  }

  test('create without exclusive opens what is there', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'a', 'text');
    const request = { mode: 0o600, caller: CALLER, open: READ, exclusive: false };
    const { attributes, fh } = now(world.vfs.names.create(ROOT_INO, 'a', request));
    assert.equal(attributes.ino, ino);
    assert.equal(attributes.mode, 0o644);
    world.vfs.files.release(fh);
    world.check();
  });

  test('a created file is held back from the server until it is closed', () => {
    const world = makeWorld();
    const request = { mode: 0o644, caller: CALLER, open: WRITE, exclusive: true };
    const { attributes, fh } = now(world.vfs.names.create(ROOT_INO, 'a', request));
    const record = () => world.state.get(attributes.ino);
    const writing = () => {
      const found = record();
      return found?.kind === 'file' && found.writing;
    };
    assert.equal(writing(), true);
    now(world.vfs.files.flush(fh));
    assert.equal(writing(), false);
    world.vfs.files.release(fh);
    assert.deepEqual(world.sync.take('commit'), [
      { what: 'commit', ino: attributes.ino, size: 0, stillOpen: false },
    ]);
  });

  test('mknod makes regular files only', async () => {
    const world = makeWorld();
    for (const kind of ['fifo', 'socket', 'block', 'character'] as const) {
      await fails('EPERM', () => world.vfs.names.mknod(ROOT_INO, 'a', { kind, mode: 0o644, caller: CALLER }));
    }
    assert.deepEqual(list(world), []);
  });

  test('what is made in a set-group-id directory belongs to its group', () => {
    const world = makeWorld();
    const shared = now(
      world.vfs.names.mkdir(ROOT_INO, 'd', { mode: 0o2775, caller: { uid: 1, gid: 77 } }),
    ).ino;
    const file = world.vfs.attributes.get(put(world, shared, 'f'));
    const below = world.vfs.attributes.get(mkdir(world, shared, 'sub'));
    assert.deepEqual([file.gid, file.mode], [77, 0o644]);
    assert.deepEqual([below.gid, below.mode], [77, 0o2755]);
  });

  test('symbolic links keep their target as it is', async () => {
    const world = makeWorld();
    const longest = `/${'x'.repeat(SYMLINK_MAX_BYTES - 1)}`;
    const { ino, size, mode } = now(world.vfs.names.symlink(ROOT_INO, 'l', longest, CALLER));
    assert.equal(world.vfs.names.readlink(ino), longest);
    assert.deepEqual([size, mode], [SYMLINK_MAX_BYTES, 0o777]);
    await fails('ENAMETOOLONG', () => world.vfs.names.symlink(ROOT_INO, 'm', `${longest}x`, CALLER));
    await fails('ENOENT', () => world.vfs.names.symlink(ROOT_INO, 'm', '', CALLER));
    await fails('EINVAL', () => world.vfs.names.readlink(put(world, ROOT_INO, 'f')));
  });
});

describe('hard links', () => {
  test('one inode under several names', () => {
    const world = makeWorld();
    const dir = mkdir(world, ROOT_INO, 'd');
    const ino = put(world, ROOT_INO, 'a', 'text');
    const linked = now(world.vfs.names.link(ino, dir, 'b'));
    assert.deepEqual([linked.ino, linked.nlink], [ino, 2]);
    assert.equal(find(world, dir, 'b')?.ino, ino);
    assert.equal(readFile(world, dir, 'b'), 'text');
    world.check();
  });

  test('the inode lives as long as any name does, whichever goes first', () => {
    for (const order of [
      ['a', 'b', 'c'],
      ['b', 'a', 'c'],
      ['c', 'b', 'a'],
    ]) {
      const world = makeWorld();
      const ino = put(world, ROOT_INO, 'a', 'text');
      world.vfs.names.forget(ino, 1);
      for (const name of ['b', 'c']) {
        now(world.vfs.names.link(ino, ROOT_INO, name));
        world.vfs.names.forget(ino, 1);
      }
      for (const [index, name] of order.entries()) {
        assert.equal(world.vfs.attributes.get(ino).nlink, 3 - index);
        now(world.vfs.names.unlink(ROOT_INO, name));
        world.check();
      }
      assert.equal(world.state.get(ino), undefined);
      assert.equal(world.content.stats().stagedFiles, 0);
    }
  });

  test('names that the server has are kept for it to be told', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'a');
    now(world.vfs.names.link(ino, ROOT_INO, 'b'));
    world.uploadAll();
    now(world.vfs.names.unlink(ROOT_INO, 'b'));
    assert.equal(world.vfs.attributes.get(ino).nlink, 1);
    assert.equal(world.state.dirtyCount, 1);
    world.check();
  });

  test('only files, only those with a name, and not too many', async () => {
    const world = makeWorld();
    const dir = mkdir(world, ROOT_INO, 'd');
    await fails('EPERM', () => world.vfs.names.link(dir, ROOT_INO, 'x'));
    const symlink = now(world.vfs.names.symlink(ROOT_INO, 's', 't', CALLER)).ino;
    await fails('EPERM', () => world.vfs.names.link(symlink, ROOT_INO, 'x'));
    const file = put(world, ROOT_INO, 'f');
    for (let i = 1; i < LINK_MAX; i += 1) now(world.vfs.names.link(file, dir, `${i}`));
    assert.equal(world.vfs.attributes.get(file).nlink, LINK_MAX);
    await fails('EMLINK', () => world.vfs.names.link(file, dir, 'one more'));
    const orphan = put(world, ROOT_INO, 'o');
    now(world.vfs.names.unlink(ROOT_INO, 'o'));
    await fails('ENOENT', () => world.vfs.names.link(orphan, ROOT_INO, 'again'));
  });
});

describe('removing', () => {
  test('unlink: errors', async () => {
    const world = makeWorld();
    mkdir(world, ROOT_INO, 'd');
    await fails('EISDIR', () => world.vfs.names.unlink(ROOT_INO, 'd'));
    await fails('ENOENT', () => world.vfs.names.unlink(ROOT_INO, 'x'));
    await fails('ENOENT', () => world.vfs.names.unlink(ROOT_INO, '.DAV'));
    const readOnly = makeWorld({ readOnly: true });
    readOnly.serverFile(ROOT_INO, 'a', '');
    await fails('EROFS', () => readOnly.vfs.names.unlink(ROOT_INO, 'a'));
    await fails('EROFS', () => readOnly.vfs.names.rmdir(ROOT_INO, 'a'));
  });

  test('an unlinked file is readable and writable while it is open, and gone afterwards', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'a', 'text');
    const fh = now(world.vfs.files.open(ino, WRITE));
    now(world.vfs.names.unlink(ROOT_INO, 'a'));
    world.vfs.names.forget(ino, 1);
    assert.deepEqual(list(world), []);
    now(world.vfs.files.write(fh, Buffer.from('TE'), 0));
    const buffer = Buffer.alloc(4);
    now(world.vfs.files.read(fh, buffer, 0, 4, 0));
    assert.equal(buffer.toString(), 'TExt');
    assert.equal(world.vfs.attributes.get(ino).nlink, 0);
    world.check();
    now(world.vfs.files.flush(fh));
    world.vfs.files.release(fh);
    assert.equal(world.state.get(ino), undefined);
    assert.equal(world.content.stats().stagedFiles, 0);
    assert.equal(world.state.dirtyCount, 0);
    world.check();
  });

  test('a file that the server has stays known until the server is told', () => {
    const world = makeWorld();
    const ino = world.serverFile(ROOT_INO, 'a', 'x');
    now(world.vfs.names.unlink(ROOT_INO, 'a'));
    assert.notEqual(world.state.get(ino), undefined);
    assert.deepEqual([...world.state.dirty()], [ino]);
    assert.deepEqual(list(world), []);
    // The name is free at once.
    put(world, ROOT_INO, 'a', 'new');
    assert.equal(readFile(world, ROOT_INO, 'a'), 'new');
    world.check();
  });

  test('rmdir: only empty directories', async () => {
    const world = makeWorld();
    const dir = mkdir(world, ROOT_INO, 'd');
    put(world, dir, 'f');
    put(world, ROOT_INO, 'file');
    await fails('ENOTEMPTY', () => world.vfs.names.rmdir(ROOT_INO, 'd'));
    await fails('ENOTDIR', () => world.vfs.names.rmdir(ROOT_INO, 'file'));
    await fails('ENOENT', () => world.vfs.names.rmdir(ROOT_INO, 'x'));
    now(world.vfs.names.unlink(dir, 'f'));
    now(world.vfs.names.rmdir(ROOT_INO, 'd'));
    assert.deepEqual(list(world), ['file']);
    world.check();
  });

  test('rmdir waits for a listing: what is only on the server counts', async () => {
    const world = makeWorld();
    const full = world.serverDir(ROOT_INO, 'full');
    world.sync.listings.set(full, () => world.serverFile(full, 'f', ''));
    await fails('ENOTEMPTY', () => world.vfs.names.rmdir(ROOT_INO, 'full'));
    const empty = world.serverDir(ROOT_INO, 'empty');
    world.sync.listings.set(empty, () => undefined);
    await world.vfs.names.rmdir(ROOT_INO, 'empty');
    assert.deepEqual(list(world), ['full']);
    world.check();
  });
});

describe('write-through', () => {
  test('changes of names are answered when the server has them, reading is not held up', async () => {
    const world = makeWorld({ sync: 'write-through' });
    const made = world.vfs.names.mkdir(ROOT_INO, 'd', { mode: 0o755, caller: CALLER });
    assert(made instanceof Promise);
    const { ino } = await made;
    assert.deepEqual(world.sync.take('settled'), [{ what: 'settled', ino }]);
    assert.equal(world.vfs.inodes.lookupCount(ino), 1);
    assert.equal(find(world, ROOT_INO, 'd')?.ino, ino);
    await world.vfs.renames.run({ parent: ROOT_INO, name: 'd' }, { parent: ROOT_INO, name: 'e' }, 'replace');
    await world.vfs.names.rmdir(ROOT_INO, 'e');
    assert.equal(world.sync.take('settled').length, 2);
  });

  test('what the server refuses is an error, and counts no reference', async () => {
    const world = makeWorld({ sync: 'write-through' });
    world.sync.settleError = new Error('refused');
    await assert.rejects(async () => world.vfs.names.mkdir(ROOT_INO, 'd', { mode: 0o755, caller: CALLER }));
    assert.equal(world.vfs.inodes.referencedCount, 0);
    world.check();
  });
});
