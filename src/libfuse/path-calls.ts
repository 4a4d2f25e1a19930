/**
 * Calls by path turned into the handlers' calls by node: each name on the way is looked up, held while the call runs, and
 * given back. Nothing is remembered between calls but what is open, so there is nothing that could be outdated; a
 * look-up of what is known costs the handlers microseconds.
 */

import { constants } from 'node:fs';
import {
  type Attr,
  type EntryReply,
  FUSE_ROOT_ID,
  FuseError,
  type FuseHandlers,
  type RequestContext,
  type SetattrRequest,
  type StatfsReply,
} from '../fuse/index.js';
import { type OpenFile, Places } from './places.js';

export interface PathCallOptions {
  readonly handlers: FuseHandlers;
  /** Whom new files belong to: libfuse tells its callers' ids only to the thread that asks, and that cannot be asked. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Ends every wait. */
  readonly signal: AbortSignal;
}

/** A directory's entry: `type` is a DT value. */
export interface DirectoryEntry {
  readonly name: string;
  readonly ino: number;
  readonly type: number;
}

type Asked = Exclude<keyof FuseHandlers, 'forget' | 'answered' | 'unclaimed' | 'destroy'>;
type RequestOf<K extends Asked> = Parameters<NonNullable<FuseHandlers[K]>>[0];
type ReplyOf<K extends Asked> = Awaited<ReturnType<NonNullable<FuseHandlers[K]>>>;
type Changes = Omit<SetattrRequest, 'nodeId' | 'killSuidgid'>;

/** What libfuse calls a file that is removed while it is open (`hidden_name` in lib/fuse.c of libfuse 2.9). */
const HIDDEN_NAME = /^\.fuse_hidden[0-9a-f]{16}$/;
/** Entries that are asked for at once. */
const DIRECTORY_BATCH = 1000;
/** No lock owner is told, and none is needed: locks are the kernel's. */
const NO_OWNER = 0n;

export class PathCalls {
  readonly #handlers: FuseHandlers;
  readonly #context: RequestContext;
  readonly #places = new Places();

  constructor(options: PathCallOptions) {
    this.#handlers = options.handlers;
    this.#context = { ...options.owner, pid: 0, signal: options.signal };
  }

  async attributes(path: string): Promise<Attr> {
    const names = split(path);
    const last = names.pop();
    if (last === undefined) return (await this.#ask('getattr', { nodeId: FUSE_ROOT_ID, fh: undefined })).attr;
    return this.#in(names, async (parent) => {
      const place = this.#places.at(parent, last);
      if (place !== undefined) {
        return (await this.#ask('getattr', { nodeId: place.nodeId, fh: undefined })).attr;
      }
      return this.#withEntry(parent, last, async (entry) => entry.attr);
    });
  }

  async attributesOf(id: number): Promise<Attr> {
    const { nodeId, fh } = this.#file(id);
    return (await this.#ask('getattr', { nodeId, fh })).attr;
  }

  change(path: string, changes: Changes): Promise<void> {
    return this.#on(path, (nodeId) => this.#set(nodeId, changes));
  }

  resizeOpen(id: number, size: number): Promise<void> {
    const { nodeId, fh } = this.#file(id);
    return this.#set(nodeId, { fh, size });
  }

  readlink(path: string): Promise<string> {
    return this.#on(path, (nodeId) => this.#ask('readlink', { nodeId }));
  }

  symlink(target: string, path: string): Promise<void> {
    return this.#at(path, async (parent, name) => {
      this.#giveBack(await this.#ask('symlink', { parent, name, target: checked(target) }));
    });
  }

  mknod(path: string, mode: number, rdev: number): Promise<void> {
    return this.#at(path, async (parent, name) => {
      this.#giveBack(await this.#ask('mknod', { parent, name, mode, rdev, umask: 0 }));
    });
  }

  mkdir(path: string, mode: number): Promise<void> {
    return this.#at(path, async (parent, name) => {
      this.#giveBack(await this.#ask('mkdir', { parent, name, mode, umask: 0 }));
    });
  }

  link(path: string, newPath: string): Promise<void> {
    return this.#on(path, (nodeId) =>
      this.#at(newPath, async (newParent, newName) => {
        this.#giveBack(await this.#ask('link', { nodeId, newParent, newName }));
      }),
    );
  }

  unlink(path: string): Promise<void> {
    return this.#at(path, async (parent, name) => {
      if (this.#places.at(parent, name)?.hidden !== true) await this.#ask('unlink', { parent, name });
      this.#places.removed(parent, name);
    });
  }

  /** ENOTEMPTY also while a file that was removed from it is open: libfuse loses such a file with its directory. */
  rmdir(path: string): Promise<void> {
    return this.#at(path, async (parent, name) => {
      await this.#assertHidesNothing(parent, name);
      await this.#ask('rmdir', { parent, name });
    });
  }

  /** Replaces. A rename to a name of libfuse's own making is its way to remove a file that is open. */
  rename(path: string, newPath: string): Promise<void> {
    return this.#at(path, (parent, name) =>
      this.#at(newPath, async (newParent, newName) => {
        const isHiding =
          parent === newParent &&
          HIDDEN_NAME.test(newName) &&
          this.#places.at(parent, name)?.hidden === false &&
          this.#places.at(newParent, newName) === undefined;
        if (isHiding) {
          await this.#ask('unlink', { parent, name });
          this.#places.hid(parent, name, newName);
          return;
        }
        await this.#assertHidesNothing(newParent, newName);
        await this.#ask('rename', { parent, name, newParent, newName, flags: 0 });
        this.#places.moved(parent, name, newParent, newName);
      }),
    );
  }

  /** Opens and returns the number of the open file. */
  open(path: string, flags: number): Promise<number> {
    return this.#at(path, async (parent, name) => {
      const place = this.#places.at(parent, name);
      const changes = (flags & (constants.O_WRONLY | constants.O_RDWR | constants.O_TRUNC)) !== 0;
      if (place !== undefined && (place.hidden || !changes)) {
        return this.#opened(parent, name, place.nodeId, flags);
      }
      return this.#withEntry(parent, name, ({ nodeId }) => this.#opened(parent, name, nodeId, flags));
    });
  }

  /**
   * Makes a file that was not there, and opens it. The flags of the open are not told: read and write are allowed, since
   * the kernel refuses what the program may not. Where the name is taken, the kernel is to look again (ESTALE), and
   * knows whether that is an error.
   */
  create(path: string, mode: number): Promise<number> {
    return this.#at(path, async (parent, name) => {
      const flags = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR;
      try {
        const made = await this.#ask('create', { parent, name, flags, mode, umask: 0, killSuidgid: false });
        const { nodeId } = made.entry;
        const file = this.#places.opened(parent, name, { nodeId, fh: made.open.fh, flags });
        this.#giveBack(made.entry);
        return file.id;
      } catch (error) {
        throw error instanceof FuseError && error.code === 'EEXIST' ? new FuseError('ESTALE') : error;
      }
    });
  }

  /** Reads into `buffer`; returns how many bytes. */
  async read(id: number, buffer: Buffer, offset: number): Promise<number> {
    const { nodeId, fh, flags, place } = this.#file(id);
    // Another version is in the kernel's cache now, for everybody.
    if (place === undefined) throw new FuseError('EIO');
    const size = buffer.length;
    const got = await this.#ask('read', { nodeId, fh, offset, size, flags, lockOwner: undefined, buffer });
    if (typeof got === 'number') return got;
    buffer.set(got);
    return got.length;
  }

  async write(id: number, data: Buffer, offset: number): Promise<number> {
    const { nodeId, fh, flags } = this.#file(id);
    const how = { fromCache: false, killSuidgid: false, lockOwner: undefined };
    return this.#ask('write', { nodeId, fh, offset, data, flags, ...how });
  }

  async flush(id: number): Promise<void> {
    const { nodeId, fh } = this.#file(id);
    await this.#ask('flush', { nodeId, fh, lockOwner: NO_OWNER });
  }

  async fsync(id: number, dataOnly: boolean): Promise<void> {
    const { nodeId, fh } = this.#file(id);
    await this.#ask('fsync', { nodeId, fh, dataOnly });
  }

  async release(id: number): Promise<void> {
    const { nodeId, fh, flags } = this.#file(id);
    this.#places.released(id);
    const request = { nodeId, fh, flags, flush: false, flockUnlock: false, lockOwner: NO_OWNER };
    await this.#ask('release', request);
  }

  /** All entries, with `.` and `..`. */
  list(path: string): Promise<readonly DirectoryEntry[]> {
    return this.#onDirectory(path, async (nodeId, fh) => {
      const found: DirectoryEntry[] = [];
      let offset = 0;
      for (let before = -1; found.length > before; ) {
        before = found.length;
        const entries = {
          plus: false,
          add: (name: string, ino: number, type: number, next: number) => {
            if (found.length - before >= DIRECTORY_BATCH) return false;
            found.push({ name, ino, type });
            offset = next;
            return true;
          },
        };
        await this.#ask('readdir', { nodeId, fh, offset, entries });
      }
      return found;
    });
  }

  syncDirectory(path: string, dataOnly: boolean): Promise<void> {
    return this.#onDirectory(path, (nodeId, fh) => this.#ask('fsyncdir', { nodeId, fh, dataOnly }));
  }

  statfs(): Promise<StatfsReply> {
    return this.#ask('statfs', { nodeId: FUSE_ROOT_ID });
  }

  getxattr(path: string, name: string): Promise<Uint8Array> {
    return this.#on(path, (nodeId) => this.#ask('getxattr', { nodeId, name: checked(name) }));
  }

  listxattr(path: string): Promise<readonly string[]> {
    return this.#on(path, (nodeId) => this.#ask('listxattr', { nodeId }));
  }

  setxattr(path: string, name: string, value: Buffer, flags: number): Promise<void> {
    const request = { name: checked(name), value, flags, aclKillSgid: false };
    return this.#on(path, (nodeId) => this.#ask('setxattr', { nodeId, ...request }));
  }

  removexattr(path: string, name: string): Promise<void> {
    return this.#on(path, (nodeId) => this.#ask('removexattr', { nodeId, name: checked(name) }));
  }

  /** Calls the handler; ENOSYS where there is none. */
  async #ask<K extends Asked>(operation: K, request: RequestOf<K>): Promise<ReplyOf<K>> {
    const handler = this.#handlers[operation] as
      | ((request: RequestOf<K>, context: RequestContext) => ReplyOf<K> | Promise<ReplyOf<K>>)
      | undefined;
    if (handler === undefined) throw new FuseError('ENOSYS');
    return handler.call(this.#handlers, request, this.#context);
  }

  async #set(nodeId: number, changes: Changes): Promise<void> {
    await this.#ask('setattr', { nodeId, ...changes, killSuidgid: false });
  }

  #file(id: number): OpenFile {
    const file = this.#places.file(id);
    if (file === undefined) throw new FuseError('EBADF');
    return file;
  }

  /** A version that was found to be outdated by the opening itself is asked for again: then it is as it is known to be. */
  async #opened(parent: number, name: string, nodeId: number, flags: number): Promise<number> {
    const request = { nodeId, flags, killSuidgid: false };
    const isPinned = this.#places.at(parent, name)?.nodeId === nodeId;
    const { fh } = await this.#ask('open', request).catch((error: unknown) => {
      if (isPinned && error instanceof FuseError && error.code === 'ESTALE')
        return this.#ask('open', request);
      throw error;
    });
    return this.#places.opened(parent, name, { nodeId, fh, flags }).id;
  }

  async #assertHidesNothing(parent: number, name: string): Promise<void> {
    if (!this.#places.hidesAny) return;
    const entry = await this.#ask('lookup', { parent, name });
    if (entry.nodeId === 0) return;
    this.#giveBack(entry);
    if (this.#places.hidesIn(entry.nodeId)) throw new FuseError('ENOTEMPTY');
  }

  #giveBack({ nodeId }: Pick<EntryReply, 'nodeId'>): void {
    this.#handlers.forget?.(nodeId, 1);
  }

  /** Runs `use` with the node of a name, held meanwhile. ENOENT where there is none. */
  async #withEntry<T>(parent: number, name: string, use: (entry: EntryReply) => Promise<T>): Promise<T> {
    const entry = await this.#ask('lookup', { parent, name });
    if (!('attr' in entry)) throw new FuseError('ENOENT');
    try {
      return await use(entry);
    } finally {
      this.#giveBack(entry);
    }
  }

  /** Runs `use` with the directory of these names. */
  async #in<T>(names: readonly string[], use: (nodeId: number) => Promise<T>): Promise<T> {
    const held: number[] = [];
    try {
      let nodeId: number = FUSE_ROOT_ID;
      for (const name of names) {
        const entry = await this.#ask('lookup', { parent: nodeId, name });
        if (entry.nodeId === 0) throw new FuseError('ENOENT');
        held.push(entry.nodeId);
        nodeId = entry.nodeId;
      }
      return await use(nodeId);
    } finally {
      for (const nodeId of held) this.#giveBack({ nodeId });
    }
  }

  /** Runs `use` with a name in its directory. The root has no name: EINVAL. */
  #at<T>(path: string, use: (parent: number, name: string) => Promise<T>): Promise<T> {
    const names = split(path);
    const last = names.pop();
    if (last === undefined) throw new FuseError('EINVAL');
    return this.#in(names, (parent) => use(parent, last));
  }

  /** Runs `use` with the node that has this name, or had it when it was removed while open. */
  #on<T>(path: string, use: (nodeId: number) => Promise<T>): Promise<T> {
    if (path === '/') return use(FUSE_ROOT_ID);
    return this.#at(path, (parent, name) => {
      const place = this.#places.at(parent, name);
      if (place?.hidden === true) return use(place.nodeId);
      return this.#withEntry(parent, name, ({ nodeId }) => use(nodeId));
    });
  }

  #onDirectory<T>(path: string, use: (nodeId: number, fh: number) => Promise<T>): Promise<T> {
    return this.#on(path, async (nodeId) => {
      const flags = constants.O_RDONLY | constants.O_DIRECTORY;
      const { fh } = await this.#ask('opendir', { nodeId, flags, killSuidgid: false });
      try {
        return await use(nodeId, fh);
      } finally {
        const request = { nodeId, fh, flags, flush: false, flockUnlock: false, lockOwner: NO_OWNER };
        await this.#ask('releasedir', request);
      }
    });
  }
}

function split(path: string): string[] {
  return checked(path)
    .split('/')
    .filter((name) => name !== '');
}

/** What is no UTF-8 has arrived with the replacement character in it: different names could be one. EILSEQ. */
function checked(text: string): string {
  if (text.includes('\uFFFD')) throw new FuseError('EILSEQ');
  return text;
}
