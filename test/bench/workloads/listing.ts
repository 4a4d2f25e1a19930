/** Names and attributes: walks and long listings. */

import { join } from 'node:path';
import type { Workload } from '../types.js';
import { makeFiles, makeTree } from './fixtures.js';

/** Levels of 210 directories with seven in each, and the root of the drive. */
const TREE_DEPTH = 5;

export const walk: Workload = {
  name: 'walk',
  title: 'walk + stat 5,000 files in 210 directories',
  prepare: (root) => makeTree(join(root, 'tree'), 210, 5_000),
  run: async (run) => {
    const program = { name: 'walk', args: [run.path('tree'), 5_000] };
    await run.step('cold', program, { line: { roundTrips: TREE_DEPTH } });
    await run.step('again', program);
    await run.remount();
    await run.step('after a restart', program);
  },
};

export const list: Workload = {
  name: 'list',
  title: 'list 5,000 files in one directory',
  prepare: (root) => makeFiles(join(root, 'flat'), 5_000, 10),
  run: async (run) => {
    const program = { name: 'walk', args: [run.path('flat'), 5_000] };
    await run.step('cold', program);
    await run.step('again', program);
  },
};

export const walkLarge: Workload = {
  name: 'walk-large',
  title: 'walk + stat 100,000 files in 5,000 directories',
  prepare: (root) => makeTree(join(root, 'tree'), 5_000, 100_000),
  run: async (run) => {
    const program = { name: 'walk', args: [run.path('tree'), 100_000] };
    await run.step('cold', program);
    await run.step('again', program);
    await run.remount();
    await run.step('after a restart', program);
  },
};
