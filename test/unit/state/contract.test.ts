import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type Ino, type Name, ROOT_INO } from '../../../src/base/index.js';
import type { ETag } from '../../../src/remote/index.js';
import { compareNames, type NodeRecord, StateError, type StateStore } from '../../../src/state/index.js';
import { alias, baseOf, dir, file, name, place, symlink } from './support/records.js';
import { IMPLEMENTATIONS, type StoreHarness } from './support/stores.js';

function isError(code: StateError['code']): (error: unknown) => boolean {
  return (error) => error instanceof StateError && error.code === code;
}

function put(store: StateStore, make: (ino: Ino) => NodeRecord): Ino {
  return store.transact((tx) => {
    const ino = tx.allocate();
    tx.put(make(ino));
    return ino;
  });
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

for (const { title, create } of IMPLEMENTATIONS) {
  describe(`StateStore contract: ${title}`, () => {
    let harness: StoreHarness;
    beforeEach(() => {
      harness = create();
    });
    afterEach(async () => {
      harness.store.checkInvariants();
      await harness.dispose();
    });

    test('has a clean root from the beginning', () => {
      const { store } = harness;
      const root = store.get(ROOT_INO);
      assert.equal(root?.kind, 'dir');
      assert.deepEqual(root?.local, { parent: ROOT_INO, name: '' });
      assert.equal(root?.base?.parent, ROOT_INO);
      assert.equal(store.dirtyCount, 0);
      assert.deepEqual([...store.entries(ROOT_INO)], []);
    });

    test('records of every kind come back as they were, after a restart too', async () => {
      const { store } = harness;
      const records: NodeRecord[] = store.transact((tx) => {
        const [a, b, c, d, e] = [tx.allocate(), tx.allocate(), tx.allocate(), tx.allocate(), tx.allocate()];
        const long = place(`${'é'.repeat(127)}x`);
        const made: NodeRecord[] = [
          file(a, long, {
            base: { ...baseOf(place('other name'), 7), etag: undefined, mtimeMs: undefined },
            remote: { kind: 'version', etag: '"v"' as ETag, size: 2 ** 40, mtimeMs: 1.5 },
            mode: 0o7777,
            atime: -1n,
            mtime: 1_763_000_000_123_456_789n,
            ctime: 0n,
            size: 2 ** 52 + 1,
            gen: 9,
            content: 'clean',
            writing: true,
            interrupted: true,
            attempt: { place: place('x', b), gen: 8, size: 12, sha256: 'ab'.repeat(32) },
            aliases: [d],
            copyOf: { ino: b, etag: '"source"' as ETag, gen: 9 },
            xattrs: { 'user.a': new Uint8Array([0, 255]), __proto__x: new Uint8Array(0) },
          }),
          dir(b, place('dir'), { base: baseOf(place('dir'), 0), listedAtMs: 1_700_000_000_000 }),
          symlink(c, place('link', b), { remote: { kind: 'gone' } }),
          alias(d, a, place('alias', b), {
            attempt: { place: place('y'), gen: 1, size: 0, sha256: undefined },
          }),
          file(e, undefined, { base: { ...baseOf(place('deleted', b), 1), sha256: '0f'.repeat(32) } }),
        ];
        for (const record of made) tx.put(record);
        return made;
      });
      const check = (from: StateStore) => {
        for (const record of records) {
          const found = from.get(record.ino);
          assert.deepEqual(plain(found), plain(record));
        }
      };
      check(store);
      store.checkInvariants();
      check(await harness.restart());
    });

    test('a transaction that throws leaves nothing', () => {
      const { store } = harness;
      const kept = put(store, (ino) => file(ino, place('kept')));
      const boom = new Error('boom');
      assert.throws(
        () =>
          store.transact((tx) => {
            tx.put(file(tx.allocate(), place('new')));
            tx.put(file(kept, place('moved')));
            assert.equal(tx.localChild(ROOT_INO, name('moved')), kept);
            throw boom;
          }),
        (error) => error === boom,
      );
      assert.equal(store.localChild(ROOT_INO, name('new')), undefined);
      assert.equal(store.localChild(ROOT_INO, name('moved')), undefined);
      assert.equal(store.localChild(ROOT_INO, name('kept')), kept);
      assert.equal(store.dirtyCount, 1);
    });

    test('a transaction sees its own changes', () => {
      const { store } = harness;
      const old = put(store, (ino) => file(ino, place('b')));
      store.transact((tx) => {
        const ino = tx.allocate();
        tx.put(file(ino, place('a')));
        tx.put(file(old, place('c')));
        assert.equal(tx.get(ino)?.ino, ino);
        assert.equal(tx.localChild(ROOT_INO, name('b')), undefined);
        assert.deepEqual(
          [...tx.entries(ROOT_INO)].map((entry) => entry.name),
          ['a', 'c'],
        );
        assert.deepEqual([...tx.dirty()], [old, ino]);
        assert.equal(tx.dirtyCount, 2);
        tx.remove(ino);
        assert.equal(tx.get(ino), undefined);
        assert.equal(tx.dirtyCount, 1);
      });
    });

    test('a rename moves the name and takes children along', () => {
      const { store } = harness;
      const parent = put(store, (ino) => dir(ino, place('d'), { base: baseOf(place('d'), 0) }));
      const child = put(store, (ino) =>
        file(ino, place('f', parent), { base: baseOf(place('f', parent), 1) }),
      );
      assert.equal(store.dirtyCount, 0);
      store.transact((tx) => tx.put(dir(parent, place('e'), { base: baseOf(place('d'), 0) })));
      assert.equal(store.localChild(ROOT_INO, name('e')), parent);
      assert.equal(store.localChild(ROOT_INO, name('d')), undefined);
      assert.equal(store.baseChild(ROOT_INO, name('d')), parent);
      assert.equal(store.localChild(parent, name('f')), child);
      assert.deepEqual([...store.dirty()], [parent]);
      assert.deepEqual(
        [...store.entries(ROOT_INO)],
        [
          { name: 'd', local: undefined, base: parent },
          { name: 'e', local: parent, base: undefined },
        ],
      );
    });

    test('an exchange may pass through two nodes in one place, a commit may not', () => {
      const { store } = harness;
      const a = put(store, (ino) => file(ino, place('a')));
      const b = put(store, (ino) => file(ino, place('b')));
      store.transact((tx) => {
        tx.put(file(a, place('b')));
        tx.put(file(b, place('a')));
      });
      assert.equal(store.localChild(ROOT_INO, name('a')), b);
      assert.equal(store.localChild(ROOT_INO, name('b')), a);
      assert.throws(() => store.transact((tx) => tx.put(file(a, place('a')))), isError('invariant'));
      const inBase = file(a, place('b'), { base: baseOf(place('x'), 1) });
      store.transact((tx) => tx.put(inBase));
      assert.throws(
        () => store.transact((tx) => tx.put(file(b, place('a'), { base: baseOf(place('x'), 1) }))),
        isError('invariant'),
      );
    });

    test('a node that was displaced and freed again keeps its name', () => {
      const { store } = harness;
      const a = put(store, (ino) => file(ino, place('a')));
      const b = put(store, (ino) => file(ino, place('b')));
      store.transact((tx) => {
        tx.put(file(a, place('b')));
        tx.put(file(a, place('c')));
      });
      assert.equal(store.localChild(ROOT_INO, name('b')), b);
      assert.equal(store.localChild(ROOT_INO, name('c')), a);
    });

    test('refuses a parent that is no directory, a directory below itself, and the end of a full one', () => {
      const { store } = harness;
      const plainFile = put(store, (ino) => file(ino, place('f')));
      const outer = put(store, (ino) => dir(ino, place('outer')));
      const inner = put(store, (ino) => dir(ino, place('inner', outer)));
      const refused = [
        () => put(store, (ino) => file(ino, place('x', plainFile))),
        () => put(store, (ino) => file(ino, place('x', 999_999 as Ino))),
        () => store.transact((tx) => tx.put(dir(outer, place('outer', inner)))),
        () => store.transact((tx) => tx.remove(outer)),
        () => store.transact((tx) => tx.remove(ROOT_INO)),
        () => store.transact((tx) => tx.put(dir(ROOT_INO, place('elsewhere')))),
      ];
      for (const action of refused) assert.throws(action, isError('invariant'));
      store.transact((tx) => {
        tx.remove(inner);
        tx.remove(outer);
      });
      assert.equal(store.hasLocalChildren(ROOT_INO), true);
    });

    test('entries come in code point order and go on behind a name', () => {
      const { store } = harness;
      const texts = ['b', 'a', 'B', '\u{1f600}', '\uff5e', 'aa', 'é', '日本', 'a b', '~', '\ue000', '\u0001'];
      for (const text of texts) put(store, (ino) => file(ino, place(text)));
      const expected = [...texts].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
      assert.deepEqual(
        [...store.entries(ROOT_INO)].map((entry) => entry.name),
        expected,
      );
      assert.deepEqual([...texts].sort(compareNames), expected);
      for (const [index, after] of expected.entries()) {
        const behind = [...store.entries(ROOT_INO, name(after))].map((entry) => entry.name);
        assert.deepEqual(behind, expected.slice(index + 1));
      }
    });

    test('a walk stands changes of what it walks', async () => {
      const { store } = harness;
      const count = 300;
      const label = (n: number) => name(`n${String(n).padStart(4, '0')}`);
      store.transact((tx) => {
        for (let n = 0; n < count; n++) tx.put(file(tx.allocate(), { parent: ROOT_INO, name: label(n * 2) }));
      });
      await harness.restart();
      const again = harness.store;
      const seen: Name[] = [];
      for (const entry of again.entries(ROOT_INO)) {
        seen.push(entry.name);
        // Removes the one it stands on, adds one right behind it.
        again.transact((tx) => {
          if (entry.local !== undefined) tx.remove(entry.local);
          const next = Number(entry.name.slice(1)) + 1;
          if (next % 2 === 1) tx.put(file(tx.allocate(), { parent: ROOT_INO, name: label(next) }));
        });
        if (seen.length % 50 === 0) await turn();
      }
      assert.equal(seen.length, count * 2);
      assert.deepEqual([...seen].sort(compareNames), seen);
      assert.equal(again.hasLocalChildren(ROOT_INO), false);
      assert.equal(again.hasBaseChildren(ROOT_INO), false);
    });

    test('children of one tree only', () => {
      const { store } = harness;
      const d = put(store, (ino) => dir(ino, place('d'), { base: baseOf(place('d'), 0) }));
      const gone = put(store, (ino) => file(ino, undefined, { base: baseOf(place('gone', d), 1) }));
      assert.equal(store.hasLocalChildren(d), false);
      assert.equal(store.hasBaseChildren(d), true);
      store.transact((tx) => tx.remove(gone));
      assert.equal(store.hasBaseChildren(d), false);
    });

    test('the dirty set follows the records, in order of number', () => {
      const { store } = harness;
      const inos = ['a', 'b', 'c', 'd'].map((text) => put(store, (ino) => file(ino, place(text))));
      const [a, b, c, d] = inos as [Ino, Ino, Ino, Ino];
      assert.deepEqual([...store.dirty()], inos);
      store.transact((tx) => tx.put(file(b, place('b'), { base: baseOf(place('b'), 1) })));
      store.transact((tx) => tx.remove(c));
      assert.deepEqual([...store.dirty()], [a, d]);
      store.transact((tx) =>
        tx.put(file(b, place('b'), { base: baseOf(place('b'), 1), remote: { kind: 'gone' } })),
      );
      assert.deepEqual([...store.dirty()], [a, b, d]);
      assert.equal(store.dirtyCount, 3);
    });

    test('an alias is dirty when its target has another content', () => {
      const { store } = harness;
      const target = put(store, (ino) => file(ino, place('t'), { base: baseOf(place('t'), 1) }));
      const link = store.transact((tx) => {
        const ino = tx.allocate();
        tx.put(alias(ino, target, place('l'), { base: baseOf(place('l'), 1) }));
        tx.put(file(target, place('t'), { base: baseOf(place('t'), 1), aliases: [ino] }));
        return ino;
      });
      assert.equal(store.dirtyCount, 0);
      store.transact((tx) =>
        tx.put(file(target, place('t'), { base: baseOf(place('t'), 1), aliases: [link], gen: 2 })),
      );
      assert.deepEqual([...store.dirty()], [target, link]);
      store.transact((tx) =>
        tx.put(file(target, place('t'), { base: baseOf(place('t'), 2), aliases: [link], gen: 2 })),
      );
      assert.deepEqual([...store.dirty()], [link]);
    });

    test('the invariants notice an alias that its target does not know', () => {
      const { store } = harness;
      const target = put(store, (ino) => file(ino, place('t')));
      const link = put(store, (ino) => alias(ino, target, place('l')));
      assert.throws(() => store.checkInvariants(), isError('invariant'));
      store.transact((tx) => tx.remove(link));
    });

    test('inode numbers are never given out twice', async () => {
      const given = new Set<Ino>([ROOT_INO]);
      let store = harness.store;
      for (let round = 0; round < 3; round++) {
        assert.throws(() =>
          store.transact((tx) => {
            given.add(tx.allocate());
            throw new Error('rolled back');
          }),
        );
        for (let n = 0; n < 3; n++) {
          const before = given.size;
          const ino = put(store, (made) => file(made, place(`r${round}-${n}`)));
          given.add(ino);
          assert.equal(given.size, before + 1);
        }
        store = await harness.restart();
      }
      store.transact((tx) => {
        for (let n = 0; n < 5000; n++) {
          const ino = tx.allocate();
          assert.ok(!given.has(ino));
          given.add(ino);
        }
      });
      store = await harness.restart();
      assert.ok(!given.has(store.transact((tx) => tx.allocate())));
    });

    test('values by key are kept', async () => {
      harness.store.setMeta('capabilities', { ranges: true, list: [1, 'x', null] });
      harness.store.setMeta('gone', 1);
      harness.store.setMeta('gone', undefined);
      const store = await harness.restart();
      assert.deepEqual(store.getMeta('capabilities'), { ranges: true, list: [1, 'x', null] });
      assert.equal(store.getMeta('gone'), undefined);
      assert.throws(() => store.setMeta('state:ino', 5), isError('misuse'));
      assert.throws(() => store.transact((tx) => tx.setMeta('state:ino', 5)), isError('misuse'));
    });

    test('values of a transaction are committed with it, or not at all', async () => {
      harness.store.transact((tx) => {
        tx.setMeta('list', [1]);
        assert.deepEqual(tx.getMeta('list'), [1]);
        tx.setMeta('list', [...(tx.getMeta('list') as number[]), 2]);
      });
      assert.throws(() =>
        harness.store.transact((tx) => {
          tx.setMeta('list', []);
          throw new Error('no');
        }),
      );
      const store = await harness.restart();
      assert.deepEqual(store.getMeta('list'), [1, 2]);
      store.transact((tx) => tx.setMeta('list', undefined));
      assert.equal(store.getMeta('list'), undefined);
    });

    test('listeners hear of each commit once, with the changed nodes', () => {
      const { store } = harness;
      const heard: (readonly Ino[])[] = [];
      store.onCommit(() => {
        throw new Error('a broken listener');
      });
      store.onCommit((changed) => heard.push(changed));
      const ino = put(store, (made) => file(made, place('f')));
      assert.throws(() =>
        store.transact((tx) => {
          tx.remove(ino);
          throw new Error('rolled back');
        }),
      );
      store.transact((tx) => tx.get(ino));
      store.transact((tx) => tx.remove(ino));
      assert.deepEqual(heard, [[ino], [ino]]);
    });

    test('misuse is refused', async () => {
      const { store } = harness;
      assert.throws(() => store.transact(() => store.transact(() => 1)), isError('misuse'));
      assert.throws(() => store.transact(async () => 1), isError('misuse'));
      const leaked = store.transact((tx) => tx);
      assert.throws(() => leaked.allocate(), isError('misuse'));
      assert.throws(() => leaked.put(file(5 as Ino, place('f'))), isError('misuse'));
      await harness.restart();
      assert.throws(() => store.transact(() => 1), isError('misuse'));
    });

    test('durable resolves for everyone who asks', async () => {
      const { store } = harness;
      put(store, (ino) => file(ino, place('f')));
      const first = store.durable();
      put(store, (ino) => file(ino, place('g')));
      await Promise.all([first, store.durable(), store.durable()]);
      await store.durable();
    });
  });
}

/** Buffers and arrays of bytes alike. */
function plain(record: NodeRecord | undefined): unknown {
  if (record === undefined || record.kind === 'alias' || record.xattrs === undefined) return record;
  const xattrs = Object.entries(record.xattrs).map(([key, value]) => [key, [...value]]);
  return { ...record, xattrs };
}
