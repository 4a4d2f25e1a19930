/** That the benchmark runs, tells what it has, and gives figures: on the local directory, which needs no server. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { TempDir } from '../mount/setup.js';
import { run, runOk } from '../support/exec.js';
import type { Row } from './types.js';
import { WORKLOADS } from './workloads/index.js';

const MAIN = [process.execPath, '--import', 'tsx', fileURLToPath(new URL('./main.ts', import.meta.url))];

describe('benchmark', () => {
  test('--list names every workload', async () => {
    const listed = await runOk([...MAIN, '--list']);
    for (const { name, title } of WORKLOADS) assert.ok(listed.includes(name) && listed.includes(title), name);
  });

  test('an unknown workload or tool is refused', async () => {
    assert.equal((await run([...MAIN, '--only', 'nonsense'])).code, 2);
    assert.equal((await run([...MAIN, '--tool', 'nonsense'])).code, 2);
  });

  test('gives a table and JSON', async () => {
    using temp = new TempDir('bench');
    const only = ['walk', 'write-small', 'git'].flatMap((name) => ['--only', name]);
    const table = await runOk([...MAIN, ...only, '--tool', 'local', '--json', temp.at('rows.json')]);
    const rows = JSON.parse(readFileSync(temp.at('rows.json'), 'utf8')) as Row[];
    assert.deepEqual(
      rows.map((row) => `${row.workload} ${row.step}`),
      [
        'walk cold',
        'walk again',
        'walk after a restart',
        'write-small new',
        'git clone',
        'git status',
        'git status again',
      ],
    );
    for (const row of rows) {
      assert.ok((row.figures?.seconds ?? 0) > 0, JSON.stringify(row));
      assert.ok(table.includes(row.figures?.seconds.toFixed(3) ?? '?'));
    }
    assert.ok((rows[3]?.figures?.onServerSeconds ?? 0) > 0);
  });
});
