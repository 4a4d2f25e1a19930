/** Trees of records for the planner's tests: each node is put with the places that it has on both sides. */

import { type Ino, type Name, ROOT_INO } from '../../../src/base/index.js';
import { type Base, type NodeRecord, openMemoryState, type Place } from '../../../src/state/index.js';
import { decide, type PlanContext } from '../../../src/sync/decide.js';
import { alias, baseOf, dir, file, place, symlink } from '../state/support/records.js';

export const ino = (number: number): Ino => number as Ino;

/** `name` or `parent/name`, the parent as an inode number. */
export function at(text: string): Place {
  const [first = '', second] = text.split('/');
  return second === undefined ? place(first) : place(second, ino(Number(first)));
}

interface Sides {
  readonly local?: string | undefined;
  readonly base?: string | undefined;
}

function places({ local, base }: Sides, gen = 1): { local: Place | undefined; base: Base | undefined } {
  return {
    local: local === undefined ? undefined : at(local),
    base: base === undefined ? undefined : baseOf(at(base), gen),
  };
}

export function dirNode(number: number, sides: Sides): NodeRecord {
  return dir(ino(number), undefined, places(sides, 0));
}

/** State with methods that put nodes; content and base of files are of generation 1 unless `more` says otherwise. */
export class Trees {
  readonly state = openMemoryState();
  readonly writers = new Set<Ino>();
  readonly copies = new Set<Ino>();
  readonly context: PlanContext = {
    hasWriter: (node) => this.writers.has(node),
    copyDue: (node) => this.copies.has(node),
  };

  constructor() {
    // Tests choose the numbers; the store wants to have given them out.
    this.state.transact((tx) => {
      while (tx.allocate() < 99);
    });
  }

  file(number: number, sides: Sides, more: Partial<Extract<NodeRecord, { kind: 'file' }>> = {}): this {
    return this.put(file(ino(number), undefined, { ...places(sides), ...more }));
  }

  dir(number: number, sides: Sides): this {
    return this.put(dirNode(number, sides));
  }

  symlink(number: number, sides: Sides, more: Partial<Extract<NodeRecord, { kind: 'symlink' }>> = {}): this {
    return this.put(symlink(ino(number), undefined, { ...places(sides), ...more }));
  }

  /** A further name of a file that is there already. */
  alias(number: number, target: number, sides: Sides): this {
    const found = this.state.get(ino(target));
    if (found?.kind !== 'file') throw new Error(`${target} is no file`);
    this.state.transact((tx) => {
      tx.put(alias(ino(number), ino(target), undefined, places(sides)));
      tx.put({ ...found, aliases: [...found.aliases, ino(number)] });
    });
    return this;
  }

  /** Nodes that change places with each other go in together. */
  put(...records: NodeRecord[]): this {
    this.state.transact((tx) => {
      for (const record of records) tx.put(record);
    });
    return this;
  }

  /** The decision in words: `put 5 name`, `move 5 a -> b replacing 7`, `wait 3 4`, `hold open`, `clean`. */
  plan(number: number): string {
    const decision = decide(this.state, ino(number), this.context);
    switch (decision.kind) {
      case 'clean':
        return 'clean';
      case 'hold':
        return `hold ${decision.why}`;
      case 'wait':
        return `wait ${decision.on.join(' ')}`;
      case 'run': {
        const { op } = decision;
        const where = 'from' in op ? `${show(op.from)} -> ${show(op.to)}` : show(op.place);
        const replaced = 'replaces' in op && op.replaces !== undefined ? ` replacing ${op.replaces}` : '';
        return `${op.kind} ${op.ino} ${where}${replaced}`;
      }
    }
  }
}

function show({ parent, name }: { parent: Ino; name: Name }): string {
  return parent === ROOT_INO ? name : `${parent}/${name}`;
}
