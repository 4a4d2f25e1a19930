import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import { RemoteError, type RemotePath } from '../../../src/remote/index.js';
import { type Fh, MAX_FILE_BYTES } from '../../../src/vfs/index.js';
import {
  CALLER,
  contentOf,
  fails,
  find,
  makeWorld,
  mkdir,
  now,
  put,
  READ,
  readFile,
  type World,
  WRITE,
} from './support.js';

const APPEND = { ...WRITE, append: true };
const TRUNCATE = { ...WRITE, truncate: true };

function open(
  world: World,
  ino: Ino,
  mode: { writable: boolean; append: boolean; truncate: boolean } = WRITE,
): Fh {
  return now(world.vfs.files.open(ino, mode));
}

function write(world: World, fh: Fh, text: string, position = 0): number {
  return now(world.vfs.files.write(fh, Buffer.from(text), position));
}

function close(world: World, fh: Fh): void {
  now(world.vfs.files.flush(fh));
  world.vfs.files.release(fh);
  world.check();
}

function writing(world: World, ino: Ino): boolean {
  const record = world.state.get(ino);
  return record?.kind === 'file' && record.writing;
}

function remoteError(code: 'changed' | 'not-found' | 'unreachable'): RemoteError {
  return new RemoteError(code, code, { method: 'GET', path: '/f' as RemotePath, outcome: 'none' });
}

describe('open', () => {
  test('what cannot be opened', async () => {
    const world = makeWorld();
    await fails('EISDIR', () => world.vfs.files.open(ROOT_INO, READ));
    const symlink = now(world.vfs.names.symlink(ROOT_INO, 's', 't', CALLER)).ino;
    await fails('ELOOP', () => world.vfs.files.open(symlink, READ));
    await fails('ESTALE', () => world.vfs.files.open(999 as Ino, READ));
    await fails('EBADF', () => world.vfs.files.read(77 as Fh, Buffer.alloc(1), 0, 1, 0));
    const readOnly = makeWorld({ readOnly: true });
    const file = readOnly.serverFile(ROOT_INO, 'f', 'x');
    await fails('EROFS', () => readOnly.vfs.files.open(file, WRITE));
    await fails('EROFS', () => readOnly.vfs.files.open(file, { ...READ, truncate: true }));
    close(readOnly, open(readOnly, file, READ));
  });

  test('a handle for reading cannot write', async () => {
    const world = makeWorld();
    const fh = open(world, put(world, ROOT_INO, 'f', 'x'), READ);
    await fails('EBADF', () => world.vfs.files.write(fh, Buffer.from('y'), 0));
    await fails('EBADF', () => world.vfs.files.fallocate(fh, 0, 0, 1));
    close(world, fh);
  });

  test('asks for a newer version first, and is stale when the name went to another file', async () => {
    const world = makeWorld();
    const ino = world.serverFile(ROOT_INO, 'f', 'old');
    let newer: Ino | undefined;
    world.sync.news.set(ino, () => {
      now(world.vfs.names.unlink(ROOT_INO, 'f'));
      newer = put(world, ROOT_INO, 'f', 'new');
    });
    await fails('ESTALE', () => world.vfs.files.open(ino, READ));
    assert.equal(find(world, ROOT_INO, 'f')?.ino, newer);
    assert.equal(world.vfs.handleCount, 0);
    world.check();
  });

  test('is stale when the question brought another version, and then opens that', async () => {
    const world = makeWorld();
    const ino = world.serverFile(ROOT_INO, 'f', 'old');
    world.sync.news.set(ino, () => {
      world.state.transact((tx) => {
        const record = tx.get(ino);
        assert(record?.kind === 'file' && record.base !== undefined);
        tx.put({ ...record, size: 6, base: { ...record.base, etag: '"v2"' as never, size: 6 } });
      });
      world.sync.serverBytes.set(ino, Buffer.from('newer!'));
    });
    await fails('ESTALE', () => world.vfs.files.open(ino, READ));
    assert.equal(world.vfs.attributes.get(ino).size, 6);
    const fh = now(world.vfs.files.open(ino, READ));
    const buffer = Buffer.alloc(10);
    assert.equal(await world.vfs.files.read(fh, buffer, 0, 10, 0), 6);
    assert.equal(buffer.toString('utf8', 0, 6), 'newer!');
    close(world, fh);
  });

  test('is not stale when what was written here got to the server meanwhile, or was given its tag there', async () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f', 'text');
    world.sync.news.set(ino, () => world.uploadAll());
    close(world, await world.vfs.files.open(ino, READ));
    const far = world.serverFile(ROOT_INO, 'far', 'text');
    const tagged = (etag: string | undefined) =>
      world.state.transact((tx) => {
        const record = tx.get(far);
        assert(record?.kind === 'file' && record.base !== undefined);
        tx.put({ ...record, base: { ...record.base, etag: etag as never } });
      });
    tagged(undefined);
    world.sync.news.set(far, () => tagged('"v1"'));
    close(world, await world.vfs.files.open(far, READ));
  });

  test('with truncation empties the file without fetching it', () => {
    const world = makeWorld();
    const ino = world.serverFile(ROOT_INO, 'f', 'server text');
    const fh = open(world, ino, TRUNCATE);
    assert.equal(world.vfs.attributes.get(ino).size, 0);
    write(world, fh, 'new');
    close(world, fh);
    assert.equal(readFile(world, ROOT_INO, 'f'), 'new');
    assert.deepEqual(world.sync.take('present'), []);
  });

  test('with truncation of an empty file changes nothing for the server', () => {
    const world = makeWorld();
    const ino = world.serverFile(ROOT_INO, 'f', '');
    close(world, open(world, ino, TRUNCATE));
    assert.equal(world.state.dirtyCount, 0);
  });
});

describe('read', () => {
  test('into the buffer given, short at the end, nothing behind it', () => {
    const world = makeWorld();
    const fh = open(world, put(world, ROOT_INO, 'f', '0123456789'), READ);
    const buffer = Buffer.from('..............');
    assert.equal(now(world.vfs.files.read(fh, buffer, 2, 4, 3)), 4);
    assert.equal(buffer.toString(), '..3456........');
    assert.equal(now(world.vfs.files.read(fh, buffer, 0, 8, 6)), 4);
    assert.equal(now(world.vfs.files.read(fh, buffer, 0, 8, 10)), 0);
    assert.equal(now(world.vfs.files.read(fh, buffer, 0, 8, 1000)), 0);
    close(world, fh);
  });

  test('waits for what is far away, once', async () => {
    const world = makeWorld();
    const fh = open(world, world.serverFile(ROOT_INO, 'f', '0123456789'), READ);
    const buffer = Buffer.alloc(4);
    const pending = world.vfs.files.read(fh, buffer, 0, 4, 2);
    assert(pending instanceof Promise);
    assert.equal(await pending, 4);
    assert.equal(buffer.toString(), '2345');
    assert.equal(now(world.vfs.files.read(fh, buffer, 0, 2, 3)), 2);
    close(world, fh);
  });

  test('tells of each read while bytes are missing, and not after', async () => {
    const world = makeWorld();
    const fh = open(world, world.serverFile(ROOT_INO, 'f', '0123'), READ);
    const buffer = Buffer.alloc(4);
    await world.vfs.files.read(fh, buffer, 0, 2, 0);
    now(world.vfs.files.read(fh, buffer, 0, 2, 0));
    assert.equal(world.sync.take('present').length, 2);
    await world.vfs.files.read(fh, buffer, 0, 2, 2);
    world.sync.take('present');
    now(world.vfs.files.read(fh, buffer, 0, 4, 0));
    assert.deepEqual(world.sync.take('present'), []);
    close(world, fh);
  });

  test('is an error when the server no longer has the version that is open', async () => {
    for (const code of ['changed', 'not-found'] as const) {
      const world = makeWorld();
      const fh = open(world, world.serverFile(ROOT_INO, 'f', '0123'), READ);
      world.sync.presentError = remoteError(code);
      await fails('EIO', () => world.vfs.files.read(fh, Buffer.alloc(4), 0, 4, 0));
      close(world, fh);
    }
  });

  test('passes other errors of the server on', async () => {
    const world = makeWorld();
    const fh = open(world, world.serverFile(ROOT_INO, 'f', '0123'), READ);
    world.sync.presentError = remoteError('unreachable');
    await assert.rejects(async () => world.vfs.files.read(fh, Buffer.alloc(4), 0, 4, 0), {
      name: 'RemoteError',
    });
    close(world, fh);
  });
});

describe('write', () => {
  test('is seen by every other handle and by stat at once', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f', 'abc');
    const reader = open(world, ino, READ);
    const writer = open(world, ino);
    const before = world.vfs.attributes.get(ino);
    assert.equal(write(world, writer, 'XYZ', 2), 3);
    const after = world.vfs.attributes.get(ino);
    assert.deepEqual([after.size, after.blocks], [5, 1]);
    assert(after.mtime > before.mtime && after.ctime > before.ctime);
    assert.equal(contentOf(world, reader), 'abXYZ');
    close(world, writer);
    close(world, reader);
    assert.deepEqual(world.vfs.attributes.get(ino), after);
  });

  test('behind the end leaves zeros between', () => {
    const world = makeWorld();
    const fh = open(world, put(world, ROOT_INO, 'f', 'a'));
    write(world, fh, 'b', 3);
    assert.equal(contentOf(world, fh), 'a\0\0b');
    close(world, fh);
  });

  test('appends at the end of that moment, but page cache goes where it belongs', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f', 'one');
    const [a, b] = [open(world, ino, APPEND), open(world, ino, APPEND)];
    write(world, a, 'two', 0);
    write(world, b, 'three', 3);
    now(world.vfs.files.write(a, Buffer.from('O'), 0, { fromPageCache: true }));
    assert.equal(contentOf(world, a), 'Onetwothree');
    close(world, a);
    close(world, b);
  });

  test('of a part of a file on the server fetches the rest first', async () => {
    const world = makeWorld();
    const ino = world.serverFile(ROOT_INO, 'f', '0123456789');
    const fh = open(world, ino);
    const first = world.vfs.files.write(fh, Buffer.from('AB'), 4);
    assert(first instanceof Promise);
    assert.equal(await first, 2);
    assert.equal(contentOf(world, fh), '0123AB6789');
    const record = world.state.get(ino);
    assert(record?.kind === 'file');
    assert.deepEqual([record.content, record.gen, record.base?.gen], ['staged', 2, 1]);
    close(world, fh);
  });

  test('beyond the largest file', async () => {
    const world = makeWorld();
    const fh = open(world, put(world, ROOT_INO, 'f'));
    await fails('EFBIG', () => world.vfs.files.write(fh, Buffer.from('xx'), MAX_FILE_BYTES - 1));
    await fails('EFBIG', () => world.vfs.files.fallocate(fh, 0, MAX_FILE_BYTES, 1));
    close(world, fh);
  });

  test('takes set-id bits away when the writer may not keep them', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f');
    now(world.vfs.attributes.set(ino, { mode: 0o6755 }));
    const fh = open(world, ino);
    write(world, fh, 'x');
    assert.equal(world.vfs.attributes.get(ino).mode, 0o6755);
    now(world.vfs.files.write(fh, Buffer.from('x'), 0, { killPrivileges: true }));
    assert.equal(world.vfs.attributes.get(ino).mode, 0o755);
    close(world, fh);
  });
});

describe('closing', () => {
  test('a flush makes the file due, a later write through the same handle holds it back again', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f', 'a');
    const fh = open(world, ino);
    assert.equal(writing(world, ino), false);
    write(world, fh, 'bb');
    assert.equal(writing(world, ino), true);
    world.sync.take('commit');
    now(world.vfs.files.flush(fh));
    assert.deepEqual(world.sync.take('commit'), [{ what: 'commit', ino, size: 2, stillOpen: false }]);
    assert.equal(writing(world, ino), false);
    write(world, fh, 'ccc');
    assert.equal(writing(world, ino), true);
    now(world.vfs.files.flush(fh));
    now(world.vfs.files.flush(fh));
    assert.equal(world.sync.take('commit').length, 1);
    world.vfs.files.release(fh);
    assert.deepEqual(world.sync.take('commit'), []);
    world.check();
  });

  test('a handle that wrote nothing commits nothing', () => {
    const world = makeWorld();
    const ino = world.serverFile(ROOT_INO, 'f', 'abc');
    close(world, open(world, ino));
    assert.deepEqual(world.sync.take('commit'), []);
    assert.equal(world.state.dirtyCount, 0);
  });

  test('while another handle is in the middle of writing, the file is not whole', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f', 'a');
    const [first, second, reader] = [open(world, ino), open(world, ino), open(world, ino)];
    write(world, first, 'b');
    write(world, second, 'c', 1);
    world.sync.take('commit');
    now(world.vfs.files.flush(reader));
    assert.deepEqual(world.sync.take('commit'), []);
    now(world.vfs.files.flush(first));
    assert.deepEqual(world.sync.take('commit'), [{ what: 'commit', ino, size: 2, stillOpen: true }]);
    assert.equal(writing(world, ino), true);
    close(world, second);
    assert.equal(writing(world, ino), false);
    close(world, first);
    close(world, reader);
  });

  test('what a mapping wrote after the close is committed at the release', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f', 'a');
    const fh = open(world, ino);
    now(world.vfs.files.flush(fh));
    world.sync.take('commit');
    now(world.vfs.files.write(fh, Buffer.from('late'), 0, { fromPageCache: true }));
    world.vfs.files.release(fh);
    assert.deepEqual(world.sync.take('commit'), [{ what: 'commit', ino, size: 4, stillOpen: false }]);
    world.check();
  });

  test('write-through: the close of what was written waits for the server, and tells its error', async () => {
    const world = makeWorld({ sync: 'write-through' });
    const request = { mode: 0o644, caller: CALLER, open: WRITE, exclusive: true };
    const { attributes, fh } = now(world.vfs.names.create(ROOT_INO, 'f', request));
    write(world, fh, 'x');
    await world.vfs.files.flush(fh);
    assert.deepEqual(world.sync.take('settled'), [{ what: 'settled', ino: attributes.ino }]);
    assert.equal(world.vfs.inodes.isOpenForWriting(attributes.ino), false);
    now(world.vfs.files.flush(fh));
    write(world, fh, 'y');
    world.sync.settleError = new Error('refused');
    await assert.rejects(async () => world.vfs.files.flush(fh), { message: 'refused' });
    world.vfs.files.release(fh);
  });

  test('fsync commits and asks for an upload from a copy while the file stays open', async () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f');
    const fh = open(world, ino);
    write(world, fh, 'data');
    world.sync.calls.length = 0;
    await world.vfs.files.fsync(fh);
    assert.deepEqual(world.sync.calls, [
      { what: 'commit', ino, size: 4, stillOpen: true },
      { what: 'fsynced', ino },
    ]);
    now(world.vfs.files.flush(fh));
    world.sync.calls.length = 0;
    await world.vfs.files.fsync(fh);
    assert.deepEqual(world.sync.calls, []);
    world.vfs.files.release(fh);
  });

  test('syncfs commits everything that is being written', async () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f');
    const fh = open(world, ino);
    write(world, fh, 'data');
    await world.vfs.syncfs();
    const record = world.state.get(ino);
    assert(record?.kind === 'file');
    assert.deepEqual([record.size, record.writing], [4, true]);
    close(world, fh);
  });

  test('the end of the mount releases handles and references', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f');
    write(world, open(world, ino), 'data');
    now(world.vfs.directories.open(ROOT_INO));
    now(world.vfs.names.lookup(ROOT_INO, 'f'));
    world.vfs.close();
    assert.equal(world.vfs.handleCount, 0);
    assert.equal(world.vfs.inodes.referencedCount, 0);
    assert.equal(writing(world, ino), false);
    assert.equal(world.content.peek(ino), undefined);
    world.check();
  });
});

describe('resize', () => {
  test('shorter and longer, by handle and by name', () => {
    for (const byHandle of [true, false]) {
      const world = makeWorld();
      const ino = put(world, ROOT_INO, 'f', '0123456789');
      const fh = byHandle ? open(world, ino) : undefined;
      now(world.vfs.attributes.set(ino, { size: 4 }, fh));
      assert.equal(world.vfs.attributes.get(ino).size, 4);
      now(world.vfs.attributes.set(ino, { size: 6 }, fh));
      assert.equal(writing(world, ino), byHandle);
      if (fh !== undefined) close(world, fh);
      assert.equal(readFile(world, ROOT_INO, 'f'), '0123\0\0');
      assert.equal(writing(world, ino), false);
      world.check();
    }
  });

  test('to its own size touches times only', () => {
    const world = makeWorld();
    const ino = world.serverFile(ROOT_INO, 'f', 'abc');
    const before = world.vfs.attributes.get(ino);
    const after = now(world.vfs.attributes.set(ino, { size: 3 }));
    assert(after.mtime > before.mtime);
    const fh = open(world, ino);
    now(world.vfs.attributes.set(ino, { size: 3 }, fh));
    close(world, fh);
    assert.equal(world.state.dirtyCount, 0);
  });

  test('of a file on the server fetches what is kept', async () => {
    const world = makeWorld();
    const ino = world.serverFile(ROOT_INO, 'f', '0123456789');
    const { size } = await world.vfs.attributes.set(ino, { size: 4 });
    assert.equal(size, 4);
    assert.equal(readFile(world, ROOT_INO, 'f'), '0123');
    assert.equal(world.vfs.handleCount, 0);
    world.check();
  });

  test('of what has no size to set', async () => {
    const world = makeWorld();
    const symlink = now(world.vfs.names.symlink(ROOT_INO, 's', 't', CALLER)).ino;
    await fails('EISDIR', () => world.vfs.attributes.set(mkdir(world, ROOT_INO, 'd'), { size: 0 }));
    await fails('EINVAL', () => world.vfs.attributes.set(symlink, { size: 0 }));
    await fails('EFBIG', () => world.vfs.attributes.set(put(world, ROOT_INO, 'f'), { size: 2 ** 60 }));
  });
});

describe('the rest', () => {
  test('seeking data and holes', async () => {
    const world = makeWorld();
    const fh = open(world, put(world, ROOT_INO, 'f', 'abc'), READ);
    assert.equal(world.vfs.files.seek(fh, 1, 'data'), 1);
    assert.equal(world.vfs.files.seek(fh, 1, 'hole'), 3);
    await fails('ENXIO', () => world.vfs.files.seek(fh, 3, 'data'));
    await fails('ENXIO', () => world.vfs.files.seek(fh, 9, 'hole'));
    close(world, fh);
  });

  test('allocating room', async () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f', 'abc');
    const fh = open(world, ino);
    now(world.vfs.files.fallocate(fh, 0, 0, 8));
    assert.equal(world.vfs.attributes.get(ino).size, 8);
    await fails('EINVAL', () => world.vfs.files.fallocate(fh, 0, 0, 0));
    close(world, fh);
  });

  test('copying a range between files, short at the end of the source', async () => {
    const world = makeWorld();
    const from = open(world, world.serverFile(ROOT_INO, 'from', '0123456789'), READ);
    const to = open(world, put(world, ROOT_INO, 'to', '....'), APPEND);
    const copied = await world.vfs.files.copyRange({ fh: from, position: 6 }, { fh: to, position: 1 }, 100);
    assert.equal(copied, 4);
    assert.equal(contentOf(world, to), '.6789');
    assert.equal(now(world.vfs.files.copyRange({ fh: from, position: 10 }, { fh: to, position: 0 }, 5)), 0);
    await fails('EBADF', () =>
      world.vfs.files.copyRange({ fh: to, position: 0 }, { fh: from, position: 0 }, 1),
    );
    close(world, from);
    close(world, to);
  });

  test('of a whole file that is not here it is the server who copies, where it can', async () => {
    const world = makeWorld();
    const made = world.serverFile(ROOT_INO, 'from', '0123456789');
    const asked: Ino[][] = [];
    for (const isMade of [true, false]) {
      world.sync.cloning = async (from, to) => {
        asked.push([from, to]);
        return isMade;
      };
      const from = open(world, made, READ);
      const target = put(world, ROOT_INO, `to ${isMade}`, '');
      const to = open(world, target, APPEND);
      const copied = await world.vfs.files.copyRange(
        { fh: from, position: 0 },
        { fh: to, position: 0 },
        2 ** 40,
      );
      assert.equal(copied, 10);
      assert.deepEqual(asked.at(-1), [made, target]);
      if (!isMade) assert.equal(contentOf(world, to), '0123456789');
      close(world, from);
      close(world, to);
    }
    assert.equal(asked.length, 2);
  });

  test('a whole copy of a version is committed as one, unless it is changed afterwards', async () => {
    const world = makeWorld();
    const made = world.serverFile(ROOT_INO, 'from', '0123456789');
    const source = open(world, made, READ);
    const copyOf = async (change: (fh: Fh, ino: Ino) => void) => {
      const ino = put(world, ROOT_INO, `to ${world.sync.calls.length}`, '');
      const to = open(world, ino, APPEND);
      await world.vfs.files.copyRange({ fh: source, position: 0 }, { fh: to, position: 0 }, 100);
      change(to, ino);
      now(world.vfs.files.flush(to));
      close(world, to);
      const commit = world.sync.calls.findLast((call) => call.what === 'commit');
      return commit?.what === 'commit' ? commit.copyOf : undefined;
    };
    assert.equal((await copyOf(() => undefined))?.ino, made);
    assert.equal(await copyOf((fh) => now(world.vfs.files.write(fh, Buffer.from('x'), 3))), undefined);
    assert.equal(await copyOf((fh, ino) => now(world.vfs.files.resize(ino, 9, fh))), undefined);
    close(world, source);
  });
});
