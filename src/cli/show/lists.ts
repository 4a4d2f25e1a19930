/** Pins, conflicts and the cache in lines for a person. */

import type { CacheReport, CacheStats, Conflict, Pin, Remounted } from '../../control/index.js';
import type { Screen } from './paint.js';
import { printable, table } from './text.js';
import { showBytes, showCount, showNumber, showPercent, showTime } from './units.js';

export function pinLines(pins: readonly Pin[], { paint, width }: Screen): readonly string[] {
  if (pins.length === 0) return ['Nothing is pinned.'];
  return table(
    [
      { title: 'PATH', gives: 'middle' },
      { title: 'FILES', align: 'right' },
      { title: 'SIZE', align: 'right' },
      { title: 'HERE', align: 'right' },
    ],
    pins.map(({ path, files, bytes, presentBytes }) => [
      printable(path),
      showNumber(files),
      showBytes(bytes),
      bytes === 0 ? '100 %' : showPercent(presentBytes, bytes),
    ]),
    width,
    (cell, _, row) => (row < 0 ? paint('bold', cell) : cell),
  );
}

export function conflictLines(conflicts: readonly Conflict[], { paint, width }: Screen): readonly string[] {
  if (conflicts.length === 0) return ['There are no conflicts.'];
  return [
    ...table(
      [
        { title: 'WHEN' },
        { title: 'THE SERVER HAS', gives: 'middle' },
        { title: 'KEPT FROM HERE AS', gives: 'middle' },
      ],
      conflicts.map(({ atMs, path, copy }) => [showTime(atMs), printable(path), printable(copy)]),
      width,
      (cell, _, row) => (row < 0 ? paint('bold', cell) : cell),
    ),
    'Settle one with: infinimount conflicts resolve COPY --keep local|server|both',
  ];
}

export function cacheLines(stats: CacheStats): readonly string[] {
  const { cleanBytes, cleanFiles, stagedBytes, stagedFiles, limitBytes, minFreeBytes, freeDiskBytes } = stats;
  const row = (label: string, text: string) => `${label.padEnd(18)} ${text}`;
  return [
    row('Copies of files', `${showBytes(cleanBytes)} in ${showCount(cleanFiles, 'file')}`),
    row('Limit', `${showBytes(limitBytes)} (${showPercent(cleanBytes, limitBytes)} used)`),
    row('Not sent yet', `${showBytes(stagedBytes)} in ${showCount(stagedFiles, 'file')}`),
    row('Pinned', showCount(stats.pinnedFiles, 'file')),
    row('Known', showCount(stats.nodes, 'file or directory', 'files and directories')),
    row('Disk', `${showBytes(freeDiskBytes)} free, ${showBytes(minFreeBytes)} are kept free`),
  ];
}

export function reportLines({
  checkedFiles,
  checkedBytes,
  droppedFiles,
  damaged,
}: CacheReport): readonly string[] {
  const lines = [`Checked ${showCount(checkedFiles, 'file')}, ${showBytes(checkedBytes)}.`];
  if (droppedFiles > 0)
    lines.push(
      `Dropped ${showCount(droppedFiles, 'damaged copy', 'damaged copies')}: fetched again when wanted.`,
    );
  if (damaged.length > 0) {
    lines.push(
      `Damaged, and not on the server yet: ${showCount(damaged.length, 'file')}. They are kept as they are:`,
      ...damaged.map((path) => `  ${printable(path)}`),
    );
  }
  if (droppedFiles === 0 && damaged.length === 0) lines.push('Nothing is wrong with the cache.');
  return lines;
}

export function remountedLines({ changed, needsNewMount, note }: Remounted): readonly string[] {
  const lines = changed.map(({ option, from, to }) => `${option}: ${printable(from)} -> ${printable(to)}`);
  if (changed.length === 0 && needsNewMount.length === 0) lines.push('Nothing is different.');
  if (needsNewMount.length > 0) {
    lines.push(
      `These hold from the next mount on: ${needsNewMount.map(printable).join(', ')}`,
      'To make it now, at the cost of open files: infinimount remount --reestablish',
    );
  }
  if (note !== undefined) lines.push(printable(note));
  return lines;
}
