/** Repeating what only reads, after passing trouble: jittered back-off within a deadline, Retry-After honoured. */

import { type Clock, quote, sleep } from '../base/index.js';
import { isRemoteError, RemoteError, type RemoteErrorCode } from '../remote/index.js';

export interface RetryPolicy {
  readonly clock: Clock;
  readonly random: () => number;
  /** Since the first attempt; nothing is tried after it. */
  readonly deadlineMs: number;
}

const MAX_ATTEMPTS = 4;
/** Waits grow 0.2, 0.4, 0.8 s, each times 0.5 to 1.5. */
const FIRST_WAIT_MS = 200;

/** Trouble that may be gone a moment later; a broken answer or a bad certificate will not be. */
const PASSING: ReadonlySet<RemoteErrorCode> = new Set<RemoteErrorCode>([
  'throttled',
  'server',
  'unreachable',
  'interrupted',
  'timeout',
]);

/** Calls `work` until it succeeds, fails for good, or the policy is used up; then rejects with the last error. */
export async function withRetries<T>(
  policy: RetryPolicy,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const { clock, random, deadlineMs } = policy;
  const giveUpAtMs = clock.nowMs() + deadlineMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!isRemoteError(error) || !PASSING.has(error.code) || attempt >= MAX_ATTEMPTS) throw error;
      const jitteredMs = FIRST_WAIT_MS * 2 ** (attempt - 1) * (0.5 + random());
      const waitMs = Math.max(jitteredMs, error.retryAfterMs ?? 0);
      if (clock.nowMs() + waitMs > giveUpAtMs) throw error;
      try {
        await sleep(clock, waitMs, signal);
      } catch (cause) {
        const { method, path } = error;
        throw new RemoteError('aborted', `Cannot repeat ${method} ${quote(path)}: it was called off`, {
          method,
          path,
          outcome: 'none',
          cause,
        });
      }
    }
  }
}
