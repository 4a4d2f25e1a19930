/** That the page says what the rows say: ratios, aims that are met or missed, failures, the daemon's own figures. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { daemonFigures } from './daemon-figures.js';
import { formatResults } from './results.js';
import type { Figures, Row } from './types.js';
import { WORKLOADS } from './workloads/index.js';

const CONTEXT = {
  machine: { lines: ['Linux of a test', 'Node of a test'] },
  date: new Date(0),
  command: 'npm run bench -- --results FILE',
  rttMs: 20,
  tookSeconds: 600,
  load: [0.1, 0.2],
} as const;

function figures(more: Partial<Figures>): Figures {
  return { seconds: 1, requests: 3, upBytes: 0, downBytes: 2e6, cpuSeconds: 0.5, peakBytes: 100e6, ...more };
}

const page = (rows: readonly Row[]) => formatResults(WORKLOADS, rows, CONTEXT);
const line = (text: string, ...parts: readonly string[]) =>
  text.split('\n').find((each) => parts.every((part) => each.includes(part)));

describe('the page of results', () => {
  test('holds each tool against the local directory and the line', () => {
    const text = page([
      {
        workload: 'read',
        step: 'cold',
        tool: 'infinimount',
        figures: figures({ seconds: 0.3, lineSeconds: 0.2 }),
      },
      { workload: 'read', step: 'cold', tool: 'local', figures: figures({ seconds: 0.1 }) },
    ]);
    assert.match(
      line(text, '| infinimount |') ?? '',
      /\| 0\.300 \| {2}\| 3\.0 \| 1\.5 \| 3 \| 0\.0 \| 2\.0 \| 0\.50 \| 100 \|/,
    );
    assert.match(text, /## read 256 MiB\n\n\*\*cold\*\*/);
    assert.match(text, /- the line alone: 0\.200 s/);
    assert.match(text, /Linux of a test/);
    assert.match(text, /npm run bench -- --results FILE/);
    assert.match(text, /in one run of 10 minutes/);
  });

  test('tells which aims are met and which are not', () => {
    const text = page([
      { workload: 'read', step: 'cold', tool: 'infinimount', figures: figures({ seconds: 0.3 }) },
      {
        workload: 'write-small',
        step: 'new',
        tool: 'infinimount',
        figures: figures({ seconds: 0.04, onServerSeconds: 2 }),
      },
      { workload: 'untar', step: 'new', tool: 'infinimount', figures: figures({ seconds: 1 }) },
      { workload: 'untar', step: 'new', tool: 'local', figures: figures({ seconds: 0.2 }) },
    ]);
    assert.equal(line(text, 'read: cold'), '| read: cold | 0.35 s | 0.300 s | met |');
    assert.equal(line(text, 'write-small: new |'), '| write-small: new | 0.05 s | 0.040 s | met |');
    assert.equal(
      line(text, 'write-small: new, on the server'),
      '| write-small: new, on the server | 1.5 s | 2.00 s | **missed** |',
    );
    assert.equal(
      line(text, 'untar: new, beside local'),
      '| untar: new, beside local | 3 times | 5.00 times | **missed** |',
    );
  });

  test('names the row with the most memory', () => {
    const row = (step: string, peakBytes: number): Row => ({
      workload: 'walk',
      step,
      tool: 'infinimount',
      figures: figures({ peakBytes }),
    });
    assert.match(
      page([row('cold', 100e6), row('again', 240e6)]),
      /240 MB resident \(walk: again\); aim 250 MB: met/,
    );
    assert.match(page([row('cold', 260e6)]), /260 MB resident \(walk: cold\); aim 250 MB: \*\*missed\*\*/);
  });

  test('tells of a tool that failed', () => {
    const text = page([{ workload: 'walk', step: 'failed', tool: 'rclone', error: 'it broke\nbadly' }]);
    assert.match(text, /- rclone failed: it broke$/m);
  });
});

describe('the daemon’s own figures', () => {
  const metrics = (counts: readonly number[], lagSeconds: number) =>
    [
      ...['0.001', '0.01', '+Inf'].map(
        (bound, at) =>
          `infinimount_fuse_request_seconds_bucket{operation="getattr",le="${bound}"} ${counts[at] ?? 0}`,
      ),
      'infinimount_fuse_request_seconds_bucket{operation="rare",le="+Inf"} 3',
      ...['p50', 'p99', 'max'].map((name) => `nodejs_eventloop_lag_${name}_seconds ${lagSeconds}`),
    ].join('\n');

  test('are of the step alone', () => {
    const { requests, loop } = daemonFigures(
      metrics([1_000, 1_000, 1_000], 9),
      metrics([1_090, 1_100, 1_100], 0.13),
    );
    assert.deepEqual(requests, { getattr: { count: 100, p50Ms: 1, p99Ms: 10 } });
    assert.ok(Math.abs(loop.p99Ms - 30) < 1e-6, `${loop.p99Ms}`);
  });
});
