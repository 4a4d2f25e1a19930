/** git: many small operations of every kind. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { missingCommands, sh } from '../../support/exec.js';
import type { Workload } from '../types.js';

const ENV: Readonly<Record<string, string>> = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 'Bench',
  GIT_AUTHOR_EMAIL: 'bench@example.org',
  GIT_COMMITTER_NAME: 'Bench',
  GIT_COMMITTER_EMAIL: 'bench@example.org',
};

const MAKE_REPOSITORY = `
  git init -q "$1"; cd "$1"
  for d in 1 2 3 4 5 6; do
    mkdir dir$d
    for f in $(seq 25); do seq $((d * f)) $((d * f + 300)) > dir$d/file$f.txt; done
  done
  git add .; git commit -qm start`;

export const git: Workload = {
  name: 'git',
  title: 'git clone (150 files) and git status',
  prepare: () => {
    if (missingCommands(['git']).length > 0) throw new Error('git is not installed');
  },
  run: async (run) => {
    const repository = mkdtempSync(join(tmpdir(), 'infinimount-bench-git-'));
    try {
      await sh(MAKE_REPOSITORY, [repository], { env: ENV });
      await run.quietly({ name: 'command', args: [['mkdir', run.path(run.ownName)], '/', ENV] });
      const clone = ['git', 'clone', '-q', '--no-hardlinks', repository, 'repo'];
      await run.step('clone', { name: 'command', args: [clone, run.path(run.ownName), ENV] });
      const status = { name: 'command', args: [['git', 'status', '-s'], run.path(run.ownName, 'repo'), ENV] };
      await run.step('status', status);
      await run.step('status again', status);
    } finally {
      rmSync(repository, { recursive: true, force: true });
    }
  },
};
