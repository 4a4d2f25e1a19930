import { forEachLimited, type Ino, type Name } from '../base/index.js';
import {
  isRemoteError,
  joinRemote,
  type RemoteEntry,
  RemoteError,
  type RemotePath,
  type WriteCondition,
  type WriteResult,
} from '../remote/index.js';
import type { Base, NodeRecord, Place } from '../state/index.js';
import type { Op } from './decide.js';
import type { LateRequest } from './doubts.js';
import { isSameVersion, type SeenEntry } from './merge.js';
import { placesOf } from './op-claims.js';
import { isUnfetchedCopy, originalOf } from './original.js';
import type { Progress } from './progress.js';
import { Reconciler, type ReconcilerDeps } from './reconciler.js';
import { ServerCopy } from './server-copy.js';
import { holderOf, isBelowInBase, placePath, samePlace, serverPath, shownPath } from './server-tree.js';
import { Superseded } from './superseded.js';
import { cleanDigest, digestOf, nodeSource, type UploadSource } from './upload-source.js';

export interface CarryOutDeps extends ReconcilerDeps {
  /** Told of each upload that the server took, and of its bytes. */
  readonly onUploaded: (ino: Ino, place: Place, sizeBytes: number) => void;
}

const LISTINGS_AT_ONCE = 6;
/** By then a listing has told of what changed. */
const RELIST_MS = 5_000;

export class CarryOut {
  readonly #deps: CarryOutDeps;
  readonly #reconciler: Reconciler;
  readonly #copy: ServerCopy;

  constructor(deps: CarryOutDeps) {
    this.#deps = deps;
    this.#reconciler = new Reconciler(deps);
    this.#copy = new ServerCopy(deps, this.#reconciler);
  }

  /** Rejects with `RemoteError`, {@link Superseded}, or what broke on this machine. */
  async run(op: Op, signal: AbortSignal, progress: Progress): Promise<void> {
    await this.#checkDirectories(op, signal);
    switch (op.kind) {
      case 'mkcol':
        return this.#mkcol(op.ino, op.place, signal);
      case 'put':
        return this.#unlessLost(op.ino, this.#put(op, signal, progress));
      case 'move':
        return this.#move(op, signal);
      case 'step-aside':
        return this.#move({ ...op, kind: 'move', replaces: undefined }, signal);
      case 'delete':
        return this.#delete(op.ino, op.place, signal);
      case 'delete-tree':
        return this.#deleteTree(op.ino, op.place, signal);
      case 'reconcile':
        return this.#unlessLost(op.ino, this.#reconciler.reconcile(op.ino, op.place, signal));
    }
  }

  /** What is below a directory that an earlier request has moved is not to be found where the base says. */
  async #checkDirectories(op: Op, signal: AbortSignal): Promise<void> {
    const { state, doubts } = this.#deps;
    for (const moved of doubts.moved) {
      const isAbove =
        moved !== op.ino && placesOf(op).some(({ parent }) => isBelowInBase(state, parent, moved));
      if (isAbove && (await this.#reconciler.hasMoved(moved, signal)))
        throw new Superseded('an earlier request has moved the directory');
    }
  }

  /** A copy that was still to be made of a version that is gone is given up; nobody was told that there is one. */
  async #unlessLost(ino: Ino, work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      const { state, log } = this.#deps;
      const node = state.get(ino);
      if (!isRemoteError(error, 'changed', 'not-found') || node?.kind !== 'file') throw error;
      if (!isUnfetchedCopy(node) || originalOf(state, node) !== undefined) throw error;
      log.warn(
        { ino, path: shownPath(state, ino) },
        'what was to be copied is gone from the server; the copy is empty',
      );
      this.#deps.editor.confirm((confirm) => confirm.emptied(ino, true));
      throw new Superseded('what was to be copied is gone');
    }
  }

  async #mkcol(ino: Ino, place: Place, signal: AbortSignal): Promise<void> {
    const { store, editor } = this.#deps;
    const node = this.#node(ino);
    const path = this.#path(place);
    const noted = editor.confirm((confirm) => confirm.making(ino, place));
    try {
      await store.makeDirectory(path, { signal });
    } catch (error) {
      this.#unmade(error, noted);
      // A repeated MKCOL whose first answer was lost is answered like a name that is taken.
      if (isRemoteError(error, 'exists')) return this.#reconciler.refused(error, ino, place, signal);
      await this.#checkParent(error, place, signal);
      throw error;
    }
    editor.confirm((confirm) => confirm.madeDirectory(node, place));
  }

  async #put(op: Extract<Op, { kind: 'put' }>, signal: AbortSignal, progress: Progress): Promise<void> {
    const { ino, place } = op;
    const path = this.#path(place);
    this.#reconciler.checkUnattempted(ino, place);
    if (op.replaces !== undefined) await this.#keepForReaders(op.replaces, signal);
    const asked = this.#node(ino);
    const original = op.replaces === undefined ? originalOf(this.#deps.state, asked) : undefined;
    if (original !== undefined && (await this.#copy.run(asked, place, original, signal, progress))) return;
    const node = this.#node(ino);
    this.#checkUnwritten(node);
    const stopped = new AbortController();
    const either = AbortSignal.any([signal, stopped.signal]);
    const source = await nodeSource(node, this.#deps, () => stopped.abort());
    progress.totalBytes = source.body.size;
    try {
      const expected = this.#expected(op, node);
      const known =
        expected === undefined ? undefined : await this.#sameOnServer(op, path, expected, source, signal);
      if (known !== undefined) {
        const sent = { gen: source.gen, size: known.size, sha256: known.sha256 };
        this.#deps.editor.confirm((confirm) => confirm.wrote(node, place, sent, known, op.replaces));
        return;
      }
      const condition = await this.#condition(expected, path, ino, place, signal);
      await this.#send(node, path, place, op.replaces, source, condition, either, progress);
    } finally {
      source.close();
      this.#deps.sessions.copyTaken(node.kind === 'alias' ? node.target : ino);
    }
  }

  async #send(
    node: NodeRecord,
    path: RemotePath,
    place: Place,
    replaces: Ino | undefined,
    source: UploadSource,
    condition: WriteCondition,
    signal: AbortSignal,
    progress: Progress,
  ): Promise<void> {
    const { store, editor, rates } = this.#deps;
    const { size } = source.body;
    const now = this.#node(node.ino);
    if ((now.local === undefined && node.local !== undefined) || !samePlace(now.base, node.base)) {
      throw new Superseded('the name was given up, or taken over by another of the file’s names');
    }
    const note = (sha256: string | undefined) =>
      editor.confirm((confirm) =>
        confirm.attempted(node.ino, place, { place, gen: source.gen, size, sha256 }),
      );
    const known = source.sha256();
    note(known);
    let sent = false;
    let result: WriteResult;
    try {
      result = await store.write(path, source.body, {
        condition,
        signal,
        onProgress: (bytes) => {
          // A body that has to be sent again begins anew.
          rates.noteUp(Math.max(0, bytes - progress.sentBytes));
          if (bytes < progress.sentBytes) progress.isSent = false;
          progress.sentBytes = bytes;
        },
        onSent: () => {
          if (!sent && source.sha256() !== known) note(source.sha256());
          sent = true;
          progress.isSent = true;
        },
      });
    } catch (error) {
      // What was not sent to its last byte cannot have taken effect: the length was announced.
      const certain = isRemoteError(error) && (error.outcome === 'none' || !sent);
      if (certain) editor.confirm((confirm) => confirm.attempted(node.ino, place, undefined));
      if (isRemoteError(error, 'changed', 'exists'))
        return this.#reconciler.refused(error, node.ino, place, signal, source.sha256());
      if (certain) await this.#checkParent(error, place, signal);
      throw error;
    }
    const content = { gen: source.gen, size, sha256: source.sha256() };
    editor.confirm((confirm) => confirm.wrote(node, place, content, result, replaces));
    this.#deps.doubts.uploaded(node.ino);
    this.#deps.onUploaded(node.ino, place, size);
    if (result.etag === undefined) this.#deps.refresher.confirmSoon(place.parent);
  }

  /**
   * The version that is to be replaced, where the server has a file there and that has the very bytes that would be sent:
   * then nothing is. That one which was downloaded is read once more, where all of it is here.
   */
  async #sameOnServer(
    op: Extract<Op, { kind: 'put' }>,
    path: RemotePath,
    expected: Base,
    source: UploadSource,
    signal: AbortSignal,
  ): Promise<Base | undefined> {
    if (expected.size !== source.body.size) return undefined;
    if (op.replaces !== undefined && this.#deps.doubts.mayBeRemoved(op.replaces)) return undefined;
    const replaced = op.replaces === undefined ? undefined : this.#node(op.replaces);
    const sha256 =
      expected.sha256 ??
      (replaced?.kind === 'file' ? await cleanDigest(replaced, this.#deps.content) : undefined);
    if (sha256 === undefined || sha256 !== (await digestOf(source))) return undefined;
    // A version that another client has removed meanwhile would go here too, just saved.
    if ((await this.#deps.refresher.look(path, signal))?.entry.kind !== 'file') return undefined;
    return { ...expected, sha256 };
  }

  /** A program may have begun to write while this waited for the server: half of what it writes is not sent. */
  #checkUnwritten(node: NodeRecord): void {
    const { usage, sessions } = this.#deps;
    const file = node.kind === 'alias' ? this.#node(node.target) : node;
    if (file.kind !== 'file' || sessions.isCopyDue(file.ino)) return;
    if (file.writing || usage.hasWritableHandle(file.ino))
      throw new Superseded('a program writes to the file again');
  }

  /** The version that must be on the server for the upload to be right; undefined: none at all. */
  #expected(op: Extract<Op, { kind: 'put' }>, node: NodeRecord): Base | undefined {
    if (op.replaces !== undefined) return this.#node(op.replaces).base;
    return samePlace(node.base, op.place) ? node.base : undefined;
  }

  /**
   * The condition to send, after a comparison of our own where the server is not known to honour it. Where the
   * comparison fails the node is reconciled and `Superseded` is thrown.
   */
  async #condition(
    expected: Base | undefined,
    path: RemotePath,
    ino: Ino,
    place: Place,
    signal: AbortSignal,
  ): Promise<WriteCondition> {
    const { capabilities } = this.#deps.store;
    const honoured = expected === undefined ? capabilities.ifNoneMatch : capabilities.ifMatch;
    if (honoured === true && expected?.etag !== undefined) return { kind: 'match', etag: expected.etag };
    if (honoured === true && expected === undefined) return { kind: 'absent' };
    const seen = await this.#deps.refresher.look(path, signal);
    const matches = expected === undefined ? seen === undefined : isSameFile(expected, seen);
    if (!matches) {
      await this.#reconciler.decideOn(ino, place, seen, undefined, signal);
      throw new Superseded('the server has another version');
    }
    if (expected === undefined) return honoured === false ? { kind: 'any' } : { kind: 'absent' };
    const etag = seen?.entry.weak === false ? seen.entry.etag : undefined;
    return etag === undefined || honoured === false ? { kind: 'any' } : { kind: 'match', etag };
  }

  async #move(op: Extract<Op, { kind: 'move' }>, signal: AbortSignal): Promise<void> {
    const { store, editor, refresher } = this.#deps;
    const { ino, from, to } = op;
    const node = this.#node(ino);
    const fromPath = this.#path(from);
    const toPath = this.#path(to);
    if (op.replaces !== undefined) await this.#checkReplaced(op.replaces, op, toPath, signal);
    const overwrite = op.replaces !== undefined;
    const noted = editor.confirm((confirm) => confirm.moving(ino, to));
    try {
      await store.move(fromPath, toPath, { overwrite, directory: node.kind === 'dir', signal });
    } catch (error) {
      this.#unmade(error, noted);
      if (!isRemoteError(error)) throw error;
      // What is not at its old place may have been moved by an earlier try.
      const doubtful =
        error.outcome === 'unknown' || error.code === 'not-found' || error.code === 'parent-missing';
      if (error.code === 'exists') {
        // An earlier try may have made what is there, whatever has taken the old name since.
        if (noted === undefined && (await this.#reconciler.findMoved(node, signal))) return;
        return this.#reconciler.refused(error, ino, to, signal);
      }
      if (error.code === 'changed') return this.#relearn(from, fromPath, signal);
      if (!doubtful) throw error;
      if ((await refresher.look(fromPath, signal)) !== undefined) {
        await this.#checkParent(error, to, signal);
        throw error;
      }
      if (await this.#reconciler.findMoved(node, signal)) return;
      const lost = holderOf(this.#deps.state, ino, from);
      if (lost !== undefined) editor.merge((merge) => merge.gone(lost.ino));
      return;
    }
    editor.confirm((confirm) => confirm.moved(node, to, op.replaces));
  }

  /** What is at a place is of another kind than the trees say: takes it in as it is. */
  async #relearn(place: Place, path: RemotePath, signal: AbortSignal): Promise<void> {
    const seen = await this.#deps.refresher.look(path, signal);
    if (seen !== undefined) this.#deps.editor.merge((merge) => merge.entry(place.parent, place.name, seen));
    throw new Superseded('another client has put something else there', RELIST_MS);
  }

  /** Before a file is moved over another: that one must still be the version that was given up. */
  async #checkReplaced(
    replaced: Ino,
    { ino, to }: Extract<Op, { kind: 'move' }>,
    toPath: RemotePath,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#keepForReaders(replaced, signal);
    const expected = this.#node(replaced).base;
    const seen = await this.#deps.refresher.look(toPath, signal);
    if (expected !== undefined && isSameFile(expected, seen)) return;
    if (seen === undefined) {
      if (await this.#reconciler.findMoved(this.#node(replaced), signal))
        throw new Superseded('an earlier request has moved what was to be replaced');
      return;
    }
    if (await this.#reconciler.hasMoved(ino, signal))
      throw new Superseded('an earlier request has moved the node');
    await this.#reconciler.decideOn(ino, to, seen, undefined, signal);
    throw new Superseded('the server has another version under the new name');
  }

  async #delete(ino: Ino, place: Place, signal: AbortSignal): Promise<void> {
    const { store, editor, doubts } = this.#deps;
    const path = this.#path(place);
    await this.#keepForReaders(ino, signal);
    const { base } = this.#node(ino);
    if (base === undefined) return;
    const condition = await this.#condition(base, path, ino, place, signal);
    doubts.removing(ino);
    try {
      const version = condition.kind === 'match' ? { etag: condition.etag } : {};
      await store.remove(path, { directory: false, signal, ...version });
    } catch (error) {
      if (isRemoteError(error, 'changed')) return this.#reconciler.reconcile(ino, place, signal);
      if (!isRemoteError(error, 'not-found')) throw error;
      if (await this.#reconciler.findMoved(this.#node(ino), signal)) return;
    }
    editor.confirm((confirm) => confirm.removed(ino));
  }

  /**
   * Deletes a directory with all that is in it by one request, after having looked that nothing is in it that this
   * side does not know and has not deleted itself.
   */
  async #deleteTree(ino: Ino, place: Place, signal: AbortSignal): Promise<void> {
    const { state, store, editor, doubts } = this.#deps;
    const path = this.#path(place);
    // What has left it is not deleted with it.
    for (const moved of doubts.moved)
      if (moved !== ino && isBelowInBase(state, moved, ino)) await this.#reconciler.hasMoved(moved, signal);
    try {
      for (let level: Ino[] = [ino]; level.length > 0; ) {
        const next: Ino[] = [];
        await forEachLimited(level, LISTINGS_AT_ONCE, async (dir) => {
          next.push(...(await this.#checkDeletedDir(dir, signal)));
        });
        level = next;
      }
      await store.remove(path, { directory: true, signal });
    } catch (error) {
      if (isRemoteError(error, 'changed') && error.path === path) return this.#relearn(place, path, signal);
      if (!isRemoteError(error, 'not-found') || error.path !== path) throw error;
      if (await this.#reconciler.findMoved(this.#node(ino), signal)) return;
    }
    editor.confirm((confirm) => confirm.removed(ino));
  }

  /** The subdirectories of a deleted directory; throws `Superseded` when it holds something that was not deleted here. */
  async #checkDeletedDir(dir: Ino, signal: AbortSignal): Promise<Ino[]> {
    const { state, store, editor, refresher } = this.#deps;
    const path = serverPath(state, dir);
    if (path === undefined) return [];
    const subdirectories: Ino[] = [];
    const foreign: RemoteEntry[] = [];
    for await (const batch of store.list(path, { signal })) {
      for (const entry of batch) {
        if (entry.name === undefined) continue;
        const known = state.baseChild(dir, entry.name);
        const node = known === undefined ? undefined : state.get(known);
        const sameKind = node !== undefined && (node.kind === 'dir') === (entry.kind === 'dir');
        if (node?.base === undefined || !sameKind) foreign.push(entry);
        else if (node.kind === 'dir') subdirectories.push(node.ino);
        else if (!isSameVersion(node.base, entry)) foreign.push(entry);
        else await this.#keepForReaders(node.ino, signal);
      }
    }
    if (foreign.length === 0) return subdirectories;
    for (const entry of foreign) {
      const seen = await refresher.look(joinRemote(path, entry.name as Name), signal);
      if (seen !== undefined) editor.merge((merge) => merge.entry(dir, entry.name as Name, seen));
    }
    throw new Superseded('another client has put something into the deleted directory');
  }

  /** What a program still has open is fetched before its last copy on the server goes. */
  async #keepForReaders(ino: Ino, signal: AbortSignal): Promise<void> {
    const { usage, fetcher, log } = this.#deps;
    if (!usage.isOpen(ino)) return;
    try {
      await fetcher.whole(ino, { signal });
    } catch (error) {
      if (!isRemoteError(error, 'changed', 'not-found')) throw error;
      log.warn({ ino }, 'a file that is still open has gone from the server before all of it was read');
    }
  }

  /** What failed for certain makes nothing. */
  #unmade(error: unknown, noted: LateRequest | undefined): void {
    if (noted !== undefined && isRemoteError(error) && error.outcome === 'none')
      this.#deps.editor.confirm((confirm) => confirm.unmade(noted));
  }

  /** Where a request failed because its directory is not there, the directory is taken as gone, to be made anew. */
  async #checkParent(error: unknown, place: Place, signal: AbortSignal): Promise<void> {
    if (!isRemoteError(error, 'parent-missing', 'not-found')) return;
    const { state, editor, refresher } = this.#deps;
    const parent = serverPath(state, place.parent);
    if (parent === undefined || parent === '/') return;
    const seen = await refresher.look(parent, signal);
    if (seen?.entry.kind === 'dir') return;
    editor.merge((merge) => merge.gone(place.parent));
    throw new Superseded('the directory is no longer on the server');
  }

  #node(ino: Ino): NodeRecord {
    const node = this.#deps.state.get(ino);
    if (node === undefined) throw new Superseded('the node is gone');
    return node;
  }

  #path(place: Place): RemotePath {
    const path = placePath(this.#deps.state, place);
    if (path === undefined) throw new Superseded('the directory is not on the server yet');
    return path;
  }
}

/** Whether the server has the file of that version, and no directory in its place. */
function isSameFile(expected: Base, seen: SeenEntry | undefined): boolean {
  return seen?.entry.kind === 'file' && isSameVersion(expected, seen.entry);
}

/** For the caller's signal: an error that says that the operation was stopped from here. */
export function isStopped(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted || (error instanceof RemoteError && error.code === 'aborted');
}
