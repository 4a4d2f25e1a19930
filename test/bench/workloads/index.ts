import type { Workload } from '../types.js';
import { git } from './git.js';
import { latency } from './latency.js';
import { list, walk, walkLarge } from './listing.js';
import { npmCi, rsync, untar } from './programs-of-others.js';
import { readHead, readLarge, readRandom, readRandomSlow, readSmall } from './reading.js';
import { copyLarge, writeLarge, writePieces, writeSmall } from './writing.js';

/** In the order of the table. */
export const WORKLOADS: readonly Workload[] = [
  walk,
  list,
  readLarge,
  readRandom,
  readRandomSlow,
  readHead,
  readSmall,
  writeSmall,
  writeLarge,
  writePieces,
  copyLarge,
  git,
  untar,
  rsync,
  npmCi,
  latency,
  walkLarge,
];
