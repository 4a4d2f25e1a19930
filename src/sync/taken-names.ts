/**
 * Files that a program has open for writing and whose name the server's side took away, with that name: what is written to
 * them goes back there, or beside what is there now. Kept beside the trees, since a program's open file outlives the
 * daemon. INVARIANT: open for writing.
 */

import type { Ino, Name } from '../base/index.js';
import type { Place, StateStore, StateTransaction } from '../state/index.js';

const TAKEN_KEY = 'sync:taken-names';

type Row = readonly [ino: Ino, parent: Ino, name: Name];

export class TakenNames {
  readonly #state: Pick<StateStore, 'getMeta' | 'setMeta'>;
  readonly #places: Map<Ino, Place>;

  constructor(state: Pick<StateStore, 'getMeta' | 'setMeta'>) {
    this.#state = state;
    const rows = (state.getMeta(TAKEN_KEY) ?? []) as readonly Row[];
    this.#places = new Map(rows.map(([ino, parent, name]) => [ino, { parent, name }]));
  }

  get(ino: Ino): Place | undefined {
    return this.#places.get(ino);
  }

  /** In the transaction that takes the name away. */
  note(tx: StateTransaction, ino: Ino, place: Place): void {
    this.#places.set(ino, place);
    tx.setMeta(TAKEN_KEY, this.#rows());
  }

  /** In the transaction that gives it back. */
  givenBack(tx: StateTransaction, ino: Ino): void {
    if (this.#places.delete(ino)) tx.setMeta(TAKEN_KEY, this.#rows());
  }

  delete(ino: Ino): void {
    if (this.#places.delete(ino)) this.#state.setMeta(TAKEN_KEY, this.#rows());
  }

  /** Forgets those of an earlier process that nobody has open any more. */
  keepOnly(isOpen: (ino: Ino) => boolean): void {
    for (const ino of [...this.#places.keys()]) if (!isOpen(ino)) this.delete(ino);
  }

  #rows(): readonly Row[] | undefined {
    const rows = [...this.#places].map(([ino, { parent, name }]): Row => [ino, parent, name]);
    return rows.length === 0 ? undefined : rows;
  }
}
