import assert from 'node:assert/strict';
import { test } from 'node:test';

test('an assertion that fails without words of its own says so at once', () => {
  const holds: boolean = Math.random() > 1;
  assert.throws(() => assert.ok(holds), /^AssertionError.*what must hold does not/s);
  assert.throws(() => assert.ok(holds, 'in words'), /in words/);
  assert.throws(() => assert.ok(holds, new TypeError('as an error')), TypeError);
});
