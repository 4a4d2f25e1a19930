import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import type { DirectoryEntry, Fh } from '../../../src/vfs/index.js';
import { CALLER, fails, list, makeWorld, mkdir, now, put, type World } from './support.js';

/** Up to `room` entries from a cookie on. */
function read(world: World, fh: Fh, position: number, room = Number.POSITIVE_INFINITY): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  world.vfs.directories.read(fh, position, (entry) => {
    if (entries.length === room) return false;
    entries.push(entry);
    return true;
  });
  return entries;
}

function names(entries: readonly DirectoryEntry[]): string[] {
  return entries.map(({ name }) => name);
}

describe('reading a directory', () => {
  test('gives kinds, inodes, the entry itself and its parent', () => {
    const world = makeWorld();
    const dir = mkdir(world, ROOT_INO, 'd');
    const file = put(world, dir, 'file');
    const sub = mkdir(world, dir, 'sub');
    const link = now(world.vfs.names.symlink(dir, 'sym', 't', CALLER)).ino;
    now(world.vfs.names.link(file, dir, 'hard'));
    const fh = now(world.vfs.directories.open(dir));
    assert.deepEqual(read(world, fh, 0), [
      { name: '.', ino: dir, kind: 'dir', next: 1 },
      { name: '..', ino: ROOT_INO, kind: 'dir', next: 2 },
      { name: 'file', ino: file, kind: 'file', next: 3 },
      { name: 'hard', ino: file, kind: 'file', next: 4 },
      { name: 'sub', ino: sub, kind: 'dir', next: 5 },
      { name: 'sym', ino: link, kind: 'symlink', next: 6 },
    ]);
    world.vfs.directories.release(fh);
    world.check();
  });

  test('continues from any cookie that was given, also an earlier one', () => {
    const world = makeWorld();
    for (let i = 0; i < 1000; i += 1) put(world, ROOT_INO, `f${String(i).padStart(4, '0')}`);
    const fh = now(world.vfs.directories.open(ROOT_INO));
    const all: DirectoryEntry[] = [];
    for (let position = 0; ; ) {
      const part = read(world, fh, position, 7);
      all.push(...part);
      const last = part.at(-1);
      if (last === undefined) break;
      position = last.next;
    }
    assert.equal(all.length, 1002);
    assert.equal(new Set(names(all)).size, 1002);
    for (const index of [0, 1, 2, 500, 900]) {
      assert.deepEqual(read(world, fh, all[index]?.next ?? 0, 3), all.slice(index + 1, index + 4));
    }
    world.vfs.directories.release(fh);
  });

  test('while names come and go: what stays is seen exactly once', () => {
    const world = makeWorld();
    for (let i = 0; i < 600; i += 1) put(world, ROOT_INO, `stay${i}`);
    for (let i = 0; i < 300; i += 1) put(world, ROOT_INO, `go${i}`);
    const fh = now(world.vfs.directories.open(ROOT_INO));
    const seen: string[] = [];
    for (let position = 0, step = 0; ; step += 1) {
      const part = read(world, fh, position, 10);
      if (part.length === 0) break;
      seen.push(...names(part));
      position = part.at(-1)?.next ?? position;
      for (let i = 0; i < 5 && step * 5 + i < 300; i += 1)
        now(world.vfs.names.unlink(ROOT_INO, `go${step * 5 + i}`));
      if (step < 50) put(world, ROOT_INO, `a-new${step}`);
      if (step < 50) put(world, ROOT_INO, `z-new${step}`);
    }
    const stayed = seen.filter((name) => name.startsWith('stay'));
    assert.equal(stayed.length, 600);
    assert.equal(new Set(seen).size, seen.length);
    // The beginning again is the directory of now.
    const again = names(read(world, fh, 0)).filter((name) => name.startsWith('go'));
    assert.deepEqual(
      again,
      list(world).filter((name) => name.startsWith('go')),
    );
    world.vfs.directories.release(fh);
    world.check();
  });

  test('rm -r: deleting each entry as it is read empties the directory', () => {
    const world = makeWorld();
    for (let i = 0; i < 700; i += 1) put(world, ROOT_INO, `f${i}`);
    const fh = now(world.vfs.directories.open(ROOT_INO));
    for (let position = 0; ; ) {
      const part = read(world, fh, position, 13);
      if (part.length === 0) break;
      for (const { name } of part) if (name.startsWith('f')) now(world.vfs.names.unlink(ROOT_INO, name));
      position = part.at(-1)?.next ?? position;
    }
    world.vfs.directories.release(fh);
    assert.deepEqual(list(world), []);
  });

  test('with attributes counts one reference for each entry taken, none for "." and ".."', () => {
    const world = makeWorld();
    const a = world.serverFile(ROOT_INO, 'a', 'x');
    const b = world.serverFile(ROOT_INO, 'b', 'xy');
    const fh = now(world.vfs.directories.open(ROOT_INO));
    const sizes: number[] = [];
    world.vfs.directories.readPlus(fh, 0, ({ name, attributes, counted }) => {
      assert.equal(counted, name !== '.' && name !== '..');
      if (name === 'b') return false;
      if (counted) sizes.push(attributes.size);
      return true;
    });
    assert.deepEqual(sizes, [1]);
    assert.deepEqual(
      [a, b, ROOT_INO].map((ino) => world.vfs.inodes.lookupCount(ino)),
      [1, 0, 0],
    );
    world.vfs.directories.release(fh);
    world.check();
  });

  test('waits for a directory never seen, and only then', async () => {
    const world = makeWorld();
    const dir = world.serverDir(ROOT_INO, 'd');
    world.sync.listings.set(dir, () => world.serverFile(dir, 'f', ''));
    const pending = world.vfs.directories.open(dir);
    assert(pending instanceof Promise);
    const fh = await pending;
    assert.deepEqual(names(read(world, fh, 2)), ['f']);
    world.vfs.directories.release(fh);
    assert.deepEqual(list(world, dir), ['f']);
  });

  test('that was removed while it is open is empty, and forgotten when it is closed', () => {
    const world = makeWorld();
    const dir = mkdir(world, ROOT_INO, 'd');
    const fh = now(world.vfs.directories.open(dir));
    now(world.vfs.names.rmdir(ROOT_INO, 'd'));
    world.vfs.names.forget(dir, 1);
    assert.deepEqual(read(world, fh, 0), []);
    world.vfs.directories.release(fh);
    assert.equal(world.state.get(dir), undefined);
    world.check();
  });

  test('what is no directory, or not open', async () => {
    const world = makeWorld();
    await fails('ENOTDIR', () => world.vfs.directories.open(put(world, ROOT_INO, 'f')));
    await fails('ESTALE', () => world.vfs.directories.open(999 as Ino));
    await fails('EBADF', () => read(world, 7 as Fh, 0));
    await fails('EBADF', () => world.vfs.directories.fsync(7 as Fh));
  });
});
