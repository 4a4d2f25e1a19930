import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { beforeEach, describe, test } from 'node:test';
import { type Attr, type ErrnoName, FuseError, type FuseHandlers } from '../../../src/fuse/index.js';
import { PathCalls } from '../../../src/libfuse/path-calls.js';

const HIDDEN = '.fuse_hidden0000000200000001';

const attr = (ino: number): Attr => ({
  ...{ ino, size: 0, blocks: 0, atimeNs: 0n, mtimeNs: 0n, ctimeNs: 0n, mode: 0o100644, nlink: 1 },
  ...{ uid: 0, gid: 0, rdev: 0, blksize: 4096 },
});

/** Names of one directory tree, with every call noted and every reference counted. */
class Tree {
  readonly names = new Map<string, number>([
    ['1/dir', 2],
    ['2/file', 3],
    ['2/other', 4],
  ]);
  readonly references = new Map<number, number>();
  readonly calls: string[] = [];
  failOpen: ErrnoName[] = [];
  #fh = 100;

  readonly handlers: FuseHandlers = {
    lookup: ({ parent, name }) => {
      const nodeId = this.names.get(`${parent}/${name}`);
      return nodeId === undefined ? { nodeId: 0, entryTimeoutMs: 0 } : this.#entry(nodeId);
    },
    forget: (nodeId, count) => {
      this.references.set(nodeId, (this.references.get(nodeId) ?? 0) - count);
    },
    getattr: ({ nodeId }) => ({ attrTimeoutMs: 0, attr: attr(nodeId) }),
    unlink: ({ parent, name }) => {
      this.calls.push(`unlink ${parent}/${name}`);
      if (!this.names.delete(`${parent}/${name}`)) throw new FuseError('ENOENT');
    },
    rmdir: ({ parent, name }) => {
      this.calls.push(`rmdir ${parent}/${name}`);
    },
    rename: ({ parent, name, newParent, newName }) => {
      this.calls.push(`rename ${parent}/${name} ${newParent}/${newName}`);
      const nodeId = this.names.get(`${parent}/${name}`) ?? 0;
      this.names.delete(`${parent}/${name}`);
      this.names.set(`${newParent}/${newName}`, nodeId);
    },
    open: ({ nodeId }) => {
      this.calls.push(`open ${nodeId}`);
      const failure = this.failOpen.shift();
      if (failure !== undefined) throw new FuseError(failure);
      this.#fh += 1;
      return { fh: this.#fh };
    },
    create: ({ parent, name, flags }) => {
      if (this.names.has(`${parent}/${name}`) && (flags & constants.O_EXCL) !== 0)
        throw new FuseError('EEXIST');
      this.names.set(`${parent}/${name}`, 9);
      return { entry: this.#entry(9), open: { fh: 99 } };
    },
    read: ({ nodeId, buffer }) => buffer.write(`node ${nodeId}`),
    release: ({ fh }) => {
      this.calls.push(`release ${fh}`);
    },
    mkdir: () => this.#entry(8),
    opendir: () => ({ fh: 50 }),
    readdir: ({ offset, entries }) => {
      for (let at = offset; at < 2_500; at++) if (!entries.add(`n${at}`, at + 10, 8, at + 1)) return;
    },
    releasedir: ({ fh }) => {
      this.calls.push(`releasedir ${fh}`);
    },
  };

  #entry(nodeId: number) {
    this.references.set(nodeId, (this.references.get(nodeId) ?? 0) + 1);
    return { nodeId, generation: 0, entryTimeoutMs: 0, attrTimeoutMs: 0, attr: attr(nodeId) };
  }

  get held(): number {
    return [...this.references.values()].reduce((sum, count) => sum + count, 0);
  }
}

describe('calls by path', () => {
  let tree = new Tree();
  let calls = new PathCalls({
    handlers: tree.handlers,
    owner: { uid: 1, gid: 2 },
    signal: new AbortController().signal,
  });
  beforeEach(() => {
    tree = new Tree();
    calls = new PathCalls({
      handlers: tree.handlers,
      owner: { uid: 1, gid: 2 },
      signal: new AbortController().signal,
    });
  });
  const fails = (code: ErrnoName, call: Promise<unknown> | (() => Promise<unknown>)) =>
    assert.rejects(call, { code });
  const text = async (id: number) => {
    const buffer = Buffer.alloc(10);
    return buffer.toString('utf8', 0, await calls.read(id, buffer, 0));
  };

  test('attributes: of the root, of a file, of nothing; every reference is given back', async () => {
    assert.equal((await calls.attributes('/')).ino, 1);
    assert.equal((await calls.attributes('/dir/file')).ino, 3);
    await fails('ENOENT', calls.attributes('/dir/none'));
    await fails('ENOENT', calls.attributes('/none/file'));
    await calls.mkdir('/dir/new', 0o755);
    assert.equal(tree.held, 0);
  });

  test('what there is no handler for is ENOSYS', () => fails('ENOSYS', calls.readlink('/dir/file')));

  test('a name that is no UTF-8 is EILSEQ', () => fails('EILSEQ', calls.attributes('/dir/\uFFFD')));

  test('a file that another client replaced shows the open version to readers, until it is closed', async () => {
    const id = await calls.open('/dir/file', constants.O_RDONLY);
    tree.names.set('2/file', 30);
    assert.equal((await calls.attributes('/dir/file')).ino, 3);
    const second = await calls.open('/dir/file', constants.O_RDONLY);
    assert.equal(await text(second), 'node 3');
    await calls.release(id);
    await calls.release(second);
    assert.equal((await calls.attributes('/dir/file')).ino, 30);
  });

  test('opening it for writing goes to the new version, and the old one is no longer read', async () => {
    const old = await calls.open('/dir/file', constants.O_RDONLY);
    tree.names.set('2/file', 30);
    const id = await calls.open('/dir/file', constants.O_RDWR);
    assert.equal(await text(id), 'node 30');
    await fails('EIO', text(old));
  });

  test('an open version that the opening finds outdated is opened all the same', async () => {
    await calls.open('/dir/file', constants.O_RDONLY);
    tree.failOpen = ['ESTALE'];
    assert.equal(await text(await calls.open('/dir/file', constants.O_RDONLY)), 'node 3');
    tree.failOpen = ['ESTALE'];
    await fails('ESTALE', calls.open('/dir/other', constants.O_RDONLY));
  });

  test('a file removed while open is unlinked at once and goes on under its hidden name', async () => {
    const id = await calls.open('/dir/file', constants.O_RDWR);
    await calls.rename('/dir/file', `/dir/${HIDDEN}`);
    assert.deepEqual(tree.calls, ['open 3', 'unlink 2/file']);
    assert.equal((await calls.attributes(`/dir/${HIDDEN}`)).ino, 3);
    assert.equal(await text(await calls.open(`/dir/${HIDDEN}`, constants.O_RDWR)), 'node 3');
    assert.equal(await text(id), 'node 3');
    await fails('ENOTEMPTY', calls.rmdir('/dir'));
    await calls.unlink(`/dir/${HIDDEN}`);
    await calls.rmdir('/dir');
    assert.deepEqual(tree.calls.slice(-1), ['rmdir 1/dir']);
    assert.equal(tree.held, 0);
  });

  test('a file that is not open is renamed even to such a name', async () => {
    await calls.rename('/dir/file', `/dir/${HIDDEN}`);
    assert.deepEqual(tree.calls, [`rename 2/file 2/${HIDDEN}`]);
  });

  test('an open file is moved with its name', async () => {
    const id = await calls.open('/dir/file', constants.O_RDONLY);
    await calls.rename('/dir/file', '/dir/moved');
    tree.names.set('2/moved', 31);
    assert.equal((await calls.attributes('/dir/moved')).ino, 3);
    await calls.release(id);
    assert.equal((await calls.attributes('/dir/moved')).ino, 31);
  });

  test('create: a name that is taken meanwhile is to be looked at again', async () => {
    assert.equal(await text(await calls.create('/dir/new', 0o644)), 'node 9');
    await fails('ESTALE', calls.create('/dir/file', 0o644));
    assert.equal(tree.held, 0);
  });

  test('an open file that is none is EBADF', async () => {
    await fails('EBADF', calls.flush(77));
    const id = await calls.open('/dir/file', constants.O_RDONLY);
    await calls.release(id);
    await fails('EBADF', calls.release(id));
  });

  test('a directory is listed whole, in pieces, and closed', async () => {
    const entries = await calls.list('/dir');
    assert.equal(entries.length, 2_500);
    assert.deepEqual(entries.at(-1), { name: 'n2499', ino: 2_509, type: 8 });
    assert.deepEqual(tree.calls, ['releasedir 50']);
    assert.equal(tree.held, 0);
  });
});
