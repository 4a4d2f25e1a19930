import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import type { RenameMode, VfsErrorCode } from '../../../src/vfs/index.js';
import {
  CALLER,
  contentOf,
  fails,
  find,
  list,
  makeWorld,
  mkdir,
  now,
  put,
  READ,
  readFile,
  type World,
} from './support.js';

function rename(
  world: World,
  from: string,
  to: string,
  mode: RenameMode = 'replace',
  parent: Ino = ROOT_INO,
) {
  return world.vfs.renames.run({ parent, name: from }, { parent, name: to }, mode);
}

const ALL_KINDS = ['file', 'symlink', 'alias', 'empty directory', 'full directory'] as const;
type Kind = (typeof ALL_KINDS)[number];

function make(world: World, name: string, kind: Kind): Ino {
  switch (kind) {
    case 'file':
      return put(world, ROOT_INO, name, name);
    case 'symlink':
      return now(world.vfs.names.symlink(ROOT_INO, name, name, CALLER)).ino;
    case 'alias':
      return now(world.vfs.names.link(put(world, ROOT_INO, `${name}.primary`, name), ROOT_INO, name)).ino;
    case 'empty directory':
      return mkdir(world, ROOT_INO, name);
    case 'full directory': {
      const dir = mkdir(world, ROOT_INO, name);
      put(world, dir, 'inside');
      return dir;
    }
  }
}

/** rename(2) as Linux has it: what a rename of one kind over another answers. */
function expected(source: Kind, target: Kind, mode: RenameMode): VfsErrorCode | undefined {
  if (mode === 'no-replace') return 'EEXIST';
  if (mode === 'exchange') return undefined;
  const sourceIsDir = source.endsWith('directory');
  const targetIsDir = target.endsWith('directory');
  if (sourceIsDir && !targetIsDir) return 'ENOTDIR';
  if (!sourceIsDir && targetIsDir) return 'EISDIR';
  return target === 'full directory' ? 'ENOTEMPTY' : undefined;
}

describe('every kind over every kind', () => {
  for (const source of ALL_KINDS) {
    for (const target of ALL_KINDS) {
      for (const mode of ['replace', 'no-replace', 'exchange'] as const) {
        test(`${mode}: ${source} over ${target}`, async () => {
          const world = makeWorld();
          const a = make(world, 'a', source);
          const b = make(world, 'b', target);
          const code = expected(source, target, mode);
          if (code === undefined) now(rename(world, 'a', 'b', mode));
          else await fails(code, () => rename(world, 'a', 'b', mode));
          world.check();
          const names = { a: find(world, ROOT_INO, 'a')?.ino, b: find(world, ROOT_INO, 'b')?.ino };
          if (code !== undefined) assert.deepEqual(names, { a, b });
          else if (mode === 'exchange') assert.deepEqual(names, { a: b, b: a });
          else assert.deepEqual(names, { a: undefined, b: a });
        });
      }
    }
  }
});

describe('rename', () => {
  test('onto a free name', async () => {
    for (const mode of ['replace', 'no-replace'] as const) {
      const world = makeWorld();
      const from = mkdir(world, ROOT_INO, 'from');
      const to = mkdir(world, ROOT_INO, 'to');
      const ino = put(world, from, 'a', 'text');
      const before = [from, to, ino].map((each) => world.vfs.attributes.get(each));
      now(world.vfs.renames.run({ parent: from, name: 'a' }, { parent: to, name: 'b' }, mode));
      const after = [from, to, ino].map((each) => world.vfs.attributes.get(each));
      for (const [index, attributes] of after.entries())
        assert(attributes.ctime > (before[index]?.ctime ?? 0n));
      assert.equal(after[2]?.mtime, before[2]?.mtime);
      assert.deepEqual([list(world, from), list(world, to)], [[], ['b']]);
      world.check();
    }
    await fails('ENOENT', () => rename(makeWorld(), 'a', 'b', 'exchange'));
    await fails('ENOENT', () => rename(makeWorld(), 'a', 'b'));
  });

  test('of two names of one file changes nothing', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'a');
    now(world.vfs.names.link(ino, ROOT_INO, 'b'));
    for (const mode of ['replace', 'exchange'] as const) {
      now(rename(world, 'a', 'b', mode));
      now(rename(world, 'b', 'a', mode));
      now(rename(world, 'a', 'a', mode));
    }
    assert.deepEqual(list(world), ['a', 'b']);
    assert.equal(world.vfs.attributes.get(ino).nlink, 2);
    world.check();
  });

  test('of a directory into itself, and of what lies in a directory over it', async () => {
    const world = makeWorld();
    const a = mkdir(world, ROOT_INO, 'a');
    const b = mkdir(world, a, 'b');
    const file = put(world, ROOT_INO, 'f');
    for (const mode of ['replace', 'no-replace'] as const) {
      for (const into of [a, b]) {
        await fails('EINVAL', () =>
          world.vfs.renames.run({ parent: ROOT_INO, name: 'a' }, { parent: into, name: 'x' }, mode),
        );
      }
    }
    await fails('EINVAL', () =>
      world.vfs.renames.run({ parent: ROOT_INO, name: 'a' }, { parent: a, name: 'b' }, 'exchange'),
    );
    await fails('EINVAL', () =>
      world.vfs.renames.run({ parent: a, name: 'b' }, { parent: ROOT_INO, name: 'a' }, 'exchange'),
    );
    await fails('ENOTEMPTY', () =>
      world.vfs.renames.run({ parent: a, name: 'b' }, { parent: ROOT_INO, name: 'a' }, 'replace'),
    );
    await fails('ENOTDIR', () =>
      world.vfs.renames.run({ parent: file, name: 'x' }, { parent: a, name: 'x' }, 'replace'),
    );
    world.check();
  });

  test('over a file that is open: it is readable to its end, then forgotten', () => {
    const world = makeWorld();
    const old = put(world, ROOT_INO, 'old', 'old text');
    put(world, ROOT_INO, 'new', 'new text');
    const fh = now(world.vfs.files.open(old, READ));
    now(rename(world, 'new', 'old'));
    world.vfs.names.forget(old, 1);
    assert.equal(contentOf(world, fh), 'old text');
    assert.equal(readFile(world, ROOT_INO, 'old'), 'new text');
    world.vfs.files.release(fh);
    assert.equal(world.state.get(old), undefined);
    world.check();
  });

  test('a save by temporary file leaves one new content for the name that the server knows', () => {
    const world = makeWorld();
    const old = world.serverFile(ROOT_INO, 'doc', 'v1');
    const saved = put(world, ROOT_INO, 'doc.tmp', 'v2');
    now(rename(world, 'doc.tmp', 'doc'));
    assert.deepEqual([...world.state.dirty()].sort(), [old, saved].sort());
    assert.equal(world.state.baseChild(ROOT_INO, 'doc' as never), old);
    assert.equal(find(world, ROOT_INO, 'doc')?.ino, saved);
    world.check();
  });

  test('over a directory that was never listed waits for its listing', async () => {
    const world = makeWorld();
    mkdir(world, ROOT_INO, 'a');
    const full = world.serverDir(ROOT_INO, 'full');
    const empty = world.serverDir(ROOT_INO, 'empty');
    world.sync.listings.set(full, () => world.serverFile(full, 'f', ''));
    world.sync.listings.set(empty, () => undefined);
    await fails('ENOTEMPTY', () => rename(world, 'a', 'full'));
    await rename(world, 'a', 'empty');
    assert.deepEqual(list(world), ['empty', 'full']);
    world.check();
  });

  test('sees what happened while it waited', async () => {
    const world = makeWorld();
    const target = world.serverDir(ROOT_INO, 'd');
    put(world, ROOT_INO, 'a');
    world.sync.listings.set(target, () => now(world.vfs.names.unlink(ROOT_INO, 'a')));
    await fails('ENOENT', () =>
      world.vfs.renames.run({ parent: ROOT_INO, name: 'a' }, { parent: target, name: 'a' }, 'replace'),
    );
    world.check();
  });

  test('bad names and read-only mounts', async () => {
    const world = makeWorld();
    put(world, ROOT_INO, 'a');
    await fails('ENAMETOOLONG', () => rename(world, 'a', 'x'.repeat(256)));
    await fails('EPERM', () => rename(world, 'a', '.DAV'));
    await fails('ENOENT', () => rename(world, '.DAV', 'b'));
    const readOnly = makeWorld({ readOnly: true });
    readOnly.serverFile(ROOT_INO, 'a', '');
    await fails('EROFS', () => rename(readOnly, 'a', 'b'));
  });
});
