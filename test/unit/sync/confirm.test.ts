/** What the server's answers to our own changes make of the trees. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import type { ETag } from '../../../src/remote/index.js';
import type { NodeRecord } from '../../../src/state/index.js';
import { alias, dir, file, place, symlink } from '../state/support/records.js';
import { Parts } from './parts.js';

const RESULT = { etag: '"new"' as ETag, mtimeMs: 1_700_000_000_000 };
const NODE = 50 as Ino;

function makeParts(node: NodeRecord): Parts {
  const parts = new Parts();
  parts.state.transact((tx) => {
    while (tx.allocate() < 99);
    tx.put(node);
  });
  if (node.kind === 'file') {
    parts.content.createStaged(node.ino).writeSync(Buffer.from('abc'), 0);
    parts.content.release(node.ino);
  }
  return parts;
}

const write = (parts: Parts, before: NodeRecord, gen: number, replaced?: Ino) =>
  parts.editor.confirm((confirm) =>
    confirm.wrote(before, place('f'), { gen, size: 3, sha256: undefined }, RESULT, replaced),
  );

describe('an upload', () => {
  test('of what the file is now makes it clean', () => {
    const before = file(NODE, place('f'));
    const parts = makeParts(before);
    write(parts, before, 1);
    const node = parts.file('f');
    assert.deepEqual({ content: node.content, etag: node.base?.etag }, { content: 'clean', etag: '"new"' });
    assert.equal(parts.content.acquireClean(NODE, { etag: RESULT.etag, size: 3 }).isComplete, true);
    assert.deepEqual([...parts.state.dirty()], []);
  });

  test('of an older generation, or of a file that is being written, leaves it staged', () => {
    for (const [gen, writing] of [
      [2, false],
      [1, true],
    ] as const) {
      const before = file(NODE, place('f'));
      const parts = makeParts({ ...before, gen, writing });
      write(parts, before, 1);
      assert.equal(parts.file('f').content, 'staged');
      assert.equal(parts.file('f').base?.gen, 1);
      assert.deepEqual([...parts.state.dirty()], gen === 2 ? [NODE] : []);
    }
  });

  test('of a file that was moved meanwhile is known at its old place', () => {
    const before = file(NODE, place('f'));
    const parts = makeParts({ ...before, local: place('g') });
    write(parts, before, 1);
    assert.equal(parts.file('g').base?.name, 'f');
    assert.deepEqual([...parts.state.dirty()], [NODE]);
  });

  test('ends the attempt', () => {
    const attempt = { place: place('f'), gen: 1, size: 3, sha256: undefined };
    const before = file(NODE, place('f'), { attempt });
    const parts = makeParts(before);
    write(parts, before, 1);
    assert.equal(parts.file('f').attempt, undefined);
  });

  test('over another file buries that one', () => {
    const before = file(NODE, place('f'));
    const parts = makeParts(before);
    const old = parts.serverFile('old', 'old');
    parts.state.transact((tx) => tx.put({ ...old, local: undefined }));
    write(parts, before, 1, old.ino);
    assert.equal(parts.state.get(old.ino), undefined);
  });
});

describe('a node that was forgotten while its request was under way', () => {
  for (const before of [
    file(NODE, place('f')),
    symlink(NODE, place('f')),
    alias(NODE, 7 as Ino, place('f')),
  ]) {
    test(`comes back as a deleted one: ${before.kind}`, () => {
      const parts = new Parts();
      parts.state.transact((tx) => {
        while (tx.allocate() < 99);
      });
      write(parts, before, 1);
      const node = parts.state.get(NODE);
      assert.equal(node?.local, undefined);
      assert.equal(node?.base?.name, 'f');
      assert.deepEqual([...parts.state.dirty()], [NODE]);
      parts.state.checkInvariants();
    });
  }

  test('comes back as a deleted one: directory', () => {
    const parts = new Parts();
    parts.state.transact((tx) => {
      while (tx.allocate() < 99);
    });
    parts.editor.confirm((confirm) => confirm.madeDirectory(dir(NODE, place('d')), place('d')));
    assert.equal(parts.state.get(NODE)?.kind, 'dir');
    assert.deepEqual([...parts.state.dirty()], [NODE]);
  });
});

describe('other answers', () => {
  test('a directory that was made is known to be empty', () => {
    const before = dir(NODE, place('d'));
    const parts = makeParts(before);
    parts.editor.confirm((confirm) => confirm.madeDirectory(before, place('d')));
    const node = parts.state.get(NODE);
    assert.equal(node?.kind === 'dir' ? node.listedAtMs : undefined, parts.clock.nowMs());
    assert.deepEqual([...parts.state.dirty()], []);
  });

  test('a move keeps the version', () => {
    const parts = new Parts();
    const before = parts.serverFile('f', 'abc');
    parts.state.transact((tx) => tx.put({ ...before, local: place('g') }));
    parts.editor.confirm((confirm) => confirm.moved(parts.file('g'), place('g'), undefined));
    assert.deepEqual(parts.file('g').base, { ...before.base, name: 'g' });
    assert.deepEqual([...parts.state.dirty()], []);
  });

  test('a removed tree takes all that was in it along, but for what is new here', () => {
    const parts = makeParts(dir(NODE, undefined));
    const deleted = {
      local: undefined,
      base: { ...place('d'), etag: undefined, size: 0, mtimeMs: undefined, gen: 0 },
    };
    parts.state.transact((tx) => {
      tx.put({ ...dir(NODE, undefined), ...deleted });
      tx.put(dir(51 as Ino, undefined, { base: { ...deleted.base, ...place('e', NODE) } }));
      tx.put(
        file(52 as Ino, undefined, { content: 'clean', base: { ...deleted.base, ...place('x', 51 as Ino) } }),
      );
      tx.put(file(53 as Ino, place('kept'), { base: { ...deleted.base, ...place('y', 51 as Ino) } }));
    });
    parts.editor.confirm((confirm) => confirm.removed(NODE));
    for (const gone of [NODE, 51, 52]) assert.equal(parts.state.get(gone as Ino), undefined);
    const kept = parts.state.get(53 as Ino);
    assert.equal(kept?.base, undefined);
    assert.equal(kept?.local?.parent, ROOT_INO);
    parts.state.checkInvariants();
  });

  test('what is removed there stays here while a program has it', () => {
    const parts = new Parts();
    const before = parts.serverFile('f', 'abc');
    parts.state.transact((tx) => tx.put({ ...before, local: undefined }));
    parts.open.add(before.ino);
    parts.editor.confirm((confirm) => confirm.removed(before.ino));
    assert.notEqual(parts.state.get(before.ino), undefined);
    parts.open.delete(before.ino);
    parts.editor.bury(before.ino);
    assert.equal(parts.state.get(before.ino), undefined);
  });
});
