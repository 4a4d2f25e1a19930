/** What the commands for a running mount print, as pure functions of what the daemon says. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  cacheLines,
  conflictLines,
  pinLines,
  remountedLines,
  reportLines,
} from '../../../src/cli/show/lists.js';
import { screenOf } from '../../../src/cli/show/paint.js';
import { progressText, QueueProgress, waitReason } from '../../../src/cli/show/progress.js';
import { bar, queueLines } from '../../../src/cli/show/queue.js';
import { queueText, statusLine, statusLines, statusTable } from '../../../src/cli/show/status.js';
import { pad, printable, shorten, table, truncate, widthOf } from '../../../src/cli/show/text.js';
import {
  remainingMs,
  showAge,
  showBytes,
  showDuration,
  showPercent,
  showRate,
  showTime,
  showUntil,
} from '../../../src/cli/show/units.js';
import { happeningOf, watchLines } from '../../../src/cli/show/watch.js';
import { BUSY, GIB, MARKED, MIB, MINUTE_MS, NOW_MS, PIPE, QUIET, queueOf, terminal } from './statuses.js';

// Times are shown in the local time zone.
process.env.TZ = 'UTC';

const PLAIN_VIEW = { nowMs: NOW_MS, screen: PIPE, verbose: false };

describe('units', () => {
  test('sizes are binary, from nothing to the largest', () => {
    const shown = [0, 1, 1023, 1024, 1536, 10 * GIB, Number.MAX_SAFE_INTEGER].map(showBytes);
    assert.deepEqual(shown, ['0 B', '1 B', '1023 B', '1 KiB', '1.5 KiB', '10 GiB', '8 PiB']);
    assert.equal(showRate(1.5 * MIB), '1.5 MiB/s');
    assert.equal(showRate(0.4), '0 B/s');
  });

  test('shares', () => {
    assert.deepEqual(
      [showPercent(1, 3), showPercent(5, 0), showPercent(7, 5), showPercent(-1, 5), showPercent(0, 0)],
      ['33 %', '0 %', '100 %', '0 %', '0 %'],
    );
  });

  test('durations, ages and what is ahead', () => {
    const shown = [-5, 0, 59_999, 60_000, 125_000, 3_600_000, 12_000_000, 90_000_000].map(showDuration);
    assert.deepEqual(shown, ['0 s', '0 s', '59 s', '1 min', '2 min 5 s', '1 h', '3 h 20 min', '1 d 1 h']);
    assert.deepEqual([showAge(0, 500), showAge(0, 5000), showAge(9, 1)], ['just now', '5 s ago', 'just now']);
    assert.deepEqual([showUntil(500, 0), showUntil(5000, 0), showUntil(0, 9)], ['now', 'in 5 s', 'now']);
    assert.equal(showTime(NOW_MS), '2026-11-23 12:00:00');
  });

  test('what remains is only said where it means something', () => {
    assert.equal(remainingMs(10, 5), 2000);
    assert.equal(remainingMs(10, 0), undefined);
    assert.equal(remainingMs(10 * GIB, 0.01), undefined);
  });
});

describe('text', () => {
  test('nothing that commands a terminal gets to it', () => {
    assert.equal(
      printable('a\u001b[31mb\n\r\t\u0000\u007f\u009b2J'),
      'a\\u001b[31mb\\n\\r\\t\\u0000\\u007f\\u009b2J',
    );
    assert.equal(printable('photo\u202egpj.exe'), 'photo\\u202egpj.exe');
    assert.equal(printable('\ud800x'), '\\ud800x');
    assert.equal(printable('日本語 é 👩‍👩‍👧'), '日本語 é 👩‍👩‍👧');
  });

  test('is cut in its middle to columns, not to letters', () => {
    assert.equal(shorten('/a/long/path/to/file.txt', 24), '/a/long/path/to/file.txt');
    assert.equal(shorten('/a/long/path/to/file.txt', 13), '/a/l…file.txt');
    for (let width = 0; width < 30; width++) {
      for (const text of [
        '/写真/二千二十六年/京都の紅葉.jpeg',
        '/a/👩‍👩‍👧/b/c/d/e/f/g/h',
        '/plain/path/of/letters',
      ])
        assert.ok(widthOf(shorten(text, width)) <= width, `${text} in ${width}`);
    }
    assert.equal(shorten('/写真/京都.jpg', 9), '/…都.jpg');
  });

  test('is cut at its end', () => {
    assert.deepEqual(
      [truncate('abcdef', 6), truncate('abcdef', 4), truncate('abc', 0)],
      ['abcdef', 'abc…', ''],
    );
    assert.equal(truncate('紅葉紅葉', 5), '紅葉…');
  });

  test('is padded to columns', () => {
    assert.deepEqual([pad('写', 4), pad('ab', 4, 'right'), pad('abc', 2)], ['写  ', '  ab', 'abc']);
  });

  test('tables fit where a column can give way', () => {
    const columns = [
      { title: 'PATH', gives: 'middle' },
      { title: 'N', align: 'right' },
    ] as const;
    const rows = [
      ['/a/very/long/path/indeed/to/some/file', '1'],
      ['/写真', '1,000'],
    ];
    assert.deepEqual(table(columns, rows, undefined), [
      'PATH                                       N',
      '/a/very/long/path/indeed/to/some/file      1',
      '/写真                                  1,000',
    ]);
    for (const line of table(columns, rows, 24)) assert.equal(widthOf(line), 24);
    // No narrower than a cell must be.
    assert.ok((table(columns, rows, 3)[1] ?? '').length > 12);
  });

  test('colours are for terminals that want them', () => {
    const paint = (stream: object, environment: object) =>
      screenOf(stream, environment as Record<string, string>).paint('red', 'x');
    assert.equal(paint({ isTTY: true, columns: 80 }, {}), '\u001b[31mx\u001b[39m');
    assert.equal(paint({ isTTY: true, columns: 80 }, { NO_COLOR: '1' }), 'x');
    assert.equal(paint({ isTTY: true, columns: 80 }, { NO_COLOR: '' }), '\u001b[31mx\u001b[39m');
    assert.equal(paint({ isTTY: true, columns: 80 }, { TERM: 'dumb' }), 'x');
    assert.equal(paint({}, {}), 'x');
    assert.equal(screenOf({ columns: 80 }, {}).width, undefined);
    assert.equal(screenOf({ isTTY: true, columns: 0 }, {}).width, 80);
  });
});

describe('status', () => {
  test('at a glance', () => {
    assert.deepEqual(statusLines(QUIET, PLAIN_VIEW), [
      'home: https://node.example/dav/ on /home/u/cloud',
      '  Connection    online',
      '  Credentials   basic, user me: accepted (set 2 h 30 min ago)',
      '  Queue         empty: everything is on the server',
      '  Speed         up 0 B/s, down 0 B/s',
      '  Cache         3 GiB of 10 GiB (30 %), 812 files',
      '  Running       since 2026-11-23 09:30:00 (2 h 30 min), process 4242, version 0.1.0',
    ]);
  });

  test('with everything in trouble', () => {
    assert.deepEqual(statusLines(BUSY, PLAIN_VIEW), [
      'home: https://node.example/dav/ on /home/u/cloud',
      '  Connection    offline: ECONNREFUSED; tried again in 20 s',
      '  Credentials   oauth2: refused (set 1 min ago); give new ones with infinimount rotate',
      '  Queue         paused, 1,234 changes, 30 MiB of 40 MiB left, 2 running, 1 failing, about 20 s',
      '  Speed         up 1.5 MiB/s, down 100 B/s',
      '  Cache         3 GiB of 10 GiB (30 %), 812 files, 4 pinned, 40 MiB not sent yet (3 files)',
      '  Capacity      40 GiB used of 100 GiB (40 %), 60 GiB free',
      '  Conflicts     2 files: see infinimount conflicts',
      '  Running       since 2026-11-23 09:30:00 (2 h 30 min), process 4242, version 0.1.0, taken over 2 times',
      '  Errors        1 min ago: /a\\u001b[2Jb: trouble 4',
      '                2 min ago: trouble 3',
      '                3 min ago: trouble 2',
      '                and 1 more: status --verbose',
    ]);
  });

  test('verbose: what the kernel does, and does not, and why', () => {
    const lines = statusLines(BUSY, { ...PLAIN_VIEW, verbose: true });
    for (const line of [
      '  Cache in      /home/u/.cache/infinimount/x',
      '  Driver        kernel, protocol 7.45',
      '  In use        PARALLEL_DIROPS, DO_READDIRPLUS',
      '  Not in use    PASSTHROUGH: it needs CAP_SYS_ADMIN',
      '  Held          by the keeper process',
      '                4 min ago: trouble 1',
    ])
      assert.ok(lines.includes(line), line);
  });

  test('a narrow terminal cuts lines, and keeps their beginnings', () => {
    for (const width of [20, 40, 60]) {
      for (const line of statusLines(BUSY, { ...PLAIN_VIEW, screen: terminal(width) }))
        assert.ok(widthOf(line) <= width, line);
    }
    const [, connection] = statusLines(BUSY, { ...PLAIN_VIEW, screen: terminal(40) });
    assert.equal(connection, '  Connection    offline: ECONNREFUSED; …');
  });

  test('colours say what is well and what is not', () => {
    const quiet = statusLines(QUIET, { ...PLAIN_VIEW, screen: MARKED });
    assert.equal(quiet[1], '  Connection    <green>online</>');
    const busy = statusLines(BUSY, { ...PLAIN_VIEW, screen: MARKED });
    assert.match(busy[1] ?? '', /<red>offline/);
    assert.match(busy[3] ?? '', /<yellow>paused/);
  });

  test('a server that refuses, no credentials, read-only, nothing known of the capacity', () => {
    const lines = statusLines(
      {
        ...QUIET,
        profile: undefined,
        readOnly: true,
        connection: { kind: 'unauthorized', reason: 'HTTP 401', retryAtMs: NOW_MS },
        credentials: { kind: 'none', state: 'untried', sinceMs: 0 },
        capacity: { usedBytes: 5 },
      } as typeof QUIET,
      PLAIN_VIEW,
    );
    assert.equal(lines[0], 'https://node.example/dav/ on /home/u/cloud (read-only)');
    assert.equal(lines[1], '  Connection    the server refuses the credentials: HTTP 401; tried again now');
    assert.equal(lines[2], '  Credentials   none');
    assert.ok(lines.includes('  Capacity      5 B used'));
  });

  test('of several mounts, a table', () => {
    const { profile: _, ...unnamed } = { ...BUSY, mountPoint: '/mnt/work' };
    const rows = statusTable([QUIET, unnamed], PLAIN_VIEW).map((line) => line.split(/ {2,}/));
    assert.deepEqual(rows[1], [
      'home',
      '/home/u/cloud',
      'https://node.example/dav/',
      'online',
      'empty',
      '0 B/s',
      '0 B/s',
      '3 GiB / 10 GiB',
    ]);
    assert.deepEqual(rows[2], [
      '-',
      '/mnt/work',
      'https://node.example/dav/',
      'offline, paused',
      '1,234, 30 MiB',
      '1.5 MiB/s',
      '100 B/s',
      '3 GiB / 10 GiB',
    ]);
  });

  test('one line for a log', () => {
    assert.equal(
      statusLine(QUIET, NOW_MS),
      '2026-11-23 12:00:00 home: online; queue empty: everything is on the server; up 0 B/s, down 0 B/s',
    );
  });
});

describe('queue', () => {
  test('nothing in it', () => {
    assert.deepEqual(queueLines(queueOf(), NOW_MS, PIPE), [
      'The queue is empty: everything is on the server.',
    ]);
  });

  test('all kinds', () => {
    const queue = queueOf(
      { path: '/big\u0007.iso', state: 'running', bytesTotal: 4 * MIB, bytesDone: MIB },
      { path: '/dir', operation: 'create-directory', state: 'waiting' },
      {
        path: '/bad',
        state: 'due',
        bytesTotal: 5,
        retries: 3,
        lastError: 'HTTP 507',
        dueAtMs: NOW_MS + 9000,
      },
    );
    const rows = queueLines(queue, NOW_MS, PIPE).map((line) => line.split(/ {2,}/));
    assert.deepEqual(rows, [
      ['PATH', 'OPERATION', 'STATE', 'PROGRESS', 'RETRIES', 'NEXT', 'LAST ERROR'],
      ['/big\\u0007.iso', 'upload', 'running', '25 % of 4 MiB', '0', '-', '-'],
      ['/dir', 'mkdir', 'waiting', '-', '0', '-', '-'],
      ['/bad', 'upload', 'due', '5 B', '3', 'in 9 s', 'HTTP 507'],
    ]);
  });

  test('what was left out is counted', () => {
    const lines = queueLines({ ...queueOf({}), total: 5000, truncated: true }, NOW_MS, PIPE);
    assert.equal(lines.at(-1), 'and 4,999 more (--limit 5000 shows all)');
  });

  test('fits a terminal', () => {
    const queue = queueOf({ path: `/${'写真'.repeat(60)}`, lastError: 'e'.repeat(300) });
    for (const line of queueLines(queue, NOW_MS, terminal(100))) assert.ok(widthOf(line) <= 100, line);
  });

  test('bars', () => {
    assert.deepEqual([bar(0, 0, 4), bar(1, 2, 4), bar(9, 2, 4)], ['░░░░', '██░░', '████']);
  });
});

describe('progress', () => {
  const at = (pending: number, bytes: number, bytesDone = 0) => ({
    queue: { pending, running: 0, failing: 0, bytes, bytesDone },
  });

  test('goes from nothing to all, whether bytes or changes go', () => {
    const progress = new QueueProgress();
    assert.equal(progress.observe(at(2, 10 * MIB)).fraction, 0);
    const half = progress.observe(at(2, 10 * MIB, 5 * MIB));
    assert.ok(half.fraction > 0.45 && half.fraction < 0.5);
    assert.deepEqual([half.doneBytes, half.totalBytes], [5 * MIB, 10 * MIB]);
    // The first is done, and leaves the queue with its bytes.
    assert.equal(progress.observe(at(1, 5 * MIB)).doneBytes, 5 * MIB);
    assert.equal(progress.observe(at(0, 0)).fraction, 1);
  });

  test('changes without bytes move it too', () => {
    const progress = new QueueProgress();
    progress.observe(at(4, 0));
    assert.equal(progress.observe(at(1, 0)).fraction, 0.75);
  });

  test('what is added makes the whole larger', () => {
    const progress = new QueueProgress();
    progress.observe(at(1, 10));
    progress.observe(at(1, 10, 10));
    const more = progress.observe(at(2, 40, 10));
    assert.deepEqual([more.doneBytes, more.totalBytes], [10, 40]);
    assert.equal(progressText(more, 5), '10 B of 40 B, 2 changes left, 5 B/s');
    assert.equal(progressText({ ...more, totalBytes: 0, pending: 1 }, 0), '1 change left, 0 B/s');
  });

  test('why nothing moves', () => {
    const keyOf = (status: Parameters<typeof waitReason>[0]) => waitReason(status)?.key;
    assert.equal(keyOf(BUSY), 'offline');
    const unauthorized = { kind: 'unauthorized', reason: 'HTTP 401', retryAtMs: 0 } as const;
    assert.equal(keyOf({ ...BUSY, connection: unauthorized }), 'unauthorized');
    assert.equal(keyOf({ ...BUSY, connection: { kind: 'online' } }), 'failing');
    const full = { ...BUSY.queue, failing: 0, full: 'HTTP 507' };
    assert.equal(keyOf({ ...BUSY, connection: { kind: 'online' }, queue: full }), 'full');
    assert.match(queueText({ ...BUSY, queue: full }), /, waiting for room on the server/);
    assert.equal(keyOf(QUIET), undefined);
  });
});

describe('lists', () => {
  test('pins', () => {
    assert.deepEqual(pinLines([], PIPE), ['Nothing is pinned.']);
    const pins = [
      { path: '/a', files: 1200, bytes: 2 * MIB, presentBytes: MIB },
      { path: '/e', files: 0, bytes: 0, presentBytes: 0 },
    ];
    assert.deepEqual(
      pinLines(pins, PIPE)
        .map((line) => line.split(/ +/))
        .slice(1),
      [
        ['/a', '1,200', '2', 'MiB', '50', '%'],
        ['/e', '0', '0', 'B', '100', '%'],
      ],
    );
  });

  test('conflicts', () => {
    assert.deepEqual(conflictLines([], PIPE), ['There are no conflicts.']);
    const [, row, advice] = conflictLines(
      [{ path: '/a.txt', copy: '/a (conflict).txt', atMs: NOW_MS }],
      PIPE,
    );
    assert.deepEqual(row?.split(/ {2,}/), ['2026-11-23 12:00:00', '/a.txt', '/a (conflict).txt']);
    assert.match(advice ?? '', /--keep local\|server\|both/);
  });

  test('the cache, and what a check of it found', () => {
    const stats = {
      ...{ cleanBytes: GIB, cleanFiles: 1, stagedBytes: 0, stagedFiles: 0, limitBytes: 2 * GIB },
      ...{ minFreeBytes: GIB, freeDiskBytes: 5 * GIB, nodes: 7, pinnedFiles: 0 },
    };
    assert.equal(cacheLines(stats)[0], 'Copies of files    1 GiB in 1 file');
    assert.equal(cacheLines(stats)[1], 'Limit              2 GiB (50 % used)');
    const clean = { checkedFiles: 2, checkedBytes: 5, droppedFiles: 0, damaged: [] };
    assert.deepEqual(reportLines(clean), ['Checked 2 files, 5 B.', 'Nothing is wrong with the cache.']);
    assert.deepEqual(reportLines({ ...clean, droppedFiles: 1, damaged: ['/a\nb'] }), [
      'Checked 2 files, 5 B.',
      'Dropped 1 damaged copy: fetched again when wanted.',
      'Damaged, and not on the server yet: 1 file. They are kept as they are:',
      '  /a\\nb',
    ]);
  });

  test('a remount', () => {
    assert.deepEqual(remountedLines({ changed: [], needsNewMount: [] }), ['Nothing is different.']);
    const lines = remountedLines({
      changed: [{ option: 'cache-size', from: '10G', to: '20G' }],
      needsNewMount: ['allow-other'],
    });
    assert.equal(lines[0], 'cache-size: 10G -> 20G');
    assert.match(lines[1] ?? '', /next mount on: allow-other/);
  });
});

describe('watching', () => {
  const state = {
    status: { ...QUIET, connection: { kind: 'online' } as const },
    queue: queueOf(
      { path: '/big.iso', state: 'running', bytesTotal: 4 * MIB, bytesDone: MIB },
      ...Array.from({ length: 50 }, (_, at) => ({ path: `/f${at}`, bytesTotal: 10 })),
    ),
    recent: [{ atMs: NOW_MS, text: 'sent /a (5 B)' }],
    silence: undefined,
  };

  test('bars, what happened, and how to end it', () => {
    const lines = watchLines(state, { ...PLAIN_VIEW, screen: terminal(80) }, 24);
    assert.ok(lines.includes('  █████░░░░░░░░░░░░░░░  25 %     4 MiB  /big.iso'), lines.join('\n'));
    assert.ok(lines.some((line) => /^ {2}and \d+ more in the queue$/.test(line)));
    assert.ok(lines.includes('  12:00:00 sent /a (5 B)'));
    assert.match(lines.at(-1) ?? '', /^q or Ctrl-C/);
  });

  test('fits every terminal', () => {
    for (const rows of [1, 2, 5, 9, 12, 24, 60]) {
      for (const width of [20, 40, 200]) {
        const lines = watchLines(
          { ...state, silence: 'The daemon went away' },
          { ...PLAIN_VIEW, screen: terminal(width) },
          rows,
        );
        assert.ok(lines.length <= rows, `${lines.length} lines in ${rows}`);
        for (const line of lines) assert.ok(widthOf(line) <= width, `${width}: ${line}`);
      }
    }
  });

  test('what happens, in a line each', () => {
    assert.equal(happeningOf({ type: 'status', status: QUIET }, NOW_MS), undefined);
    assert.equal(happeningOf({ type: 'uploaded', path: '/a\n', bytes: 5 }, NOW_MS), 'sent /a\\n (5 B)');
    assert.equal(
      happeningOf({ type: 'trouble', code: 'x', message: 'HTTP 507', path: '/a' }, NOW_MS),
      'trouble: /a: HTTP 507',
    );
    assert.match(happeningOf({ type: 'conflict', path: '/a', copy: '/b' }, NOW_MS) ?? '', /kept as \/b$/);
    const offline = { kind: 'offline', reason: 'ECONNRESET', retryAtMs: NOW_MS + MINUTE_MS } as const;
    assert.equal(
      happeningOf({ type: 'connection', connection: offline }, NOW_MS),
      'connection: offline: ECONNRESET; tried again in 1 min',
    );
  });
});
