import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Places } from '../../../src/libfuse/places.js';

const ROOT = 1;
const file = (nodeId: number, fh = nodeId * 10) => ({ nodeId, fh, flags: 0 });

describe('places of open files', () => {
  test('a name shows what is open there until the last close', () => {
    const places = new Places();
    const a = places.opened(ROOT, 'f', file(5));
    const b = places.opened(ROOT, 'f', file(5));
    assert.notEqual(a.id, b.id);
    assert.ok(a.id > 0, '0 is lost in the native part');
    places.released(a.id);
    assert.equal(places.at(ROOT, 'f')?.nodeId, 5);
    places.released(b.id);
    assert.equal(places.at(ROOT, 'f'), undefined);
    assert.equal(places.file(b.id), undefined);
  });

  test('another version takes the place of one that is open', () => {
    const places = new Places();
    const old = places.opened(ROOT, 'f', file(5));
    const next = places.opened(ROOT, 'f', file(6));
    assert.equal(old.place, undefined);
    assert.equal(places.at(ROOT, 'f')?.nodeId, 6);
    places.released(old.id);
    assert.equal(next.place, places.at(ROOT, 'f'));
  });

  test('a move takes what is open along, and what was open at the target loses its place', () => {
    const places = new Places();
    const moved = places.opened(ROOT, 'f', file(5));
    const replaced = places.opened(2, 'g', file(6));
    places.moved(ROOT, 'f', 2, 'g');
    assert.equal(places.at(ROOT, 'f'), undefined);
    assert.equal(moved.place, places.at(2, 'g'));
    assert.equal(replaced.place, undefined);
    places.moved(2, 'g', 2, 'g');
    assert.equal(moved.place, places.at(2, 'g'));
  });

  test('a removed file goes on under its hidden name, also after the close, until that is removed', () => {
    const places = new Places();
    const open = places.opened(ROOT, 'f', file(5));
    places.hid(ROOT, 'f', '.hidden');
    assert.equal(places.at(ROOT, 'f'), undefined);
    assert.equal(places.at(ROOT, '.hidden')?.hidden, true);
    assert.equal(places.hidesIn(ROOT), true);
    places.released(open.id);
    assert.equal(places.at(ROOT, '.hidden')?.nodeId, 5);
    places.removed(ROOT, '.hidden');
    assert.equal(places.hidesAny, false);
    assert.equal(places.hidesIn(ROOT), false);
  });
});
