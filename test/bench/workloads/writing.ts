/** Writing: small files, a large one, small pieces. Both the program's end and the server's copy are timed. */

import type { Workload } from '../types.js';
import { hasFiles, hasSize, MIB } from './fixtures.js';

const nothing = () => undefined;

export const writeSmall: Workload = {
  name: 'write-small',
  title: 'write 300 files of 10 KiB',
  prepare: nothing,
  run: (run) =>
    run.step('new', { name: 'writeFiles', args: [run.path(run.ownName), 300, 10 * 1024] }, () =>
      hasFiles(run.onServer(run.ownName), 300, 10 * 1024),
    ),
};

export const writeLarge: Workload = {
  name: 'write',
  title: 'write 256 MiB',
  prepare: nothing,
  run: (run) =>
    run.step('new', { name: 'writePieces', args: [run.path(run.ownName), 256, MIB] }, () =>
      hasSize(run.onServer(run.ownName), 256 * MIB),
    ),
};

export const writePieces: Workload = {
  name: 'write-pieces',
  title: '8,192 writes of 4 KiB',
  prepare: nothing,
  run: (run) =>
    run.step('new', { name: 'writePieces', args: [run.path(run.ownName), 8_192, 4_096] }, () =>
      hasSize(run.onServer(run.ownName), 8_192 * 4_096),
    ),
};
