/**
 * Which nodes the server does not have as the mount shows them, and how many bytes those still have to bring there.
 * Kept with each commit, so that it costs nothing to ask.
 *
 * INVARIANT: exactly the dirty nodes that something has to be done about ({@link isPending}), in the order in which
 * they became so.
 */

import type { Ino } from '../base/index.js';
import { contentGen, isDirty, type NodeRecord, type StateStore, type StateView } from '../state/index.js';
import { isDead } from './dead-nodes.js';
import { XSYM_SIZE_BYTES } from './xsym.js';

export class Backlog {
  readonly #state: StateStore;
  /** What each one's upload has in bytes. */
  readonly #pending = new Map<Ino, number>();
  #bytes = 0;

  constructor(state: StateStore) {
    this.#state = state;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Of all bodies that are to go up. */
  get bytes(): number {
    return this.#bytes;
  }

  has(ino: Ino): boolean {
    return this.#pending.has(ino);
  }

  /** In the order in which they came; what comes and goes meanwhile is followed. */
  [Symbol.iterator](): IterableIterator<Ino> {
    return this.#pending.keys();
  }

  /** Takes up all that differs. */
  load(): void {
    for (const ino of this.#state.dirty()) this.#update(ino);
  }

  /** These nodes were committed. */
  update(changed: readonly Ino[]): void {
    for (const ino of changed) {
      this.#update(ino);
      const node = this.#state.get(ino);
      // What changes a file's content changes what its further names have to bring to the server.
      if (node?.kind === 'file') for (const alias of node.aliases) this.#update(alias);
    }
  }

  /** Throws where it is not what the state says. */
  checkInvariants(): void {
    const expected = [...this.#state.dirty()].filter((ino) => isPending(this.#state.get(ino), this.#state));
    const wrong = expected.length !== this.size || expected.some((ino) => !this.#pending.has(ino));
    if (wrong) throw new Error(`pending are ${expected}, known are ${[...this]}`);
    const bytes = expected.reduce((sum, ino) => sum + uploadBytes(this.#state, ino), 0);
    if (bytes !== this.#bytes) throw new Error(`${bytes} bytes are to go up, known are ${this.#bytes}`);
  }

  #update(ino: Ino): void {
    const before = this.#pending.get(ino);
    const node = this.#state.get(ino);
    if (!isPending(node, this.#state)) {
      this.#pending.delete(ino);
      this.#bytes -= before ?? 0;
      return;
    }
    const bytes = uploadBytes(this.#state, ino);
    this.#pending.set(ino, bytes);
    this.#bytes += bytes - (before ?? 0);
  }
}

/** Whether the planner has anything to say about a node but that it is clean. */
function isPending(node: NodeRecord | undefined, view: StateView): boolean {
  return node !== undefined && isDirty(node, view) && !isDead(node);
}

/** What an upload of the node sends, in bytes; 0 where its content is on the server, or it has none. */
export function uploadBytes(view: StateView, ino: Ino): number {
  const node = view.get(ino);
  if (node?.local === undefined || node.kind === 'dir') return 0;
  if (node.base !== undefined && node.base.gen === contentGen(node, view)) return 0;
  if (node.kind === 'symlink') return XSYM_SIZE_BYTES;
  const file = node.kind === 'alias' ? view.get(node.target) : node;
  return file?.kind === 'file' ? file.size : 0;
}
