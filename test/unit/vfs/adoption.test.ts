/** A Vfs that goes on where another one was killed: same state, same bodies, same handle log. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type Ino, ROOT_INO, silentLog } from '../../../src/base/index.js';
import { type Fh, openHandleLog, type VfsOptions, type VfsRequest } from '../../../src/vfs/index.js';
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
  WRITE,
} from './support.js';

const APPEND = { writable: true, append: true, truncate: false } as const;
const TRUNCATE = { writable: true, append: false, truncate: true } as const;
const NEW = { mode: 0o644, caller: CALLER, open: WRITE, exclusive: true } as const;

function request(unique: number, resent = false): VfsRequest {
  return { signal: new AbortController().signal, unique, resent };
}

describe('a mount taken over', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'infinimount-adoption-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  function begin(options: Partial<VfsOptions> = {}, from?: World): World {
    const handleLog = openHandleLog({ path: join(dir, 'handles'), connection: 'one', log: silentLog });
    const world = makeWorld(options, { handleLog, ...(from === undefined ? {} : { from }) });
    world.state.origins.begin('one');
    return world;
  }

  /** SIGKILL, and the next process. */
  function takeOver(from: World): World {
    const world = begin(from.vfs.options, from);
    for (const [ino, bytes] of from.sync.serverBytes) world.sync.serverBytes.set(ino, bytes);
    assert.deepEqual(world.vfs.adopt().lost, []);
    world.check();
    return world;
  }

  describe('its handles', () => {
    test('read and write on under their numbers, new ones get others', () => {
      const first = begin();
      const ino = put(first, ROOT_INO, 'a', 'hello');
      const reader = now(first.vfs.files.open(ino, READ));
      const writer = now(first.vfs.files.open(ino, WRITE));
      now(first.vfs.files.write(writer, Buffer.from('H'), 0));
      const second = takeOver(first);
      assert.equal(contentOf(second, reader), 'Hello');
      now(second.vfs.files.write(writer, Buffer.from('ow'), 3));
      assert.equal(contentOf(second, reader), 'Helow');
      const other = now(second.vfs.files.open(ino, READ));
      assert.ok(other > writer);
      for (const fh of [reader, writer, other]) second.vfs.files.release(fh);
      second.check();
      assert.equal(takeOver(second).vfs.handleCount, 0);
    });

    test('of a file on the server: what was evicted comes again', async () => {
      const first = begin();
      const ino = first.serverFile(ROOT_INO, 'far', 'far away');
      const fh = now(first.vfs.files.open(ino, READ));
      const second = takeOver(first);
      const bytes = Buffer.alloc(20);
      assert.equal(await second.vfs.files.read(fh, bytes, 0, 20, 0), 8);
      assert.equal(bytes.toString('utf8', 0, 8), 'far away');
    });

    test('of a file without a name keep it, until they go', () => {
      const first = begin();
      const ino = put(first, ROOT_INO, 'a', 'still here');
      const fh = now(first.vfs.files.open(ino, READ));
      now(first.vfs.names.unlink(ROOT_INO, 'a'));
      first.vfs.names.forget(ino, 1);
      const second = takeOver(first);
      assert.equal(contentOf(second, fh), 'still here');
      second.vfs.names.forget(ino, 1);
      assert.notEqual(second.state.get(ino), undefined);
      second.vfs.files.release(fh);
      assert.equal(second.state.get(ino), undefined);
    });

    test('of a file being written: size and writing go on, whole at the flush', () => {
      const first = begin();
      const { fh, attributes } = now(first.vfs.names.create(ROOT_INO, 'a', NEW));
      now(first.vfs.files.write(fh, Buffer.from('twelve bytes'), 0));
      const second = takeOver(first);
      assert.equal(second.vfs.attributes.get(attributes.ino).size, 12);
      assert.equal(second.vfs.inodes.isOpenForWriting(attributes.ino), true);
      now(second.vfs.files.flush(fh));
      assert.deepEqual(second.sync.take('commit'), [
        { what: 'commit', ino: attributes.ino, size: 12, stillOpen: false },
      ]);
    });

    test('times that a program set after writing stand', () => {
      const first = begin();
      const { fh, attributes } = now(first.vfs.names.create(ROOT_INO, 'a', NEW));
      now(first.vfs.files.write(fh, Buffer.from('bytes'), 0));
      now(first.vfs.attributes.set(attributes.ino, { mtime: 5n }, fh));
      const second = takeOver(first);
      assert.equal(second.vfs.attributes.get(attributes.ino).mtime, 5n);
      now(second.vfs.files.flush(fh));
      assert.equal(second.vfs.attributes.get(attributes.ino).mtime, 5n);
    });

    test('a release that is asked again, or of a number never given out, does nothing', () => {
      const first = begin();
      const fh = now(first.vfs.files.open(put(first, ROOT_INO, 'a'), READ));
      first.vfs.files.release(fh);
      const second = takeOver(first);
      second.vfs.files.release(fh);
      second.vfs.directories.release(99 as Fh);
      second.check();
    });

    test('of directories list on: every name once, whatever came and went', () => {
      const first = begin();
      const names = Array.from({ length: 700 }, (_, n) => `n${String(n).padStart(3, '0')}`);
      for (const name of names) put(first, ROOT_INO, name);
      const fh = now(first.vfs.directories.open(ROOT_INO));
      const seen: string[] = [];
      let cookie = 0;
      const read = (world: World, count: number) =>
        world.vfs.directories.read(fh, cookie, ({ name, next }) => {
          if (count === 0) return false;
          count -= 1;
          cookie = next;
          seen.push(name);
          return true;
        });
      read(first, 302);
      const second = takeOver(first);
      for (const name of names.slice(0, 250)) now(second.vfs.names.unlink(ROOT_INO, name));
      put(second, ROOT_INO, 'a new first one');
      read(second, 1000);
      assert.deepEqual(seen, ['.', '..', ...names]);
      second.vfs.directories.release(fh);
      second.check();
    });
  });

  describe('a request that is asked again', () => {
    /** Each makes the same tree however often it is asked. */
    const calls: Readonly<Record<string, (world: World, request: VfsRequest) => unknown>> = {
      mkdir: ({ vfs }, asked) =>
        now(vfs.names.mkdir(ROOT_INO, 'new', { mode: 0o755, caller: CALLER }, asked)).ino,
      mknod: ({ vfs }, asked) =>
        now(vfs.names.mknod(ROOT_INO, 'new', { kind: 'file', mode: 0o644, caller: CALLER }, asked)).ino,
      symlink: ({ vfs }, asked) => now(vfs.names.symlink(ROOT_INO, 'new', 'there', CALLER, asked)).ino,
      link: (world, asked) => now(world.vfs.names.link(inoOf(world, 'a'), ROOT_INO, 'new', asked)).ino,
      unlink: ({ vfs }, asked) => now(vfs.names.unlink(ROOT_INO, 'a', asked)),
      rmdir: ({ vfs }, asked) => now(vfs.names.rmdir(ROOT_INO, 'empty', asked)),
      rename: ({ vfs }, asked) => now(vfs.renames.run(from('a'), from('new'), 'no-replace', asked)),
      'rename over': ({ vfs }, asked) => now(vfs.renames.run(from('a'), from('b'), 'replace', asked)),
      exchange: ({ vfs }, asked) => now(vfs.renames.run(from('a'), from('b'), 'exchange', asked)),
      'setxattr create': (world, asked) =>
        world.vfs.xattrs.set(inoOf(world, 'b'), 'user.new', Buffer.from('v'), 'create', asked),
      removexattr: (world, asked) => world.vfs.xattrs.remove(inoOf(world, 'b'), 'user.old', asked),
      create: ({ vfs }, asked) => {
        const { attributes, fh } = now(vfs.names.create(ROOT_INO, 'new', NEW, asked));
        now(vfs.files.write(fh, Buffer.from('first'), 0));
        now(vfs.files.flush(fh));
        return [attributes.ino, fh];
      },
    };
    const from = (name: string) => ({ parent: ROOT_INO, name });
    const inoOf = (world: World, name: string) => find(world, ROOT_INO, name)?.ino as Ino;

    function prepared(): World {
      const world = begin();
      put(world, ROOT_INO, 'a', 'content of a');
      put(world, ROOT_INO, 'b', 'content of b');
      mkdir(world, ROOT_INO, 'empty');
      world.vfs.xattrs.set(inoOf(world, 'b'), 'user.old', Buffer.from('v'), 'any');
      return world;
    }

    function treeOf(world: World): unknown {
      return list(world).map((name) => {
        const found = find(world, ROOT_INO, name);
        assert(found !== undefined);
        const text = found.kind === 'file' ? readFile(world, ROOT_INO, name) : '';
        return [name, found.kind, found.nlink, text, world.vfs.xattrs.list(found.ino)];
      });
    }

    for (const [name, call] of Object.entries(calls)) {
      test(`${name}: is not carried out twice`, () => {
        const first = prepared();
        const answer = call(first, request(10));
        const tree = treeOf(first);
        const second = takeOver(first);
        assert.deepEqual(call(second, request(10, true)), answer);
        assert.deepEqual(treeOf(second), tree);
        // Once more: this process may die before it has answered, too.
        const third = takeOver(second);
        assert.deepEqual(call(third, request(10, true)), answer);
        assert.deepEqual(treeOf(third), tree);
        third.check();
      });

      test(`${name}: is carried out when it was not yet`, () => {
        const first = prepared();
        const second = takeOver(first);
        call(second, request(10, true));
        const plain = prepared();
        call(plain, request(10));
        assert.deepEqual(treeOf(second), treeOf(plain));
      });
    }

    test('with write-through it still waits for the server', async () => {
      const first = begin({ sync: 'write-through' });
      const lost = first.vfs.names.mkdir(ROOT_INO, 'd', { mode: 0o755, caller: CALLER }, request(10));
      const second = takeOver(first);
      second.sync.settleError = new Error('the server says no');
      await assert.rejects(
        async () => second.vfs.names.mkdir(ROOT_INO, 'd', { mode: 0o755, caller: CALLER }, request(10, true)),
        /says no/,
      );
      await lost;
    });

    test('another one for the same name is refused as ever', async () => {
      const first = begin();
      now(first.vfs.names.mkdir(ROOT_INO, 'd', { mode: 0o755, caller: CALLER }, request(10)));
      first.vfs.answered(10);
      const second = takeOver(first);
      const making = { mode: 0o755, caller: CALLER };
      await fails('EEXIST', () => second.vfs.names.mkdir(ROOT_INO, 'd', making, request(12, true)));
    });

    test('create and open give the handle that there is, not a second one', () => {
      const first = begin();
      const { fh, attributes } = now(first.vfs.names.create(ROOT_INO, 'a', NEW, request(10)));
      const opened = now(first.vfs.files.open(attributes.ino, READ, request(12)));
      const listed = now(first.vfs.directories.open(ROOT_INO, request(14)));
      const second = takeOver(first);
      assert.equal(now(second.vfs.names.create(ROOT_INO, 'a', NEW, request(10, true))).fh, fh);
      assert.equal(now(second.vfs.files.open(attributes.ino, READ, request(12, true))), opened);
      assert.equal(now(second.vfs.directories.open(ROOT_INO, request(14, true))), listed);
      assert.equal(second.vfs.handleCount, 3);
      assert.notEqual(now(second.vfs.files.open(attributes.ino, READ, request(16))), opened);
    });

    test('create opens what it made when its handle was not written down', () => {
      const first = begin();
      now(first.vfs.names.create(ROOT_INO, 'a', NEW, request(10)));
      rmSync(join(dir, 'handles'));
      const second = takeOver(first);
      const { fh, attributes } = now(second.vfs.names.create(ROOT_INO, 'a', NEW, request(10, true)));
      now(second.vfs.files.write(fh, Buffer.from('text'), 0));
      now(second.vfs.files.flush(fh));
      assert.deepEqual(second.sync.take('commit').at(-1), {
        what: 'commit',
        ino: attributes.ino,
        size: 4,
        stillOpen: false,
      });
    });

    test('open with truncation empties the file, also when the handle was written down before', () => {
      const first = begin();
      const ino = put(first, ROOT_INO, 'a', 'old');
      // As if it had died between the two.
      const fh = now(first.vfs.files.open(ino, WRITE, request(10)));
      const second = takeOver(first);
      assert.equal(now(second.vfs.files.open(ino, TRUNCATE, request(10, true))), fh);
      assert.equal(contentOf(second, fh), '');
    });

    test('append: once, whether it was done wholly, partly or not', () => {
      for (const done of ['', 'mo', 'more']) {
        const first = begin();
        const ino = put(first, ROOT_INO, 'a', 'begin ');
        const fh = now(first.vfs.files.open(ino, APPEND));
        if (done !== '') now(first.vfs.files.write(fh, Buffer.from(done), 6, {}, request(10)));
        const second = takeOver(first);
        const written = second.vfs.files.write(fh, Buffer.from('more'), 6, {}, request(10, true));
        assert.equal(now(written), 4);
        assert.equal(contentOf(second, fh), 'begin more');
        now(second.vfs.files.write(fh, Buffer.from('!'), 10, {}, request(12)));
        assert.equal(contentOf(second, fh), 'begin more!');
      }
    });
  });

  describe('what the kernel may refer to', () => {
    test('is kept without a name until the kernel gives it back', () => {
      const first = begin();
      const ino = mkdir(first, ROOT_INO, 'd');
      now(first.vfs.names.rmdir(ROOT_INO, 'd'));
      const second = takeOver(first);
      assert.equal(second.vfs.inodes.isInUse(ino), true);
      assert.equal(second.vfs.attributes.get(ino).kind, 'dir');
      second.vfs.names.forget(ino, 1);
      assert.equal(second.state.get(ino), undefined);
    });

    test('goes with the last reference, also of those that this process gave', () => {
      const first = begin();
      const ino = put(first, ROOT_INO, 'a');
      const second = takeOver(first);
      now(second.vfs.names.lookup(ROOT_INO, 'a'));
      now(second.vfs.names.unlink(ROOT_INO, 'a'));
      assert.notEqual(second.state.get(ino), undefined);
      // One from before, one from now.
      second.vfs.names.forget(ino, 2);
      assert.equal(second.state.get(ino), undefined);
    });

    test('the kernel can say that it does not', () => {
      const first = begin();
      const open = put(first, ROOT_INO, 'open');
      const dead = put(first, ROOT_INO, 'dead');
      put(first, ROOT_INO, 'alive');
      now(first.vfs.files.open(open, READ));
      now(first.vfs.names.unlink(ROOT_INO, 'open'));
      now(first.vfs.names.unlink(ROOT_INO, 'dead'));
      const second = takeOver(first);
      assert.deepEqual(second.vfs.names.doubtful(), [dead]);
      second.vfs.names.unreferenced(dead);
      assert.equal(second.state.get(dead), undefined);
      assert.notEqual(second.state.get(open), undefined);
    });

    test('new nodes are counted as ever', () => {
      const second = takeOver(begin());
      const ino = put(second, ROOT_INO, 'a');
      now(second.vfs.names.unlink(ROOT_INO, 'a'));
      second.vfs.names.forget(ino, 1);
      assert.equal(second.state.get(ino), undefined);
    });

    test('what it has cached of a node is doubted once', () => {
      const first = begin();
      const ino = put(first, ROOT_INO, 'a');
      const second = takeOver(first);
      assert.deepEqual(
        [second.vfs.inodes.takeCacheDoubt(ino), second.vfs.inodes.takeCacheDoubt(ino)],
        [true, false],
      );
      assert.equal(second.vfs.inodes.takeCacheDoubt(put(second, ROOT_INO, 'b')), false);
      assert.equal(first.vfs.inodes.takeCacheDoubt(ino), false);
    });
  });

  test('handing over in order leaves everything open, whatever is closed afterwards', () => {
    const first = begin();
    const { fh } = now(first.vfs.names.create(ROOT_INO, 'a', NEW));
    now(first.vfs.files.write(fh, Buffer.from('text'), 0));
    first.vfs.handOver();
    assert.deepEqual(first.sync.take('commit').at(-1), {
      what: 'commit',
      ino: find(first, ROOT_INO, 'a')?.ino,
      size: 4,
      stillOpen: true,
    });
    first.vfs.close();
    const second = takeOver(first);
    assert.equal(second.vfs.inodes.isOpenForWriting(find(second, ROOT_INO, 'a')?.ino as Ino), true);
    assert.equal(contentOf(second, fh), 'text');
    assert.equal(takeOver(second).vfs.handleCount, 1);
  });

  test('a program that was killed before it learnt of its file leaves none open', () => {
    const { vfs } = begin();
    vfs.releaseUnclaimed(now(vfs.names.create(ROOT_INO, 'a', NEW)).fh);
    vfs.releaseUnclaimed(now(vfs.directories.open(ROOT_INO)));
    assert.equal(vfs.handleCount, 0);
  });
});
