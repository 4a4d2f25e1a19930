import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Ino, Name } from '../../../src/base/index.js';
import { encodeEntry } from '../../../src/state/codec.js';
import { StoredNames } from '../../../src/state/stored-names.js';
import type { NameKey, Table } from '../../../src/state/tables.js';

const DIR = 2 as Ino;
const EMPTY = 3 as Ino;
const name = (text: string) => text as Name;

/** A names table in memory that counts what it is asked. */
class CountingTable {
  readonly rows = new Map<string, Uint8Array>();
  gets = 0;
  ranges = 0;

  set(parent: Ino, text: string, ino: number): void {
    this.rows.set(
      `${parent}/${text}`,
      encodeEntry({ name: name(text), local: ino as Ino, base: ino as Ino }),
    );
  }

  readonly table = {
    get: ([parent, text]: NameKey) => {
      this.gets += 1;
      return this.rows.get(`${parent}/${text}`);
    },
    getRange: ({ start: [parent, from], limit }: { start: NameKey; limit: number }) => {
      this.ranges += 1;
      return [...this.rows]
        .map(([path, value]) => ({ path: path.split('/') as [string, string], value }))
        .filter(({ path }) => Number(path[0]) === parent && path[1] >= from)
        .sort((a, b) => (a.path[1] < b.path[1] ? -1 : 1))
        .slice(0, limit)
        .map(({ path, value }) => ({ key: [parent, path[1]] as NameKey, value }));
    },
  } as unknown as Table<NameKey>;
}

function filled(): { readonly counting: CountingTable; readonly names: StoredNames } {
  const counting = new CountingTable();
  for (const [index, text] of ['a', 'b', 'c'].entries()) counting.set(DIR, text, 10 + index);
  return { counting, names: new StoredNames(counting.table) };
}

describe('StoredNames', () => {
  test('a directory without names is looked at once, however many names are asked for', () => {
    const { counting, names } = filled();
    for (let i = 0; i < 100; i++) assert.equal(names.get(EMPTY, name(`new${i}`)), undefined);
    assert.deepEqual(names.range(EMPTY, undefined, 16), []);
    assert.deepEqual([counting.gets, counting.ranges], [1, 1]);
  });

  test('names that a range gave are not asked for again', () => {
    const { counting, names } = filled();
    const slots = names.range(DIR, undefined, 2);
    assert.deepEqual(
      slots.map((slot) => slot.name),
      ['a', 'b'],
    );
    assert.equal(names.get(DIR, name('b'))?.local, 11);
    assert.equal(counting.gets, 0);
    assert.equal(names.get(DIR, name('c'))?.local, 12);
    assert.deepEqual(
      names.range(DIR, name('b'), 2).map((slot) => slot.name),
      ['c'],
    );
  });

  test('a name that is not there is asked for once in a row', () => {
    const { counting, names } = filled();
    for (let i = 0; i < 4; i++) assert.equal(names.get(DIR, name('new')), undefined);
    assert.equal(counting.gets, 1);
  });

  test('a range behind the last name does not make its directory an empty one', () => {
    const { names } = filled();
    assert.deepEqual(names.range(DIR, name('c'), 2), []);
    assert.equal(names.get(DIR, name('a'))?.local, 10);
  });

  test('what changed in the database is seen once it is told of', () => {
    const { counting, names } = filled();
    names.get(EMPTY, name('x'));
    names.get(DIR, name('d'));
    names.range(DIR, undefined, 9);
    counting.set(EMPTY, 'x', 20);
    counting.set(DIR, 'd', 21);
    counting.set(DIR, 'a', 22);
    names.forget();
    assert.equal(names.get(EMPTY, name('x'))?.local, 20);
    assert.equal(names.get(DIR, name('d'))?.local, 21);
    assert.equal(names.get(DIR, name('a'))?.local, 22);
  });
});
