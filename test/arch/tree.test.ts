/** Keeps the shape of the repository: its top-level entries, and a lock file that names no download address. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** Asked for by the user, and what tools need beside them. */
const TOP_LEVEL = new Set([
  ...['package.json', 'tsconfig.json', 'src', 'bin', 'test', 'systemd', 'README.md'],
  ...['package-lock.json', '.gitignore', '.ci', 'LICENSE', 'biome.json'],
]);

/** Never committed: of git itself, and what .gitignore names. */
const NOT_TRACKED = new Set(['.git', 'node_modules', 'dist']);

test('the top level holds only what belongs there', () => {
  const strange = readdirSync(ROOT).filter((entry) => !TOP_LEVEL.has(entry) && !NOT_TRACKED.has(entry));
  assert.deepEqual(
    strange,
    [],
    'documents live beside what they describe, everything else in src, bin or test',
  );
});

test('the lock file names no download address', () => {
  const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  assert.ok(!lock.includes('"resolved"'), 'run: npm install --omit-lockfile-registry-resolved');
});
