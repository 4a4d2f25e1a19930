import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ROOT_INO } from '../../../src/base/index.js';
import { isBelowInBase, placePath, samePlace, serverPath } from '../../../src/sync/server-tree.js';
import { at, ino, Trees } from './trees.js';

/** A tree whose directories have other names here than on the server. */
const trees = new Trees()
  .dir(2, { local: 'here', base: 'there' })
  .dir(3, { local: '2/x', base: '2/y' })
  .file(4, { local: 'out', base: '3/f' })
  .dir(5, { local: '3/new' })
  .file(6, { local: '5/g' })
  .dir(7, { base: 'gone' });
const { state } = trees;

describe('the server side of the trees', () => {
  test('paths are those of the base tree', () => {
    assert.equal(serverPath(state, ROOT_INO), '/');
    assert.equal(serverPath(state, ino(3)), '/there/y');
    assert.equal(serverPath(state, ino(4)), '/there/y/f');
    assert.equal(serverPath(state, ino(7)), '/gone');
  });

  test('what the server has not confirmed has none', () => {
    for (const node of [5, 6, 99]) assert.equal(serverPath(state, ino(node)), undefined);
  });

  test('a place has a path as soon as its directory has one', () => {
    assert.equal(placePath(state, at('n')), '/n');
    assert.equal(placePath(state, at('3/n')), '/there/y/n');
    assert.equal(placePath(state, at('5/n')), undefined);
  });

  test('below is itself or deeper, on the server', () => {
    assert.equal(isBelowInBase(state, ino(4), ino(2)), true);
    assert.equal(isBelowInBase(state, ino(3), ino(3)), true);
    assert.equal(isBelowInBase(state, ino(2), ino(3)), false);
    assert.equal(isBelowInBase(state, ino(4), ROOT_INO), true);
    assert.equal(isBelowInBase(state, ino(6), ino(3)), false);
    assert.equal(isBelowInBase(state, ino(7), ino(2)), false);
  });

  test('places are the same by directory and name', () => {
    assert.equal(samePlace(at('2/a'), at('2/a')), true);
    assert.equal(samePlace(at('2/a'), at('3/a')), false);
    assert.equal(samePlace(at('2/a'), at('2/b')), false);
    assert.equal(samePlace(at('2/a'), undefined), false);
    assert.equal(samePlace(undefined, undefined), true);
  });
});
