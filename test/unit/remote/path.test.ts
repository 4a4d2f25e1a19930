import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toName } from '../../../src/base/index.js';
import {
  isWithin,
  joinRemote,
  nameOfRemote,
  parentOfRemote,
  REMOTE_ROOT,
  type RemotePath,
} from '../../../src/remote/index.js';

const path = (text: string) => text as RemotePath;

describe('RemotePath', () => {
  test('joins, splits and climbs', () => {
    const name = toName('b');
    assert.ok(name !== undefined);
    assert.equal(joinRemote(REMOTE_ROOT, name), '/b');
    assert.equal(joinRemote(path('/a'), name), '/a/b');
    assert.equal(parentOfRemote(path('/a/b')), '/a');
    assert.equal(parentOfRemote(path('/a')), '/');
    assert.equal(parentOfRemote(REMOTE_ROOT), '/');
    assert.equal(nameOfRemote(path('/a/b')), 'b');
    assert.equal(nameOfRemote(REMOTE_ROOT), undefined);
  });

  test('lies within itself and above, not beside', () => {
    assert.ok(isWithin(path('/a/b'), path('/a')));
    assert.ok(isWithin(path('/a'), path('/a')));
    assert.ok(isWithin(path('/a'), REMOTE_ROOT));
    assert.ok(!isWithin(path('/ab'), path('/a')));
    assert.ok(!isWithin(path('/a'), path('/a/b')));
  });
});
