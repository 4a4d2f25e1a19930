/**
 * Reading directories. A handle keeps the names it has read so far, in the store's order, so that their positions
 * are cookies to come back to (telldir(3)); records are looked at one by one as they are answered.
 *
 * Names made or removed while a directory is read are seen or not, as readdir(3) allows; any other name is seen
 * exactly once.
 */

import type { Ino, MaybePromise } from '../base/index.js';
import type { InodeRecord, NodeRecord } from '../state/index.js';
import { type Attributes, attributesOf } from './attributes.js';
import { inodeOf, inodeRecord, type VfsCore } from './core.js';
import type { Fh } from './fh.js';
import type { DirHandle } from './handle-table.js';
import type { VfsRequest } from './request.js';

export interface DirectoryEntry {
  readonly name: string;
  readonly ino: Ino;
  readonly kind: InodeRecord['kind'];
  /** The cookie to go on from behind this entry. */
  readonly next: number;
}

/** As {@link DirectoryEntry}, with what stat(2) would say. */
export interface DirectoryEntryPlus extends DirectoryEntry {
  readonly attributes: Attributes;
  /** Whether taking the entry counts as a lookup: not for `.` and `..`. */
  readonly counted: boolean;
}

/** `.` and `..` come first. */
const DOT_ENTRIES = 2;
/** Names taken from the store at once. */
const NAMES_PER_STEP = 256;

export class Directories {
  readonly #core: VfsCore;

  constructor(core: VfsCore) {
    this.#core = core;
  }

  /** Waits for a directory never seen. ENOTDIR, ESTALE; rejects with `RemoteError`. */
  open(ino: Ino, request?: VfsRequest): MaybePromise<Fh> {
    const core = this.#core;
    const before = request?.resent === true ? core.handles.openedBy(request.unique) : undefined;
    if (before !== undefined) return before.fh;
    core.directory(ino);
    const opened = () => {
      core.directory(ino);
      core.inodes.opened(ino);
      return core.handles.addDirectory(ino, request?.unique).fh;
    };
    const listing = core.sync.listed(ino, request, true);
    return listing === undefined ? opened() : listing.then(opened);
  }

  /** Gives entries from the cookie `position` (0 = the beginning) on to `take` until that answers false (no room). */
  read(fh: Fh, position: number, take: (entry: DirectoryEntry) => boolean): void {
    this.#walk(fh, position, (name, ino, kind, next) => take({ name, ino, kind: kind(), next }));
  }

  /** As {@link read}, with attributes; each entry taken, but for `.` and `..`, is one more reference of the kernel's. */
  readPlus(fh: Fh, position: number, take: (entry: DirectoryEntryPlus) => boolean): void {
    const core = this.#core;
    this.#walk(fh, position, (name, ino, kind, next) => {
      const counted = next > DOT_ENTRIES;
      const attributes = attributesOf(core, core.inode(ino));
      const taken = take({ name, ino, kind: kind(), next, attributes, counted });
      if (taken && counted) core.inodes.reference(ino);
      return taken;
    });
  }

  /** Of one that is not open, nothing: a release that is asked again may have been done. */
  release(fh: Fh): void {
    const { handles, inodes, sync } = this.#core;
    if (handles.get(fh) === undefined) return;
    const { ino } = handles.directory(fh);
    const last = inodes.closed(ino);
    handles.remove(fh);
    if (last) sync.unused(ino);
  }

  /** fsyncdir: names are committed when they are answered; this makes them survive a power loss. */
  async fsync(fh: Fh): Promise<void> {
    this.#core.handles.directory(fh);
    await this.#core.state.durable();
  }

  #walk(
    fh: Fh,
    position: number,
    visit: (name: string, ino: Ino, kind: () => InodeRecord['kind'], next: number) => boolean,
  ): void {
    const { state, handles } = this.#core;
    const handle = handles.directory(fh);
    if (position === 0) {
      handle.names = [];
      handle.exhausted = false;
    }
    const directory = state.get(handle.ino);
    // A directory that was removed while it is open has no entries at all.
    if (directory?.kind !== 'dir' || directory.local === undefined) return;
    if (position <= 0 && !visit('.', handle.ino, () => 'dir', 1)) return;
    if (position <= 1 && !visit('..', directory.local.parent, () => 'dir', DOT_ENTRIES)) return;
    for (let index = Math.max(0, position - DOT_ENTRIES); this.#reach(handle, index); index += 1) {
      const name = handle.names[index];
      if (name === undefined) return;
      const child = state.localChild(handle.ino, name);
      const node: NodeRecord | undefined = child === undefined ? undefined : state.get(child);
      if (node === undefined) continue;
      const kind = () => inodeRecord(state, node).kind;
      if (!visit(name, inodeOf(node), kind, index + DOT_ENTRIES + 1)) return;
    }
  }

  /** Makes the handle's names reach `index`; false at the end of the directory. */
  #reach(handle: DirHandle, index: number): boolean {
    while (handle.names.length <= index && !handle.exhausted) {
      const from = handle.names.length;
      let taken = 0;
      for (const entry of this.#core.state.entries(handle.ino, handle.names.at(-1), NAMES_PER_STEP)) {
        if (entry.local === undefined) continue;
        handle.names.push(entry.name);
        taken += 1;
        if (taken === NAMES_PER_STEP) break;
      }
      handle.exhausted = taken < NAMES_PER_STEP;
      // Before any of them is answered: the cookies mean these names from then on.
      if (taken > 0) this.#core.handles.noteNames(handle, from);
    }
    return index < handle.names.length;
  }
}
