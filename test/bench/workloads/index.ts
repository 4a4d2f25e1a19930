import type { Workload } from '../types.js';
import { git } from './git.js';
import { latency } from './latency.js';
import { list, listHuge, walk, walkLarge } from './listing.js';
import { npmCi, rsync, untar } from './programs-of-others.js';
import {
  readHead,
  readLarge,
  readLargeSlow,
  readRandom,
  readRandomSlow,
  readSmall,
  readSmallSlow,
} from './reading.js';
import { scale, start } from './scale.js';
import { copyLarge, writeLarge, writeLargeSlow, writePieces, writeSmall, writeSmallSlow } from './writing.js';

/** In the order of the table. */
export const WORKLOADS: readonly Workload[] = [
  walk,
  list,
  readLarge,
  readLargeSlow,
  readRandom,
  readRandomSlow,
  readHead,
  readSmall,
  readSmallSlow,
  writeSmall,
  writeSmallSlow,
  writeLarge,
  writeLargeSlow,
  writePieces,
  copyLarge,
  git,
  untar,
  rsync,
  npmCi,
  latency,
  listHuge,
  walkLarge,
  start,
  scale,
];
