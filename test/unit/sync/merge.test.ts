/** What a listing's entries make of the trees: followed where nothing changed here, only marked where something did. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ROOT_INO } from '../../../src/base/index.js';
import type { ETag } from '../../../src/remote/index.js';
import type { Base } from '../../../src/state/index.js';
import { isSameVersion } from '../../../src/sync/merge.js';
import { baseOf, place } from '../state/support/records.js';
import { entryOf, Parts } from './parts.js';

const OTHER = { etag: '"2"' as ETag, size: 9 };

/** Parts in which the root was listed and has a file `f`. */
function makeParts(): Parts {
  const parts = new Parts();
  parts.see('f', entryOf('f'));
  parts.state.transact((tx) => {
    const root = tx.get(ROOT_INO);
    if (root?.kind === 'dir') tx.put({ ...root, listedAtMs: parts.clock.nowMs() });
  });
  return parts;
}

const kinds = (parts: Parts) => parts.invalidations.map(({ kind }) => kind);

describe('isSameVersion', () => {
  const base: Base = { ...baseOf(place('f'), 0), etag: '"1"' as ETag, size: 3, mtimeMs: 1_700_000_000_000 };
  const untagged: Base = { ...base, etag: undefined };

  test('goes by the tags where both have one', () => {
    assert.equal(isSameVersion(base, entryOf('f', { mtimeMs: 0, size: 4 }).entry), true);
    assert.equal(isSameVersion(base, entryOf('f', { etag: '"2"' as ETag }).entry), false);
  });

  test('else by size and time, two seconds to and fro', () => {
    const at = (delta: number) => entryOf('f', { mtimeMs: 1_700_000_000_000 + delta }).entry;
    assert.equal(isSameVersion(untagged, at(2_000)), true);
    assert.equal(isSameVersion(untagged, at(-2_001)), false);
    assert.equal(isSameVersion(untagged, entryOf('f', { size: 4 }).entry), false);
    assert.equal(isSameVersion({ ...untagged, mtimeMs: undefined }, at(99_999)), true);
  });
});

describe('entries', () => {
  test('what is new appears, and the kernel is told once the directory had been listed', () => {
    const parts = new Parts();
    parts.see('a', entryOf('a'));
    assert.deepEqual(kinds(parts), []);
    const listed = makeParts();
    listed.see('d', entryOf('d', { kind: 'dir', size: 0, etag: undefined }));
    assert.deepEqual(kinds(listed).sort(), ['entry', 'inode']);
    assert.equal(listed.state.get(listed.ino('d') ?? ROOT_INO)?.kind, 'dir');
    assert.deepEqual([...listed.state.dirty()], []);
  });

  test('the same version again changes nothing', () => {
    const parts = makeParts();
    const before = parts.file('f');
    parts.see('f', entryOf('f'));
    assert.equal(parts.file('f'), before);
    assert.deepEqual(kinds(parts), []);
  });

  test('a tag learned later is taken, with the body that is here', () => {
    const parts = new Parts();
    parts.see('f', entryOf('f', { etag: undefined }));
    const { ino } = parts.file('f');
    parts.content.acquireClean(ino, { etag: undefined, size: 3 }).fill(0, Buffer.from('abc'));
    parts.content.release(ino);
    parts.see('f', entryOf('f'));
    assert.equal(parts.file('f').base?.etag, '"1"');
    assert.equal(parts.content.acquireClean(ino, { etag: '"1"' as ETag, size: 3 }).isComplete, true);
  });

  test('a listing without tags takes no tag away, nor the body that goes by it', () => {
    const parts = makeParts();
    const { ino } = parts.file('f');
    parts.content.acquireClean(ino, { etag: '"1"' as ETag, size: 3 }).fill(0, Buffer.from('abc'));
    parts.content.release(ino);
    parts.see('f', entryOf('f', { etag: undefined }));
    const { base, size } = parts.file('f');
    assert.equal(parts.content.acquireClean(ino, { etag: base?.etag, size }).isComplete, true);
  });

  test('another version of a file that nobody has open is taken in place', () => {
    const parts = makeParts();
    const { ino } = parts.file('f');
    parts.see('f', entryOf('f', OTHER));
    assert.equal(parts.file('f').ino, ino);
    assert.equal(parts.file('f').size, 9);
    assert.deepEqual(kinds(parts), ['inode']);
    assert.deepEqual([...parts.state.dirty()], []);
  });

  test('of a file that is open it becomes a node of its own; the old one lives as long as its handle', () => {
    const parts = makeParts();
    const old = parts.file('f');
    parts.open.add(old.ino);
    parts.see('f', entryOf('f', OTHER));
    assert.notEqual(parts.file('f').ino, old.ino);
    assert.equal(parts.state.get(old.ino)?.local, undefined);
    parts.open.delete(old.ino);
    parts.editor.bury(old.ino);
    assert.equal(parts.state.get(old.ino), undefined);
  });

  test('of a file that was changed, moved or deleted here, it is taken or only marked', () => {
    for (const [what, change, marked] of [
      ['changed', { gen: 1 }, true],
      ['deleted', { local: undefined }, true],
      ['moved', { local: place('g') }, false],
    ] as const) {
      const parts = makeParts();
      const { ino } = parts.file('f');
      parts.known.add(ino);
      parts.state.transact((tx) => {
        const node = tx.get(ino);
        if (node?.kind === 'file') tx.put({ ...node, ...change });
      });
      parts.see('f', entryOf('f', OTHER));
      const node = parts.state.get(ino);
      assert.equal(node?.remote !== undefined, marked, what);
      assert.equal(node?.base?.etag, marked ? '"1"' : '"2"', what);
    }
  });

  test('a mark goes when the server has the known version again', () => {
    const parts = makeParts();
    parts.state.transact((tx) => tx.put({ ...parts.file('f'), gen: 1, content: 'staged' }));
    parts.see('f', entryOf('f', OTHER));
    assert.notEqual(parts.file('f').remote, undefined);
    parts.see('f', entryOf('f'));
    assert.equal(parts.file('f').remote, undefined);
  });

  test('a file that became a directory is a directory, and the other way round', () => {
    const parts = makeParts();
    parts.see('f', entryOf('f', { kind: 'dir', size: 0, etag: undefined }));
    assert.equal(parts.state.get(parts.ino('f') ?? ROOT_INO)?.kind, 'dir');
    parts.see('f', entryOf('f'));
    assert.equal(parts.file('f').size, 3);
    parts.state.checkInvariants();
  });

  test('a local node of the same name that the server does not know stays', () => {
    const parts = makeParts();
    parts.state.transact((tx) => tx.put({ ...parts.file('f'), base: undefined, content: 'staged' }));
    const { ino } = parts.file('f');
    parts.see('f', entryOf('f', OTHER));
    assert.equal(parts.file('f').ino, ino);
    assert.equal(parts.file('f').base, undefined);
  });
});

describe('what is gone', () => {
  const gone = (parts: Parts, name: string) => {
    const ino = parts.ino(name) ?? ROOT_INO;
    parts.editor.merge((merge) => merge.gone(ino));
    return parts.state.get(ino);
  };

  test('goes here, and the kernel is told', () => {
    const parts = makeParts();
    assert.equal(gone(parts, 'f'), undefined);
    assert.deepEqual(kinds(parts), ['delete', 'inode']);
  });

  test('stays where it was changed here, to be made anew', () => {
    const parts = makeParts();
    parts.state.transact((tx) => tx.put({ ...parts.file('f'), gen: 1, content: 'staged' }));
    const node = gone(parts, 'f');
    assert.equal(node?.base, undefined);
    assert.notEqual(node?.local, undefined);
  });

  test('a directory stays only for what is new in it', () => {
    for (const hasNew of [false, true]) {
      const parts = makeParts();
      parts.see('d', entryOf('d', { kind: 'dir', size: 0, etag: undefined }));
      const dir = parts.ino('d') ?? ROOT_INO;
      parts.editor.merge((merge) => merge.entry(dir, place('old').name, entryOf('old')));
      const fresh = { ...parts.file('f'), ino: 90 as typeof dir, local: place('new', dir), base: undefined };
      if (hasNew) parts.state.transact((tx) => tx.put(fresh));
      gone(parts, 'd');
      assert.deepEqual(
        [...parts.state.entries(dir)].map(({ name }) => name as string),
        hasNew ? ['new'] : [],
      );
      assert.equal(parts.state.get(dir)?.local !== undefined, hasNew);
    }
  });
});

describe('both sides have something', () => {
  test('the local one moves beside, as new', () => {
    const parts = makeParts();
    const ours = parts.file('f');
    parts.state.transact((tx) => tx.put({ ...ours, gen: 1, content: 'staged' }));
    const kept = parts.editor.merge((merge) => merge.keepBoth(ours.ino, place('f'), entryOf('f', OTHER)));
    assert.match(kept?.name ?? '', /^f \(conflict here /);
    assert.equal(parts.state.get(ours.ino)?.base, undefined);
    assert.notEqual(parts.file('f').ino, ours.ino);
    assert.equal(parts.file('f').size, 9);
    parts.state.checkInvariants();
  });

  test('what was deleted here comes back as theirs', () => {
    const parts = makeParts();
    const ours = parts.file('f');
    parts.state.transact((tx) => tx.put({ ...ours, local: undefined }));
    assert.equal(
      parts.editor.merge((merge) => merge.keepBoth(ours.ino, place('f'), entryOf('f', OTHER))),
      undefined,
    );
    assert.equal(parts.state.get(ours.ino), undefined);
    assert.equal(parts.file('f').size, 9);
  });

  test('something new in a directory that was deleted here brings it back', () => {
    const parts = makeParts();
    parts.see('d', entryOf('d', { kind: 'dir', size: 0, etag: undefined }));
    const dir = parts.ino('d') ?? ROOT_INO;
    parts.state.transact((tx) => {
      const node = tx.get(dir);
      if (node?.kind === 'dir') tx.put({ ...node, local: undefined });
    });
    parts.editor.merge((merge) => merge.entry(dir, place('new').name, entryOf('new')));
    assert.equal(parts.ino('d'), dir);
    assert.notEqual(parts.state.localChild(dir, place('new').name), undefined);
  });
});
