/** File contents: whole, by pieces, many small ones. */

import { join } from 'node:path';
import type { Workload } from '../types.js';
import { MIB, makeFiles, makeLarge } from './fixtures.js';

const SIZE = 256 * MIB;
const PIECES = 100;
const PIECE_BYTES = 4_096;
const HEAD_BYTES = 64 * 1024;
/** 100 Mbit/s. */
export const SLOW_LINE = 12_500_000;
const SLOW_SIZE = 64 * MIB;

const prepareLarge = (root: string) => makeLarge(join(root, 'large'), SIZE);

export const readLarge: Workload = {
  name: 'read',
  title: 'read 256 MiB',
  prepare: prepareLarge,
  run: async (run) => {
    const program = { name: 'readWhole', args: [run.path('large'), SIZE] };
    await run.step('cold', program, { line: { roundTrips: 3, downBytes: SIZE } });
    await run.step('cached', program);
    // The open before made a kernel with passthrough drop what it kept of the first reading.
    await run.step('cached, once more', program);
    await run.remount();
    await run.step('cached, after a restart', program);
  },
};

export const readRandom: Workload = {
  name: 'random',
  title: '100 random 4 KiB reads of 256 MiB',
  prepare: prepareLarge,
  run: (run) =>
    run.step(
      'cold',
      { name: 'readRandom', args: [run.path('large'), SIZE, PIECES, PIECE_BYTES] },
      { line: { roundTrips: PIECES + 1, downBytes: PIECES * PIECE_BYTES } },
    ),
};

export const readRandomSlow: Workload = {
  ...readRandom,
  name: 'random-slow',
  title: `${readRandom.title}, 100 Mbit/s`,
  rateBytesPerS: SLOW_LINE,
};

export const readHead: Workload = {
  name: 'head',
  title: 'first 64 KiB of 256 MiB',
  prepare: prepareLarge,
  run: (run) =>
    run.step(
      'cold',
      { name: 'readHead', args: [run.path('large'), HEAD_BYTES] },
      { line: { roundTrips: 2, downBytes: HEAD_BYTES } },
    ),
};

export const readSmall: Workload = {
  name: 'read-small',
  title: 'read 500 files of 10 KiB',
  prepare: (root) => makeFiles(join(root, 'small'), 500, 10 * 1024),
  run: async (run) => {
    const program = { name: 'readAll', args: [run.path('small'), 500] };
    await run.step('cold', program, { line: { roundTrips: 2, downBytes: 500 * 10 * 1024 } });
    await run.step('cached', program);
  },
};

export const readLargeSlow: Workload = {
  name: 'read-slow',
  title: 'read 64 MiB, 100 Mbit/s',
  rateBytesPerS: SLOW_LINE,
  prepare: (root) => makeLarge(join(root, 'large'), SLOW_SIZE),
  run: (run) =>
    run.step(
      'cold',
      { name: 'readWhole', args: [run.path('large'), SLOW_SIZE] },
      { line: { roundTrips: 3, downBytes: SLOW_SIZE } },
    ),
};

export const readSmallSlow: Workload = {
  ...readSmall,
  name: 'read-small-slow',
  title: `${readSmall.title}, 100 Mbit/s`,
  rateBytesPerS: SLOW_LINE,
};
