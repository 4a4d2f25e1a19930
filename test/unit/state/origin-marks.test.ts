import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { describe, test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import { openMemoryState, openState } from '../../../src/state/index.js';
import { file, name } from './support/records.js';
import { HandClock, temporaryDir } from './support/stores.js';

const CONNECTION = 'connection';

/** Makes a file as the kernel's request `origin` asks for it. */
function make(store: ReturnType<typeof openMemoryState>, origin: number): Ino {
  return store.transact((tx) => {
    const ino = tx.allocate();
    tx.put(file(ino, { parent: ROOT_INO, name: name(`made by ${origin}`) }));
    tx.markDone(origin, ino);
    return ino;
  });
}

function begun() {
  const store = openMemoryState();
  store.origins.begin(CONNECTION);
  return store;
}

function restart(store: ReturnType<typeof openMemoryState>) {
  const next = openMemoryState({ from: store.snapshot() });
  next.origins.begin(CONNECTION);
  return next;
}

describe('which requests were carried out', () => {
  test('is known to the next process, with the node, and asked once', () => {
    const store = begun();
    const ino = make(store, 4);
    const next = restart(store);
    assert.equal(next.origins.doneBy(6), undefined);
    assert.equal(next.origins.doneBy(4), ino);
  });

  test('is not known of a transaction that failed', () => {
    const store = begun();
    assert.throws(() =>
      store.transact((tx) => {
        tx.markDone(4, ROOT_INO);
        throw new Error('no');
      }),
    );
    make(store, 6);
    assert.equal(restart(store).origins.doneBy(4), undefined);
  });

  test('is not asked by the process that did it', () => {
    const store = begun();
    make(store, 4);
    assert.equal(store.origins.doneBy(4), undefined);
  });

  test('is forgotten with the next change once it is answered', () => {
    const store = begun();
    make(store, 4);
    const waiting = make(store, 6);
    store.origins.answered(4);
    make(store, 8);
    const next = restart(store);
    assert.equal(next.origins.doneBy(4), undefined);
    assert.equal(next.origins.doneBy(6), waiting);
  });

  test('is passed on from process to process until it is answered', () => {
    const store = begun();
    const ino = make(store, 4);
    // The second process does something else, or takes the request and dies too.
    const second = restart(store);
    make(second, 8);
    const third = restart(second);
    assert.equal(third.origins.doneBy(4), ino);
    make(third, 10);
    const fourth = restart(third);
    assert.equal(fourth.origins.doneBy(4), ino);
    fourth.origins.answered(4);
    make(fourth, 12);
    assert.equal(restart(fourth).origins.doneBy(4), undefined);
  });

  test('marks whose requests did not come again go', () => {
    const store = begun();
    make(store, 4);
    const next = restart(store);
    next.origins.allResent();
    assert.equal(next.origins.doneBy(4), undefined);
    make(next, 6);
    assert.equal(restart(next).origins.doneBy(4), undefined);
  });

  test('means nothing on another connection', () => {
    const store = begun();
    make(store, 4);
    const next = openMemoryState({ from: store.snapshot() });
    next.origins.begin('another');
    assert.equal(next.origins.doneBy(4), undefined);
    assert.equal(restart(next).origins.doneBy(4), undefined);
  });

  test('survives the journal being brought into the database', async () => {
    const dir = temporaryDir();
    const clock = new HandClock();
    try {
      const store = openState({ dir, clock });
      store.origins.begin(CONNECTION);
      const ino = store.transact((tx) => {
        const made = tx.allocate();
        tx.put(file(made, { parent: ROOT_INO, name: name('made') }));
        tx.markDone(4, made);
        return made;
      });
      clock.fireAll();
      await store.close();
      const next = openState({ dir, clock });
      next.origins.begin(CONNECTION);
      assert.equal(next.origins.doneBy(4), ino);
      await next.close();
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
