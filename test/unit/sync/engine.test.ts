/** What the synchronisation does with each kind of change, one at a time. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { VfsError } from '../../../src/vfs/index.js';
import { inoOf, makeWorld, remote, World } from './world.js';

async function settle(world: World, ms = 2_000): Promise<void> {
  await world.clock.advance(ms);
  world.check();
}

/** A world whose root is listed and that forgets what it asked so far. */
const changes = (world: World) =>
  world.server.log
    .filter((entry) => !['list', 'stat', 'read', 'quota', 'probe'].includes(entry.verb))
    .map(
      (entry) =>
        `${entry.verb} ${entry.path}${entry.to === undefined ? '' : ` -> ${entry.to}`}${entry.condition === undefined ? '' : ` if ${entry.condition === 'absent' ? 'absent' : 'match'}`}`,
    );

describe('upward', () => {
  test('a new file is one conditional write', async () => {
    const world = await makeWorld();
    await world.write('/a', 'one');
    await settle(world);
    assert.deepEqual(changes(world), ['write /a if absent']);
    assert.deepEqual(world.server.textTree(), { '/a': 'one' });
    assert.equal(world.engine.pendingCount(), 0);
  });

  test('a file created and deleted at once is no request', async () => {
    const world = await makeWorld();
    await world.write('/a', 'one');
    await world.unlink('/a');
    await settle(world);
    assert.deepEqual(changes(world), []);
  });

  test('a save by temporary file and rename is one conditional write', async () => {
    const world = await makeWorld({ '/a': 'old' });
    await world.write('/a.tmp', 'new');
    await world.rename('/a.tmp', '/a');
    await settle(world);
    assert.deepEqual(changes(world), ['write /a if match']);
    assert.deepEqual(world.server.textTree(), { '/a': 'new' });
  });

  test('a rename is one move, of a file or of a tree', async () => {
    const world = await makeWorld({ '/a': '1', '/d/x': '2', '/d/e/y': '3' });
    await world.rename('/a', '/b');
    await world.rename('/d', '/f');
    await settle(world);
    assert.deepEqual(changes(world).sort(), ['move /a -> /b', 'move /d -> /f']);
    assert.deepEqual(world.server.textTree(), {
      '/b': '1',
      '/f/': null,
      '/f/e/': null,
      '/f/e/y': '3',
      '/f/x': '2',
    });
  });

  test('rm -r is one removal', async () => {
    const world = await makeWorld({ '/d/x': '1', '/d/e/y': '2', '/d/e/z': '3' });
    await world.unlink('/d/e/y');
    await world.unlink('/d/e/z');
    await world.rmdir('/d/e');
    await world.unlink('/d/x');
    await world.rmdir('/d');
    await settle(world);
    assert.deepEqual(changes(world), ['remove /d']);
    assert.deepEqual(world.server.textTree(), {});
  });

  test('names swapped, with files and with directories', async () => {
    const world = await makeWorld({ '/a': '1', '/b': '2', '/c/x': '3', '/d/y': '4' });
    await world.rename('/a', '/b', 'exchange');
    await world.rename('/c', '/d', 'exchange');
    await settle(world, 10_000);
    assert.deepEqual(world.server.textTree(), {
      '/a': '2',
      '/b': '1',
      '/c/': null,
      '/c/y': '4',
      '/d/': null,
      '/d/x': '3',
    });
    assert.equal(world.engine.pendingCount(), 0);
  });

  test('a directory and its parent swapped', async () => {
    const world = await makeWorld({ '/a/b/x': '1', '/a/y': '2' });
    await world.rename('/a/b', '/t');
    await world.rename('/a', '/t/b');
    await world.rename('/t', '/a');
    await settle(world, 10_000);
    assert.deepEqual(world.server.textTree(), { '/a/': null, '/a/b/': null, '/a/b/y': '2', '/a/x': '1' });
    assert.equal(world.engine.pendingCount(), 0);
  });

  test('a new directory takes the name of one whose content moved into it', async () => {
    const world = await makeWorld({ '/d/x': '1' });
    await world.rename('/d', '/old');
    await world.mkdir('/d');
    await world.rename('/old/x', '/d/x');
    await world.rmdir('/old');
    await settle(world, 10_000);
    assert.deepEqual(world.server.textTree(), { '/d/': null, '/d/x': '1' });
    assert.equal(world.engine.pendingCount(), 0);
  });

  test('link and unlink of a new file is one write under the new name', async () => {
    const world = await makeWorld();
    await world.write('/tmp_obj', 'object');
    await world.link('/tmp_obj', '/object');
    await world.unlink('/tmp_obj');
    await settle(world);
    assert.deepEqual(changes(world), ['write /object if absent']);
  });

  test('link and unlink of an uploaded file is one move', async () => {
    const world = await makeWorld({ '/a': '1' });
    await world.link('/a', '/b');
    await world.unlink('/a');
    await settle(world);
    assert.deepEqual(changes(world), ['move /a -> /b']);
  });

  test('a name goes while another name of the file is uploaded: what was sent counts for the right name', async () => {
    for (const fault of [undefined, { kind: 'after', code: 'interrupted' }] as const) {
      const world = await makeWorld();
      await world.write('/a', 'one');
      await world.link('/a', '/b');
      await settle(world);
      await world.write('/a', 'two, longer');
      let unlinked: Promise<void> | undefined;
      world.remote.setPlan(({ verb, path }) => {
        if (verb !== 'write' || path !== '/b' || unlinked !== undefined) return undefined;
        unlinked = world.unlink('/a');
        return fault;
      });
      await settle(world, 10_000);
      assert.ok(unlinked);
      await world.converge();
      assert.deepEqual(world.server.textTree(), { '/b': 'two, longer' });
      assert.deepEqual(await world.localTree(), { '/b': 'two, longer' });
      world.check();
    }
  });

  test('a name goes while it is moved, and another name of the file stays', async () => {
    const world = await makeWorld();
    await world.write('/a', 'one');
    await world.link('/a', '/b');
    await settle(world);
    await world.rename('/a', '/c');
    let unlinked: Promise<void> | undefined;
    world.remote.setPlan(({ verb }) => {
      if (verb === 'move') unlinked ??= world.unlink('/c');
      return undefined;
    });
    await settle(world, 10_000);
    assert.ok(unlinked);
    await world.converge();
    assert.deepEqual(world.server.textTree(), { '/b': 'one' });
    assert.deepEqual(await world.localTree(), { '/b': 'one' });
  });

  test('a symbolic link goes up as a Minshall-French file and comes back as a link', async () => {
    const world = await makeWorld();
    const { parent, name } = world.split('/l');
    await world.vfs.names.symlink(parent, name, 'some/target', { uid: 0, gid: 0 });
    await settle(world);
    const other = new World();
    other.server.writeDirect(remote('/l'), world.server.contentOf(remote('/l')) ?? '');
    await other.refreshAll();
    const ino = other.ino('/l');
    assert(ino !== undefined);
    assert.equal(other.vfs.names.readlink(ino), 'some/target');
  });

  test('a file is held back while a program has it open for writing, also after the close of a duplicate', async () => {
    const world = await makeWorld();
    const { parent, name } = world.split('/log');
    const open = { writable: true, append: false, truncate: false };
    const caller = { uid: 0, gid: 0 };
    const { fh } = await world.vfs.names.create(parent, name, { mode: 0o644, caller, open, exclusive: true });
    await world.vfs.files.write(fh, Buffer.from('one '), 0);
    await world.vfs.files.flush(fh);
    await settle(world, 10_000);
    assert.deepEqual(world.server.textTree(), {});
    await world.vfs.files.write(fh, Buffer.from('two'), 4);
    await world.vfs.files.flush(fh);
    world.vfs.files.release(fh);
    await settle(world);
    assert.deepEqual(changes(world), ['write /log if absent']);
    assert.deepEqual(world.server.textTree(), { '/log': 'one two' });
  });

  test('a file that stays open for writing goes up from a copy after a while', async () => {
    const world = await makeWorld();
    const { parent, name } = world.split('/log');
    const open = { writable: true, append: false, truncate: false };
    const caller = { uid: 0, gid: 0 };
    const { fh } = await world.vfs.names.create(parent, name, { mode: 0o644, caller, open, exclusive: true });
    await world.vfs.files.write(fh, Buffer.from('so far'), 0);
    await settle(world, 40_000);
    assert.deepEqual(world.server.textTree(), { '/log': 'so far' });
    world.vfs.files.release(fh);
    await settle(world);
    assert.equal(world.engine.pendingCount(), 0);
  });

  test('what a copy brought to the server is clean after SIGKILL, with the size that it has there', async () => {
    const world = await makeWorld();
    const { parent, name } = world.split('/log');
    const open = { writable: true, append: false, truncate: false };
    const caller = { uid: 0, gid: 0 };
    const { fh } = await world.vfs.names.create(parent, name, { mode: 0o644, caller, open, exclusive: true });
    await world.vfs.files.write(fh, Buffer.from('so far'), 0);
    await settle(world, 40_000);
    assert.deepEqual(world.server.textTree(), { '/log': 'so far' });
    world.restart();
    await settle(world, 1_000);
    assert.equal(world.content.stats().stagedFiles, 0);
    assert.equal(await world.engine.evict(), 6);
    assert.equal(await world.read('/log'), 'so far');
    assert.equal(world.engine.pendingCount(), 0);
  });

  test('of such a file that the disk has lost the server has all', async () => {
    const world = await makeWorld();
    const { parent, name } = world.split('/log');
    const open = { writable: true, append: false, truncate: false };
    const caller = { uid: 0, gid: 0 };
    const { fh } = await world.vfs.names.create(parent, name, { mode: 0o644, caller, open, exclusive: true });
    await world.vfs.files.write(fh, Buffer.from('so far'), 0);
    await settle(world, 40_000);
    await world.rename('/log', '/moved');
    world.restart(undefined, new Map());
    assert.equal(await world.read('/moved'), 'so far');
  });

  test('what is changed while it is uploaded goes up again, whole', async () => {
    const world = await makeWorld();
    await world.write('/a', 'one');
    await world.clock.advance(200);
    await world.write('/a', 'two');
    await settle(world, 5_000);
    assert.deepEqual(world.server.textTree(), { '/a': 'two' });
    assert.equal(world.engine.pendingCount(), 0);
  });
});

describe('both sides', () => {
  test('changed here and there: the server keeps the name, ours is beside it', async () => {
    const world = await makeWorld({ '/report.txt': 'base' });
    await world.write('/report.txt', 'ours');
    world.server.writeDirect(remote('/report.txt'), 'theirs');
    await settle(world, 5_000);
    await world.converge();
    const tree = world.server.textTree();
    assert.equal(tree['/report.txt'], 'theirs');
    const kept = Object.keys(tree).find((path) => path !== '/report.txt');
    assert.match(kept ?? '', /^\/report \(conflict here 2026-01-01 [0-9-]+\)\.txt$/);
    assert.equal(tree[kept ?? ''], 'ours');
    assert.deepEqual(await world.localTree(), tree);
  });

  test('the same content on both sides is no conflict', async () => {
    const world = await makeWorld({ '/a': 'base' });
    await world.write('/a', 'same');
    await world.write('/b', 'new');
    world.server.writeDirect(remote('/a'), 'same');
    world.server.writeDirect(remote('/b'), 'new');
    await world.converge();
    assert.deepEqual(world.server.textTree(), { '/a': 'same', '/b': 'new' });
  });

  test('deleted here, changed there: it comes back', async () => {
    const world = await makeWorld({ '/a': 'base' });
    await world.unlink('/a');
    world.server.writeDirect(remote('/a'), 'theirs');
    await world.converge();
    assert.deepEqual(await world.localTree(), { '/a': 'theirs' });
    assert.deepEqual(world.server.textTree(), { '/a': 'theirs' });
  });

  test('changed here, deleted there: it is made again', async () => {
    const world = await makeWorld({ '/d/a': 'base' });
    await world.write('/d/a', 'ours');
    world.server.removeDirect(remote('/d'));
    await world.converge();
    assert.deepEqual(world.server.textTree(), { '/d/': null, '/d/a': 'ours' });
  });

  test('rm -r here, a new file there: the file and its directory stay', async () => {
    const world = await makeWorld({ '/d/a': '1', '/d/b': '2' });
    await world.unlink('/d/a');
    await world.unlink('/d/b');
    await world.rmdir('/d');
    world.server.writeDirect(remote('/d/new'), 'theirs');
    await world.converge();
    assert.deepEqual(world.server.textTree(), { '/d/': null, '/d/new': 'theirs' });
    assert.deepEqual(await world.localTree(), world.server.textTree());
  });

  test('a directory made on both sides is one directory', async () => {
    const world = await makeWorld();
    await world.mkdir('/d');
    await world.write('/d/ours', '1');
    world.server.writeDirect(remote('/d/theirs'), '2');
    await world.converge();
    assert.deepEqual(await world.localTree(), { '/d/': null, '/d/ours': '1', '/d/theirs': '2' });
  });

  test('a file here, a directory of that name there', async () => {
    const world = await makeWorld();
    await world.write('/d', 'ours');
    world.server.writeDirect(remote('/d/theirs'), '2');
    await world.converge();
    const tree = world.server.textTree();
    assert.equal(tree['/d/theirs'], '2');
    assert.equal(Object.values(tree).includes('ours'), true);
  });
});

describe('doubtful answers', () => {
  test('an upload whose answer is lost is looked up, not repeated, and makes no conflict', async () => {
    const world = await makeWorld();
    let lost = 0;
    world.remote.setPlan(({ verb }) => {
      if (verb !== 'write' || lost > 0) return undefined;
      lost += 1;
      return { kind: 'after', code: 'interrupted' };
    });
    await world.write('/a', 'one');
    await settle(world, 20_000);
    assert.deepEqual(changes(world), ['write /a if absent']);
    assert.deepEqual(world.server.textTree(), { '/a': 'one' });
    assert.equal(world.engine.pendingCount(), 0);
  });

  test('a move, a removal and a new directory whose answers are lost', async () => {
    const world = await makeWorld({ '/a': '1', '/b': '2', '/d/x': '3' });
    const hit = new Set<string>();
    world.remote.setPlan(({ verb }) => {
      if (!['move', 'remove', 'makeDirectory'].includes(verb) || hit.has(verb)) return undefined;
      hit.add(verb);
      return { kind: 'after', code: 'timeout' };
    });
    await world.rename('/a', '/a2');
    await world.unlink('/b');
    await world.mkdir('/e');
    await settle(world, 120_000);
    assert.deepEqual(world.server.textTree(), { '/a2': '1', '/d/': null, '/d/x': '3', '/e/': null });
    assert.equal(world.engine.pendingCount(), 0);
  });

  test('SIGKILL between an upload and its answer', async () => {
    const world = await makeWorld({ '/a': 'old' });
    world.remote.setPlan(({ verb }) => (verb === 'write' ? { kind: 'after', code: 'timeout' } : undefined));
    await world.write('/a', 'new');
    await world.clock.advance(250);
    world.restart();
    await world.converge();
    assert.deepEqual(world.server.textTree(), { '/a': 'new' });
  });

  test('SIGKILL after the close of a duplicate, with the file still open: it is not whole', async () => {
    const world = await makeWorld();
    const { parent, name } = world.split('/log');
    const open = { writable: true, append: false, truncate: false };
    const caller = { uid: 0, gid: 0 };
    const { fh } = await world.vfs.names.create(parent, name, { mode: 0o644, caller, open, exclusive: true });
    await world.vfs.files.write(fh, Buffer.from('first half'), 0);
    await world.vfs.files.flush(fh);
    await settle(world, 1_000);
    world.restart();
    await settle(world, 60_000);
    assert.deepEqual(world.server.textTree(), {});
    assert.equal(await world.read('/log'), 'first half');
  });

  test('SIGKILL between the close of a file and its release: it is whole', async () => {
    const world = await makeWorld();
    const { parent, name } = world.split('/a');
    const open = { writable: true, append: false, truncate: false };
    const caller = { uid: 0, gid: 0 };
    const { fh } = await world.vfs.names.create(parent, name, { mode: 0o644, caller, open, exclusive: true });
    await world.vfs.files.write(fh, Buffer.from('all of it'), 0);
    await world.vfs.files.flush(fh);
    world.restart();
    await settle(world, 60_000);
    assert.deepEqual(world.server.textTree(), { '/a': 'all of it' });
  });

  test('a file that a program had open when the daemon died is kept here and not uploaded', async () => {
    const world = await makeWorld();
    const { parent, name } = world.split('/half');
    const open = { writable: true, append: false, truncate: false };
    const caller = { uid: 0, gid: 0 };
    const { fh } = await world.vfs.names.create(parent, name, { mode: 0o644, caller, open, exclusive: true });
    await world.vfs.files.write(fh, Buffer.from('half of'), 0);
    world.restart();
    await settle(world, 60_000);
    assert.deepEqual(world.server.textTree(), {});
    assert.equal(await world.read('/half'), 'half of');
    await world.write('/half', 'all of it');
    await settle(world, 60_000);
    assert.deepEqual(world.server.textTree(), { '/half': 'all of it' });
  });

  test('touch lets such a file go up as it is', async () => {
    const world = await makeWorld();
    const { parent, name } = world.split('/half');
    const open = { writable: true, append: false, truncate: false };
    const caller = { uid: 0, gid: 0 };
    const { fh, attributes } = await world.vfs.names.create(parent, name, {
      mode: 0o644,
      caller,
      open,
      exclusive: true,
    });
    await world.vfs.files.write(fh, Buffer.from('half of'), 0);
    world.restart();
    await settle(world, 60_000);
    assert.deepEqual(world.server.textTree(), {});
    await world.vfs.attributes.set(attributes.ino, { mtime: 'now' });
    await settle(world);
    assert.deepEqual(world.server.textTree(), { '/half': 'half of' });
  });
});

describe('downward', () => {
  test('a reader who has a file open keeps his version, the name shows the new one', async () => {
    const world = await makeWorld({ '/a': 'old version' });
    const ino = world.ino('/a');
    assert(ino !== undefined);
    const fh = await world.vfs.files.open(ino, { writable: false, append: false, truncate: false });
    const first = Buffer.alloc(4);
    await world.vfs.files.read(fh, first, 0, 4, 0);
    world.server.writeDirect(remote('/a'), 'NEW VERSION');
    await world.refreshAll();
    const all = Buffer.alloc(11);
    await world.vfs.files.read(fh, all, 0, 11, 0);
    assert.equal(all.toString(), 'old version');
    assert.notEqual(world.ino('/a'), ino);
    assert.equal(await world.read('/a'), 'NEW VERSION');
    world.vfs.files.release(fh);
    world.check();
  });

  for (const backed of [false, true]) {
    describe(`a file that a program has open for writing, served by the ${backed ? 'kernel' : 'daemon'}`, () => {
      async function openedWorld() {
        const world = new World(() => 0.5, {}, undefined, {}, backed);
        world.server.writeDirect(remote('/d/f'), 'before');
        await world.refreshAll();
        await world.read('/d/f');
        const ino = inoOf(world, '/d/f');
        const fh = await world.vfs.files.open(ino, { writable: true, append: false, truncate: false });
        const save = async () => {
          await world.writeTo(fh, ino, Buffer.from('saved!'));
          await world.vfs.files.flush(fh);
          world.vfs.files.release(fh);
          await world.converge();
          world.check();
        };
        return { world, save, fh };
      }

      test('is saved beside what another client put there meanwhile', async () => {
        const { world, save } = await openedWorld();
        world.server.writeDirect(remote('/d/f'), 'theirs');
        await world.engine.refresh(inoOf(world, '/d'));
        await save();
        const tree = world.server.textTree();
        assert.equal(tree['/d/f'], 'theirs');
        assert.deepEqual(Object.values(tree).sort(), ['saved!', 'theirs', null].sort());
        assert.deepEqual(
          world.engine.conflicts().map(({ path }) => path),
          ['/d/f'],
        );
      });

      test('is saved under its name after another client removed it', async () => {
        const { world, save } = await openedWorld();
        world.server.removeDirect(remote('/d/f'));
        await world.engine.refresh(inoOf(world, '/d'));
        await save();
        assert.deepEqual(world.server.textTree(), { '/d/': null, '/d/f': 'saved!' });
        assert.deepEqual(world.engine.conflicts(), []);
      });

      test('is saved under its name also when the daemon was replaced meanwhile', async () => {
        const { world, fh, save } = await openedWorld();
        const ino = inoOf(world, '/d/f');
        world.server.removeDirect(remote('/d/f'));
        await world.engine.refresh(inoOf(world, '/d'));
        const handle = { kind: 'file', fh, ino, writable: true, append: false } as const;
        const backing = world.vfs.backingOf(fh);
        world.restart(undefined, undefined, [{ ...handle, unique: undefined, backing }]);
        await save();
        assert.deepEqual(world.server.textTree(), { '/d/': null, '/d/f': 'saved!' });
      });

      test('and not written to leaves the name to the other client', async () => {
        const { world, fh } = await openedWorld();
        world.server.writeDirect(remote('/d/f'), 'theirs');
        await world.engine.refresh(inoOf(world, '/d'));
        await world.vfs.files.flush(fh);
        world.vfs.files.release(fh);
        await world.converge();
        world.check();
        assert.deepEqual(world.server.textTree(), { '/d/': null, '/d/f': 'theirs' });
      });
    });
  }

  test('a file that another client changed since the listing opens as it is now', async () => {
    const world = await makeWorld({ '/a': 'old version' });
    world.server.writeDirect(remote('/a'), 'new');
    await assert.rejects(
      world.read('/a'),
      (error: unknown) => error instanceof VfsError && error.code === 'ESTALE',
    );
    assert.equal(await world.read('/a'), 'new');
    world.check();
  });

  test('a large file opened for writing is fetched whole, from where its open began', async () => {
    const world = await makeWorld({ '/a': 'x'.repeat(700_000) });
    const ino = world.ino('/a');
    assert(ino !== undefined);
    const open = { writable: true, append: false, truncate: false };
    const fh = await world.vfs.files.open(ino, open);
    const writing = Promise.resolve(world.vfs.files.write(fh, Buffer.from('y'), 350_000));
    await world.clock.advance(5_000);
    assert.equal(await writing, 1);
    await world.vfs.files.flush(fh);
    world.vfs.files.release(fh);
    await settle(world);
    assert.equal(Buffer.from(world.server.contentOf(remote('/a')) ?? '').indexOf('y'), 350_000);
    world.check();
  });

  test('what the server lost goes here too', async () => {
    const world = await makeWorld({ '/a': '1', '/d/b': '2' });
    world.server.removeDirect(remote('/d'));
    await world.refreshAll();
    assert.deepEqual(await world.localTree(), { '/a': '1' });
  });
});
