/** Waiting until everything is on the server, with a progress bar for whoever watches and a word on why nothing moves. */

import { setTimeout as delay } from 'node:timers/promises';
import { Presets, SingleBar } from 'cli-progress';
import type { Live } from './live.js';
import { complain } from './output.js';
import { progressText, QueueProgress, type WaitReason, waitReason } from './show/progress.js';
import { printable } from './show/text.js';

const TICK_MS = 500;
const BAR_WIDTH = 24;
/** The bar counts in thousandths. */
const BAR_STEPS = 1000;

/** What holds the queue counts when it has lasted for so long: the daemon tries once more when someone waits. */
const HELD_MS = 3_000;

export interface Waiting {
  readonly timeoutMs: number | undefined;
  /** Ends too when nothing can be sent until something outside changes. */
  readonly ifPossible?: boolean;
}

export interface Waited {
  /** Changes that are left: 0, or more when the time was over or nothing could be sent. */
  readonly pending: number;
  /** Why, as far as it is known. */
  readonly reason: WaitReason | undefined;
}

/** Rejects with {@link UserError} when the daemon goes or hangs, and with the signal's reason. */
export async function waitForServer(
  live: Live,
  { timeoutMs, ifPossible = false }: Waiting,
  signal: AbortSignal,
): Promise<Waited> {
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const watcher = new Watcher(live, ifPossible);
  const watching = watcher.run(both);
  const request = timeoutMs === undefined ? {} : { timeoutMs };
  try {
    // The watcher asks often enough to find a daemon that hangs.
    const flushed = live.call('flush', request, both).then(({ pending }) => ({
      pending,
      reason: pending === 0 ? undefined : watcher.reason,
    }));
    return await Promise.race([flushed, watching]);
  } finally {
    ended.abort();
    await watching.catch(() => undefined);
  }
}

class Watcher {
  readonly #live: Live;
  readonly #ifPossible: boolean;
  #sinceMs = 0;
  reason: WaitReason | undefined;

  constructor(live: Live, ifPossible: boolean) {
    this.#live = live;
    this.#ifPossible = ifPossible;
  }

  /** Shows how it goes until the signal, or the end of all hope where someone wants to know of it. */
  async run(signal: AbortSignal): Promise<Waited> {
    const progress = new QueueProgress();
    const bar = openBar(this.#live);
    try {
      for (;;) {
        const status = await this.#live.call('status', {}, signal);
        this.#see(waitReason(status), bar);
        const seen = progress.observe(status);
        if (this.#isHeld()) return { pending: seen.pending, reason: this.reason };
        bar.update(seen.fraction, progressText(seen, status.rates.upBytesPerSecond));
        await delay(TICK_MS, undefined, { signal });
      }
    } finally {
      bar.close();
    }
  }

  #see(reason: WaitReason | undefined, bar: Bar): void {
    const isNew = reason?.key !== this.reason?.key;
    this.reason = reason;
    if (!isNew) return;
    this.#sinceMs = performance.now();
    if (reason !== undefined) bar.note(printable(reason.text));
  }

  #isHeld(): boolean {
    if (!this.#ifPossible || this.reason === undefined || this.reason.key === 'failing') return false;
    return performance.now() - this.#sinceMs >= HELD_MS;
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
