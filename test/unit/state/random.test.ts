/** Random transactions against the simplest model: a map of records, from which every index can be told. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Ino, type Name, ROOT_INO } from '../../../src/base/index.js';
import {
  compareNames,
  type FileRecord,
  isDirty,
  type NameEntry,
  type NodeRecord,
  StateError,
  type StateStore,
  type StateTransaction,
} from '../../../src/state/index.js';
import { baseOf, dir, file, name, randomOf } from './support/records.js';
import { IMPLEMENTATIONS } from './support/stores.js';

type Random = (below: number) => number;
type Model = ReadonlyMap<Ino, NodeRecord>;

const STEPS = 1500;
const NAMES = ['a', 'b', 'ö', '\u{1f600}', '\uffee', 'file 1', 'file 10', 'file 2'].map(name);

class Abandoned extends Error {}

/** A few random changes in one transaction; `model` gets the same. */
function change(tx: StateTransaction, model: Map<Ino, NodeRecord>, random: Random): void {
  const pick = (): NodeRecord => [...model.values()][random(model.size)] as NodeRecord;
  const pickDir = (): Ino => {
    const dirs = [...model.values()].filter((record) => record.kind === 'dir');
    return dirs[random(dirs.length)]?.ino ?? ROOT_INO;
  };
  const put = (record: NodeRecord) => {
    tx.put(record);
    model.set(record.ino, record);
  };
  const somewhere = () => ({ parent: pickDir(), name: NAMES[random(NAMES.length)] as Name });
  for (let count = 1 + random(4); count > 0; count--) {
    const action = random(12);
    const record = pick();
    if (action < 5) {
      const ino = tx.allocate();
      put(random(3) === 0 ? dir(ino, somewhere()) : file(ino, somewhere()));
    } else if (record.ino === ROOT_INO) {
      put({ ...record, remote: random(2) === 0 ? undefined : { kind: 'gone' } });
    } else if (action === 5) {
      put({ ...record, local: random(4) === 0 ? undefined : somewhere() });
    } else if (action === 6 && record.local !== undefined) {
      put({ ...record, base: baseOf(record.local, record.kind === 'file' ? record.gen : 0) });
    } else if (action === 7) {
      put({ ...record, base: undefined });
    } else if (action === 8 && record.kind === 'file') {
      put({ ...(record as FileRecord), gen: record.gen + 1 });
    } else if (action === 9) {
      // Exchanges two nodes' local places.
      const other = pick();
      if (other.ino !== ROOT_INO && other.ino !== record.ino) {
        put({ ...record, local: other.local });
        put({ ...other, local: record.local });
      }
    } else if (action === 10) {
      tx.remove(record.ino);
      model.delete(record.ino);
    } else if (random(10) === 0) {
      throw new Abandoned();
    }
  }
}

/** Why the changed model must be refused, or undefined. */
function fault(model: Model): string | undefined {
  for (const tree of ['local', 'base'] as const) {
    const places = new Set<string>();
    for (const record of model.values()) {
      const at = record[tree];
      if (at === undefined || record.ino === ROOT_INO) continue;
      const key = `${at.parent}/${at.name}`;
      if (places.has(key)) return `two nodes at ${key}`;
      places.add(key);
      if (model.get(at.parent)?.kind !== 'dir') return `no parent ${at.parent}`;
      const seen = new Set<Ino>();
      for (
        let ino: Ino | undefined = record.ino;
        ino !== undefined && ino !== ROOT_INO;
        ino = model.get(ino)?.[tree]?.parent
      ) {
        if (seen.has(ino)) return `a cycle at ${ino}`;
        seen.add(ino);
      }
    }
  }
  return undefined;
}

function compare(store: StateStore, model: Model): void {
  const view = { get: (ino: Ino) => model.get(ino) } as StateStore;
  const dirty: Ino[] = [];
  const entries = new Map<Ino, Map<Name, NameEntry>>();
  for (const record of model.values()) {
    assert.deepEqual(store.get(record.ino), record);
    if (isDirty(record, view)) dirty.push(record.ino);
    for (const tree of ['local', 'base'] as const) {
      const at = record[tree];
      if (at === undefined || record.ino === ROOT_INO) continue;
      const names = entries.get(at.parent) ?? new Map<Name, NameEntry>();
      const entry = names.get(at.name) ?? { name: at.name, local: undefined, base: undefined };
      names.set(at.name, { ...entry, [tree]: record.ino });
      entries.set(at.parent, names);
    }
  }
  dirty.sort((a, b) => a - b);
  assert.deepEqual([...store.dirty()], dirty);
  assert.equal(store.dirtyCount, dirty.length);
  for (const record of model.values()) {
    const expected = [...(entries.get(record.ino)?.values() ?? [])].sort((a, b) =>
      compareNames(a.name, b.name),
    );
    assert.deepEqual([...store.entries(record.ino)], expected);
    assert.equal(
      store.hasLocalChildren(record.ino),
      expected.some((entry) => entry.local !== undefined),
    );
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

for (const { title, create } of IMPLEMENTATIONS) {
  describe(`StateStore against a model: ${title}`, () => {
    for (const seed of [11, 12, 13]) {
      test(`seed ${seed}`, async () => {
        const random = randomOf(seed);
        const harness = create();
        let store = harness.store;
        let model = new Map<Ino, NodeRecord>([[ROOT_INO, store.get(ROOT_INO) as NodeRecord]]);
        const outcomes = { committed: 0, refused: 0, abandoned: 0 };
        for (let step = 0; step < STEPS; step++) {
          const next = new Map(model);
          try {
            store.transact((tx) => change(tx, next, random));
            assert.equal(fault(next), undefined);
            model = next;
            outcomes.committed++;
          } catch (error) {
            if (error instanceof Abandoned) outcomes.abandoned++;
            else if (error instanceof StateError && error.code === 'invariant') {
              assert.notEqual(fault(next), undefined, error.message);
              outcomes.refused++;
            } else throw error;
          }
          if (random(20) === 0) await turn();
          if (random(300) === 0) store = await harness.restart();
          if (step % 25 === 0) compare(store, model);
        }
        compare(store, model);
        store = await harness.restart();
        compare(store, model);
        await harness.dispose();
        for (const [outcome, count] of Object.entries(outcomes))
          assert.ok(count > 10, `${outcome}: ${count}`);
      });
    }
  });
}
