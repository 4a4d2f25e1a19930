/** The command `flush`: waits until everything is on the server. */

import { UserError } from '../base/index.js';
import { EXIT_CODES } from './exit-codes.js';
import { interruptible } from './interrupt.js';
import type { Live } from './live.js';
import { say } from './output.js';
import type { WaitReason } from './show/progress.js';
import { showCount, showDuration } from './show/units.js';
import { type Waiting, waitForServer } from './wait-for-server.js';

const STOPPED = 'Stopped waiting before everything was on the server; the mount goes on sending';

export async function runFlush(live: Live, waiting: Waiting): Promise<number> {
  const { pending, reason } = await interruptible(STOPPED, (signal) => waitForServer(live, waiting, signal));
  if (live.json) {
    const waitsFor = reason === undefined ? {} : { waitsFor: reason.key };
    say(JSON.stringify({ pending, ...waitsFor }, undefined, 2));
  }
  if (pending === 0) {
    if (!live.json) say('infinimount: everything is on the server');
    return EXIT_CODES.ok.code;
  }
  if (waiting.ifPossible === true && reason !== undefined && reason.key !== 'failing')
    throw held(pending, reason.key);
  throw unfinished(pending, waiting.timeoutMs);
}

/** The exit code of what holds all of the queue; why was said when it was seen. */
function held(pending: number, key: Exclude<WaitReason['key'], 'failing'>): UserError {
  const left = `Cannot send what is waiting: ${showCount(pending, 'change is', 'changes are')} not on the server`;
  switch (key) {
    case 'offline':
      return new UserError('unreachable', `${left}, which cannot be reached`);
    case 'unauthorized':
      return new UserError('unauthorized', `${left}, which refuses the credentials`);
    case 'full':
      return new UserError('server-full', `${left}, which is full`);
  }
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
