import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { StateError } from '../../../src/state/index.js';
import { Journal, readJournal } from '../../../src/state/journal.js';
import { temporaryDir } from './support/stores.js';

describe('journal', () => {
  let dir: string;
  let journal: Journal;
  beforeEach(() => {
    dir = temporaryDir();
    journal = new Journal(dir, 1, 1);
  });
  afterEach(async () => {
    await journal.close();
    rmSync(dir, { recursive: true });
  });

  const path = (number: number) => join(dir, `journal-${number}`);
  const isDamage = (error: unknown) => error instanceof StateError && error.code === 'damaged';

  test('gives records back in order, across segments, above what was applied', () => {
    journal.append('a');
    journal.append({ b: 2n });
    journal.rotate();
    journal.append(['c']);
    const all = readJournal(dir, 0);
    assert.deepEqual(all.changes, ['a', { b: 2n }, ['c']]);
    assert.equal(all.lastSequence, 3);
    assert.equal(all.nextSegment, 3);
    assert.deepEqual(all.paths, [path(1), path(2)]);
    assert.equal(all.torn, undefined);
    assert.deepEqual(readJournal(dir, 2).changes, [['c']]);
    assert.deepEqual(readJournal(dir, 3).changes, []);
  });

  test('a record larger than the scratch buffer', () => {
    const large = 'x'.repeat(300_000);
    journal.append(large);
    journal.append('y');
    assert.deepEqual(readJournal(dir, 0).changes, [large, 'y']);
  });

  test('segments go when they are dropped', async () => {
    journal.append('a');
    const { segment, lastSequence } = journal.rotate();
    assert.equal(lastSequence, 1);
    journal.append('b');
    await journal.syncThrough(segment);
    await journal.drop(segment);
    assert.deepEqual(readdirSync(dir), ['journal-2']);
    assert.deepEqual(readJournal(dir, 1).changes, ['b']);
    // Records that neither the journal nor the database has, though the segment was safe.
    assert.throws(() => readJournal(dir, 0), isDamage);
  });

  test('a break in a segment that was not yet safe is a power loss: it ends there', () => {
    journal.append('a');
    journal.append('b');
    const size = readFileSync(path(1)).length;
    journal.rotate();
    journal.append('c');
    truncateSync(path(1), size - 1);
    const read = readJournal(dir, 0);
    assert.deepEqual(read.changes, ['a']);
    assert.equal(read.torn?.path, path(1));
    rmSync(path(1));
    const without = readJournal(dir, 0);
    assert.deepEqual(without.changes, []);
    assert.equal(without.torn?.path, path(2));
    writeFileSync(path(1), Buffer.alloc(100));
    assert.deepEqual(readJournal(dir, 0).changes, []);
  });

  test('a break in a segment that was safe is damage, unless the database has it all', async () => {
    journal.append('a');
    journal.append('b');
    const { segment } = journal.rotate();
    await journal.syncThrough(segment);
    journal.append('c');
    copyFileSync(path(1), join(dir, 'whole'));
    truncateSync(path(1), readFileSync(path(1)).length - 1);
    assert.throws(() => readJournal(dir, 0), isDamage);
    assert.throws(() => readJournal(dir, 1), isDamage);
    assert.deepEqual(readJournal(dir, 2).changes, ['c']);
    rmSync(path(1));
    assert.throws(() => readJournal(dir, 1), isDamage);
    copyFileSync(join(dir, 'whole'), path(1));
    assert.deepEqual(readJournal(dir, 0).changes, ['a', 'b', 'c']);
  });
});
