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
import { buryIfDead, type Effects, type TreeContext } from './effects.js';
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

  /** `before` is the record as it was when the request was made; the same in all methods. */
  madeDirectory(before: NodeRecord, place: Place): void {
    const base: Base = { ...place, etag: undefined, size: 0, mtimeMs: undefined, gen: 0 };
    const node = this.#tx.get(before.ino);
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
    if (before.base === undefined) return;
    const node = holderOf(this.#tx, before.ino, before.base);
    const base: Base = { ...(node?.base ?? before.base), parent: to.parent, name: to.name };
    if (node === undefined) this.#tombstone(before, base);
    else if (node.base !== undefined) this.#tx.put({ ...node, base });
  }

  /** The server no longer has the node, nor anything that was in it. */
  removed(ino: Ino): void {
    const tx = this.#tx;
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
    const empty = { content: 'staged', size: 0, writing: !interrupted, interrupted } as const;
    this.#tx.put({ ...withoutCopy(node), ...empty });
    this.#effects.empty(ino);
  }

  /** An upload to `place` is about to be sent, its last byte was handed over (`sha256` known), or it has ended. */
  attempted(ino: Ino, place: Place, attempt: Attempt | undefined): void {
    const node = holderOf(this.#tx, ino, place);
    if (node === undefined || node.kind === 'dir') return;
    this.#tx.put({ ...node, attempt });
    if (attempt === undefined) buryIfDead(this.#tx, this.#effects, this.#context.usage, node.ino);
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
        this.#tombstoneFile(before.ino, base);
        break;
    }
  }

  #tombstoneFile(ino: Ino, base: Base): void {
    const now = this.#context.nowNs();
    this.#tx.put({
      ino,
      kind: 'file',
      local: undefined,
      base,
      remote: undefined,
      mode: 0,
      uid: 0,
      gid: 0,
      atime: now,
      mtime: now,
      ctime: now,
      size: base.size,
      gen: base.gen,
      content: 'clean',
      writing: false,
      interrupted: false,
      attempt: undefined,
      aliases: [],
    });
  }
}
