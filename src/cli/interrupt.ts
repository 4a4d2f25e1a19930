/** Ctrl-C as an end that the command sees coming, rather than the end of the process. */

import { UserError } from '../base/index.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs `work` with a signal that aborts at the first of Ctrl-C, SIGTERM and SIGHUP; `why` is what is said then. */
export async function interruptible<T>(why: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const onSignal = () => stop.abort(new UserError('unfinished', why));
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await work(stop.signal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}
