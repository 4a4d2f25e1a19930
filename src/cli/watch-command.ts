/**
 * `status --watch`: on a terminal a screen that follows the mount until `q` or Ctrl-C, elsewhere a line for each change,
 * and with `--json` each event as one line. A daemon that goes and comes back (a take-over) is waited for a while.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { createLogUpdate } from 'log-update';
import { ControlError, type ControlEvent } from '../control/index.js';
import { controlUserError } from './control-failure.js';
import { EXIT_CODES } from './exit-codes.js';
import type { Live } from './live.js';
import { complain, say } from './output.js';
import { statusLine } from './show/status.js';
import { printable } from './show/text.js';
import { type Happening, happeningOf, RECENT_LIMIT, type WatchState, watchLines } from './show/watch.js';

const TICK_MS = 1_000;
/** Queue items that are asked for: more than a screen has lines. */
const QUEUE_LIMIT = 200;
/** How long a new daemon may take to come up in the place of the old one. */
const RETURN_MS = 20_000;
const DEFAULT_ROWS = 24;

export interface WatchOptions {
  readonly verbose: boolean;
}

export async function runWatch(live: Live, options: WatchOptions): Promise<number> {
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  const view = viewOf(live, options, stop);
  try {
    await follow(live, view, stop.signal);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    view.close();
  }
  return EXIT_CODES.ok.code;
}

/** What shows the state; called for each change. */
interface View {
  /** Whether the status is to be asked for beside what the events bring. */
  readonly polls: boolean;
  onEvent(event: ControlEvent): void;
  onState(status: WatchState['status'], queue: WatchState['queue']): void;
  onSilence(why: string | undefined): void;
  close(): void;
}

function viewOf(live: Live, { verbose }: WatchOptions, stop: AbortController): View {
  if (live.json) return jsonView();
  return process.stdout.isTTY === true ? screenView(live, verbose, stop) : lineView();
}

/** Follows the mount until the signal; rejects when its daemon is gone for good. */
async function follow(live: Live, view: View, signal: AbortSignal): Promise<void> {
  let lastSeen = performance.now();
  for (;;) {
    const round = new AbortController();
    const both = AbortSignal.any([signal, round.signal]);
    const seen = () => {
      lastSeen = performance.now();
      view.onSilence(undefined);
    };
    try {
      const lanes = [followEvents(live, view, both, seen)];
      if (view.polls) lanes.push(poll(live, view, both, seen));
      await Promise.race(lanes);
      // The stream ends when the daemon does.
      view.onSilence('The daemon went away; waiting for another one');
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ControlError)) throw error;
      if (performance.now() - lastSeen > RETURN_MS) throw controlUserError(error, live.name);
      view.onSilence(`The daemon does not answer (${error.code}); waiting for it`);
    } finally {
      round.abort();
    }
    signal.throwIfAborted();
    await delay(TICK_MS, undefined, { signal });
  }
}

async function followEvents(live: Live, view: View, signal: AbortSignal, seen: () => void): Promise<void> {
  for await (const event of live.mount.client.events({ signal })) {
    seen();
    view.onEvent(event);
  }
}

async function poll(live: Live, view: View, signal: AbortSignal, seen: () => void): Promise<void> {
  const { client } = live.mount;
  for (;;) {
    const status = await client.call('status', {}, { signal });
    const queue = await client.call('queue', { limit: QUEUE_LIMIT }, { signal });
    seen();
    view.onState(status, queue);
    await delay(TICK_MS, undefined, { signal });
  }
}

/** Keys come one by one, and Ctrl-C as a key, while the screen is shown. */
function screenView(live: Live, verbose: boolean, stop: AbortController): View {
  const { stdin, stdout } = process;
  const update = createLogUpdate(stdout);
  let state: WatchState = {
    status: live.mount.status,
    queue: { total: 0, items: [], truncated: false },
    recent: [],
    silence: undefined,
  };
  const draw = () => {
    const view = { nowMs: Date.now(), screen: live.screen, verbose };
    update(watchLines(state, view, stdout.rows ?? DEFAULT_ROWS).join('\n'));
  };
  const onKey = (key: Buffer) => {
    const end = ['q', 'Q', '\u0003', '\u0004'];
    if (end.includes(key.toString())) stop.abort();
  };
  const hasKeys = stdin.isTTY === true;
  if (hasKeys) {
    stdin.setRawMode(true);
    stdin.on('data', onKey);
    stdin.resume();
  }
  stdout.on('resize', draw);
  draw();
  return {
    polls: true,
    onEvent: (event) => {
      const text = happeningOf(event, Date.now());
      if (text !== undefined) state = { ...state, recent: withRecent(state.recent, text) };
      if (event.type === 'status') state = { ...state, status: event.status };
      draw();
    },
    onState: (status, queue) => {
      state = { ...state, status, queue };
      draw();
    },
    onSilence: (silence) => {
      if (state.silence === silence) return;
      state = { ...state, silence };
      draw();
    },
    close: () => {
      stdout.off('resize', draw);
      if (hasKeys) {
        stdin.off('data', onKey);
        stdin.setRawMode(false);
        stdin.pause();
      }
      update.done();
    },
  };
}

function withRecent(recent: readonly Happening[], text: string): readonly Happening[] {
  return [...recent, { atMs: Date.now(), text }].slice(-RECENT_LIMIT);
}

/** For a log: one line when something is different, however many changes there were. */
function lineView(): View {
  let last: string | undefined;
  return {
    polls: true,
    onEvent: (event) => {
      const text = happeningOf(event, Date.now());
      if (text !== undefined) say(`  ${text}`);
    },
    onState: (status) => {
      // The time in front is always another one.
      const timeless = statusLine(status, 0);
      if (timeless === last) return;
      last = timeless;
      say(statusLine(status, Date.now()));
    },
    onSilence: (why) => {
      if (why !== undefined) complain(printable(why));
    },
    close: () => undefined,
  };
}

function jsonView(): View {
  return {
    polls: false,
    onEvent: (event) => say(JSON.stringify(event)),
    onState: () => undefined,
    onSilence: () => undefined,
    close: () => undefined,
  };
}
