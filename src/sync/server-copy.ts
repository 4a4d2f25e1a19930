/**
 * Brings content to a new name by COPY (RFC 4918 section 9.8), where the server has it under another name. The server is
 * not trusted to check a condition on the source: it is looked at before and after, and the copy counts only where the
 * source was the same version both times. Everything else goes the way of an upload.
 */

import type { Ino } from '../base/index.js';
import { isRemoteError, type RemoteErrorCode, type RemotePath, type RemoteStore } from '../remote/index.js';
import type { Base, NodeRecord, Place, StateStore } from '../state/index.js';
import { isSameVersion, type SeenEntry } from './merge.js';
import type { Original } from './original.js';
import type { Progress } from './progress.js';
import type { Reconciler } from './reconciler.js';
import type { Refresher } from './refresher.js';
import { placePath, serverPath } from './server-tree.js';
import { Superseded } from './superseded.js';
import type { TreeEditor } from './tree-editor.js';

export interface ServerCopyDeps {
  readonly state: StateStore;
  readonly store: RemoteStore;
  readonly editor: TreeEditor;
  readonly refresher: Refresher;
}

export class ServerCopy {
  readonly #deps: ServerCopyDeps;
  readonly #reconciler: Reconciler;
  /** Nodes that the server would not copy: their bytes are sent. */
  readonly #refused = new Set<Ino>();
  #isSupported = true;

  constructor(deps: ServerCopyDeps, reconciler: Reconciler) {
    this.#deps = deps;
    this.#reconciler = reconciler;
  }

  /** Whether the server made the copy, or the place was settled otherwise; false: the bytes have to be sent. */
  async run(
    node: NodeRecord,
    place: Place,
    original: Original,
    signal: AbortSignal,
    progress: Pick<Progress, 'isSent'>,
  ): Promise<boolean> {
    const { state, store, editor, refresher } = this.#deps;
    const from = serverPath(state, original.ino);
    const to = placePath(state, place);
    if (from === undefined || to === undefined || !this.#isSupported) return false;
    if (this.#refused.delete(node.ino)) return false;
    const seen = await refresher.look(from, signal);
    if (!isCertain(node, original.base, seen)) {
      const { parent, name } = original.base;
      if (node.kind === 'file') {
        editor.merge((merge) =>
          seen === undefined ? merge.gone(original.ino) : merge.entry(parent, name, seen),
        );
        return false;
      }
      // What else it may be is in the listing.
      await refresher.refresh(parent);
      throw new Superseded('what is to be copied has changed on the server', RELIST_MS);
    }
    const { gen, base } = original;
    const { size, sha256 } = base;
    editor.confirm((confirm) => confirm.attempted(node.ino, place, { place, gen, size, sha256 }));
    progress.isSent = true;
    try {
      await store.copy(from, to, { overwrite: false, directory: false, signal });
    } catch (error) {
      progress.isSent = false;
      return this.#failed(error, node, place, signal);
    }
    await this.#take(node, place, original, { from, to }, signal);
    return true;
  }

  async #failed(error: unknown, node: NodeRecord, place: Place, signal: AbortSignal): Promise<boolean> {
    if (!isRemoteError(error)) throw error;
    const isPassing = PASSING.has(error.code);
    if (!isPassing) this.#refused.add(node.ino);
    if (error.code === 'not-supported') this.#isSupported = false;
    if (error.outcome === 'unknown') throw error;
    this.#deps.editor.confirm((confirm) => confirm.attempted(node.ino, place, undefined));
    if (isPassing) throw error;
    if (error.code !== 'exists') return false;
    await this.#reconciler.refused(error, node.ino, place, signal);
    return true;
  }

  /** What the server made is taken for the copy only where the source still is what it was. */
  async #take(
    node: NodeRecord,
    place: Place,
    { base, gen }: Original,
    paths: { readonly from: RemotePath; readonly to: RemotePath },
    signal: AbortSignal,
  ): Promise<void> {
    const { editor, refresher } = this.#deps;
    const [source, made] = await Promise.all([
      refresher.look(paths.from, signal),
      refresher.look(paths.to, signal),
    ]);
    const isCopy = made?.entry.kind === 'file' && made.entry.size === base.size;
    if (isCertain(node, base, source) && isCopy && made !== undefined) {
      const sent = { gen, size: base.size, sha256: base.sha256 };
      editor.confirm((confirm) => confirm.wrote(node, place, sent, made.entry, undefined));
      return;
    }
    // Nobody knows what it copied: what is there is compared with what is wanted, and both are kept where they differ.
    this.#refused.add(node.ino);
    throw new Superseded('what was copied has changed on the server meanwhile');
  }
}

/** Says nothing of copying: the same request is made again. */
const PASSING: ReadonlySet<RemoteErrorCode> = new Set<RemoteErrorCode>([
  'unreachable',
  'tls',
  'throttled',
  'unauthorized',
  'no-space',
  'aborted',
]);
/** By then a listing has told of what changed. */
const RELIST_MS = 5_000;

/**
 * Whether the source is the version that is meant. Of a tag that is weak nobody knows; a further name has the file's own
 * content to fall back on, and is as near to it as the server can tell.
 */
function isCertain(node: NodeRecord, base: Base, seen: SeenEntry | undefined): boolean {
  if (seen?.entry.kind !== 'file' || !isSameVersion(base, seen.entry)) return false;
  return (
    node.kind === 'alias' || (base.etag !== undefined && seen.entry.etag === base.etag && !seen.entry.weak)
  );
}
