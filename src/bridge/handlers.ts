/**
 * The driver's operations on the file system: decode, call, reply. No decision is made here but what the kernel may
 * remember. Operations that are absent are the kernel's own: locks (it keeps them itself), access (it checks modes
 * itself: default_permissions), statx and tmpfile (it does without).
 */

import { constants } from 'node:fs';
import { after, type Ino, type Log } from '../base/index.js';
import {
  FOPEN,
  FuseError,
  type FuseHandlers,
  type OpenReply,
  RENAME,
  SEEK,
  type SetattrRequest,
} from '../fuse/index.js';
import type {
  AttributeChanges,
  Attributes,
  Fh,
  OpenMode,
  RenameMode,
  SpecialKind,
  Vfs,
  XattrMode,
} from '../vfs/index.js';
import { type CacheTimeouts, toAttr, toDirentType, toEntry, toStatfs } from './attr.js';
import { createMiddleware, type MiddlewareOptions } from './middleware.js';

export interface BridgeOptions {
  readonly vfs: Vfs;
  readonly timeouts: CacheTimeouts;
  readonly log: Log;
  readonly observe?: MiddlewareOptions['observe'];
  /** Whether the kernel is yet to be told that what it has cached of a file is no longer true. */
  readonly isStale?: (ino: Ino) => boolean;
}

export function createBridge(options: BridgeOptions): FuseHandlers {
  const { vfs, timeouts, log, isStale } = options;
  const on = createMiddleware(options);
  const entry = (attributes: Attributes) => toEntry(attributes, timeouts);
  const attr = (attributes: Attributes) => ({
    attrTimeoutMs: timeouts.attrTimeoutMs,
    attr: toAttr(attributes),
  });
  const keepCache = (node: Ino) =>
    vfs.inodes.takeCacheDoubt(node) || isStale?.(node) === true ? 0 : FOPEN.KEEP_CACHE;
  const opened = (node: Ino, made: Fh, { writable, truncate }: OpenMode): OpenReply => {
    const backingId = vfs.backingOf(made);
    // A close of what cannot have been written has nothing to tell.
    const noFlush = writable || truncate ? 0 : FOPEN.NOFLUSH;
    return backingId === undefined
      ? { fh: made, flags: keepCache(node) | noFlush }
      : { fh: made, flags: FOPEN.PASSTHROUGH | noFlush, backingId };
  };
  const unanswered = (operation: string, act: () => void) => {
    try {
      act();
    } catch (error) {
      log.error({ operation, err: error }, 'operation failed unexpectedly');
    }
  };

  return {
    lookup: on('lookup', ({ parent, name }, context) =>
      after(vfs.names.lookup(ino(parent), name, context), (found) =>
        found === undefined ? { nodeId: 0, entryTimeoutMs: timeouts.negativeTimeoutMs } : entry(found),
      ),
    ),
    forget: (nodeId, count) => unanswered('forget', () => vfs.names.forget(ino(nodeId), count)),

    getattr: on('getattr', ({ nodeId }) => attr(vfs.attributes.get(ino(nodeId)))),
    setattr: on('setattr', (request, context) =>
      after(
        vfs.attributes.set(ino(request.nodeId), changesOf(request), optionalFh(request.fh), context),
        attr,
      ),
    ),
    statfs: on('statfs', () => after(vfs.statfs(), toStatfs)),

    readlink: on('readlink', ({ nodeId }) => vfs.names.readlink(ino(nodeId))),
    symlink: on('symlink', ({ parent, name, target }, context) =>
      after(vfs.names.symlink(ino(parent), name, target, context, context), entry),
    ),
    mknod: on('mknod', ({ parent, name, mode }, caller) =>
      after(vfs.names.mknod(ino(parent), name, { kind: specialKind(mode), mode, caller }, caller), entry),
    ),
    mkdir: on('mkdir', ({ parent, name, mode }, caller) =>
      after(vfs.names.mkdir(ino(parent), name, { mode, caller }, caller), entry),
    ),
    link: on('link', ({ nodeId, newParent, newName }, context) =>
      after(vfs.names.link(ino(nodeId), ino(newParent), newName, context), entry),
    ),
    unlink: on('unlink', ({ parent, name }, context) => vfs.names.unlink(ino(parent), name, context)),
    rmdir: on('rmdir', ({ parent, name }, context) => vfs.names.rmdir(ino(parent), name, context)),
    rename: on('rename', ({ parent, name, newParent, newName, flags }, context) => {
      const to = { parent: ino(newParent), name: newName };
      return vfs.renames.run({ parent: ino(parent), name }, to, renameMode(flags), context);
    }),

    open: on('open', ({ nodeId, flags, killSuidgid }, context) => {
      const mode = openMode(flags, killSuidgid);
      return after(vfs.files.open(ino(nodeId), mode, context), (made) => opened(ino(nodeId), made, mode));
    }),
    create: on('create', ({ parent, name, flags, mode, killSuidgid }, caller) => {
      const exclusive = (flags & constants.O_EXCL) !== 0;
      const request = { mode, caller, open: openMode(flags, killSuidgid), exclusive };
      return after(vfs.names.create(ino(parent), name, request, caller), ({ attributes, fh: made }) => ({
        entry: entry(attributes),
        open: opened(attributes.ino, made, request.open),
      }));
    }),
    read: on('read', (request, context) =>
      vfs.files.read(fh(request.fh), request.buffer, 0, request.size, request.offset, context),
    ),
    write: on('write', ({ fh: handle, data, offset, fromCache, killSuidgid }, context) => {
      const how = { fromPageCache: fromCache, killPrivileges: killSuidgid };
      return vfs.files.write(fh(handle), data, offset, how, context);
    }),
    flush: on('flush', (request, context) => vfs.files.flush(fh(request.fh), context)),
    fsync: on('fsync', (request) => vfs.files.fsync(fh(request.fh))),
    release: on('release', (request) => vfs.files.release(fh(request.fh))),
    lseek: on('lseek', (request) => {
      // The kernel does not write back what it has before it asks, and holes in place of new data would be copied as such.
      // It takes the whole file for data then.
      if (vfs.kernel?.keepsSizes === true) throw new FuseError('ENOSYS');
      return vfs.files.seek(fh(request.fh), request.offset, whenceOf(request.whence));
    }),
    fallocate: on('fallocate', ({ fh: handle, mode, offset, length }, context) =>
      vfs.files.fallocate(fh(handle), mode, offset, length, context),
    ),
    copyFileRange: on('copyFileRange', (request, context) => {
      if (request.flags !== 0) throw new FuseError('EINVAL');
      const from = { fh: fh(request.fh), position: request.offset };
      return vfs.files.copyRange(
        from,
        { fh: fh(request.toFh), position: request.toOffset },
        request.length,
        context,
      );
    }),

    opendir: on('opendir', ({ nodeId }, context) =>
      after(vfs.directories.open(ino(nodeId), context), (made) => ({
        fh: made,
        flags: FOPEN.CACHE_DIR | keepCache(ino(nodeId)),
      })),
    ),
    readdir: on('readdir', ({ fh: handle, offset, entries }) =>
      vfs.directories.read(fh(handle), offset, ({ name, ino: node, kind, next }) =>
        entries.add(name, node, toDirentType(kind), next),
      ),
    ),
    readdirplus: on('readdirplus', ({ fh: handle, offset, entries }) =>
      vfs.directories.readPlus(fh(handle), offset, ({ name, ino: node, kind, next, attributes, counted }) =>
        entries.add(name, node, toDirentType(kind), next, counted ? entry(attributes) : undefined),
      ),
    ),
    releasedir: on('releasedir', (request) => vfs.directories.release(fh(request.fh))),
    fsyncdir: on('fsyncdir', (request) => vfs.directories.fsync(fh(request.fh))),

    getxattr: on('getxattr', ({ nodeId, name }) => vfs.xattrs.get(ino(nodeId), name)),
    listxattr: on('listxattr', ({ nodeId }) => vfs.xattrs.list(ino(nodeId))),
    setxattr: on('setxattr', ({ nodeId, name, value, flags }, context) =>
      vfs.xattrs.set(ino(nodeId), name, value, xattrMode(flags), context),
    ),
    removexattr: on('removexattr', ({ nodeId, name }, context) =>
      vfs.xattrs.remove(ino(nodeId), name, context),
    ),

    syncfs: on('syncfs', () => vfs.syncfs()),
    answered: (unique) => vfs.answered(unique),
    unclaimed: (handle) => unanswered('unclaimed', () => vfs.releaseUnclaimed(fh(handle))),
    destroy: (handedOver) => unanswered('destroy', () => (handedOver ? vfs.handOver() : vfs.close())),
  };
}

/** Node ids are inode numbers; one that was never given out is not found. */
function ino(nodeId: number): Ino {
  return nodeId as Ino;
}

function fh(handle: number): Fh {
  return handle as Fh;
}

function optionalFh(handle: number | undefined): Fh | undefined {
  return handle === undefined ? undefined : fh(handle);
}

function changesOf(request: SetattrRequest): AttributeChanges {
  const { nodeId, fh: handle, lockOwner, killSuidgid, ...changes } = request;
  return { ...changes, killPrivileges: killSuidgid };
}

function openMode(flags: number, killPrivileges: boolean): OpenMode {
  return {
    writable: (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0,
    append: (flags & constants.O_APPEND) !== 0,
    truncate: (flags & constants.O_TRUNC) !== 0,
    killPrivileges,
  };
}

function renameMode(flags: number): RenameMode {
  if (flags === 0) return 'replace';
  if (flags === RENAME.NOREPLACE) return 'no-replace';
  if (flags === RENAME.EXCHANGE) return 'exchange';
  throw new FuseError('EINVAL');
}

function whenceOf(whence: number): 'data' | 'hole' {
  if (whence === SEEK.DATA) return 'data';
  if (whence === SEEK.HOLE) return 'hole';
  throw new FuseError('EINVAL');
}

/** XATTR_CREATE and XATTR_REPLACE, linux/xattr.h. */
function xattrMode(flags: number): XattrMode {
  const modes: readonly (XattrMode | undefined)[] = ['any', 'create', 'replace'];
  const mode = modes[flags];
  if (mode === undefined) throw new FuseError('EINVAL');
  return mode;
}

/** mknod(2): no type at all means a regular file. */
function specialKind(mode: number): SpecialKind {
  switch (mode & constants.S_IFMT) {
    case 0:
    case constants.S_IFREG:
      return 'file';
    case constants.S_IFIFO:
      return 'fifo';
    case constants.S_IFSOCK:
      return 'socket';
    case constants.S_IFBLK:
      return 'block';
    case constants.S_IFCHR:
      return 'character';
    default:
      throw new FuseError('EINVAL');
  }
}
