/**
 * Takes the server's answers to our own changes into the trees: the base becomes what was confirmed. A node that was
 * forgotten while its request was under way comes back as a deleted one, so that the planner removes it there too.
 */

import type { Ino } from '../base/index.js';
import type { WriteResult } from '../remote/index.js';
import {
  type Attempt,
  type Base,
  copySource,
  type NodeRecord,
  type Place,
  type StateTransaction,
  withoutCopy,
} from '../state/index.js';
import { buryIfDead, deadFile } from './dead-nodes.js';
import type { LateRequest } from './doubts.js';
import type { Effects, TreeContext } from './effects.js';
import { holderOf } from './server-tree.js';

/** Content that was brought to the server. */
export interface SentContent {
  readonly gen: number;
  /** Bytes. */
  readonly size: number;
  /** In hex, where it is known. */
  readonly sha256: string | undefined;
}

export class Confirm {
  readonly #tx: StateTransaction;
  readonly #effects: Effects;
  readonly #context: TreeContext;

  constructor(tx: StateTransaction, effects: Effects, context: TreeContext) {
    this.#tx = tx;
    this.#effects = effects;
    this.#context = context;
  }

  /** See `Doubts`. */
  making(ino: Ino, place: Place): LateRequest | undefined {
    return this.#context.doubts.making(this.#tx, ino, place);
  }

  /** See `Doubts`. */
  moving(ino: Ino, place: Place): LateRequest | undefined {
    return this.#context.doubts.moving(this.#tx, ino, place);
  }

  /** Either has failed for certain. */
  unmade(request: LateRequest): void {
    this.#context.doubts.forget(this.#tx, request);
  }

  /** `before` is the record as it was when the request was made; the same in all methods. */
  madeDirectory(before: NodeRecord, place: Place): void {
    const base: Base = { ...place, etag: undefined, size: 0, mtimeMs: undefined, gen: 0 };
    const node = this.#tx.get(before.ino);
    this.#context.doubts.settled(this.#tx, place);
    if (node?.kind === 'dir')
      this.#tx.put({ ...node, base, remote: undefined, listedAtMs: this.#context.nowMs() });
    else this.#tombstone(before, base);
  }

  /** The server has this content at `place`, in the version that `result` names. */
  wrote(
    before: NodeRecord,
    place: Place,
    sent: SentContent,
    result: WriteResult,
    replaced: Ino | undefined,
  ): void {
    if (replaced !== undefined) this.removed(replaced);
    this.#context.doubts.ended(place);
    this.#context.doubts.settled(this.#tx, place);
    const { gen, size, sha256 } = sent;
    const digest = sha256 === undefined ? {} : { sha256 };
    const { parent, name } = place;
    const base: Base = { parent, name, etag: result.etag, size, mtimeMs: result.mtimeMs, gen, ...digest };
    const node = holderOf(this.#tx, before.ino, place);
    if (node === undefined || node.kind === 'dir') {
      this.#tombstone(before, base);
      return;
    }
    const confirmed = { base, remote: undefined, attempt: undefined };
    if (node.kind !== 'file') {
      this.#tx.put({ ...node, ...confirmed });
      return;
    }
    const isCopy = node.base === undefined && copySource(node) !== undefined;
    const file = node.gen === gen ? withoutCopy(node) : node;
    const isWhole = !node.writing && !this.#context.usage.isWrittenUnseen(node.ino);
    if (isWhole && node.content === 'staged' && node.gen === gen) {
      this.#tx.put({ ...file, ...confirmed, content: 'clean' });
      this.#effects.toClean(node.ino, result.etag);
    } else {
      this.#tx.put({ ...file, ...confirmed });
      // What is here of the version that it is a copy of is as good.
      if (isCopy && node.content === 'clean' && result.etag !== undefined)
        this.#effects.retag(node.ino, result.etag);
    }
  }

  moved(before: NodeRecord, to: Place, replaced: Ino | undefined): void {
    if (replaced !== undefined) this.removed(replaced);
    this.notMoved(before.ino);
    if (before.base === undefined) return;
    this.#context.doubts.movedAlong(this.#tx, before.base, to);
    const node = holderOf(this.#tx, before.ino, before.base);
    const base: Base = { ...(node?.base ?? before.base), parent: to.parent, name: to.name };
    if (node === undefined) this.#tombstone(before, base);
    else if (node.base !== undefined) this.#tx.put({ ...node, base });
  }

  /** No earlier request moves the node any more. */
  notMoved(ino: Ino): void {
    this.#context.doubts.notMoved(this.#tx, ino);
  }

  /** The server no longer has the node, nor anything that was in it. */
  removed(ino: Ino): void {
    const tx = this.#tx;
    this.#context.doubts.removed(ino);
    this.notMoved(ino);
    const node = tx.get(ino);
    if (node === undefined) return;
    if (node.kind === 'dir') {
      for (const entry of [...tx.entries(ino)]) if (entry.base !== undefined) this.removed(entry.base);
    }
    tx.put({ ...node, base: undefined, remote: undefined });
    buryIfDead(tx, this.#effects, this.#context.usage, ino);
  }

  /**
   * What a file was to be a copy of is not to be had: it is empty again. `interrupted`: and nobody is there to go on with
   * it.
   */
  emptied(ino: Ino, interrupted: boolean): void {
    const node = this.#tx.get(ino);
    if (node?.kind !== 'file') return;
    // Should the server make the copy after all, then it has another content.
    const gen = node.gen + 1;
    const empty = { content: 'staged', gen, size: 0, writing: !interrupted, interrupted } as const;
    this.#tx.put({ ...withoutCopy(node), ...empty });
    this.#effects.empty(ino);
  }

  /** An upload to `place` is about to be sent, its last byte was handed over (`sha256` known), or it has ended. */
  attempted(ino: Ino, place: Place, attempt: Attempt | undefined): void {
    const node = holderOf(this.#tx, ino, place);
    if (node === undefined || node.kind === 'dir') return;
    this.#tx.put({ ...node, attempt });
    const { doubts, usage } = this.#context;
    if (attempt !== undefined) {
      doubts.attempted(node.ino, place);
      return;
    }
    doubts.ended(place);
    buryIfDead(this.#tx, this.#effects, usage, node.ino);
  }

  /** The server was asked, and has nothing of the node's upload to `place`. */
  undone(ino: Ino, place: Place): void {
    const node = holderOf(this.#tx, ino, place);
    if (node === undefined || node.kind === 'dir') return;
    this.#context.doubts.undone(this.#tx, node);
    this.attempted(ino, place, undefined);
  }

  #tombstone(before: NodeRecord, base: Base): void {
    const trees = { local: undefined, base, remote: undefined };
    switch (before.kind) {
      case 'dir':
        this.#tx.put({ ...before, ...trees });
        break;
      case 'symlink':
        this.#tx.put({ ...before, ...trees, attempt: undefined });
        break;
      case 'file':
      case 'alias':
        // What a further name stood for may be gone; to the server it is a file like any other.
        this.#tx.put({ ...deadFile(before.ino, base.size, base.gen, this.#context.nowNs()), base });
        break;
    }
  }
}
