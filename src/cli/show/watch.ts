/** The screen of `status --watch`: pure functions from what is known to its lines. */

import type { ControlEvent, Queue, Status } from '../../control/index.js';
import { bar } from './queue.js';
import { connectionCell, type StatusView, statusLines } from './status.js';
import { pad, printable, shorten, truncate, widthOf } from './text.js';
import { fraction, showBytes, showNumber, showTime } from './units.js';

const BAR_WIDTH = 20;
/** Latest happenings that are kept. */
export const RECENT_LIMIT = 8;

export interface Happening {
  readonly atMs: number;
  readonly text: string;
}

export interface WatchState {
  readonly status: Status;
  readonly queue: Queue;
  /** Newest last, at most {@link RECENT_LIMIT}. */
  readonly recent: readonly Happening[];
  /** Where nothing was heard of the daemon lately: why. */
  readonly silence: string | undefined;
}

/** At most `rows` lines of at most the screen's width. */
export function watchLines(state: WatchState, view: StatusView, rows: number): readonly string[] {
  const { paint } = view.screen;
  const width = view.screen.width ?? Number.POSITIVE_INFINITY;
  const head = [
    ...(state.silence === undefined ? [] : [paint('red', truncate(printable(state.silence), width))]),
    ...statusLines(state.status, view),
  ];
  const foot = paint('dim', truncate('q or Ctrl-C ends the watching; the mount goes on', width));
  const running = state.queue.items.filter(
    ({ state: kind, bytesTotal }) => kind === 'running' || bytesTotal !== undefined,
  );
  const room = Math.max(0, rows - head.length - 2);
  const recent = state.recent.slice(-Math.min(RECENT_LIMIT, Math.floor(room / 2)));
  const items = running.slice(0, Math.max(0, room - recent.length - 2));
  const hidden = state.queue.total - items.length;
  const lines = [...head];
  if (items.length > 0) {
    lines.push('');
    for (const item of items) lines.push(itemLine(item, width));
    if (hidden > 0)
      lines.push(paint('dim', truncate(`  and ${showNumber(hidden)} more in the queue`, width)));
  }
  if (recent.length > 0) {
    lines.push('');
    for (const { atMs, text } of recent)
      lines.push(truncate(`  ${showTime(atMs).slice('2026-01-01 '.length)} ${text}`, width));
  }
  return [...lines.slice(0, Math.max(1, rows - 1)), foot].slice(0, Math.max(1, rows));
}

/** `  ████░░░░  45 %  1 MiB of 2 MiB  /dir/file`. */
function itemLine(item: Queue['items'][number], width: number): string {
  const { path, bytesDone = 0, bytesTotal, operation, lastError } = item;
  const progress =
    bytesTotal === undefined ? pad(operation, BAR_WIDTH) : bar(bytesDone, bytesTotal, BAR_WIDTH);
  const percent = bytesTotal === undefined ? '' : `${Math.floor(fraction(bytesDone, bytesTotal) * 100)} %`;
  const size = bytesTotal === undefined ? '' : showBytes(bytesTotal);
  const front = `  ${progress} ${pad(percent, 5, 'right')} ${pad(size, 9, 'right')}  `;
  const room = Math.max(0, width - widthOf(front));
  const half = Math.floor(room / 2);
  const rest =
    lastError === undefined
      ? shorten(printable(path), room)
      : `${shorten(printable(path), half)}: ${printable(lastError)}`;
  return truncate(front + rest, width);
}

/** What an event says in one line; undefined for those that only bring figures. */
export function happeningOf(event: ControlEvent, nowMs: number): string | undefined {
  switch (event.type) {
    case 'status':
      return undefined;
    case 'uploaded':
      return `sent ${printable(event.path)} (${showBytes(event.bytes)})`;
    case 'trouble': {
      const where = event.path === undefined ? '' : `${printable(event.path)}: `;
      return `trouble: ${where}${printable(event.message)}`;
    }
    case 'conflict':
      return `conflict: ${printable(event.path)}; this machine's version is kept as ${printable(event.copy)}`;
    case 'connection':
      return `connection: ${connectionCell(event.connection, nowMs)[0]}`;
  }
}
