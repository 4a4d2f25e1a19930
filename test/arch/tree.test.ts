/** Keeps the shape of the repository: its top-level entries, and a lock file that names no download address. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** Asked for by the user, and what tools need beside them. */
const TOP_LEVEL = new Set([
  ...['package.json', 'tsconfig.json', 'src', 'bin', 'test', 'systemd', 'README.md'],
  ...['package-lock.json', '.gitignore', '.ci', 'LICENSE', 'biome.json'],
]);

/** Files that are tracked, or would be by `git add`. */
function ownFiles(): string[] {
  const output = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT, encoding: 'utf8' });
  return output.split('\0').filter((file) => file !== '');
}

test('the top level holds only what belongs there', () => {
  const entries = new Set(ownFiles().map((file) => file.split('/')[0] ?? ''));
  const strange = [...entries].filter((entry) => !TOP_LEVEL.has(entry));
  assert.deepEqual(strange, [], 'documents live beside what they describe, everything else in src, bin or test');
});

test('the lock file names no download address', () => {
  const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  assert.ok(!lock.includes('"resolved"'), 'run: npm install --omit-lockfile-registry-resolved');
});

test('no file names a path of a developer machine', () => {
  const needle = `${dirname(ROOT)}/`;
  // A checkout directly below the root of the file system has no path to betray.
  if (needle === '//') return;
  const found = ownFiles().filter((file) => file !== 'package-lock.json' && readFileSync(join(ROOT, file), 'utf8').includes(needle));
  assert.deepEqual(found, []);
});
