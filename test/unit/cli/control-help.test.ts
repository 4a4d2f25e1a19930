import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controlHelpLines } from '../../../src/cli/control-help.js';
import { ROUTE_NAMES, routeOf } from '../../../src/control/index.js';

test('help control has a line for every route', () => {
  const lines = controlHelpLines();
  for (const name of ROUTE_NAMES) {
    const { method, path, summary } = routeOf(name);
    const words = [method, path, summary];
    assert.equal(lines.filter((line) => words.every((word) => line.includes(word))).length, 1, name);
  }
});
