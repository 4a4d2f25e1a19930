import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type PathClaim, PathLocks } from '../../../src/sync/path-locks.js';
import { remote } from './world.js';

const one = (path: string): PathClaim => ({ path: remote(path), tree: false });
const tree = (path: string): PathClaim => ({ path: remote(path), tree: true });

describe('PathLocks', () => {
  const pairs: readonly (readonly [PathClaim, PathClaim, boolean])[] = [
    [one('/a'), one('/a'), false],
    [one('/a'), one('/b'), true],
    [one('/a'), one('/a/b'), true],
    [one('/a/b'), one('/a/c'), true],
    [tree('/a'), one('/a/b/c'), false],
    [tree('/a'), one('/ab'), true],
    [tree('/a'), tree('/a'), false],
    [tree('/a/b'), one('/a'), true],
    [tree('/a/b'), tree('/a'), false],
    [tree('/a'), tree('/b'), true],
  ];
  const show = ({ path, tree: whole }: PathClaim) => `${path}${whole ? '/**' : ''}`;
  for (const [held, asked, free] of pairs) {
    test(`${show(asked)} beside ${show(held)}: ${free ? 'yes' : 'no'}`, () => {
      const locks = new PathLocks();
      locks.hold([held]);
      assert.equal(locks.isFree([asked]), free);
      const turned = new PathLocks();
      turned.hold([asked]);
      assert.equal(turned.isFree([held]), free);
    });
  }

  test('one claim in the way is enough, and letting go frees', () => {
    const locks = new PathLocks();
    const release = locks.hold([one('/a'), one('/b')]);
    const other = locks.hold([one('/c')]);
    assert.equal(locks.isFree([one('/x'), one('/b')]), false);
    release();
    assert.equal(locks.isFree([one('/x'), one('/b')]), true);
    assert.equal(locks.isFree([one('/c')]), false);
    other();
    assert.equal(locks.isFree([one('/c')]), true);
  });
});
