/**
 * Carries one operation to the server and its answer into the trees. It knows the verbs and their doubtful answers;
 * when and how often something is tried is the executor's business.
 */

import { createHash } from 'node:crypto';
import { forEachLimited, type Ino, type Log, type Name } from '../base/index.js';
import type { ContentStore } from '../content/index.js';
import {
  isRemoteError,
  joinRemote,
  type RemoteEntry,
  RemoteError,
  type RemotePath,
  type RemoteStore,
  type WriteCondition,
  type WriteResult,
} from '../remote/index.js';
import type { Base, NodeRecord, Place, StateStore } from '../state/index.js';
import type { Usage } from './api.js';
import type { Op } from './decide.js';
import type { Fetcher } from './fetcher.js';
import { isSameVersion, type SeenEntry } from './merge.js';
import type { Refresher } from './refresher.js';
import { localPath, placePath, samePlace, serverPath } from './server-tree.js';
import type { TreeEditor } from './tree-editor.js';
import { fileSource, memorySource, type UploadSource } from './upload-source.js';
import type { WriteSessions } from './write-sessions.js';
import { encodeXSym, XSYM_SIZE_BYTES } from './xsym.js';

/** The trees changed so that the operation makes no sense any more, or has to wait: the planner decides anew. */
export class Superseded extends Error {
  override readonly name = 'Superseded';
  /** Milliseconds to leave the node alone. */
  readonly delayMs: number;

  constructor(reason: string, delayMs = 0) {
    super(reason);
    this.delayMs = delayMs;
  }
}

export interface CarryOutDeps {
  readonly state: StateStore;
  readonly content: ContentStore;
  readonly store: RemoteStore;
  readonly editor: TreeEditor;
  readonly refresher: Refresher;
  readonly fetcher: Fetcher;
  readonly sessions: WriteSessions;
  readonly usage: Usage;
  readonly log: Log;
  /** A file's content is on the server now. */
  readonly onUploaded: (sizeBytes: number) => void;
}

/** What an upload under way tells of itself. */
export interface Progress {
  sentBytes: number;
  totalBytes: number;
}

const LISTINGS_AT_ONCE = 6;
/** A server calls the tag of a file weak, and matches none, while the file is younger than a second. */
const YOUNG_FILE_MS = 1_200;
/** By then an upload with an open end has been looked up, if the server can be reached. */
const ATTEMPT_MS = 500;
/** By then a listing has told of what changed. */
const RELIST_MS = 5_000;

export class CarryOut {
  readonly #deps: CarryOutDeps;

  constructor(deps: CarryOutDeps) {
    this.#deps = deps;
  }

  /** Rejects with `RemoteError`, {@link Superseded}, or what broke on this machine. */
  async run(op: Op, signal: AbortSignal, progress: Progress): Promise<void> {
    switch (op.kind) {
      case 'mkcol':
        return this.#mkcol(op.ino, op.place, signal);
      case 'put':
        return this.#put(op, signal, progress);
      case 'move':
        return this.#move(op, signal);
      case 'step-aside':
        return this.#move({ ...op, kind: 'move', replaces: undefined }, signal);
      case 'delete':
        return this.#delete(op.ino, op.place, signal);
      case 'delete-tree':
        return this.#deleteTree(op.ino, op.place, signal);
      case 'reconcile':
        return this.#reconcile(op.ino, op.place, signal);
    }
  }

  async #mkcol(ino: Ino, place: Place, signal: AbortSignal): Promise<void> {
    const { store, editor } = this.#deps;
    const node = this.#node(ino);
    try {
      await store.makeDirectory(this.#path(place), { signal });
    } catch (error) {
      // A repeated MKCOL whose first answer was lost is answered like a name that is taken.
      if (isRemoteError(error, 'exists')) return this.#reconcile(ino, place, signal);
      await this.#checkParent(error, place, signal);
      throw error;
    }
    editor.confirm((confirm) => confirm.madeDirectory(node, place));
  }

  async #put(op: Extract<Op, { kind: 'put' }>, signal: AbortSignal, progress: Progress): Promise<void> {
    const { ino, place } = op;
    const node = this.#node(ino);
    const path = this.#path(place);
    if (op.replaces !== undefined) await this.#keepForReaders(op.replaces, signal);
    if (node.kind === 'alias' && (await this.#copyOnServer(node.target, ino, place, op.replaces, signal)))
      return;
    const stopped = new AbortController();
    const either = AbortSignal.any([signal, stopped.signal]);
    const source = await this.#source(node, () => stopped.abort());
    progress.totalBytes = source.body.size;
    try {
      const condition = await this.#condition(this.#expected(op, node), path, ino, place, signal);
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
    const { store, editor } = this.#deps;
    const { size } = source.body;
    const note = (sha256: string | undefined) =>
      editor.confirm((confirm) => confirm.attempted(node.ino, { place, gen: source.gen, size, sha256 }));
    note(source.sha256());
    let sent = false;
    let result: WriteResult;
    try {
      result = await store.write(path, source.body, {
        condition,
        signal,
        onProgress: (bytes) => {
          progress.sentBytes = bytes;
        },
        onSent: () => {
          if (!sent) note(source.sha256());
          sent = true;
        },
      });
    } catch (error) {
      // What was not sent to its last byte cannot have taken effect: the length was announced.
      const certain = isRemoteError(error) && (error.outcome === 'none' || !sent);
      if (certain) editor.confirm((confirm) => confirm.attempted(node.ino, undefined));
      if (isRemoteError(error, 'changed', 'exists'))
        return this.#reconcile(node.ino, place, signal, source.sha256());
      if (certain) await this.#checkParent(error, place, signal);
      throw error;
    }
    editor.confirm((confirm) => confirm.wrote(node, place, source.gen, size, result, replaces));
    this.#deps.onUploaded(size);
    if (result.etag === undefined) this.#deps.refresher.confirmSoon(place.parent);
  }

  async #source(node: NodeRecord, stop: () => void): Promise<UploadSource> {
    if (node.kind === 'symlink') {
      const file = encodeXSym(node.target);
      if (file === undefined)
        throw new Error(`symbolic link ${node.ino} is too long to be kept on the server`);
      return memorySource(file, node.gen);
    }
    const file = node.kind === 'alias' ? this.#node(node.target) : node;
    if (file.kind !== 'file') throw new Error(`inode ${node.ino} has no content to upload`);
    if (file.content === 'staged') return fileSource(file, this.#deps, stop);
    // A further name of a file that the server has, but cannot copy itself.
    const { content, fetcher } = this.#deps;
    content.acquireClean(file.ino, { etag: file.base?.etag, size: file.size });
    try {
      await fetcher.whole(file.ino);
      return await fileSource(file, this.#deps, stop);
    } finally {
      content.release(file.ino);
    }
  }

  /** Makes a further name of a file by COPY, where the server has its content already. */
  async #copyOnServer(
    target: Ino,
    ino: Ino,
    place: Place,
    replaces: Ino | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { state, store, editor, refresher } = this.#deps;
    const file = state.get(target);
    const from = serverPath(state, target);
    const node = state.get(ino);
    if (file?.kind !== 'file' || file.base === undefined || from === undefined || node === undefined)
      return false;
    if (file.base.gen !== file.gen || replaces !== undefined || node.base !== undefined) return false;
    const to = this.#path(place);
    const source = await refresher.look(from, signal);
    if (source === undefined || !isSameVersion(file.base, source.entry)) {
      throw new Superseded('what is to be copied has changed on the server', RELIST_MS);
    }
    try {
      await store.copy(from, to, { overwrite: false, directory: false, signal });
    } catch (error) {
      if (isRemoteError(error, 'exists')) await this.#reconcile(ino, place, signal);
      else if (!isRemoteError(error, 'not-supported', 'not-found')) throw error;
      return isRemoteError(error, 'exists');
    }
    const seen = await refresher.look(to, signal);
    const { gen, size } = file.base;
    if (seen === undefined || seen.entry.size !== size)
      throw new Superseded('the copy is of another version');
    editor.confirm((confirm) => confirm.wrote(node, place, gen, size, seen.entry, undefined));
    return true;
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
    const matches =
      expected === undefined ? seen === undefined : seen !== undefined && isSameVersion(expected, seen.entry);
    if (!matches) {
      await this.#reconcileWith(ino, place, seen, undefined, signal);
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
    if (op.replaces !== undefined) await this.#checkReplaced(op.replaces, ino, to, toPath, signal);
    const overwrite = op.replaces !== undefined;
    try {
      await store.move(fromPath, toPath, { overwrite, directory: node.kind === 'dir', signal });
    } catch (error) {
      if (!isRemoteError(error)) throw error;
      const doubtful =
        error.outcome === 'unknown' || error.code === 'not-found' || error.code === 'parent-missing';
      if (error.code === 'exists') return this.#reconcile(ino, to, signal);
      if (error.code === 'changed') return this.#relearn(from, fromPath, signal);
      if (!doubtful) throw error;
      const [source, target] = [await refresher.look(fromPath, signal), await refresher.look(toPath, signal)];
      if (source !== undefined) {
        await this.#checkParent(error, to, signal);
        throw error;
      }
      if (!isMoved(node, target)) {
        editor.merge((merge) => merge.gone(ino));
        return;
      }
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
    ino: Ino,
    to: Place,
    toPath: RemotePath,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#keepForReaders(replaced, signal);
    const expected = this.#node(replaced).base;
    const seen = await this.#deps.refresher.look(toPath, signal);
    if (seen === undefined || (expected !== undefined && isSameVersion(expected, seen.entry))) return;
    await this.#reconcileWith(ino, to, seen, undefined, signal);
    throw new Superseded('the server has another version under the new name');
  }

  async #delete(ino: Ino, place: Place, signal: AbortSignal): Promise<void> {
    const { store, editor } = this.#deps;
    const path = this.#path(place);
    await this.#keepForReaders(ino, signal);
    const { base } = this.#node(ino);
    if (base === undefined) return;
    const condition = await this.#condition(base, path, ino, place, signal);
    try {
      await store.remove(path, { signal, ...(condition.kind === 'match' ? { etag: condition.etag } : {}) });
    } catch (error) {
      if (isRemoteError(error, 'changed')) return this.#reconcile(ino, place, signal);
      if (!isRemoteError(error, 'not-found')) throw error;
    }
    editor.confirm((confirm) => confirm.removed(ino));
  }

  /**
   * Deletes a directory with all that is in it by one request, after having looked that nothing is in it that this
   * side does not know and has not deleted itself.
   */
  async #deleteTree(ino: Ino, place: Place, signal: AbortSignal): Promise<void> {
    const { store, editor } = this.#deps;
    const path = this.#path(place);
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
      await fetcher.whole(ino, signal);
    } catch (error) {
      if (!isRemoteError(error, 'changed', 'not-found')) throw error;
      log.warn({ ino }, 'a file that is still open has gone from the server before all of it was read');
    }
  }

  /** Asks what the server has at a place where nobody is sure of it, then adopts that or keeps both. */
  async #reconcile(ino: Ino, place: Place, signal: AbortSignal, sha256?: string): Promise<void> {
    const path = placePath(this.#deps.state, place);
    const seen = path === undefined ? undefined : await this.#deps.refresher.look(path, signal);
    await this.#reconcileWith(ino, place, seen, sha256, signal);
  }

  /** `sha256`: of a body that was refused just now, so that equal content is recognised. */
  async #reconcileWith(
    ino: Ino,
    place: Place,
    seen: SeenEntry | undefined,
    sha256: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { state, editor, log } = this.#deps;
    const node = state.get(ino);
    if (node === undefined) return;
    const occupantIno = state.baseChild(place.parent, place.name);
    const occupant = occupantIno === undefined ? undefined : state.get(occupantIno);
    if (seen === undefined) {
      this.#forgetAttempt(ino);
      if (occupant !== undefined) editor.merge((merge) => merge.gone(occupant.ino));
      return;
    }
    if (await this.#adoptOwn(node, occupant, place, seen, sha256, signal)) return;
    if (occupant?.base !== undefined && isSameVersion(occupant.base, seen.entry)) {
      // Nothing has changed there: what was tried did not take effect, or the file was too young to match.
      this.#forgetAttempt(ino);
      editor.merge((merge) => merge.entry(place.parent, place.name, seen));
      throw new Superseded('the server still has the version that is known', YOUNG_FILE_MS);
    }
    if (this.#isAttemptedByAnother(ino, place)) {
      throw new Superseded(
        'what is there may be an earlier upload of ours, which is looked up first',
        ATTEMPT_MS,
      );
    }
    const kept = editor.merge((merge, tx) => {
      if (occupant !== undefined && occupant.ino !== ino) {
        tx.put({ ...occupant, base: undefined, remote: undefined });
      }
      return merge.keepBoth(ino, place, seen);
    });
    if (occupant !== undefined) editor.bury(occupant.ino);
    const ours = kept === undefined ? undefined : localPath(state, ino);
    log.warn({ path: seen.entry.path, ours }, 'changed here and on the server: both versions are kept');
  }

  /** Whether another node's upload to this place has an open end. */
  #isAttemptedByAnother(ino: Ino, place: Place): boolean {
    const { state } = this.#deps;
    for (const other of state.dirty()) {
      const node = other === ino ? undefined : state.get(other);
      if (node === undefined || node.kind === 'dir' || node.attempt === undefined) continue;
      if (samePlace(node.attempt.place, place)) return true;
    }
    return false;
  }

  /** Whether what the server has is what this side wanted to put there; the base then says so. */
  async #adoptOwn(
    node: NodeRecord,
    occupant: NodeRecord | undefined,
    place: Place,
    seen: SeenEntry,
    sha256: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { editor } = this.#deps;
    const { entry } = seen;
    if (node.kind === 'dir') {
      if (entry.kind !== 'dir' || node.base !== undefined || occupant !== undefined) return false;
      editor.confirm((confirm, tx) => {
        confirm.madeDirectory(node, place);
        const made = tx.get(node.ino);
        // What is in it is not known.
        if (made?.kind === 'dir') tx.put({ ...made, listedAtMs: undefined });
      });
      return true;
    }
    if (entry.kind === 'dir') return false;
    // What is there is known as another node's already.
    const taken = occupant !== undefined && occupant.ino !== node.ino ? occupant.base : undefined;
    if (taken !== undefined && isSameVersion(taken, entry)) return false;
    if (this.#uploadSize(node) !== entry.size) return false;
    const wanted = await this.#wanted(node, sha256);
    if (wanted === undefined || wanted.size !== entry.size) return false;
    const path = this.#path(place);
    if ((await this.#hashOnServer(path, entry, signal)) !== wanted.sha256) return false;
    const replaced = occupant !== undefined && occupant.ino !== node.ino ? occupant.ino : undefined;
    editor.confirm((confirm) => confirm.wrote(node, place, wanted.gen, wanted.size, entry, replaced));
    return true;
  }

  /** Bytes that an upload of the node has, or had. */
  #uploadSize(node: Exclude<NodeRecord, { kind: 'dir' }>): number {
    if (node.attempt !== undefined) return node.attempt.size;
    if (node.kind === 'symlink') return XSYM_SIZE_BYTES;
    const file = node.kind === 'alias' ? this.#node(node.target) : node;
    return file.kind === 'file' ? file.size : 0;
  }

  /** What the server would have if our upload took effect. */
  async #wanted(
    node: Exclude<NodeRecord, { kind: 'dir' }>,
    sha256: string | undefined,
  ): Promise<{ gen: number; size: number; sha256: string } | undefined> {
    if (node.attempt?.sha256 !== undefined) {
      return { gen: node.attempt.gen, size: node.attempt.size, sha256: node.attempt.sha256 };
    }
    // A file that only moves would leave its old name behind on the server.
    if (node.local === undefined || (node.kind === 'file' && node.content === 'clean')) return undefined;
    const source = await this.#source(node, () => undefined);
    try {
      if (sha256 !== undefined && node.kind === 'file' && node.gen === source.gen) {
        return { gen: source.gen, size: source.body.size, sha256 };
      }
      const opened = source.body.open();
      if (!(opened instanceof Uint8Array)) for await (const _ of opened);
      const known = source.sha256();
      return known === undefined ? undefined : { gen: source.gen, size: source.body.size, sha256: known };
    } finally {
      source.close();
    }
  }

  async #hashOnServer(path: RemotePath, entry: RemoteEntry, signal: AbortSignal): Promise<string> {
    const hash = createHash('sha256');
    const version = entry.etag === undefined ? {} : { etag: entry.etag };
    const answer = await this.#deps.store.read(path, { ...version, signal });
    for await (const chunk of answer.chunks) hash.update(chunk);
    return hash.digest('hex');
  }

  #forgetAttempt(ino: Ino): void {
    this.#deps.editor.confirm((confirm) => confirm.attempted(ino, undefined));
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

/** Whether what is at the new name is what was at the old one. */
function isMoved(node: NodeRecord, target: SeenEntry | undefined): boolean {
  if (target === undefined || node.base === undefined) return false;
  if (node.kind === 'dir') return target.entry.kind === 'dir';
  return target.entry.kind === 'file' && target.entry.size === node.base.size;
}

/** For the caller's signal: an error that says that the operation was stopped from here. */
export function isStopped(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted || (error instanceof RemoteError && error.code === 'aborted');
}
