/** Giving up what is kept here, and checking it, by hand. */

import type { Ino } from '../base/index.js';
import type { ContentStore } from '../content/index.js';
import type { FileRecord, StateStore } from '../state/index.js';
import type { Usage } from './api.js';
import type { CacheCheck } from './control.js';
import { SyncError } from './errors.js';
import type { Events } from './events.js';
import type { Pins } from './pins.js';
import { shownPath } from './server-tree.js';
import type { TreeEditor } from './tree-editor.js';
import type { TreeWalk } from './tree-walk.js';

/** Files given up in one turn of the event loop. */
const FILES_PER_TURN = 64;

const turn = () => new Promise((resolve) => setImmediate(resolve));

export class CacheControl {
  readonly #state: StateStore;
  readonly #content: ContentStore;
  readonly #editor: TreeEditor;
  readonly #walk: TreeWalk;
  readonly #pins: Pins;
  readonly #events: Events;
  readonly #usage: Usage;

  constructor(deps: {
    readonly state: StateStore;
    readonly content: ContentStore;
    readonly editor: TreeEditor;
    readonly walk: TreeWalk;
    readonly pins: Pins;
    readonly events: Events;
    readonly usage: Usage;
  }) {
    this.#state = deps.state;
    this.#content = deps.content;
    this.#editor = deps.editor;
    this.#walk = deps.walk;
    this.#pins = deps.pins;
    this.#events = deps.events;
    this.#usage = deps.usage;
  }

  /** See `SyncControl.evict`. */
  async evict(ino?: Ino, signal?: AbortSignal): Promise<number> {
    if (ino !== undefined) this.#checkNamed(ino);
    let freedBytes = 0;
    let seen = 0;
    for await (const file of ino === undefined ? this.#cleanFiles() : this.#walk.files(ino, signal)) {
      seen += 1;
      if (seen % FILES_PER_TURN === 0) await turn();
      signal?.throwIfAborted();
      freedBytes += this.#giveUp(file);
    }
    return freedBytes;
  }

  #checkNamed(ino: Ino): void {
    const node = this.#state.get(ino);
    const path = shownPath(this.#state, ino) ?? `inode ${ino}`;
    if (node?.local === undefined)
      throw new SyncError('not-found', `Cannot give up what is here of "${path}": it is gone.`);
    if (this.#pins.has(ino))
      throw new SyncError(
        'pinned',
        `Cannot give up what is here of "${path}": it is pinned. Unpin it first.`,
      );
    const isOpen = this.#usage.isOpen(ino) || this.#content.peek(ino) !== undefined;
    if (node.kind === 'file' && isOpen)
      throw new SyncError('busy', `Cannot give up what is here of "${path}": a program has it open.`);
  }

  async *#cleanFiles(): AsyncGenerator<FileRecord> {
    for (const ino of this.#content.cleanFiles()) {
      const node = this.#state.get(ino);
      if (node?.kind === 'file') yield node;
    }
  }

  /** Bytes freed. */
  #giveUp(asked: FileRecord): number {
    // It may have changed since it was looked up.
    const file = this.#state.get(asked.ino);
    if (file?.kind !== 'file' || file.content !== 'clean' || this.#pins.has(file.ino)) return 0;
    const isOnServer = [file.ino, ...file.aliases].some((name) => this.#state.get(name)?.base !== undefined);
    if (!isOnServer) return 0;
    const freedBytes = this.#content.evictFile(file.ino);
    if (freedBytes > 0 && this.#usage.isInUse(file.ino))
      this.#editor.invalidate({ kind: 'inode', ino: file.ino });
    return freedBytes;
  }

  /** See `SyncControl.verify`. */
  async verify(signal?: AbortSignal): Promise<CacheCheck> {
    const report = await this.#content.verify({
      stagedSize: (ino) => this.#stagedSize(ino),
      ...(signal === undefined ? {} : { signal }),
    });
    if (report.damagedFiles > 0) this.#pins.lookThrough();
    const damaged: string[] = [];
    for (const ino of new Set([...report.damagedStaged, ...this.#lostFiles()])) {
      const path = shownPath(this.#state, ino) ?? `/(inode ${ino})`;
      damaged.push(path);
      this.#events.trouble(
        'damaged',
        `What was written to "${path}" is damaged in the cache: it is missing there, or not whole.`,
        path,
      );
    }
    const { checkedFiles, checkedBytes, damagedFiles } = report;
    return { checkedFiles, checkedBytes, droppedFiles: damagedFiles, damaged };
  }

  /** Undefined while a program writes to the file: then the disk has more than the record says. */
  #stagedSize(ino: Ino): number | undefined {
    const node = this.#state.get(ino);
    return node?.kind === 'file' && node.content === 'staged' && !node.writing ? node.size : undefined;
  }

  /** Files whose staged body is not there at all. */
  #lostFiles(): Ino[] {
    const staged = new Set(this.#content.stagedFiles());
    return [...this.#state.dirty()].filter((ino) => {
      const node = this.#state.get(ino);
      return node?.kind === 'file' && node.content === 'staged' && !staged.has(ino);
    });
  }
}
