/** What people run: archives, copies of trees, package managers. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sh } from '../../support/exec.js';
import type { Run, Workload } from '../types.js';
import { makeTree } from './fixtures.js';

/** Makes something in a directory of this machine's own disk, and removes it when `work` is done. */
async function withScratch(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'infinimount-bench-scratch-'));
  try {
    await work(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

const nothing = () => undefined;

async function inOwnDirectory(run: Run): Promise<string> {
  const dir = run.path(run.ownName);
  await run.quietly({ name: 'command', args: [['mkdir', dir], '/', {}] });
  return dir;
}

export const untar: Workload = {
  name: 'untar',
  title: 'untar 1,000 files in 50 directories',
  prepare: nothing,
  run: (run) =>
    withScratch(async (scratch) => {
      makeTree(join(scratch, 'tree'), 50, 1_000);
      await sh('tar -C "$1" -cf "$1/tree.tar" tree', [scratch]);
      const dir = await inOwnDirectory(run);
      const argv = ['tar', '-C', dir, '-xf', join(scratch, 'tree.tar')];
      await run.step('new', { name: 'command', args: [argv, '/', {}] });
    }),
};

export const rsync: Workload = {
  name: 'rsync',
  title: 'rsync -a of 1,000 files in 50 directories',
  prepare: nothing,
  run: (run) =>
    withScratch(async (scratch) => {
      makeTree(join(scratch, 'tree'), 50, 1_000);
      const dir = await inOwnDirectory(run);
      const program = { name: 'command', args: [['rsync', '-a', `${scratch}/tree`, dir], '/', {}] };
      await run.step('new', program);
      await run.step('again', program);
    }),
};

const PACKAGES = 20;
const FILES_OF_PACKAGE = 25;

/** A project that depends on packages which lie beside it as archives: no registry is asked. */
async function makeNodeProject(dir: string): Promise<void> {
  const dependencies: Record<string, string> = {};
  for (let index = 0; index < PACKAGES; index++) {
    const name = `package-${index}`;
    const source = join(dir, 'sources', name);
    mkdirSync(join(source, 'lib'), { recursive: true });
    writeFileSync(join(source, 'package.json'), JSON.stringify({ name, version: '1.0.0' }));
    for (let file = 0; file < FILES_OF_PACKAGE; file++) {
      writeFileSync(join(source, 'lib', `module${file}.js`), `export const value = ${file};\n`.repeat(40));
    }
    dependencies[name] = `file:archives/${name}-1.0.0.tgz`;
  }
  mkdirSync(join(dir, 'archives'));
  await sh('cd "$1/archives" && npm pack --silent ../sources/* > /dev/null', [dir]);
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'bench', version: '1.0.0', dependencies }));
  await sh('cd "$1" && npm install --offline --silent --no-audit --no-fund --package-lock-only', [dir]);
}

export const npmCi: Workload = {
  name: 'npm-ci',
  title: `npm ci of ${PACKAGES} packages with ${PACKAGES * FILES_OF_PACKAGE} files`,
  prepare: nothing,
  run: (run) =>
    withScratch(async (scratch) => {
      await makeNodeProject(scratch);
      const dir = await inOwnDirectory(run);
      const copy = [
        'cp',
        '-r',
        ...['package.json', 'package-lock.json', 'archives'].map((name) => join(scratch, name)),
        dir,
      ];
      await run.quietly({ name: 'command', args: [copy, '/', {}] });
      const argv = ['npm', 'ci', '--offline', '--silent', '--no-audit', '--no-fund'];
      await run.step('new', { name: 'command', args: [argv, dir, {}] });
    }),
};
