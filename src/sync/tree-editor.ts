/** Runs changes of the trees that come from the server's side, and carries out what they entail. */

import type { Ino } from '../base/index.js';
import type { ContentStore } from '../content/index.js';
import type { StateStore, StateTransaction } from '../state/index.js';
import type { Invalidation } from './api.js';
import { Confirm } from './confirm.js';
import type { ConflictRecord } from './conflict-records.js';
import { buryIfDead } from './dead-nodes.js';
import { Effects, type TreeContext } from './effects.js';
import { Merge } from './merge.js';

export class TreeEditor {
  readonly #state: StateStore;
  readonly #content: ContentStore;
  readonly #context: TreeContext;
  readonly #listeners: ((event: Invalidation) => void)[] = [];
  readonly #conflictListeners: ((conflict: ConflictRecord) => void)[] = [];
  #editing = false;

  constructor(state: StateStore, content: ContentStore, context: TreeContext) {
    this.#state = state;
    this.#content = content;
    this.#context = context;
  }

  /** Whether the commit that is being told of came through here, not from the file system above. */
  get isEditing(): boolean {
    return this.#editing;
  }

  onInvalidate(listener: (event: Invalidation) => void): void {
    this.#listeners.push(listener);
  }

  merge<T>(change: (merge: Merge, tx: StateTransaction) => T): T {
    // What changed on both sides must not be taken for what changed on the server only.
    this.#context.usage.observe();
    return this.#edit((tx, effects) => change(new Merge(tx, effects, this.#context), tx));
  }

  confirm<T>(change: (confirm: Confirm, tx: StateTransaction) => T): T {
    return this.#edit((tx, effects) => change(new Confirm(tx, effects, this.#context), tx));
  }

  /** A program wrote to a file: if the server's side had taken its name away meanwhile, it gets one again. */
  written(ino: Ino): void {
    const { takenNames } = this.#context;
    const place = takenNames.get(ino);
    if (place === undefined) return;
    this.merge((merge, tx) => {
      merge.giveBackName(ino, place);
      takenNames.givenBack(tx, ino);
    });
  }

  /** No program has the file open for writing any more. */
  writersGone(ino: Ino): void {
    this.#context.takenNames.delete(ino);
  }

  /** Forgets a node that nothing needs any more. */
  bury(ino: Ino): void {
    this.#edit((tx, effects) => buryIfDead(tx, effects, this.#context.usage, ino));
  }

  onConflict(listener: (conflict: ConflictRecord) => void): void {
    this.#conflictListeners.push(listener);
  }

  /** Tells that something is to be forgotten though no tree has changed. */
  invalidate(event: Invalidation): void {
    for (const listener of this.#listeners) listener(event);
  }

  edit<T>(change: (tx: StateTransaction, effects: Effects, context: TreeContext) => T): T {
    return this.#edit((tx, effects) => change(tx, effects, this.#context));
  }

  #edit<T>(change: (tx: StateTransaction, effects: Effects) => T): T {
    const effects = new Effects();
    this.#editing = true;
    let result: T;
    try {
      result = this.#state.transact((tx) => change(tx, effects));
    } finally {
      this.#editing = false;
    }
    effects.applyTo(this.#content);
    for (const event of effects.invalidations) this.invalidate(event);
    for (const conflict of effects.conflicts)
      for (const listener of this.#conflictListeners) listener(conflict);
    return result;
  }
}
