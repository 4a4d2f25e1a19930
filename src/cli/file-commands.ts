/** The commands on files of a running mount: refresh, pin, unpin, pins, evict, conflicts. */

import { quote, UserError } from '../base/index.js';
import { EXIT_CODES } from './exit-codes.js';
import type { Live } from './live.js';
import { conflictLines, pinLines } from './show/lists.js';
import { printable } from './show/text.js';
import { showBytes, showCount } from './show/units.js';

const OK = EXIT_CODES.ok.code;

export async function runRefresh(live: Live, path: string, recursive: boolean): Promise<number> {
  const answer = await live.work('refresh', { path, recursive });
  const what = showCount(answer.directories, 'directory', 'directories');
  live.tell(answer, () => [`infinimount: ${what} asked for anew`]);
  return OK;
}

export async function runPin(live: Live, path: string): Promise<number> {
  const pin = await live.work('pin', { path });
  live.tell(pin, () => [
    `infinimount: ${printable(pin.path)} stays on this machine: ${showCount(pin.files, 'file')}, ${showBytes(pin.bytes)}, of which ${showBytes(pin.presentBytes)} are here`,
  ]);
  return OK;
}

export async function runUnpin(live: Live, path: string): Promise<number> {
  const answer = await live.call('unpin', { path });
  live.tell(answer, () => [`infinimount: ${printable(path)} may go from the cache like any other`]);
  return OK;
}

export async function runPins(live: Live): Promise<number> {
  const answer = await live.call('pins', {});
  live.tell(answer, () => pinLines(answer.pins, live.screen));
  return OK;
}

/** `path` undefined: all that is clean, not pinned and not in use. */
export async function runEvict(live: Live, path: string | undefined): Promise<number> {
  const answer = await live.work('evict', path === undefined ? {} : { path });
  live.tell(answer, () => [`infinimount: ${showBytes(answer.freedBytes)} freed`]);
  return OK;
}

export async function runConflicts(live: Live): Promise<number> {
  const answer = await live.call('conflicts', {});
  live.tell(answer, () => conflictLines(answer.conflicts, live.screen));
  return OK;
}

const KEEPS = ['local', 'server', 'both'] as const;
type Keep = (typeof KEEPS)[number];

const RESOLVED: Readonly<Record<Keep, string>> = {
  local: "this machine's version takes the place of the server's",
  server: "the server's version stays, and the copy is removed",
  both: 'both stay, and are not listed any more',
};

export function requireKeep(text: string | undefined): Keep {
  const keep = KEEPS.find((each) => each === text);
  if (keep !== undefined) return keep;
  const found = text === undefined ? 'what to keep was not said' : `--keep ${quote(text)} is unknown`;
  throw new UserError(
    'usage',
    `Cannot settle the conflict: ${found}`,
    'Write: infinimount conflicts resolve COPY --keep local|server|both',
  );
}

export async function runResolve(live: Live, copy: string, keep: Keep): Promise<number> {
  const answer = await live.work('resolve', { copy, keep });
  live.tell(answer, () => [`infinimount: ${printable(copy)}: ${RESOLVED[keep]}`]);
  return OK;
}
