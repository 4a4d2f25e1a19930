/** Waiting with an AbortSignal. */

/**
 * Who can be interrupted while waiting. The signal may be made when it is first asked for (2 us), so only ask for it
 * where there is something to wait for.
 */
export interface Interruptible {
  readonly signal: AbortSignal;
}

/**
 * `promise`, or a rejection with the signal's reason as soon as it aborts; `promise` itself goes on, and nobody is told
 * of its end then.
 */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Whether an error says no more than that someone called the work off. */
export function isAbortError(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** Runs `work` over `items`, at most `limit` at a time; the first rejection rejects all, and no more are begun. */
export async function forEachLimited<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const item = items[next] as T;
      next += 1;
      try {
        await work(item);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
}
