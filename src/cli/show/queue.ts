/** The queue in lines for a person. */

import type { Queue, QueueEntry } from '../../control/index.js';
import type { Screen } from './paint.js';
import { printable, table } from './text.js';
import { fraction, showBytes, showNumber, showPercent, showUntil } from './units.js';

const OPERATIONS: Readonly<Record<QueueEntry['operation'], string>> = {
  upload: 'upload',
  copy: 'copy',
  'create-directory': 'mkdir',
  move: 'move',
  delete: 'delete',
  check: 'check',
  other: 'other',
};

export function queueLines(queue: Queue, nowMs: number, { paint, width }: Screen): readonly string[] {
  if (queue.total === 0) return ['The queue is empty: everything is on the server.'];
  const lines = table(
    [
      { title: 'PATH', gives: 'middle' },
      { title: 'OPERATION' },
      { title: 'STATE' },
      { title: 'PROGRESS', align: 'right' },
      { title: 'RETRIES', align: 'right' },
      { title: 'NEXT' },
      { title: 'LAST ERROR', gives: 'end' },
    ],
    queue.items.map((item) => [
      printable(item.path),
      OPERATIONS[item.operation],
      item.state,
      progressOf(item),
      showNumber(item.retries),
      item.dueAtMs === undefined || item.state === 'running' ? '-' : showUntil(item.dueAtMs, nowMs),
      printable(item.lastError ?? '-'),
    ]),
    width,
    (cell, _, at) => {
      const item = queue.items[at];
      if (item === undefined) return paint('bold', cell);
      if (item.lastError !== undefined) return paint('yellow', cell);
      return item.state === 'running' ? paint('green', cell) : cell;
    },
  );
  const hidden = queue.total - queue.items.length;
  return hidden > 0 ? [...lines, `and ${showNumber(hidden)} more (--limit ${queue.total} shows all)`] : lines;
}

function progressOf({ bytesDone, bytesTotal }: QueueEntry): string {
  if (bytesTotal === undefined) return '-';
  if (bytesDone === undefined || bytesDone === 0) return showBytes(bytesTotal);
  return `${showPercent(bytesDone, bytesTotal)} of ${showBytes(bytesTotal)}`;
}

/** `part` of `whole` as a bar of `width` columns. */
export function bar(part: number, whole: number, width: number): string {
  const filled = Math.round(fraction(part, whole) * width);
  return '█'.repeat(filled) + '░'.repeat(Math.max(0, width - filled));
}
