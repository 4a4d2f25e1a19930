import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { describe, test } from 'node:test';
import { type Ino, type Log, ROOT_INO, silentLog } from '../../../src/base/index.js';
import { type BridgeOptions, createBridge } from '../../../src/bridge/index.js';
import { DT, FOPEN, type FuseHandlers } from '../../../src/fuse/index.js';
import { RemoteError, type RemotePath } from '../../../src/remote/index.js';
import { makeWorld, mkdir, now, put, readFile, type World } from '../vfs/support.js';
import { contextOf, errnoOf, ListSink } from './support.js';

const TIMEOUTS = { entryTimeoutMs: 60_000, attrTimeoutMs: 30_000, negativeTimeoutMs: 5_000 };

/** The handlers, all of which must be there. */
function bridge(world: World, options: Partial<BridgeOptions> = {}): Required<Complete> {
  const handlers = createBridge({ vfs: world.vfs, timeouts: TIMEOUTS, log: silentLog, ...options });
  return handlers as Required<Complete>;
}

type Complete = Omit<FuseHandlers, 'access' | 'getlk' | 'setlk' | 'statx' | 'tmpfile'>;

describe('handlers', () => {
  test('a look-up tells the node, its kind and how long to remember it', () => {
    const world = makeWorld();
    const dir = mkdir(world, ROOT_INO, 'd');
    const entry = now(bridge(world).lookup({ parent: ROOT_INO, name: 'd' }, contextOf()));
    assert('attr' in entry);
    assert.deepEqual(
      [entry.nodeId, entry.generation, entry.entryTimeoutMs, entry.attrTimeoutMs],
      [dir, 0, 60_000, 30_000],
    );
    assert.equal(entry.attr.mode, constants.S_IFDIR | 0o755);
    assert.deepEqual(now(bridge(world).lookup({ parent: ROOT_INO, name: 'x' }, contextOf())), {
      nodeId: 0,
      entryTimeoutMs: 5_000,
    });
  });

  test('after a take-over, what the kernel has cached is dropped at the first open', () => {
    const world = makeWorld();
    const ino = put(world, ROOT_INO, 'f', 'text');
    const dir = mkdir(world, ROOT_INO, 'd');
    world.vfs.adopt();
    const on = bridge(world);
    const open = (nodeId: Ino) => ({ nodeId, flags: constants.O_RDONLY, killSuidgid: false });
    const flagsOf = (nodeId: Ino) => now(on.open(open(nodeId), contextOf())).flags;
    assert.deepEqual([flagsOf(ino), flagsOf(ino)], [FOPEN.NOFLUSH, FOPEN.KEEP_CACHE | FOPEN.NOFLUSH]);
    const dirFlags = () => now(on.opendir(open(dir), contextOf())).flags;
    assert.deepEqual([dirFlags(), dirFlags()], [FOPEN.CACHE_DIR, FOPEN.CACHE_DIR | FOPEN.KEEP_CACHE]);
  });

  test('no signal is made for a request that does not wait', () => {
    const world = makeWorld();
    const context = {
      ...contextOf(),
      get signal(): AbortSignal {
        throw new Error('asked for a signal');
      },
    };
    const on = bridge(world);
    const flags = constants.O_CREAT | constants.O_RDWR;
    const request = { parent: ROOT_INO, name: 'f', flags, mode: 0o100640, umask: 0, killSuidgid: false };
    const { entry, open } = now(on.create(request, context));
    const at = { nodeId: entry.nodeId, fh: open.fh, flags: 0, lockOwner: undefined };
    const data = Buffer.from('hello');
    now(on.write({ ...at, offset: 0, data, fromCache: false, killSuidgid: false }, context));
    now(on.read({ ...at, offset: 0, size: 16, buffer: Buffer.alloc(16) }, context));
    now(on.flush({ ...at, lockOwner: 0n }, context));
    now(on.lookup({ parent: ROOT_INO, name: 'f' }, context));
    now(on.open({ nodeId: entry.nodeId, flags: 0, killSuidgid: false }, context));
    now(on.opendir({ nodeId: ROOT_INO, flags: 0, killSuidgid: false }, context));
    now(on.rename({ parent: ROOT_INO, name: 'f', newParent: ROOT_INO, newName: 'g', flags: 0 }, context));
    now(on.unlink({ parent: ROOT_INO, name: 'g' }, context));
  });

  test('write, read and close a new file', () => {
    const world = makeWorld();
    const on = bridge(world);
    const flags = constants.O_CREAT | constants.O_WRONLY;
    const request = { parent: ROOT_INO, name: 'f', flags, mode: 0o100640, umask: 0o022, killSuidgid: false };
    const { entry, open } = now(on.create(request, contextOf()));
    assert.deepEqual([entry.attr.mode, entry.attr.uid, entry.attr.gid], [0o100640, 1000, 1001]);
    assert.equal(open.flags, FOPEN.KEEP_CACHE);
    const at = { nodeId: entry.nodeId, fh: open.fh, flags: 0, lockOwner: undefined };
    const data = Buffer.from('hello');
    assert.equal(
      now(on.write({ ...at, offset: 0, data, fromCache: false, killSuidgid: false }, contextOf())),
      5,
    );
    const buffer = Buffer.alloc(16);
    assert.equal(now(on.read({ ...at, offset: 1, size: 16, buffer }, contextOf())), 4);
    assert.equal(buffer.toString('utf8', 0, 4), 'ello');
    assert.equal(now(on.getattr({ nodeId: entry.nodeId, fh: undefined }, contextOf())).attr.size, 5);
    now(on.flush({ ...at, lockOwner: 0n }, contextOf()));
    now(on.release({ ...at, flush: false, flockUnlock: false, lockOwner: 0n }, contextOf()));
    assert.equal(readFile(world, ROOT_INO, 'f'), 'hello');
    assert.equal(world.vfs.handleCount, 0);
  });

  test('the kernel tells of the close of what may have been changed only', () => {
    const world = makeWorld();
    const on = bridge(world);
    const nodeId = put(world, ROOT_INO, 'f', 'old');
    const noFlush = (flags: number) =>
      ((now(on.open({ nodeId, flags, killSuidgid: false }, contextOf())).flags ?? 0) & FOPEN.NOFLUSH) !== 0;
    assert.deepEqual(
      [constants.O_RDONLY, constants.O_WRONLY, constants.O_RDWR, constants.O_RDONLY | constants.O_TRUNC].map(
        noFlush,
      ),
      [true, false, false, false],
    );
  });

  test('open flags: append and truncate', () => {
    const world = makeWorld();
    const on = bridge(world);
    const nodeId = put(world, ROOT_INO, 'f', 'old');
    const open = (flags: number) => now(on.open({ nodeId, flags, killSuidgid: false }, contextOf())).fh;
    const write = (fh: number, text: string) =>
      now(
        on.write(
          {
            nodeId,
            fh,
            flags: 0,
            lockOwner: undefined,
            offset: 0,
            data: Buffer.from(text),
            fromCache: false,
            killSuidgid: false,
          },
          contextOf(),
        ),
      );
    write(open(constants.O_WRONLY | constants.O_APPEND), '+');
    assert.equal(readFile(world, ROOT_INO, 'f'), 'old+');
    write(open(constants.O_RDWR | constants.O_TRUNC), 'n');
    assert.equal(readFile(world, ROOT_INO, 'f'), 'n');
  });

  test('a file that the kernel holds outdated bytes of is opened without them', () => {
    const world = makeWorld();
    const stale = put(world, ROOT_INO, 'stale');
    const good = put(world, ROOT_INO, 'good');
    const on = bridge(world, { isStale: (ino: Ino) => ino === stale });
    const flags = (nodeId: number) =>
      now(on.open({ nodeId, flags: 0, killSuidgid: false }, contextOf())).flags;
    assert.deepEqual([flags(stale), flags(good)], [FOPEN.NOFLUSH, FOPEN.KEEP_CACHE | FOPEN.NOFLUSH]);
    const dir = now(on.opendir({ nodeId: ROOT_INO, flags: 0, killSuidgid: false }, contextOf()));
    assert.equal(dir.flags, FOPEN.CACHE_DIR | FOPEN.KEEP_CACHE);
  });

  test('setattr passes on what is given, and nothing else', () => {
    const world = makeWorld();
    const on = bridge(world);
    const nodeId = put(world, ROOT_INO, 'f', 'abc');
    const before = world.vfs.attributes.get(nodeId);
    const { attr } = now(on.setattr({ nodeId, mode: 0o100600, mtime: 5n, killSuidgid: false }, contextOf()));
    assert.deepEqual([attr.mode, attr.mtimeNs, attr.uid, attr.size], [0o100600, 5n, before.uid, 3]);
    const shorter = now(on.setattr({ nodeId, size: 1, killSuidgid: false }, contextOf()));
    assert.equal(shorter.attr.size, 1);
  });

  test('directories: types, cookies, room, and entries that count as look-ups', () => {
    const world = makeWorld();
    const on = bridge(world);
    const file = world.serverFile(ROOT_INO, 'a', '');
    mkdir(world, ROOT_INO, 'b');
    now(world.vfs.names.symlink(ROOT_INO, 'c', 't', { uid: 0, gid: 0 }));
    const { fh } = now(on.opendir({ nodeId: ROOT_INO, flags: 0, killSuidgid: false }, contextOf()));
    const plain = new ListSink(false);
    now(on.readdir({ nodeId: ROOT_INO, fh, offset: 0, entries: plain }, contextOf()));
    assert.deepEqual(
      plain.added.map(({ name, type, offset }) => [name, type, offset]),
      [
        ['.', DT.DIR, 1],
        ['..', DT.DIR, 2],
        ['a', DT.REG, 3],
        ['b', DT.DIR, 4],
        ['c', DT.LNK, 5],
      ],
    );
    const plus = new ListSink(true, 3);
    now(on.readdirplus({ nodeId: ROOT_INO, fh, offset: 0, entries: plus }, contextOf()));
    assert.deepEqual(
      plus.added.map(({ entry }) => entry?.nodeId),
      [undefined, undefined, file],
    );
    assert.equal(world.vfs.inodes.lookupCount(file), 1);
    on.forget(file, 1);
    assert.equal(world.vfs.inodes.lookupCount(file), 0);
    const release = { nodeId: ROOT_INO, fh, flags: 0, flush: false, flockUnlock: false, lockOwner: 0n };
    now(on.releasedir(release, contextOf()));
    assert.equal(world.vfs.handleCount, 0);
  });

  test('rename flags', async () => {
    const world = makeWorld();
    const on = bridge(world);
    const [a, b] = [put(world, ROOT_INO, 'a'), put(world, ROOT_INO, 'b')];
    const rename = (flags: number) => () =>
      on.rename({ parent: ROOT_INO, name: 'a', newParent: ROOT_INO, newName: 'b', flags }, contextOf());
    assert.equal(await errnoOf(rename(1)), 'EEXIST');
    assert.equal(await errnoOf(rename(4)), 'EINVAL');
    assert.equal(await errnoOf(rename(3)), 'EINVAL');
    now(rename(2)());
    assert.equal(now(world.vfs.names.lookup(ROOT_INO, 'a'))?.ino, b);
    now(rename(0)());
    assert.equal(now(world.vfs.names.lookup(ROOT_INO, 'b'))?.ino, b);
    assert.equal(world.vfs.attributes.get(a).nlink, 0);
  });

  test('mknod by type, seek by origin, xattr by flags, copying without flags', async () => {
    const world = makeWorld();
    const on = bridge(world);
    const mknod = (mode: number, name: string) => () =>
      on.mknod({ parent: ROOT_INO, name, mode, rdev: 0, umask: 0 }, contextOf());
    assert.equal(await errnoOf(mknod(constants.S_IFREG | 0o600, 'r')), 'no error');
    assert.equal(await errnoOf(mknod(0o600, 'plain')), 'no error');
    assert.equal(await errnoOf(mknod(constants.S_IFIFO | 0o600, 'p')), 'EPERM');
    assert.equal(await errnoOf(mknod(constants.S_IFSOCK | 0o600, 's')), 'EPERM');
    const nodeId = put(world, ROOT_INO, 'f', 'abc');
    const { fh } = now(on.open({ nodeId, flags: constants.O_RDWR, killSuidgid: false }, contextOf()));
    assert.equal(now(on.lseek({ nodeId, fh, offset: 0, whence: 4 }, contextOf())), 3);
    assert.equal(await errnoOf(() => on.lseek({ nodeId, fh, offset: 0, whence: 0 }, contextOf())), 'EINVAL');
    const value = Buffer.from('v');
    const setxattr = (flags: number) => () =>
      on.setxattr({ nodeId, name: 'user.a', value, flags, aclKillSgid: false }, contextOf());
    assert.equal(await errnoOf(setxattr(2)), 'ENODATA');
    assert.equal(await errnoOf(setxattr(1)), 'no error');
    assert.equal(await errnoOf(setxattr(1)), 'EEXIST');
    assert.equal(await errnoOf(setxattr(3)), 'EINVAL');
    assert.deepEqual(now(on.listxattr({ nodeId }, contextOf())), ['user.a']);
    const copy = { nodeId, fh, offset: 0, toNodeId: nodeId, toFh: fh, toOffset: 3, length: 3 };
    assert.equal(await errnoOf(() => on.copyFileRange({ ...copy, flags: 1 }, contextOf())), 'EINVAL');
    assert.equal(now(on.copyFileRange({ ...copy, flags: 0 }, contextOf())), 3);
    assert.equal(readFile(world, ROOT_INO, 'f'), 'abcabc');
  });

  test('statfs in blocks of the fragment size', () => {
    const world = makeWorld();
    world.sync.quotaAnswer = { used: 4096, available: 8192 };
    const answer = now(bridge(world).statfs({ nodeId: ROOT_INO }, contextOf()));
    assert.deepEqual(
      [answer.frsize, answer.blocks, answer.bfree, answer.bavail, answer.namelen],
      [4096, 3, 2, 2, 255],
    );
  });

  test('the end of the session closes what is open', () => {
    const world = makeWorld();
    const on = bridge(world);
    const nodeId = put(world, ROOT_INO, 'f');
    now(on.open({ nodeId, flags: 0, killSuidgid: false }, contextOf()));
    on.destroy();
    assert.equal(world.vfs.handleCount, 0);
  });
});

describe('around every handler', () => {
  const offline = new RemoteError('unreachable', 'x', {
    method: 'GET',
    path: '/f' as RemotePath,
    outcome: 'none',
  });

  test('errors become errno, at once or by the promise', async () => {
    const world = makeWorld();
    const on = bridge(world);
    assert.equal(await errnoOf(() => on.rmdir({ parent: ROOT_INO, name: 'x' }, contextOf())), 'ENOENT');
    const nodeId = world.serverFile(ROOT_INO, 'f', 'abc');
    const { fh } = now(on.open({ nodeId, flags: 0, killSuidgid: false }, contextOf()));
    world.sync.presentError = offline;
    const read = { nodeId, fh, offset: 0, size: 3, flags: 0, lockOwner: undefined, buffer: Buffer.alloc(3) };
    assert.equal(await errnoOf(() => on.read(read, contextOf())), 'EHOSTUNREACH');
    const interrupted = contextOf({ signal: AbortSignal.abort() });
    assert.equal(await errnoOf(() => on.read(read, interrupted)), 'EINTR');
  });

  test('each operation is told of once, with its errno', async () => {
    const world = makeWorld();
    const seen: [string, string | undefined][] = [];
    const on = bridge(world, {
      observe: (operation, durationMs, errno) => {
        assert(durationMs >= 0);
        seen.push([operation, errno]);
      },
    });
    now(on.getattr({ nodeId: ROOT_INO, fh: undefined }, contextOf()));
    await errnoOf(() => on.unlink({ parent: ROOT_INO, name: 'x' }, contextOf()));
    await on.fsyncdir(
      {
        nodeId: 1,
        fh: now(on.opendir({ nodeId: 1, flags: 0, killSuidgid: false }, contextOf())).fh,
        dataOnly: false,
      },
      contextOf(),
    );
    await errnoOf(() => on.fsync({ nodeId: 1, fh: 99, dataOnly: false }, contextOf()));
    assert.deepEqual(seen, [
      ['getattr', undefined],
      ['unlink', 'ENOENT'],
      ['opendir', undefined],
      ['fsyncdir', undefined],
      ['fsync', 'EBADF'],
    ]);
  });

  test('what nobody expects is EIO, logged with its error, and ends nothing', async () => {
    const world = makeWorld();
    const logged: object[] = [];
    const log: Log = { ...silentLog, error: (fields) => logged.push(fields) };
    const on = bridge(world, { log });
    const defect = new TypeError('a defect');
    world.sync.listed = () => {
      throw defect;
    };
    world.sync.unused = () => {
      throw defect;
    };
    assert.equal(await errnoOf(() => on.lookup({ parent: ROOT_INO, name: 'x' }, contextOf())), 'EIO');
    on.forget(55, 1);
    assert.deepEqual(
      logged.map((fields) => 'err' in fields && fields.err),
      [defect, defect],
    );
  });
});
