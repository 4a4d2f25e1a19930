/** Answers of a daemon for the tests of what is shown. No test lives here. */

import { PLAIN, type Screen } from '../../../src/cli/show/paint.js';
import type { Queue, QueueEntry, Status } from '../../../src/control/index.js';

/** 2026-11-23 12:00:00 UTC. */
export const NOW_MS = Date.UTC(2026, 10, 23, 12);

export const MINUTE_MS = 60_000;
export const MIB = 1024 * 1024;
export const GIB = 1024 * MIB;

/** No terminal: no colours, nothing cut. */
export const PIPE: Screen = { paint: PLAIN, width: undefined };

export function terminal(width: number): Screen {
  return { paint: PLAIN, width };
}

/** Colours as words, to see which text has which. */
export const MARKED: Screen = { paint: (colour, text) => `<${colour}>${text}</>`, width: undefined };

export const QUIET: Status = {
  version: '0.1.0',
  pid: 4242,
  startedAtMs: NOW_MS - 150 * MINUTE_MS,
  profile: 'home',
  url: 'https://node.example/dav/',
  mountPoint: '/home/u/cloud',
  cacheDir: '/home/u/.cache/infinimount/x',
  driver: 'kernel',
  readOnly: false,
  kernel: {
    protocol: '7.45',
    features: ['PARALLEL_DIROPS', 'DO_READDIRPLUS'],
    absent: [{ feature: 'PASSTHROUGH', reason: 'it needs CAP_SYS_ADMIN' }],
  },
  takeovers: 0,
  keeper: 'process',
  connection: { kind: 'online' },
  credentials: { kind: 'basic', user: 'me', state: 'accepted', sinceMs: NOW_MS - 150 * MINUTE_MS },
  paused: false,
  queue: { pending: 0, running: 0, failing: 0, bytes: 0, bytesDone: 0 },
  rates: { upBytesPerSecond: 0, downBytesPerSecond: 0 },
  cache: {
    cleanBytes: 3 * GIB,
    cleanFiles: 812,
    stagedBytes: 0,
    stagedFiles: 0,
    pinned: 0,
    limitBytes: 10 * GIB,
  },
  conflicts: 0,
  errors: [],
};

export const BUSY: Status = {
  ...QUIET,
  takeovers: 2,
  connection: { kind: 'offline', reason: 'ECONNREFUSED', retryAtMs: NOW_MS + 20_000 },
  credentials: { kind: 'oauth2', state: 'refused', sinceMs: NOW_MS - MINUTE_MS },
  paused: true,
  queue: { pending: 1234, running: 2, failing: 1, bytes: 40 * MIB, bytesDone: 10 * MIB },
  rates: { upBytesPerSecond: 1.5 * MIB, downBytesPerSecond: 100 },
  cache: { ...QUIET.cache, stagedBytes: 40 * MIB, stagedFiles: 3, pinned: 4 },
  capacity: { totalBytes: 100 * GIB, usedBytes: 40 * GIB },
  conflicts: 2,
  errors: [1, 2, 3, 4].map((at) => ({
    atMs: NOW_MS - (5 - at) * MINUTE_MS,
    code: 'server',
    message: `trouble ${at}`,
    ...(at === 4 ? { path: '/a\u001b[2Jb' } : {}),
  })),
};

export function queueOf(...items: readonly Partial<QueueEntry>[]): Queue {
  return {
    total: items.length,
    truncated: false,
    items: items.map((item) => ({ path: '/f', operation: 'upload', state: 'due', retries: 0, ...item })),
  };
}
