/** Who waits for what: a promise for each, which is given up when its signal aborts, and leaves nothing behind. */

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export class Waiters<K> {
  readonly #waiting = new Map<K, Set<Waiter>>();

  /** Things that are waited for. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Pending until {@link resolve} or {@link reject} of `key`, or until the signal aborts. */
  wait(key: K, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const waiters = this.#waiting.get(key) ?? new Set();
      const leave = () => {
        signal?.removeEventListener('abort', onAbort);
        waiters.delete(waiter);
        if (waiters.size === 0 && this.#waiting.get(key) === waiters) this.#waiting.delete(key);
      };
      const waiter: Waiter = {
        resolve: () => {
          leave();
          resolve();
        },
        reject: (reason) => {
          leave();
          reject(reason);
        },
      };
      const onAbort = () => waiter.reject(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      waiters.add(waiter);
      this.#waiting.set(key, waiters);
    });
  }

  resolve(key: K): void {
    for (const waiter of [...(this.#waiting.get(key) ?? [])]) waiter.resolve();
  }

  reject(key: K, reason: unknown): void {
    for (const waiter of [...(this.#waiting.get(key) ?? [])]) waiter.reject(reason);
  }

  rejectAll(reason: unknown): void {
    for (const key of [...this.#waiting.keys()]) this.reject(key, reason);
  }
}
