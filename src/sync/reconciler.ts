/**
 * Settles doubt about one place on the server: asks what is there, then knows that nothing happened, adopts what turns
 * out to be this side's own, or keeps both. It decides about content; what is carried out next is the planner's.
 */

import { createHash } from 'node:crypto';
import type { Ino, Log } from '../base/index.js';
import type { ContentStore } from '../content/index.js';
import type { RemoteEntry, RemoteError, RemotePath, RemoteStore } from '../remote/index.js';
import type { Attempt, NodeRecord, Place, StateStore } from '../state/index.js';
import type { Usage } from './api.js';
import type { SentContent } from './confirm.js';
import type { Doubts } from './doubts.js';
import type { Fetcher } from './fetcher.js';
import { isSameVersion, type SeenEntry } from './merge.js';
import { copiedFile, copiedFrom } from './original.js';
import type { RateMeter } from './rates.js';
import type { Refresher } from './refresher.js';
import { holderOf, localPath, placePath, serverPath } from './server-tree.js';
import { Superseded } from './superseded.js';
import type { TreeEditor } from './tree-editor.js';
import { digestOf, nodeSource } from './upload-source.js';
import type { WriteSessions } from './write-sessions.js';
import { XSYM_SIZE_BYTES } from './xsym.js';

export interface ReconcilerDeps {
  readonly state: StateStore;
  readonly content: ContentStore;
  readonly store: RemoteStore;
  readonly editor: TreeEditor;
  readonly refresher: Refresher;
  readonly fetcher: Fetcher;
  readonly sessions: WriteSessions;
  readonly usage: Usage;
  readonly doubts: Doubts;
  readonly rates: RateMeter;
  readonly log: Log;
}

type KnownContent = SentContent & { readonly sha256: string };

/** A server calls the tag of a file weak, and matches none, while the file is younger than a second. */
const YOUNG_FILE_MS = 1_200;
/** By then an upload with an open end has been looked up, if the server can be reached. */
const ATTEMPT_MS = 500;

export class Reconciler {
  readonly #deps: ReconcilerDeps;

  constructor(deps: ReconcilerDeps) {
    this.#deps = deps;
  }

  /** Asks what the server has at a place where nobody is sure of it, then adopts that or keeps both. */
  async reconcile(ino: Ino, place: Place, signal: AbortSignal, sha256?: string): Promise<void> {
    await this.decideOn(ino, place, await this.#look(place, signal), sha256, signal);
  }

  /**
   * The same after a request that was refused for what is there. Throws its `error` where nothing is, nor was as far as is
   * known: the same request would be refused again and again.
   */
  async refused(
    error: RemoteError,
    ino: Ino,
    place: Place,
    signal: AbortSignal,
    sha256?: string,
  ): Promise<void> {
    const seen = await this.#look(place, signal);
    const isNothing = seen === undefined && this.#occupant(place) === undefined;
    await this.decideOn(ino, place, seen, sha256, signal);
    if (isNothing) throw error;
  }

  /**
   * The same for what was `seen` there just now. `sha256`: of a body that was refused, so that equal content is
   * recognised. Throws {@link Superseded} where the planner has to decide anew.
   */
  async decideOn(
    ino: Ino,
    place: Place,
    seen: SeenEntry | undefined,
    sha256: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { state, editor, doubts, log } = this.#deps;
    const asked = holderOf(state, ino, place);
    if (asked === undefined) return;
    if (seen === undefined) {
      const known = this.#occupant(place);
      editor.confirm((confirm) => confirm.undone(asked.ino, place));
      if (known === undefined || (await this.findMoved(known, signal))) return;
      editor.merge((merge) => merge.gone(known.ino));
      if (state.get(known.ino)?.base !== undefined)
        throw new Superseded(
          'something that was in the directory may have been moved, and is looked for first',
          ATTEMPT_MS,
        );
      return;
    }
    if (await this.#adoptOwn(asked, this.#occupant(place), place, seen, sha256, signal)) return;
    // Names may have changed hands meanwhile.
    const node = holderOf(state, ino, place);
    if (node === undefined) return;
    const occupant = this.#occupant(place);
    if (occupant?.base !== undefined && isSameVersion(occupant.base, seen.entry)) {
      // Nothing has changed there: what was tried did not take effect, or the file was too young to match.
      editor.confirm((confirm) => confirm.undone(node.ino, place));
      editor.merge((merge) => merge.entry(place.parent, place.name, seen));
      throw new Superseded('the server still has the version that is known', YOUNG_FILE_MS);
    }
    if (occupant !== undefined && doubts.movesOf(occupant.ino).length > 0) {
      if (!(await this.findMoved(occupant, signal)))
        editor.merge((merge) => merge.entry(place.parent, place.name, seen));
      throw new Superseded('what was known there may have been moved by an earlier request');
    }
    this.checkUnattempted(node.ino, place);
    if (editor.merge((merge) => merge.recall(place, seen))) throw attempted();
    for (const { ino: other, made } of doubts.at(place))
      if (made.kind === 'move' && (await this.hasMoved(other, signal))) throw attempted();
    const kept = editor.merge((merge, tx) => {
      if (occupant !== undefined && occupant.ino !== node.ino) {
        tx.put({ ...occupant, base: undefined, remote: undefined });
      }
      return merge.keepBoth(node.ino, place, seen);
    });
    if (occupant !== undefined) editor.bury(occupant.ino);
    const ours = kept === undefined ? undefined : localPath(state, node.ino);
    log.warn({ path: seen.entry.path, ours }, 'changed here and on the server: both versions are kept');
  }

  /** Throws {@link Superseded} while nobody knows whether an upload for another node to this place took effect. */
  checkUnattempted(ino: Ino, place: Place): void {
    const { state, doubts } = this.#deps;
    const node = doubts.attemptAt(state, place);
    if (node !== undefined && node.ino !== ino) throw attempted();
  }

  /** Whether an earlier request of ours moved a node after all; the base then says so. */
  async hasMoved(ino: Ino, signal: AbortSignal): Promise<boolean> {
    const { state, refresher, doubts } = this.#deps;
    const from = doubts.movesOf(ino).length === 0 ? undefined : serverPath(state, ino);
    if (from === undefined || (await refresher.look(from, signal)) !== undefined) return false;
    const node = state.get(ino);
    return node !== undefined && this.findMoved(node, signal);
  }

  /**
   * Whether a node that is not where it was is where a request of ours was to move it, whose answer was lost; the base then
   * says so.
   */
  async findMoved(before: NodeRecord, signal: AbortSignal): Promise<boolean> {
    const { editor, doubts } = this.#deps;
    const places = doubts.movesOf(before.ino);
    if (places.length === 0) return false;
    const found: Array<{ readonly to: Place; readonly isCertain: boolean }> = [];
    for (const to of places) {
      const seen = await this.#look(to, signal);
      if (seen !== undefined && this.#mayBeMoved(before, to, seen.entry))
        found.push({
          to,
          isCertain: before.base?.etag !== undefined && before.base.etag === seen.entry.etag,
        });
    }
    // Not every server keeps the tag of what it moves.
    const best = found.find(({ isCertain }) => isCertain) ?? found[0];
    if (best === undefined) editor.confirm((confirm) => confirm.notMoved(before.ino));
    else editor.confirm((confirm) => confirm.moved(before, best.to, this.#occupant(best.to)?.ino));
    return best !== undefined;
  }

  #mayBeMoved({ ino, kind, base }: NodeRecord, to: Place, entry: RemoteEntry): boolean {
    if (base === undefined || (kind === 'dir') !== (entry.kind === 'dir')) return false;
    if (kind === 'dir') return true;
    const replaced = this.#occupant(to);
    const isAnother =
      replaced?.base !== undefined && replaced.ino !== ino && isSameVersion(replaced.base, entry);
    return entry.size === base.size && !isAnother;
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
    const wanted = await this.#wanted(node, sha256, signal);
    if (wanted === undefined || wanted.size !== entry.size) return false;
    const path = placePath(this.#deps.state, place);
    if (path === undefined) return false;
    if ((await this.#hashOnServer(path, entry, signal)) !== wanted.sha256) return false;
    const replaced = occupant !== undefined && occupant.ino !== node.ino ? occupant.ino : undefined;
    editor.confirm((confirm) => confirm.wrote(node, place, wanted, entry, replaced));
    return true;
  }

  /** Bytes that an upload of the node has, or had. */
  #uploadSize(node: Exclude<NodeRecord, { kind: 'dir' }>): number {
    if (node.attempt !== undefined) return node.attempt.size;
    if (node.kind === 'symlink') return XSYM_SIZE_BYTES;
    const file = node.kind === 'alias' ? this.#deps.state.get(node.target) : node;
    return file?.kind === 'file' ? file.size : 0;
  }

  /** What the server would have if our upload took effect. */
  async #wanted(
    node: Exclude<NodeRecord, { kind: 'dir' }>,
    sha256: string | undefined,
    signal: AbortSignal,
  ): Promise<KnownContent | undefined> {
    if (node.attempt?.sha256 !== undefined) {
      return { gen: node.attempt.gen, size: node.attempt.size, sha256: node.attempt.sha256 };
    }
    const copied = node.attempt === undefined ? undefined : await this.#copied(node, node.attempt, signal);
    if (copied !== undefined) return copied;
    // A file that only moves would leave its old name behind on the server.
    if (node.local === undefined || (node.kind === 'file' && node.content === 'clean')) return undefined;
    const source = await nodeSource(node, this.#deps, () => undefined);
    try {
      if (sha256 !== undefined && node.kind === 'file' && node.gen === source.gen) {
        return { gen: source.gen, size: source.body.size, sha256 };
      }
      const known = await digestOf(source);
      return known === undefined ? undefined : { gen: source.gen, size: source.body.size, sha256: known };
    } finally {
      source.close();
    }
  }

  /** What a COPY brought whose source's digest nobody knows yet. */
  async #copied(
    node: NodeRecord,
    { gen, size }: Attempt,
    signal: AbortSignal,
  ): Promise<KnownContent | undefined> {
    const { state } = this.#deps;
    const source = copiedFrom(state, node);
    const file = source?.gen === gen ? copiedFile(state, source) : undefined;
    const path = file === undefined ? undefined : serverPath(state, file.ino);
    if (file?.base?.size !== size || path === undefined) return undefined;
    return { gen, size, sha256: await this.#hashOnServer(path, file.base, signal) };
  }

  async #hashOnServer(
    path: RemotePath,
    { etag }: Pick<RemoteEntry, 'etag'>,
    signal: AbortSignal,
  ): Promise<string> {
    const hash = createHash('sha256');
    const version = etag === undefined ? {} : { etag };
    const answer = await this.#deps.store.read(path, { ...version, signal });
    for await (const chunk of answer.chunks) {
      this.#deps.rates.noteDown(chunk.length);
      hash.update(chunk);
    }
    return hash.digest('hex');
  }

  /** What the server has at a place now; in a directory that is not there nothing can be. */
  async #look(place: Place, signal: AbortSignal): Promise<SeenEntry | undefined> {
    const path = placePath(this.#deps.state, place);
    return path === undefined ? undefined : await this.#deps.refresher.look(path, signal);
  }

  #occupant(place: Place): NodeRecord | undefined {
    const { state } = this.#deps;
    const ino = state.baseChild(place.parent, place.name);
    return ino === undefined ? undefined : state.get(ino);
  }
}

function attempted(): Superseded {
  return new Superseded(
    'what is there may be of an earlier request of ours, which is looked up first',
    ATTEMPT_MS,
  );
}
