/** A mount's state in lines for a person: pure functions from the answer of the control socket. */

import type { Connection, Status } from '../../control/index.js';
import type { Colour, Screen } from './paint.js';
import { printable, shorten, table, truncate } from './text.js';
import {
  remainingMs,
  showAge,
  showBytes,
  showCount,
  showDuration,
  showNumber,
  showPercent,
  showRate,
  showTime,
  showUntil,
} from './units.js';

const LABEL_WIDTH = 13;
const INDENT = '  ';
/** Troubles that are shown without `--verbose`. */
const ERRORS_AT_A_GLANCE = 3;

export interface StatusView {
  readonly nowMs: number;
  readonly screen: Screen;
  readonly verbose: boolean;
}

/** What a mount is called: its profile, else the place that it is mounted on. */
export function mountName({ profile, mountPoint }: Pick<Status, 'profile' | 'mountPoint'>): string {
  return printable(profile ?? mountPoint);
}

/** One mount, everything at a glance. */
export function statusLines(status: Status, view: StatusView): readonly string[] {
  const { paint, width } = view.screen;
  const row = (label: string, text: string, colour?: Colour) => {
    const room = width === undefined ? undefined : Math.max(1, width - INDENT.length - LABEL_WIDTH - 1);
    const shown = room === undefined ? text : truncate(text, room);
    return `${INDENT}${label.padEnd(LABEL_WIDTH)} ${colour === undefined ? shown : paint(colour, shown)}`;
  };
  return [
    headOf(status, view.screen),
    row('Connection', ...connectionCell(status.connection, view.nowMs)),
    row('Credentials', ...credentialsCell(status, view.nowMs)),
    row('Queue', ...queueCell(status)),
    row('Speed', speedOf(status)),
    row('Cache', cacheOf(status)),
    ...capacityCell(status).map((text) => row('Capacity', text)),
    ...(status.conflicts === 0
      ? []
      : [row('Conflicts', `${showCount(status.conflicts, 'file')}: see infinimount conflicts`, 'yellow')]),
    ...(view.verbose ? verboseRows(status, row) : []),
    row('Running', runningOf(status, view.nowMs)),
    ...errorRows(status, view, row),
  ];
}

type Row = (label: string, text: string, colour?: Colour) => string;

function headOf(status: Status, { paint, width }: Screen): string {
  const { url, mountPoint, readOnly } = status;
  const name = status.profile === undefined ? '' : `${printable(status.profile)}: `;
  const text = `${name}${printable(url)} on ${printable(mountPoint)}${readOnly ? ' (read-only)' : ''}`;
  return paint('bold', width === undefined ? text : shorten(text, width));
}

/** In words, with its colour. */
export function connectionCell(connection: Connection, nowMs: number): [text: string, colour: Colour] {
  switch (connection.kind) {
    case 'online':
      return ['online', 'green'];
    case 'offline':
      return [
        `offline: ${printable(connection.reason)}; tried again ${showUntil(connection.retryAtMs, nowMs)}`,
        'red',
      ];
    case 'unauthorized':
      return [
        `the server refuses the credentials: ${printable(connection.reason)}; tried again ${showUntil(connection.retryAtMs, nowMs)}`,
        'red',
      ];
  }
}

function credentialsCell({ credentials }: Status, nowMs: number): [text: string, colour?: Colour] {
  const { kind, user, state, sinceMs } = credentials;
  if (kind === 'none') return ['none'];
  const who = user === undefined ? kind : `${kind}, user ${printable(user)}`;
  const since = showAge(sinceMs, nowMs);
  switch (state) {
    case 'untried':
      return [`${who}: not used yet (set ${since})`];
    case 'accepted':
      return [`${who}: accepted (set ${since})`, 'green'];
    case 'refused':
      return [`${who}: refused (set ${since}); give new ones with infinimount rotate`, 'red'];
  }
}

/** `3 files, 1 MiB of 4 MiB left, 1 failing`. */
export function queueText({ queue, rates }: Pick<Status, 'queue' | 'rates'>): string {
  const { pending, running, failing, bytes, bytesDone, full } = queue;
  if (pending === 0) return 'empty: everything is on the server';
  const left = Math.max(0, bytes - bytesDone);
  const parts = [showCount(pending, 'change')];
  if (bytes > 0) parts.push(`${showBytes(left)} of ${showBytes(bytes)} left`);
  if (running > 0) parts.push(`${showNumber(running)} running`);
  if (failing > 0) parts.push(`${showNumber(failing)} failing`);
  if (full !== undefined) parts.push('waiting for room on the server');
  const rest = remainingMs(left, rates.upBytesPerSecond);
  if (rest !== undefined && left > 0) parts.push(`about ${showDuration(rest)}`);
  return parts.join(', ');
}

function queueCell(status: Status): [text: string, colour?: Colour] {
  if (status.paused) return [`paused, ${queueText(status)}`, 'yellow'];
  const text = queueText(status);
  if (status.queue.failing > 0 || status.queue.full !== undefined) return [text, 'red'];
  return [text];
}

function speedOf({ rates }: Status): string {
  return `up ${showRate(rates.upBytesPerSecond)}, down ${showRate(rates.downBytesPerSecond)}`;
}

function cacheOf({ cache }: Status): string {
  const { cleanBytes, cleanFiles, stagedBytes, stagedFiles, pinned, limitBytes } = cache;
  const parts = [
    `${showBytes(cleanBytes)} of ${showBytes(limitBytes)} (${showPercent(cleanBytes, limitBytes)}), ${showCount(cleanFiles, 'file')}`,
  ];
  if (pinned > 0) parts.push(`${showNumber(pinned)} pinned`);
  if (stagedFiles > 0)
    parts.push(`${showBytes(stagedBytes)} not sent yet (${showCount(stagedFiles, 'file')})`);
  return parts.join(', ');
}

function capacityCell({ capacity }: Status): readonly string[] {
  const { totalBytes, usedBytes } = capacity ?? {};
  if (usedBytes === undefined) return totalBytes === undefined ? [] : [`${showBytes(totalBytes)} in all`];
  if (totalBytes === undefined) return [`${showBytes(usedBytes)} used`];
  return [
    `${showBytes(usedBytes)} used of ${showBytes(totalBytes)} (${showPercent(usedBytes, totalBytes)}), ${showBytes(Math.max(0, totalBytes - usedBytes))} free`,
  ];
}

const KEEPERS: Readonly<Record<Status['keeper'], string>> = {
  systemd: "by systemd's descriptor store",
  process: 'by the keeper process',
  none: 'by nobody: it goes when the daemon does',
};

function verboseRows(status: Status, row: Row): readonly string[] {
  const { kernel, driver, keeper, takeovers, cacheDir } = status;
  return [
    row('Cache in', printable(cacheDir)),
    row('Driver', `${driver}, protocol ${printable(kernel.protocol)}`),
    row('In use', kernel.features.length === 0 ? 'nothing beyond the basics' : kernel.features.join(', ')),
    ...kernel.absent.map(({ feature, reason }, at) =>
      row(at === 0 ? 'Not in use' : '', `${printable(feature)}: ${printable(reason)}`),
    ),
    row('Held', KEEPERS[keeper]),
    row('Taken over', takeovers === 0 ? 'never' : showCount(takeovers, 'time')),
  ];
}

function runningOf({ startedAtMs, pid, version, takeovers }: Status, nowMs: number): string {
  const taken = takeovers === 0 ? '' : `, taken over ${showCount(takeovers, 'time')}`;
  return `since ${showTime(startedAtMs)} (${showDuration(nowMs - startedAtMs)}), process ${pid}, version ${printable(version)}${taken}`;
}

function errorRows({ errors }: Status, { nowMs, verbose }: StatusView, row: Row): readonly string[] {
  const shown = verbose ? errors : errors.slice(-ERRORS_AT_A_GLANCE);
  const rows = [...shown].reverse().map(({ atMs, message, path }, at) => {
    const where = path === undefined ? '' : `${printable(path)}: `;
    return row(at === 0 ? 'Errors' : '', `${showAge(atMs, nowMs)}: ${where}${printable(message)}`, 'yellow');
  });
  const hidden = errors.length - shown.length;
  return hidden === 0 ? rows : [...rows, row('', `and ${showNumber(hidden)} more: status --verbose`)];
}

/** In one word or two, for tables. */
export function stateWord({ connection, paused }: Pick<Status, 'connection' | 'paused'>): string {
  const word = connection.kind === 'unauthorized' ? 'refused' : connection.kind;
  return paused ? `${word}, paused` : word;
}

/** Several mounts, one a line. */
export function statusTable(mounts: readonly Status[], { screen }: StatusView): readonly string[] {
  const rows = mounts.map((status) => [
    printable(status.profile ?? '-'),
    printable(status.mountPoint),
    printable(status.url),
    stateWord(status),
    status.queue.pending === 0
      ? 'empty'
      : `${showNumber(status.queue.pending)}, ${showBytes(Math.max(0, status.queue.bytes - status.queue.bytesDone))}`,
    showRate(status.rates.upBytesPerSecond),
    showRate(status.rates.downBytesPerSecond),
    `${showBytes(status.cache.cleanBytes)} / ${showBytes(status.cache.limitBytes)}`,
  ]);
  return table(
    [
      { title: 'PROFILE' },
      { title: 'MOUNTED ON', gives: 'middle' },
      { title: 'SERVER', gives: 'middle' },
      { title: 'STATE' },
      { title: 'QUEUE', align: 'right' },
      { title: 'UP', align: 'right' },
      { title: 'DOWN', align: 'right' },
      { title: 'CACHE', align: 'right' },
    ],
    rows,
    screen.width,
    (cell, column, at) => {
      if (at < 0) return screen.paint('bold', cell);
      const status = mounts[at];
      if (column !== 3 || status === undefined) return cell;
      return screen.paint(status.connection.kind === 'online' ? 'green' : 'red', cell);
    },
  );
}

/** One line of what changes, for a log. */
export function statusLine(status: Status, nowMs: number): string {
  const [connection] = connectionCell(status.connection, nowMs);
  const paused = status.paused ? ', paused' : '';
  return `${showTime(nowMs)} ${mountName(status)}: ${connection}${paused}; queue ${queueText(status)}; ${speedOf(status)}`;
}
