/**
 * Taking over a mount from a process that died: its handles are opened again under their numbers, what it was writing
 * goes on being written, and whatever the kernel may still refer to is kept.
 */

import type { Ino } from '../base/index.js';
import { type Body, ContentError } from '../content/index.js';
import { cleanVersion, type FileRecord } from '../state/index.js';
import type { Backed } from './backed.js';
import type { VfsCore } from './core.js';
import { VfsError } from './errors.js';
import type { LoggedHandle } from './handle-log.js';
import type { FileHandle } from './handle-table.js';
import type { LiveAttributes } from './inode-table.js';

export interface Adopted {
  readonly files: number;
  readonly directories: number;
  /** Files whose bytes are gone from this machine; programs that have them open get EBADF. */
  readonly lost: readonly Ino[];
}

/** Before the layer below starts: it must not forget what is in use here. */
export function adoptHandles(core: VfsCore): Adopted {
  // Every number given out so far is below the next one.
  core.inodes.takeOver(core.state.transact((tx) => tx.allocate()));
  const lost: Ino[] = [];
  const writers = new Map<Ino, FileHandle[]>();
  let directories = 0;
  let files = 0;
  for (const logged of core.handles.earlier) {
    if (logged.kind === 'dir') {
      const { fh, ino, unique, names } = logged;
      core.handles.restore({ kind: 'dir', fh, ino, unique, names: [...names], exhausted: false });
      core.inodes.opened(ino);
      directories += 1;
      continue;
    }
    const handle = reopened(core, logged);
    if (handle === undefined) {
      core.handles.drop(logged.fh);
      lost.push(logged.ino);
      continue;
    }
    core.handles.restore(handle);
    core.inodes.opened(handle.ino, handle.writable, backedBy(core, handle));
    files += 1;
    if (handle.writable) writers.set(handle.ino, [...(writers.get(handle.ino) ?? []), handle]);
  }
  for (const [ino, handles] of writers) goOnWriting(core, ino, handles);
  return { files, directories, lost };
}

function reopened(core: VfsCore, logged: LoggedHandle & { readonly kind: 'file' }): FileHandle | undefined {
  const record = core.state.get(logged.ino);
  const body = record?.kind === 'file' ? bodyOf(core, record) : undefined;
  if (body === undefined) return undefined;
  return { ...logged, body, wrote: false };
}

/** The handles of an inode share one registration. */
function backedBy(core: VfsCore, { ino, body, backing }: FileHandle): Backed | undefined {
  if (backing === undefined) return undefined;
  return core.inodes.backed(ino) ?? core.backing.adopt(backing, body);
}

function bodyOf(core: VfsCore, record: FileRecord): Body | undefined {
  try {
    return acquireBody(core, record);
  } catch (error) {
    if (error instanceof VfsError || (error instanceof ContentError && error.code === 'lost'))
      return undefined;
    throw error;
  }
}

/** Takes a use of a file's body. EIO for a clean file of which nobody knows a version. */
export function acquireBody(core: VfsCore, record: FileRecord): Body {
  const { ino, content } = record;
  if (content === 'staged') return core.content.acquireStaged(ino);
  // What the server deleted while it was open here is whole, and known to its body only.
  // The names of a file pass what the server has to one another, and with it the tag of the same bytes.
  const version = core.content.peek(ino) ?? cleanVersion(record) ?? core.content.cleanVersion(ino);
  if (version === undefined)
    throw new VfsError('EIO', 'a clean file without a version on the server', { ino });
  return core.content.acquireClean(ino, { etag: version.etag, size: version.size });
}

/** Which of its writers had written is not known: the file is whole when all of them have closed it. */
function goOnWriting(core: VfsCore, ino: Ino, handles: readonly FileHandle[]): void {
  const record = core.state.get(ino);
  if (record?.kind !== 'file') return;
  const backed = core.inodes.backed(ino);
  // What the kernel wrote meanwhile is found when it is looked at.
  const live = backed === undefined ? liveAttributes(record, handles[0]?.body) : undefined;
  if (!record.writing && backed === undefined) return;
  for (const handle of handles) {
    handle.wrote = true;
    core.inodes.beganWriting(ino);
  }
  if (live !== undefined) core.inodes.setLive(ino, live);
}

/** What writing has made of size and time since the record was committed; undefined: nothing. */
function liveAttributes(record: FileRecord, body: Body | undefined): LiveAttributes | undefined {
  if (body === undefined) return undefined;
  const { size, mtimeNs } = body.statSync();
  // Times that a program set after it wrote stand: its call was committed after the last byte.
  if (size === record.size && mtimeNs <= record.ctime) return undefined;
  return { size, mtime: mtimeNs, ctime: mtimeNs };
}
