/** Names and attributes: walks and long listings. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Workload } from '../types.js';
import { makeFiles, makeTree } from './fixtures.js';

/** What Apache says of one file in a listing with named properties. */
const LISTED_BYTES = 390;
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
    await run.step('cold', program, { line: { roundTrips: 1, downBytes: 5_000 * LISTED_BYTES } });
    await run.step('again', program);
  },
};

export const walkLarge: Workload = {
  name: 'walk-large',
  title: 'walk + stat 100,000 files in 5,000 directories',
  // The others take minutes.
  tools: ['infinimount', 'local'],
  prepare: (root) => makeTree(join(root, 'tree'), 5_000, 100_000),
  run: async (run) => {
    const program = { name: 'walk', args: [run.path('tree'), 100_000] };
    await run.step('cold', program);
    await run.step('again', program);
    await run.remount();
    await run.step('after a restart', program);
  },
};

const HUGE = 100_000;

export const listHuge: Workload = {
  name: 'list-huge',
  title: 'list + stat 100,000 files in one directory',
  tools: ['infinimount', 'local', 'rclone'],
  prepare: (root) => makeFiles(join(root, 'huge'), HUGE, 10),
  run: async (run) => {
    const program = { name: 'walk', args: [run.path('huge'), HUGE] };
    await run.step('cold', program, { line: { roundTrips: 1, downBytes: HUGE * LISTED_BYTES } });
    await run.step('again', program);
    await run.remount();
    await run.step('one name after a restart', {
      name: 'statOnce',
      args: [run.path('huge', 'file77777.bin')],
    });
    await run.step('after a restart', program);
    await run.step(
      'create and remove 100 files in it',
      { name: 'createAndRemove', args: [run.path('huge'), 100] },
      { onServer: () => !readdirSync(run.onServer('huge')).some((name) => name.startsWith('extra')) },
    );
  },
};
