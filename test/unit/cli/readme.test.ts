import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { README, withTables } from '../../setup/readme-tables.js';

test('the tables of the README are those of the code', () => {
  const readme = readFileSync(README, 'utf8');
  assert.equal(readme, withTables(readme), 'run: npm run readme');
});

test('a README without the marks is refused', () => {
  assert.throws(() => withTables('# infinimount'), /<!-- begin: commands -->/);
});
