/** The signals that mean "unmount and end": of a service manager, of Ctrl-C, of a closing terminal. */

const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/**
 * Resolves at the first stop signal. From the call on, such signals no longer end the process by themselves, and later
 * ones are ignored: what they ask for is on its way.
 */
export function nextStopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of STOP_SIGNALS) process.on(signal, () => resolve(signal));
  });
}
