/** renameat2(2): moving a name onto a free one, over another one, or exchanging two. */

import type { Ino, MaybePromise, Name } from '../base/index.js';
import { detach, type NodeRecord, type StateTransaction, type StateView } from '../state/index.js';
import {
  childNode,
  existingName,
  inodeOf,
  markDone,
  newName,
  touchDirectory,
  touchInode,
  type VfsCore,
} from './core.js';
import { VfsError } from './errors.js';
import type { VfsRequest } from './request.js';

/** `replace` is plain rename(2); the others are RENAME_NOREPLACE and RENAME_EXCHANGE. */
export type RenameMode = 'replace' | 'no-replace' | 'exchange';

interface Side {
  readonly parent: Ino;
  readonly name: Name;
}

export class Rename {
  readonly #core: VfsCore;

  constructor(core: VfsCore) {
    this.#core = core;
  }

  /**
   * Atomic: at no moment is a name missing or doubled. ENOENT, EEXIST (no-replace), EINVAL (a directory into itself),
   * ENOTDIR, EISDIR, ENOTEMPTY, EROFS. Waits for listings never seen of both parents and of a directory replaced.
   */
  run(
    from: { readonly parent: Ino; readonly name: string },
    to: { readonly parent: Ino; readonly name: string },
    mode: RenameMode,
    request?: VfsRequest,
  ): MaybePromise<void> {
    const core = this.#core;
    const done = core.doneBefore(request);
    if (done !== undefined) return core.settle(done, request, () => undefined);
    core.writableDirectory(from.parent);
    core.writableDirectory(to.parent);
    return core.whenListed([from.parent, to.parent], request, () => {
      const source: Side = { parent: from.parent, name: existingName(from.parent, from.name) };
      const target: Side = { parent: to.parent, name: newName(to.parent, to.name) };
      if (mode === 'exchange') return this.#exchange(source, target, request);
      return this.#move(source, target, mode, undefined, request);
    });
  }

  /** `listed`: the directory under the target name whose listing was made known. */
  #move(
    from: Side,
    to: Side,
    mode: 'replace' | 'no-replace',
    listed: Ino | undefined,
    request: VfsRequest | undefined,
  ): MaybePromise<void> {
    const { state, clock } = this.#core;
    const moved = childNode(state, from.parent, from.name);
    const replaced = optionalChild(state, to);
    if (replaced !== undefined) {
      if (mode === 'no-replace') throw new VfsError('EEXIST', `"${to.name}" exists`, errorAt(to));
      // rename(2): two names of one file, nothing happens.
      if (inodeOf(replaced) === inodeOf(moved)) return undefined;
    }
    if (this.#holds(moved, to.parent)) throw intoItself(to);
    if (replaced !== undefined) {
      // Linux says so before it looks at kinds: the directory holds the very thing that is moved.
      if (this.#holds(replaced, from.parent))
        throw new VfsError('ENOTEMPTY', `"${to.name}" is not empty`, errorAt(to));
      if (moved.kind === 'dir' && replaced.kind !== 'dir') {
        throw new VfsError('ENOTDIR', `"${to.name}" is no directory`, errorAt(to));
      }
      if (moved.kind !== 'dir' && replaced.kind === 'dir') {
        throw new VfsError('EISDIR', `"${to.name}" is a directory`, errorAt(to));
      }
      if (replaced.kind === 'dir') {
        if (replaced.ino !== listed) {
          return this.#core.whenListed([replaced.ino], request, () =>
            this.#move(from, to, mode, replaced.ino, request),
          );
        }
        if (state.hasLocalChildren(replaced.ino)) {
          throw new VfsError('ENOTEMPTY', `"${to.name}" is not empty`, errorAt(to));
        }
      }
    }
    const now = clock.nowNs();
    const loose = state.transact((tx) => {
      assertDirectory(tx, to.parent);
      const left = replaced === undefined ? [] : detach(tx, replaced, now);
      place(tx, moved.ino, to);
      touchInode(tx, inodeOf(moved), now);
      touchDirectory(tx, from.parent, now);
      touchDirectory(tx, to.parent, now);
      markDone(tx, request, moved.ino);
      return left;
    });
    this.#core.reap(...loose);
    return this.#core.settle(moved.ino, request, () => undefined);
  }

  #exchange(from: Side, to: Side, request: VfsRequest | undefined): MaybePromise<void> {
    const { state, clock } = this.#core;
    const first = childNode(state, from.parent, from.name);
    const second = childNode(state, to.parent, to.name);
    if (inodeOf(first) === inodeOf(second)) return undefined;
    if (this.#holds(first, to.parent) || this.#holds(second, from.parent)) throw intoItself(to);
    const now = clock.nowNs();
    state.transact((tx) => {
      // Out of the way first, so that no two nodes share a place at any step.
      tx.put({ ...second, local: undefined });
      place(tx, first.ino, to);
      place(tx, second.ino, from);
      touchInode(tx, inodeOf(first), now);
      touchInode(tx, inodeOf(second), now);
      touchDirectory(tx, from.parent, now);
      touchDirectory(tx, to.parent, now);
      markDone(tx, request, first.ino);
    });
    return this.#core.settle(first.ino, request, () => undefined);
  }

  /** Whether `directory` is the directory `at` or lies above it. */
  #holds(directory: NodeRecord, at: Ino): boolean {
    if (directory.kind !== 'dir') return false;
    for (;;) {
      if (at === directory.ino) return true;
      const parent = this.#core.state.get(at)?.local?.parent;
      if (parent === undefined || parent === at) return false;
      at = parent;
    }
  }
}

function intoItself(to: Side): VfsError {
  return new VfsError('EINVAL', 'a directory cannot be moved into itself', errorAt(to));
}

function optionalChild(view: StateView, side: Side): NodeRecord | undefined {
  const ino = view.localChild(side.parent, side.name);
  return ino === undefined ? undefined : view.get(ino);
}

/** Hangs a node elsewhere in the local tree. */
function place(tx: StateTransaction, ino: Ino, { parent, name }: Side): void {
  const record = tx.get(ino);
  if (record === undefined) throw new VfsError('ESTALE', `no node ${ino}`, { ino });
  tx.put({ ...record, local: { parent, name } });
}

/** The target directory may have been removed while a listing was awaited. */
function assertDirectory(tx: StateTransaction, ino: Ino): void {
  const record = tx.get(ino);
  if (record?.kind !== 'dir' || record.local === undefined) {
    throw new VfsError('ENOENT', `directory ${ino} was removed`, { ino });
  }
}

function errorAt({ parent, name }: Side) {
  return { ino: parent, name };
}
