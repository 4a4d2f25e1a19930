/** The command `upgrade`: another version of the program serves a mount from now on, and programs notice nothing. */

import { setTimeout as delay } from 'node:timers/promises';
import { quote, UserError } from '../base/index.js';
import { ControlError, type Status } from '../control/index.js';
import { EXIT_CODES } from './exit-codes.js';
import type { Live } from './live.js';
import { mountPointsOf } from './place.js';
import type { ControlPlaces } from './running-mounts.js';

/** How long the next daemon may take to answer; programs wait with it. */
const NEXT_MS = 60_000;
const LOOK_MS = 50;

export async function runUpgrade(live: Live, places: Pick<ControlPlaces, 'mountinfo'>): Promise<number> {
  const { from } = await live.work('upgrade', {});
  const { version: to, pid } = await nextDaemon(live, places);
  live.tell({ from, to, pid }, () => [
    from === to
      ? `infinimount: ${live.name} is served by a new process of the same version, ${to}`
      : `infinimount: ${live.name} is served by version ${to}, before by ${from}`,
  ]);
  return EXIT_CODES.ok.code;
}

/** What the daemon after this one says of itself. */
async function nextDaemon(live: Live, { mountinfo }: Pick<ControlPlaces, 'mountinfo'>): Promise<Status> {
  const { client, status: before } = live.mount;
  const untilMs = performance.now() + NEXT_MS;
  while (performance.now() < untilMs) {
    try {
      const status = await client.call('status', {});
      if (status.startedAtMs !== before.startedAtMs) return status;
    } catch (error) {
      // Between the two there is no socket, or one that is being closed.
      if (!(error instanceof ControlError)) throw error;
    }
    if (!mountPointsOf(await mountinfo()).has(before.mountPoint)) {
      throw new UserError(
        'mount-refused',
        `Cannot go on with the mount on ${quote(before.mountPoint)}: the new program gave it up`,
        'Its log says why. Changes that were not sent are in the cache: mount it again.',
      );
    }
    await delay(LOOK_MS);
  }
  throw new UserError(
    'not-answering',
    `Cannot tell whether ${live.name} was upgraded: no new program answered within ${NEXT_MS / 1000} s`,
    'Its log says more; see also: infinimount status',
  );
}
