/** A tiny file system in memory behind FuseHandlers, for tests of the driver. It is no model of a good one. */

import {
  type Attr,
  type EntryReply,
  FOPEN,
  FuseError,
  type FuseHandlers,
  type NegativeEntryReply,
  type RequestContext,
  SEEK,
} from '../../src/fuse/index.js';

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const S_IFMT = 0o170000;
const BLOCK_BYTES = 512;

interface Node {
  readonly ino: number;
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  atimeNs: bigint;
  mtimeNs: bigint;
  ctimeNs: bigint;
  data: Buffer;
  target: string;
  readonly children: Map<string, number>;
  readonly xattrs: Map<string, Buffer>;
}

export interface TreeOptions {
  /** Answers every second request by a promise. */
  readonly mixAsync: boolean;
  readonly timeoutMs: number;
}

export class Tree {
  readonly nodes = new Map<number, Node>();
  /** References that the kernel holds, by node. */
  readonly lookups = new Map<number, number>();
  readonly counts = new Map<string, number>();
  /** Names whose look-up never ends by itself; it waits for the interrupt. */
  readonly hanging = new Set<string>();
  /** Names whose look-up waits until `release` is called. */
  readonly held = new Map<string, () => void>();
  aborted = 0;
  resent = 0;
  #nextIno = 2;
  #turn = 0;
  readonly #options: TreeOptions;

  constructor(options: TreeOptions) {
    this.#options = options;
    this.nodes.set(1, this.#node(1, S_IFDIR | 0o755));
  }

  #node(ino: number, mode: number): Node {
    const now = BigInt(Date.now()) * 1_000_000n;
    const times = { atimeNs: now, mtimeNs: now, ctimeNs: now };
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const rest = { data: Buffer.alloc(0), target: '', children: new Map(), xattrs: new Map() };
    return { ino, mode, nlink: 1, ...owner, ...times, ...rest };
  }

  get(ino: number): Node {
    const node = this.nodes.get(ino);
    if (node === undefined) throw new FuseError('ESTALE');
    return node;
  }

  add(parent: number, name: string, mode: number, context?: RequestContext): Node {
    const directory = this.get(parent);
    if (directory.children.has(name)) throw new FuseError('EEXIST');
    const node = this.#node(this.#nextIno++, mode);
    if (context !== undefined) {
      node.uid = context.uid;
      node.gid = context.gid;
    }
    this.nodes.set(node.ino, node);
    directory.children.set(name, node.ino);
    return node;
  }

  attr(node: Node): Attr {
    const size = node.target === '' ? node.data.length : Buffer.byteLength(node.target);
    const { ino, mode, nlink, uid, gid, atimeNs, mtimeNs, ctimeNs } = node;
    const blocks = Math.ceil(size / BLOCK_BYTES);
    return { ino, size, blocks, mode, nlink, uid, gid, atimeNs, mtimeNs, ctimeNs, rdev: 0, blksize: 4096 };
  }

  entry(node: Node): EntryReply {
    const { timeoutMs } = this.#options;
    return {
      nodeId: node.ino,
      generation: 0,
      entryTimeoutMs: timeoutMs,
      attrTimeoutMs: timeoutMs,
      attr: this.attr(node),
    };
  }

  handOver(node: Node): EntryReply {
    this.lookups.set(node.ino, (this.lookups.get(node.ino) ?? 0) + 1);
    return this.entry(node);
  }

  child(parent: number, name: string): Node {
    const ino = this.get(parent).children.get(name);
    if (ino === undefined) throw new FuseError('ENOENT');
    return this.get(ino);
  }

  /** Counts a request, and answers some of them later. */
  answer<T>(operation: string, work: () => T): T | Promise<T> {
    this.counts.set(operation, (this.counts.get(operation) ?? 0) + 1);
    this.#turn++;
    if (!this.#options.mixAsync || this.#turn % 2 === 0) return work();
    return new Promise((resolve) => setImmediate(resolve)).then(work);
  }

  resize(node: Node, size: number): void {
    if (size <= node.data.length) node.data = node.data.subarray(0, size);
    else node.data = Buffer.concat([node.data, Buffer.alloc(size - node.data.length)]);
  }
}

const NEGATIVE: NegativeEntryReply = { nodeId: 0, entryTimeoutMs: 60_000 };

async function untilInterrupted(tree: Tree, signal: AbortSignal): Promise<never> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  tree.aborted++;
  throw new Error('the wait was given up');
}

function removeChild(tree: Tree, parent: number, name: string, directory: boolean): void {
  const node = tree.child(parent, name);
  const isDirectory = (node.mode & S_IFMT) === S_IFDIR;
  if (directory && !isDirectory) throw new FuseError('ENOTDIR');
  if (!directory && isDirectory) throw new FuseError('EISDIR');
  if (node.children.size > 0) throw new FuseError('ENOTEMPTY');
  tree.get(parent).children.delete(name);
  node.nlink--;
}

/** The handlers over `tree`. */
export function treeHandlers(tree: Tree): FuseHandlers {
  const list = (nodeId: number) => {
    const names = [...tree.get(nodeId).children].map(([name, ino]) => ({ name, node: tree.get(ino) }));
    return [{ name: '.', node: tree.get(nodeId) }, { name: '..', node: tree.get(nodeId) }, ...names];
  };
  const readdir: FuseHandlers['readdir'] = ({ nodeId, offset, entries }) =>
    tree.answer(entries.plus ? 'readdirplus' : 'readdir', () => {
      const all = list(nodeId);
      for (let index = offset; index < all.length; index++) {
        const item = all[index];
        if (item === undefined) break;
        const { name, node } = item;
        const dots = name === '.' || name === '..';
        const entry = entries.plus && !dots ? tree.entry(node) : undefined;
        if (!entries.add(name, node.ino, (node.mode >> 12) & 0xf, index + 1, entry)) break;
        if (entry !== undefined) tree.handOver(node);
      }
    });
  return {
    lookup({ parent, name }, context) {
      if (tree.hanging.has(name)) return untilInterrupted(tree, context.signal);
      if (context.resent) tree.resent++;
      if (Buffer.byteLength(name) > 255) throw new FuseError('ENAMETOOLONG');
      if (name.startsWith('held-')) {
        return new Promise((resolve) => {
          tree.held.set(name, () => resolve(tree.handOver(tree.child(parent, name))));
        });
      }
      if (name === 'broken') throw new Error('this handler is broken');
      return tree.answer('lookup', () => {
        const ino = tree.get(parent).children.get(name);
        return ino === undefined ? NEGATIVE : tree.handOver(tree.get(ino));
      });
    },
    forget(nodeId, count) {
      tree.lookups.set(nodeId, (tree.lookups.get(nodeId) ?? 0) - count);
    },
    getattr: ({ nodeId }) =>
      tree.answer('getattr', () => ({ attrTimeoutMs: 60_000, attr: tree.attr(tree.get(nodeId)) })),
    setattr: (request) =>
      tree.answer('setattr', () => {
        const node = tree.get(request.nodeId);
        const now = BigInt(Date.now()) * 1_000_000n;
        if (request.mode !== undefined) node.mode = (node.mode & S_IFMT) | (request.mode & ~S_IFMT);
        node.uid = request.uid ?? node.uid;
        node.gid = request.gid ?? node.gid;
        if (request.size !== undefined) tree.resize(node, request.size);
        if (request.atime !== undefined) node.atimeNs = request.atime === 'now' ? now : request.atime;
        if (request.mtime !== undefined) node.mtimeNs = request.mtime === 'now' ? now : request.mtime;
        return { attrTimeoutMs: 60_000, attr: tree.attr(node) };
      }),
    readlink: ({ nodeId }) => tree.answer('readlink', () => tree.get(nodeId).target),
    symlink: ({ parent, name, target }, context) =>
      tree.answer('symlink', () => {
        const node = tree.add(parent, name, S_IFLNK | 0o777, context);
        node.target = target;
        return tree.handOver(node);
      }),
    mknod: ({ parent, name, mode }, context) =>
      tree.answer('mknod', () => tree.handOver(tree.add(parent, name, mode, context))),
    mkdir: ({ parent, name, mode }, context) =>
      tree.answer('mkdir', () => tree.handOver(tree.add(parent, name, S_IFDIR | mode, context))),
    unlink: ({ parent, name }) => tree.answer('unlink', () => removeChild(tree, parent, name, false)),
    rmdir: ({ parent, name }) => tree.answer('rmdir', () => removeChild(tree, parent, name, true)),
    rename: ({ parent, name, newParent, newName, flags }) =>
      tree.answer('rename', () => {
        const node = tree.child(parent, name);
        const other = tree.get(newParent).children.get(newName);
        if ((flags & 1) !== 0 && other !== undefined) throw new FuseError('EEXIST');
        if ((flags & 2) !== 0 && other === undefined) throw new FuseError('ENOENT');
        tree.get(parent).children.delete(name);
        if ((flags & 2) !== 0 && other !== undefined) tree.get(parent).children.set(name, other);
        tree.get(newParent).children.set(newName, node.ino);
      }),
    link: ({ nodeId, newParent, newName }) =>
      tree.answer('link', () => {
        const node = tree.get(nodeId);
        tree.get(newParent).children.set(newName, nodeId);
        node.nlink++;
        return tree.handOver(node);
      }),
    open: ({ nodeId, flags }) =>
      tree.answer('open', () => {
        if ((flags & 0o1000) !== 0) tree.resize(tree.get(nodeId), 0);
        return { fh: nodeId, flags: FOPEN.KEEP_CACHE };
      }),
    create: ({ parent, name, mode }, context) =>
      tree.answer('create', () => {
        const node = tree.add(parent, name, S_IFREG | mode, context);
        return { entry: tree.handOver(node), open: { fh: node.ino } };
      }),
    read: (request) =>
      tree.answer('read', () => {
        const { data } = tree.get(request.nodeId);
        const part = data.subarray(request.offset, request.offset + request.size);
        // Both ways of answering: data of the handler's own, and the reply's buffer.
        if (tree.counts.get('read') === 1) return part;
        return part.copy(request.buffer);
      }),
    write: ({ nodeId, offset, data }) =>
      tree.answer('write', () => {
        const node = tree.get(nodeId);
        if (offset + data.length > node.data.length) tree.resize(node, offset + data.length);
        data.copy(node.data, offset);
        return data.length;
      }),
    flush: () => tree.answer('flush', () => {}),
    fsync: () => tree.answer('fsync', () => {}),
    release: () => tree.answer('release', () => {}),
    opendir: ({ nodeId }) => tree.answer('opendir', () => ({ fh: nodeId, flags: FOPEN.CACHE_DIR })),
    readdir,
    readdirplus: readdir,
    releasedir: () => tree.answer('releasedir', () => {}),
    statfs: () =>
      tree.answer('statfs', () => {
        const blocks = { blocks: 1000, bfree: 900, bavail: 800, files: 70, ffree: 60 };
        return { ...blocks, bsize: 4096, frsize: 4096, namelen: 255 };
      }),
    setxattr: ({ nodeId, name, value, flags }) =>
      tree.answer('setxattr', () => {
        const { xattrs } = tree.get(nodeId);
        if (flags === 1 && xattrs.has(name)) throw new FuseError('EEXIST');
        xattrs.set(name, Buffer.from(value));
      }),
    getxattr: ({ nodeId, name }) =>
      tree.answer('getxattr', () => {
        const value = tree.get(nodeId).xattrs.get(name);
        if (value === undefined) throw new FuseError('ENODATA');
        return value;
      }),
    listxattr: ({ nodeId }) => tree.answer('listxattr', () => [...tree.get(nodeId).xattrs.keys()]),
    removexattr: ({ nodeId, name }) =>
      tree.answer('removexattr', () => {
        if (!tree.get(nodeId).xattrs.delete(name)) throw new FuseError('ENODATA');
      }),
    lseek: ({ nodeId, offset, whence }) =>
      tree.answer('lseek', () => {
        const size = tree.get(nodeId).data.length;
        if (offset >= size) throw new FuseError('ENXIO');
        return whence === SEEK.DATA ? offset : size;
      }),
    fallocate: ({ nodeId, offset, length }) =>
      tree.answer('fallocate', () => {
        const node = tree.get(nodeId);
        if (offset + length > node.data.length) tree.resize(node, offset + length);
      }),
  };
}
