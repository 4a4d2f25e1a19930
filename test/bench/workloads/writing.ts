/** Writing: small files, a large one, small pieces. Both the program's end and the server's copy are timed. */

import { join } from 'node:path';
import type { Workload } from '../types.js';
import { hasFiles, hasSize, MIB, makeLarge } from './fixtures.js';
import { SLOW_LINE } from './reading.js';

const nothing = () => undefined;

export const writeSmall: Workload = {
  name: 'write-small',
  title: 'write 300 files of 10 KiB',
  prepare: nothing,
  run: (run) =>
    run.step(
      'new',
      { name: 'writeFiles', args: [run.path(run.ownName), 300, 10 * 1024] },
      {
        onServer: () => hasFiles(run.onServer(run.ownName), 300, 10 * 1024),
        line: { roundTrips: 2, upBytes: 300 * 10 * 1024 },
      },
    ),
};

/** One file of so many MiB. */
function writing(mebibytes: number): Workload['run'] {
  return (run) =>
    run.step(
      'new',
      { name: 'writePieces', args: [run.path(run.ownName), mebibytes, MIB] },
      {
        onServer: () => hasSize(run.onServer(run.ownName), mebibytes * MIB),
        line: { roundTrips: 1, upBytes: mebibytes * MIB },
      },
    );
}

export const writeLarge: Workload = {
  name: 'write',
  title: 'write 256 MiB',
  prepare: nothing,
  run: writing(256),
};

export const writeLargeSlow: Workload = {
  name: 'write-slow',
  title: 'write 64 MiB, 100 Mbit/s',
  rateBytesPerS: SLOW_LINE,
  prepare: nothing,
  run: writing(64),
};

export const writeSmallSlow: Workload = {
  ...writeSmall,
  name: 'write-small-slow',
  title: `${writeSmall.title}, 100 Mbit/s`,
  rateBytesPerS: SLOW_LINE,
};

export const writePieces: Workload = {
  name: 'write-pieces',
  title: '8,192 writes of 4 KiB',
  prepare: nothing,
  run: async (run) => {
    // The first file in a directory waits for its listing; writing itself shows in another one.
    for (const [step, name] of [
      ['new', run.ownName],
      ['another', `${run.ownName}-another`],
    ] as const) {
      await run.step(
        step,
        { name: 'writePieces', args: [run.path(name), 8_192, 4_096] },
        { onServer: () => hasSize(run.onServer(name), 8_192 * 4_096) },
      );
    }
  },
};

/** The same bytes under a new name: a server that can copy need not get them again. */
export const copyLarge: Workload = {
  name: 'copy',
  title: 'cp of a file of 64 MiB within the drive',
  prepare: (root) => makeLarge(join(root, 'original'), 64 * MIB),
  run: (run) =>
    run.step(
      'cold',
      { name: 'command', args: [['cp', run.path('original'), run.path(run.ownName)], '/', {}] },
      { onServer: () => hasSize(run.onServer(run.ownName), 64 * MIB) },
    ),
};
