/** Waiting until everything is on the server, with a progress bar for whoever watches and a word on why nothing moves. */

import { setTimeout as delay } from 'node:timers/promises';
import { Presets, SingleBar } from 'cli-progress';
import type { Live } from './live.js';
import { complain } from './output.js';
import { progressText, QueueProgress, waitReason } from './show/progress.js';
import { printable } from './show/text.js';

const TICK_MS = 500;
const BAR_WIDTH = 24;
/** The bar counts in thousandths. */
const BAR_STEPS = 1000;

/**
 * Resolves with the number of changes that are left: 0, or more when the time was over. Rejects with {@link UserError}
 * when the daemon goes or hangs, and with the signal's reason.
 */
export async function waitForServer(
  live: Live,
  timeoutMs: number | undefined,
  signal: AbortSignal,
): Promise<number> {
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const watching = watch(live, both);
  const request = timeoutMs === undefined ? {} : { timeoutMs };
  try {
    // The watcher asks often enough to find a daemon that hangs; it never ends by itself in another way.
    const { pending } = await Promise.race([live.call('flush', request, both), watching]);
    return pending;
  } finally {
    ended.abort();
    await watching.catch(() => undefined);
  }
}

async function watch(live: Live, signal: AbortSignal): Promise<never> {
  const progress = new QueueProgress();
  const bar = openBar(live);
  let told: string | undefined;
  try {
    for (;;) {
      const status = await live.call('status', {}, signal);
      const reason = waitReason(status);
      if (reason?.key !== told) {
        told = reason?.key;
        if (reason !== undefined) bar.note(printable(reason.text));
      }
      const seen = progress.observe(status);
      bar.update(seen.fraction, progressText(seen, status.rates.upBytesPerSecond));
      await delay(TICK_MS, undefined, { signal });
    }
  } finally {
    bar.close();
  }
}

interface Bar {
  update(fraction: number, text: string): void;
  /** A line that stays. */
  note(line: string): void;
  close(): void;
}

/** On a terminal only: a log has no use for a line twice a second. */
function openBar(live: Live): Bar {
  if (process.stderr.isTTY !== true || live.json)
    return { update: () => undefined, note: complain, close: () => undefined };
  const bar = new SingleBar(
    {
      format: '{bar} {percentage} % | {text}',
      barsize: BAR_WIDTH,
      hideCursor: true,
      clearOnComplete: true,
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  let value = 0;
  let text = '';
  const start = () => bar.start(BAR_STEPS, value, { text });
  start();
  return {
    update: (fraction, shown) => {
      value = Math.floor(fraction * BAR_STEPS);
      text = shown;
      bar.update(value, { text });
    },
    note: (line) => {
      bar.stop();
      complain(line);
      start();
    },
    close: () => bar.stop(),
  };
}
