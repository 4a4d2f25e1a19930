/**
 * The last wait of a mount: programs are gone from it, and what they left is sent for as long as that is allowed and
 * gets anywhere. What is left then stays in the cache.
 */

import { type Clock, sleep } from '../../base/index.js';

/** What is not on the server yet. */
export interface UploadProgress {
  readonly pending: number;
  /** Of all that is to go up, and of it what the uploads that run have sent. */
  readonly bytes: number;
  readonly bytesDone: number;
}

export interface DrainPlan {
  readonly clock: Clock;
  /** The longest wait in all; 0: none. */
  readonly limitMs: number;
  readonly progress: () => UploadProgress;
  /** Resolves when everything is on the server; rejects when the signal aborts. */
  readonly drained: (signal: AbortSignal) => Promise<void>;
  /** Called at the beginning and at each look, with the time until the next look is over for certain. */
  readonly onLook: (progress: UploadProgress, nextLookMs: number) => void;
}

/** `drained`: all is there. `stalled`: nothing moved any more. `late`: the limit was reached. `skipped`: nothing to do. */
export type DrainEnd = 'drained' | 'stalled' | 'late' | 'skipped';

/** How often is looked whether anything moves. */
const LOOK_EVERY_MS = 1_000;
/** A server that takes nothing for this long is not waited for: the machine may be going down without a network. */
export const STALL_MS = 15_000;

/** Waits for the queue within the plan's bounds. */
export async function drain(plan: DrainPlan): Promise<DrainEnd> {
  const { clock } = plan;
  if (plan.limitMs === 0 || plan.progress().pending === 0) return 'skipped';
  const end = new AbortController();
  const all = plan.drained(end.signal).then(
    () => true,
    (error: unknown) => {
      if (end.signal.aborted) return false;
      throw error;
    },
  );
  const startMs = clock.nowMs();
  let last = plan.progress();
  let movedAtMs = startMs;
  try {
    for (;;) {
      const nowMs = clock.nowMs();
      const leftMs = startMs + plan.limitMs - nowMs;
      if (leftMs <= 0) return 'late';
      if (nowMs - movedAtMs >= STALL_MS) return 'stalled';
      const lookMs = Math.min(LOOK_EVERY_MS, leftMs);
      plan.onLook(last, lookMs);
      if (await Promise.race([all, sleep(clock, lookMs, end.signal).then(() => false)])) return 'drained';
      const now = plan.progress();
      if (now.pending !== last.pending || now.bytesDone !== last.bytesDone) movedAtMs = clock.nowMs();
      last = now;
    }
  } finally {
    end.abort();
  }
}
