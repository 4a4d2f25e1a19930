/** What the planner says of each constellation of the trees. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ETag } from '../../../src/remote/index.js';
import type { Attempt } from '../../../src/state/index.js';
import { baseOf, file } from '../state/support/records.js';
import { PlannerModel } from './planner-model.js';
import { at, dirNode, ino, Trees } from './trees.js';

const attemptAt = (place: string): Attempt => ({ place: at(place), gen: 1, size: 3, sha256: undefined });
const REMOTE = { kind: 'version', etag: '"other"' as ETag, size: 9, mtimeMs: undefined } as const;

describe('nothing to do', () => {
  test('for the root, for what is not there, and where both sides agree', () => {
    const trees = new Trees().dir(2, { local: 'd', base: 'd' }).file(3, { local: '2/f', base: '2/f' });
    trees.symlink(4, { local: 'l', base: 'l' }).alias(5, 3, { local: 'g', base: 'g' });
    for (const node of [1, 2, 3, 4, 5, 99]) assert.equal(trees.plan(node), 'clean');
  });

  test('for what was made and deleted before the server heard of it', () => {
    assert.equal(new Trees().file(2, {}).plan(2), 'clean');
  });
});

describe('new nodes', () => {
  test('of every kind', () => {
    const trees = new Trees().dir(2, { local: 'd' }).file(3, { local: 'f' }).symlink(4, { local: 'l' });
    trees.alias(5, 3, { local: 'g' });
    assert.equal(trees.plan(2), 'mkcol 2 d');
    assert.equal(trees.plan(3), 'put 3 f');
    assert.equal(trees.plan(4), 'put 4 l');
    assert.equal(trees.plan(5), 'put 5 g');
  });

  test('wait for their directory', () => {
    const trees = new Trees().dir(2, { local: 'd' }).dir(3, { local: '2/e' }).file(4, { local: '3/f' });
    assert.equal(trees.plan(4), 'wait 3');
    assert.equal(trees.plan(3), 'wait 2');
  });

  test('a file replaces a deleted one, which waits for it', () => {
    const trees = new Trees().file(2, { base: 'a' }).file(3, { local: 'a' });
    assert.equal(trees.plan(3), 'put 3 a replacing 2');
    assert.equal(trees.plan(2), 'wait 3');
  });

  test('a symbolic link and a further name replace a deleted file in the same way', () => {
    const trees = new Trees().file(2, { base: 'a' }).symlink(3, { local: 'a' });
    assert.equal(trees.plan(3), 'put 3 a replacing 2');
    trees.file(4, { base: 'b' }).file(5, { local: 'c', base: 'c' }).alias(6, 5, { local: 'b' });
    assert.equal(trees.plan(6), 'put 6 b replacing 4');
    assert.equal(trees.plan(4), 'wait 6');
  });

  test('a file is no replacement for a directory, nor the other way round', () => {
    const trees = new Trees().dir(2, { base: 'a' }).file(3, { local: 'a' });
    assert.equal(trees.plan(3), 'wait 2');
    assert.equal(trees.plan(2), 'delete-tree 2 a');
    trees.file(4, { base: 'b' }).dir(5, { local: 'b' });
    assert.equal(trees.plan(5), 'wait 4');
    assert.equal(trees.plan(4), 'delete 4 b');
  });

  test('wait for a name that its holder gives up by moving', () => {
    const trees = new Trees().file(2, { local: 'b', base: 'a' }).file(3, { local: 'a' });
    assert.equal(trees.plan(3), 'wait 2');
    assert.equal(trees.plan(2), 'move 2 a -> b');
  });
});

describe('changed content', () => {
  test('of a file, of its further names, and of a link goes up in place', () => {
    const trees = new Trees()
      .file(2, { local: 'a', base: 'a' }, { gen: 2 })
      .alias(3, 2, { local: 'b', base: 'b' });
    trees.symlink(4, { local: 'l', base: 'l' }, { gen: 2 });
    assert.equal(trees.plan(2), 'put 2 a');
    assert.equal(trees.plan(3), 'put 3 b');
    assert.equal(trees.plan(4), 'put 4 l');
  });

  test('comes after the move of the same file', () => {
    const trees = new Trees().file(2, { local: 'b', base: 'a' }, { gen: 2 });
    assert.equal(trees.plan(2), 'move 2 a -> b');
  });
});

describe('moves', () => {
  test('of every kind', () => {
    const trees = new Trees().dir(2, { local: 'd2', base: 'd' }).file(3, { local: '2/f2', base: '2/f' });
    trees.alias(4, 3, { local: 'g2', base: 'g' }).symlink(5, { local: '2/l', base: 'l' });
    assert.equal(trees.plan(2), 'move 2 d -> d2');
    assert.equal(trees.plan(3), 'move 3 2/f -> 2/f2');
    assert.equal(trees.plan(4), 'move 4 g -> g2');
    assert.equal(trees.plan(5), 'move 5 l -> 2/l');
  });

  test('wait for the directory they go to', () => {
    const trees = new Trees().dir(2, { local: 'd' }).file(3, { local: '2/f', base: 'f' });
    assert.equal(trees.plan(3), 'wait 2');
  });

  test('of a file replace a deleted file, of a directory wait until the name is free', () => {
    const trees = new Trees().file(2, { base: 'a' }).file(3, { local: 'a', base: 'b' });
    assert.equal(trees.plan(3), 'move 3 b -> a replacing 2');
    assert.equal(trees.plan(2), 'wait 3');
    trees.dir(4, { base: 'd' }).dir(5, { local: 'd', base: 'e' });
    assert.equal(trees.plan(5), 'wait 4');
    trees.file(6, { base: 'f' }).dir(7, { local: 'f', base: 'g' });
    assert.equal(trees.plan(7), 'wait 6');
    assert.equal(trees.plan(6), 'delete 6 f');
  });

  test('in a row go from the free end', () => {
    const trees = new Trees().file(2, { local: 'b', base: 'a' }).file(3, { local: 'c', base: 'b' });
    assert.equal(trees.plan(2), 'wait 3');
    assert.equal(trees.plan(3), 'move 3 b -> c');
  });
});

describe('deletions', () => {
  test('of a file, a link, a further name', () => {
    const trees = new Trees().file(2, { base: 'a' }).symlink(3, { base: 'l' });
    trees.file(4, { local: 'f', base: 'f' }).alias(5, 4, { base: 'g' });
    assert.equal(trees.plan(2), 'delete 2 a');
    assert.equal(trees.plan(3), 'delete 3 l');
    assert.equal(trees.plan(5), 'delete 5 g');
  });

  test('of a tree is one operation; all that is in it waits for it', () => {
    const trees = new Trees().dir(2, { base: 'd' }).dir(3, { base: '2/e' }).file(4, { base: '3/f' });
    assert.equal(trees.plan(2), 'delete-tree 2 d');
    assert.equal(trees.plan(3), 'wait 2');
    assert.equal(trees.plan(4), 'wait 3');
  });

  test('of a tree waits for what lives on elsewhere, however deep', () => {
    const trees = new Trees().dir(2, { base: 'd' }).dir(3, { base: '2/e' });
    trees.file(4, { local: 'kept', base: '3/f' }).file(5, { base: '2/x' });
    assert.equal(trees.plan(2), 'wait 4');
    assert.equal(trees.plan(4), 'move 4 3/f -> kept');
  });

  test('wait for a handful of survivors at most, however many there are', () => {
    const trees = new Trees().dir(2, { base: 'd' });
    for (let node = 10; node < 60; node += 1) trees.file(node, { local: `k${node}`, base: `2/f${node}` });
    assert.ok(trees.plan(2).split(' ').length <= 17);
  });

  test('do not wait for a new directory of the same name, which waits for them', () => {
    const trees = new Trees().dir(2, { base: 'd' }).dir(3, { local: 'd' }).file(4, { local: '3/f' });
    assert.equal(trees.plan(2), 'delete-tree 2 d');
    assert.equal(trees.plan(3), 'wait 2');
    assert.equal(trees.plan(4), 'wait 3');
  });
});

describe('what nobody is sure of is looked up first', () => {
  test('an upload with an open end, at its own place', () => {
    const trees = new Trees().file(2, { local: 'new', base: 'old' }, { attempt: attemptAt('x') });
    trees.symlink(3, { local: 'l' }, { attempt: attemptAt('l') }).file(4, {}, { attempt: attemptAt('y') });
    assert.equal(trees.plan(2), 'reconcile 2 x');
    assert.equal(trees.plan(3), 'reconcile 3 l');
    assert.equal(trees.plan(4), 'reconcile 4 y');
  });

  test('another version on the server, of a changed, a moved and a deleted file', () => {
    const trees = new Trees().file(2, { local: 'a', base: 'a' }, { gen: 2, remote: REMOTE });
    trees.file(3, { local: 'c', base: 'b' }, { remote: REMOTE }).file(4, { base: 'd' }, { remote: REMOTE });
    assert.equal(trees.plan(2), 'reconcile 2 a');
    assert.equal(trees.plan(3), 'reconcile 3 b');
    assert.equal(trees.plan(4), 'reconcile 4 d');
  });

  test('nothing is written over it meanwhile', () => {
    const trees = new Trees().file(2, { base: 'a' }, { remote: REMOTE }).file(3, { local: 'a' });
    trees.file(4, { local: 'b', base: 'c' }).file(5, { base: 'b' }, { attempt: attemptAt('b') });
    assert.equal(trees.plan(3), 'wait 2');
    assert.equal(trees.plan(4), 'wait 5');
  });

  test('also a file that a program has open', () => {
    const trees = new Trees().file(2, { local: 'a' }, { writing: true, attempt: attemptAt('a') });
    assert.equal(trees.plan(2), 'reconcile 2 a');
  });
});

describe('files in use', () => {
  test('are held while a program writes, new or changed', () => {
    const trees = new Trees().file(2, { local: 'a' }, { writing: true });
    trees.file(3, { local: 'b', base: 'b' }, { gen: 2 });
    trees.writers.add(ino(3));
    assert.equal(trees.plan(2), 'hold open');
    assert.equal(trees.plan(3), 'hold open');
  });

  test('go up from a copy when that is due', () => {
    const trees = new Trees().file(2, { local: 'a' }, { writing: true });
    trees.copies.add(ino(2));
    assert.equal(trees.plan(2), 'put 2 a');
  });

  test('are held without end where the writer died', () => {
    const trees = new Trees().file(2, { local: 'a' }, { interrupted: true });
    trees.copies.add(ino(2));
    assert.equal(trees.plan(2), 'hold interrupted');
  });

  test('hold their further names too, and a copy serves those as well', () => {
    const trees = new Trees().file(2, { local: 'a', base: 'a' }, { writing: true, gen: 2 });
    trees.alias(3, 2, { local: 'b' }).alias(4, 2, { local: 'c', base: 'c' });
    assert.equal(trees.plan(3), 'hold open');
    assert.equal(trees.plan(4), 'hold open');
    trees.copies.add(ino(2));
    assert.equal(trees.plan(3), 'put 3 b');
    assert.equal(trees.plan(4), 'put 4 c');
  });

  test('may be moved and deleted all the same', () => {
    const trees = new Trees().file(2, { local: 'b', base: 'a' }, { writing: true, gen: 2 });
    trees.file(3, { base: 'c' }, { writing: true, gen: 2 });
    assert.equal(trees.plan(2), 'move 2 a -> b');
    assert.equal(trees.plan(3), 'delete 3 c');
  });

  test('a file that another is to replace stays until the writer of that one is done', () => {
    const trees = new Trees().file(2, { base: 'a' }).file(3, { local: 'a' }, { writing: true });
    assert.equal(trees.plan(3), 'hold open');
    assert.equal(trees.plan(2), 'wait 3');
  });
});

describe('circles', () => {
  test('two names swapped: the lower number steps aside, whoever is asked', () => {
    const swapped = [
      file(ino(2), at('b'), { base: baseOf(at('a'), 1) }),
      file(ino(3), at('a'), { base: baseOf(at('b'), 1) }),
    ];
    const trees = new Trees().put(...swapped);
    for (const node of [2, 3]) assert.equal(trees.plan(node), 'step-aside 2 a -> .infinimount-aside-2');
  });

  test('three names in a ring, of directories', () => {
    const trees = new Trees();
    trees
      .dir(4, { local: 'b', base: 'a' })
      .dir(3, { local: 'c', base: 'b' })
      .dir(2, { local: 'a', base: 'c' });
    for (const node of [2, 3, 4]) assert.equal(trees.plan(node), 'step-aside 2 c -> .infinimount-aside-2');
  });

  test('it steps aside to a name that nothing has', () => {
    const trees = new Trees()
      .file(2, { local: 'b', base: 'a' })
      .file(3, { local: 'a', base: 'b' })
      .dir(4, { local: '.infinimount-aside-2', base: '.infinimount-aside-2' });
    assert.equal(trees.plan(2), 'step-aside 2 a -> .infinimount-aside-2-2');
  });

  test('after the step aside the others go on one by one', () => {
    const trees = new Trees().file(2, { local: 'b', base: '.infinimount-aside-2' });
    trees.file(3, { local: 'a', base: 'b' });
    assert.equal(trees.plan(2), 'wait 3');
    assert.equal(trees.plan(3), 'move 3 b -> a');
  });

  test('who waits in a row beside a circle waits for the row', () => {
    const trees = new Trees()
      .dir(4, { base: 'd' })
      .file(5, { local: 'e', base: '4/x' })
      .file(6, { local: 'd', base: 'f' });
    assert.equal(trees.plan(6), 'wait 4');
    assert.equal(trees.plan(4), 'wait 5');
    assert.equal(trees.plan(5), 'move 5 4/x -> e');
  });

  test('a directory goes into what was below it: that goes first', () => {
    const trees = new Trees().put(
      dirNode(2, { local: '3/a', base: 'a' }),
      dirNode(3, { local: 'b', base: '2/b' }),
    );
    assert.equal(trees.plan(2), 'wait 3');
    assert.equal(trees.plan(3), 'move 3 2/b -> b');
  });

  test('a directory and the one in it change places: the upper one steps aside', () => {
    const trees = new Trees().put(
      dirNode(2, { local: '3/b', base: 'a' }),
      dirNode(3, { local: 'a', base: '2/b' }),
    );
    assert.equal(trees.plan(2), 'step-aside 2 a -> .infinimount-aside-2');
    assert.equal(trees.plan(3), 'step-aside 2 a -> .infinimount-aside-2');
  });

  test('a new directory takes the name of a deleted one whose content goes into it', () => {
    const trees = new Trees()
      .dir(2, { base: 'd' })
      .dir(3, { local: 'd' })
      .file(4, { local: '3/x', base: '2/x' });
    for (const node of [2, 3, 4]) assert.equal(trees.plan(node), 'step-aside 2 d -> .infinimount-aside-2');
  });
});

describe('random trees', () => {
  for (const [from, to] of [
    [1, 200],
    [201, 400],
  ] as const) {
    test(`seeds ${from} to ${to} come to rest, each operation possible when it is its turn`, () => {
      for (let seed = from; seed <= to; seed += 1) new PlannerModel(seed).run();
    });
  }
});
