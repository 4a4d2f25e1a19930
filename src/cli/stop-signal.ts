/**
 * The signals that mean "unmount and end": of a service manager, of Ctrl-C, of a closing terminal. SIGHUP without a
 * terminal means "read the credentials again", as daemons take it.
 */

const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Resolves at the first stop signal. From the call on, such signals no longer end the process by themselves, and later
 * ones are ignored: what they ask for is on its way. `onReload` is called for SIGHUP where no terminal can have closed.
 */
export function nextStopSignal(onReload?: () => void): Promise<NodeJS.Signals> {
  const hasTerminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY);
  return new Promise((resolve) => {
    for (const signal of STOP_SIGNALS) process.on(signal, () => resolve(signal));
    process.on('SIGHUP', () => {
      if (hasTerminal || onReload === undefined) resolve('SIGHUP');
      else onReload();
    });
  });
}
