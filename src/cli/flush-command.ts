/** The command `flush`: waits until everything is on the server. */

import { UserError } from '../base/index.js';
import { EXIT_CODES } from './exit-codes.js';
import { interruptible } from './interrupt.js';
import type { Live } from './live.js';
import { say } from './output.js';
import { showCount, showDuration } from './show/units.js';
import { waitForServer } from './wait-for-server.js';

const STOPPED = 'Stopped waiting before everything was on the server; the mount goes on sending';

export async function runFlush(live: Live, timeoutMs: number | undefined): Promise<number> {
  const pending = await interruptible(STOPPED, (signal) => waitForServer(live, timeoutMs, signal));
  if (live.json) say(JSON.stringify({ pending }, undefined, 2));
  if (pending === 0) {
    if (!live.json) say('infinimount: everything is on the server');
    return EXIT_CODES.ok.code;
  }
  throw unfinished(pending, timeoutMs);
}

/** The time was over with `pending` changes left. */
export function unfinished(pending: number, timeoutMs: number | undefined): UserError {
  const after = timeoutMs === undefined ? '' : ` after ${showDuration(timeoutMs)}`;
  return new UserError(
    'unfinished',
    `Cannot finish in time: ${showCount(pending, 'change is', 'changes are')} not on the server${after}`,
    'See why with: infinimount queue',
  );
}
