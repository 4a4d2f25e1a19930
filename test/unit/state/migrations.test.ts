import assert from 'node:assert/strict';
import { cpSync, readdirSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import { pack } from '../../../src/state/codec.js';
import { openState, StateError } from '../../../src/state/index.js';
import type { Schema } from '../../../src/state/migrations.js';
import { file, name, place } from './support/records.js';
import { HandClock, temporaryDir } from './support/stores.js';

describe('versions of the database', () => {
  let dir: string;
  beforeEach(() => {
    dir = temporaryDir();
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const steps: string[] = [];
  const first: Schema = { version: 1, migrations: [] };
  const later: Schema = {
    version: 3,
    migrations: [
      {
        from: 1,
        to: 2,
        migrate: (tables) => {
          steps.push('1 to 2');
          tables.meta.putSync('note', pack([...tables.names.getRange({ start: [0 as Ino, ''] })].length));
        },
      },
      { from: 2, to: 3, migrate: () => steps.push('2 to 3') },
    ],
  };

  test('an older one is migrated step by step, once, with what its journal held', async () => {
    const before = openState({ dir, clock: new HandClock(), schema: first });
    before.transact((tx) => tx.put(file(tx.allocate(), place('in the journal'))));
    const copy = temporaryDir();
    cpSync(dir, copy, { recursive: true });
    await before.close();
    steps.length = 0;
    for (let round = 0; round < 2; round++) {
      const store = openState({ dir: copy, schema: later });
      assert.equal(store.getMeta('note'), 1);
      assert.notEqual(store.localChild(ROOT_INO, name('in the journal')), undefined);
      await store.close();
    }
    assert.deepEqual(steps, ['1 to 2', '2 to 3']);
    rmSync(copy, { recursive: true });
  });

  test('a new one begins at the newest version', async () => {
    steps.length = 0;
    await openState({ dir, schema: later }).close();
    assert.deepEqual(steps, []);
  });

  test('a newer one is refused and left as it is', async () => {
    await openState({ dir, schema: later }).close();
    const files = readdirSync(dir);
    assert.throws(
      () => openState({ dir }),
      (error) => error instanceof StateError && error.code === 'newer',
    );
    assert.deepEqual(readdirSync(dir), files);
    await openState({ dir, schema: later }).close();
  });

  test('a migration that fails changes nothing', async () => {
    await openState({ dir, schema: first }).close();
    const failing: Schema = {
      version: 2,
      migrations: [
        {
          from: 1,
          to: 2,
          migrate: (tables) => {
            tables.meta.putSync('note', pack('half'));
            throw new StateError('damaged', 'as a test');
          },
        },
      ],
    };
    assert.throws(() => openState({ dir, schema: failing }), StateError);
    assert.throws(() => openState({ dir, schema: { version: 2, migrations: [] } }), StateError);
    const store = openState({ dir, schema: first });
    assert.equal(store.getMeta('note'), undefined);
    await store.close();
  });

  test('what version 1 has written is read as it is, also what is in its journal', async () => {
    const before = openState({ dir, clock: new HandClock(), schema: first });
    const made = before.transact((tx) => {
      const record = file(tx.allocate(), place('old'));
      tx.put(record);
      return record;
    });
    await before.close();
    const now = openState({ dir });
    assert.deepEqual(now.get(made.ino), made);
    await now.close();
    assert.throws(
      () => openState({ dir, schema: first }),
      (error) => error instanceof StateError && error.code === 'newer',
    );
  });
});
