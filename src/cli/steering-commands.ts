/** The commands that look into or steer a running mount with one question: queue, pause, resume, cache, log-level. */

import { quote, UserError } from '../base/index.js';
import type { ControlLogLevel } from '../control/index.js';
import { EXIT_CODES } from './exit-codes.js';
import { runEvict } from './file-commands.js';
import type { Live } from './live.js';
import { cacheLines, reportLines } from './show/lists.js';
import { queueLines } from './show/queue.js';

const OK = EXIT_CODES.ok.code;

export async function runQueue(live: Live, limit: number | undefined): Promise<number> {
  const queue = await live.call('queue', limit === undefined ? {} : { limit });
  live.tell(queue, () => queueLines(queue, Date.now(), live.screen));
  return OK;
}

export async function runPause(live: Live, paused: boolean): Promise<number> {
  const state = await live.call(paused ? 'pause' : 'resume', {});
  live.tell(state, () => [
    state.paused
      ? 'infinimount: nothing is sent until infinimount resume; files can be used as before'
      : 'infinimount: changes are sent',
  ]);
  return OK;
}

export const CACHE_ACTIONS = ['stats', 'verify', 'clear'] as const;

export async function runCache(live: Live, action: (typeof CACHE_ACTIONS)[number]): Promise<number> {
  switch (action) {
    case 'stats': {
      const stats = await live.call('cache', {});
      live.tell(stats, () => cacheLines(stats));
      return OK;
    }
    case 'verify': {
      const report = await live.work('verify', {});
      live.tell(report, () => reportLines(report));
      return report.damaged.length === 0 ? OK : EXIT_CODES.cacheContent.code;
    }
    case 'clear':
      return await runEvict(live, undefined);
  }
}

export const LEVELS: readonly ControlLogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

export function isLevel(text: string): text is ControlLogLevel {
  return LEVELS.some((level) => level === text);
}

/** `level` undefined: only tells it. */
export async function runLogLevel(live: Live, level: ControlLogLevel | undefined): Promise<number> {
  const state =
    level === undefined ? await live.call('logLevel', {}) : await live.call('setLogLevel', { level });
  live.tell(state, () => [state.level]);
  return OK;
}

/** The largest number of items that the daemon gives at once. */
const MAX_ITEMS = 10_000;

export function parseLimit(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit >= 1) return Math.min(limit, MAX_ITEMS);
  throw new UserError('usage', `Cannot use --limit ${quote(text)}: it must be a number from 1`);
}
