/** The benchmark's figures as a page to be checked in: RESULTS.md. */

import { AIMS, type Aim, MEMORY_AIM_BYTES } from './aims.js';
import type { Machine } from './machine.js';
import type { Figures, Row, Workload } from './types.js';

export interface ResultsContext {
  readonly machine: Machine;
  readonly date: Date;
  /** The command that repeats the run. */
  readonly command: string;
  readonly rttMs: number;
  readonly tookSeconds: number;
  /** One-minute load before the first and after the last workload. */
  readonly load: readonly [before: number, after: number];
}

const HEAD = [
  'tool',
  'seconds',
  'on server',
  'x local',
  'x line',
  'requests',
  'MB up',
  'MB down',
  'CPU s',
  'peak MB',
] as const;

const OURS = 'infinimount';
const LOCAL = 'local';

export function formatResults(
  workloads: readonly Workload[],
  rows: readonly Row[],
  context: ResultsContext,
): string {
  const measured = workloads.filter(({ name }) => rows.some((row) => row.workload === name));
  return `${[head(context), aims(rows), memory(rows), ...measured.map((each) => section(each, rows))].join('\n\n')}\n`;
}

function head({ machine, date, command, rttMs, tookSeconds, load }: ResultsContext): string {
  return [
    '# What the benchmark measured',
    '',
    `On ${date.toISOString().slice(0, 10)}, in one run of ${(tookSeconds / 60).toFixed(0)} minutes. Each tool does the same work on`,
    `Apache mod_dav behind a proxy that adds ${rttMs} ms of round trip, with an empty cache at the beginning; rows that say`,
    '100 Mbit/s have a line of that speed, the others one without a limit. Load of the machine before and after:',
    `${load.map((each) => each.toFixed(1)).join(' and ')}.`,
    '',
    ...machine.lines.map((line) => `- ${line}`),
    '',
    'To repeat it (this page is written by it):',
    '',
    `    ${command}`,
    '',
    '**seconds**: until the program ended; **on server**: until the server had everything. **x local**: times what the same',
    'program takes on a local directory; **x line**: times what the line alone takes (its round trips, and its bytes at the',
    'speed of one plain transfer through the same proxy), of the time on the server where there is one. **CPU**, **peak**: of',
    "the tool's process, with the pages of files that are mapped into it. **bindfs** passes each request on to the local",
    'directory and knows no server: what a FUSE file system in C takes on this machine.',
  ].join('\n');
}

function aims(rows: readonly Row[]): string {
  const lines = AIMS.flatMap((aim) => {
    const row = find(rows, aim.workload, aim.step, OURS);
    const local = find(rows, aim.workload, aim.step, LOCAL)?.figures?.seconds;
    return row?.figures === undefined ? [] : checks(aim, row.figures, local);
  });
  if (lines.length === 0) return '## Aims\n\nNone of these rows has one.';
  return ['## Aims', '', table(['row', 'aim', 'measured', ''], lines)].join('\n');
}

function checks(aim: Aim, figures: Figures, localSeconds: number | undefined): string[][] {
  const { seconds, onServerSeconds, upBytes, downBytes, measured } = figures;
  const lines: string[][] = [];
  const check = (what: string, value: number | undefined, most: number, unit: string, digits: number) => {
    if (value === undefined) return;
    const row = `${aim.workload}: ${aim.step}${what}`;
    lines.push([
      row,
      `${most} ${unit}`,
      `${value.toFixed(digits)} ${unit}`,
      value <= most ? 'met' : '**missed**',
    ]);
  };
  if (aim.seconds !== undefined) check('', seconds, aim.seconds, 's', 3);
  if (aim.onServerSeconds !== undefined)
    check(', on the server', onServerSeconds, aim.onServerSeconds, 's', 2);
  if (aim.timesLocal !== undefined && localSeconds !== undefined)
    check(', beside local', seconds / localSeconds, aim.timesLocal, 'times', 2);
  if (aim.movedBytes !== undefined)
    check(', moved', (upBytes + downBytes) / 1e6, aim.movedBytes / 1e6, 'MB', 1);
  if (aim.measured !== undefined)
    check(`, ${aim.measured.name}`, measured?.[aim.measured.name], aim.measured.most, '', 2);
  return lines;
}

function memory(rows: readonly Row[]): string {
  const ours = rows.filter(
    (row) => row.tool === OURS && row.figures !== undefined && row.figures.peakBytes > 0,
  );
  const most = ours.toSorted((a, b) => (b.figures?.peakBytes ?? 0) - (a.figures?.peakBytes ?? 0))[0];
  if (most?.figures === undefined) return '## Memory\n\nNot measured.';
  const megabytes = (most.figures.peakBytes / 1e6).toFixed(0);
  const verdict = most.figures.peakBytes <= MEMORY_AIM_BYTES ? 'met' : '**missed**';
  return `## Memory\n\nMost of all rows: ${megabytes} MB resident (${most.workload}: ${most.step}); aim ${MEMORY_AIM_BYTES / 1e6} MB: ${verdict}.`;
}

function section(workload: Workload, rows: readonly Row[]): string {
  const own = rows.filter((row) => row.workload === workload.name);
  const steps = [...new Set(own.map((row) => row.step))];
  return [
    `## ${workload.title}`,
    ...steps.map((step) =>
      stepBlock(
        step,
        own.filter((row) => row.step === step),
      ),
    ),
  ].join('\n\n');
}

function stepBlock(step: string, rows: readonly Row[]): string {
  const local = rows.find((row) => row.tool === LOCAL)?.figures?.seconds;
  const failed = rows.filter((row) => row.figures === undefined);
  const lines = rows.flatMap((row) =>
    row.figures === undefined ? [] : [cells(row.tool, row.figures, local)],
  );
  const parts = [`**${step}**`];
  // Figures that were noted have no time of their own.
  if (rows.some((row) => (row.figures?.seconds ?? 0) > 0)) parts.push(table(HEAD, lines));
  const notes = rows.flatMap((row) => (row.figures === undefined ? [] : notesOf(row.tool, row.figures)));
  notes.push(
    ...failed.map((row) => `- ${row.tool} failed: ${row.error?.trim().split('\n')[0] ?? 'no reason given'}`),
  );
  if (notes.length > 0) parts.push(notes.join('\n'));
  return parts.join('\n\n');
}

function cells(tool: string, figures: Figures, localSeconds: number | undefined): string[] {
  const { seconds, onServerSeconds, lineSeconds, requests, upBytes, downBytes, cpuSeconds, peakBytes } =
    figures;
  const times = (value: number, of: number | undefined) =>
    of === undefined || of === 0 ? '' : (value / of).toFixed(1);
  const isLocal = tool === LOCAL;
  return [
    tool,
    seconds.toFixed(3),
    onServerSeconds === undefined || isLocal ? '' : onServerSeconds.toFixed(2),
    isLocal ? '' : times(seconds, localSeconds),
    times(onServerSeconds ?? seconds, lineSeconds),
    isLocal ? '' : String(requests),
    isLocal ? '' : (upBytes / 1e6).toFixed(1),
    isLocal ? '' : (downBytes / 1e6).toFixed(1),
    isLocal ? '' : cpuSeconds.toFixed(2),
    isLocal ? '' : (peakBytes / 1e6).toFixed(0),
  ];
}

function notesOf(tool: string, { measured, daemon, lineSeconds }: Figures): string[] {
  const notes: string[] = [];
  if (tool === OURS && lineSeconds !== undefined) notes.push(`- the line alone: ${lineSeconds.toFixed(3)} s`);
  if (measured !== undefined) {
    const figures = Object.entries(measured).map(
      ([name, value]) => `${name} ${Number(value.toPrecision(3))}`,
    );
    notes.push(`- ${tool}: ${figures.join(', ')}`);
  }
  if (daemon === undefined) return notes;
  const { p50Ms, p99Ms, maxMs } = daemon.loop;
  if (Number.isFinite(maxMs))
    notes.push(`- event loop late by: p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)}, most ${ms(maxMs)} ms`);
  const requests = Object.entries(daemon.requests)
    .toSorted(([, a], [, b]) => b.count - a.count)
    .map(
      ([operation, { count, p50Ms: p50, p99Ms: p99 }]) => `${operation} ${count}: ${ms(p50)} / ${ms(p99)}`,
    );
  if (requests.length > 0)
    notes.push(`- requests of the kernel, p50 / p99 in ms at most: ${requests.join('; ')}`);
  return notes;
}

function ms(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(2))) : 'over 30,000';
}

function find(rows: readonly Row[], workload: string, step: string, tool: string): Row | undefined {
  return rows.find((row) => row.workload === workload && row.step === step && row.tool === tool);
}

function table(headings: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cellsOfLine: readonly string[]) => `| ${cellsOfLine.join(' | ')} |`;
  const rule = headings.map((_, column) => (column === 0 ? '---' : '---:'));
  return [line(headings), line(rule), ...lines.map(line)].join('\n');
}
