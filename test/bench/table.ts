/** The benchmark's figures as a table for people. */

import type { Row, Workload } from './types.js';

const HEAD = [
  'tool',
  'seconds',
  'on server',
  'requests',
  'MB up',
  'MB down',
  'CPU s',
  'peak MB',
  'limit s',
] as const;

/** One block a workload and step, one line a tool. */
export function formatTable(workloads: readonly Workload[], rows: readonly Row[]): string {
  const blocks: string[] = [];
  for (const workload of workloads) {
    const own = rows.filter((row) => row.workload === workload.name);
    for (const step of new Set(own.map((row) => row.step))) {
      const ofStep = own.filter((row) => row.step === step);
      const local = ofStep.find((row) => row.tool === 'local')?.figures?.seconds;
      const lines = ofStep.map((row) => cells(row, local));
      const notes = ofStep.flatMap(({ tool, figures }) =>
        figures?.measured === undefined ? [] : [`  ${tool}: ${describe(figures.measured)}`],
      );
      blocks.push([`${workload.title}: ${step}`, align([[...HEAD], ...lines]), ...notes].join('\n'));
    }
  }
  return `${blocks.join('\n\n')}\n`;
}

/** The limit of a step is the line where it needs the line, and else the local directory. */
function cells(row: Row, localSeconds: number | undefined): string[] {
  if (row.figures === undefined) return [row.tool, row.error?.trim().replaceAll('\n', ' | ') ?? 'no figures'];
  const { seconds, onServerSeconds, requests, upBytes, downBytes, cpuSeconds, peakBytes, lineSeconds } =
    row.figures;
  return [
    row.tool,
    seconds.toFixed(3),
    onServerSeconds?.toFixed(3) ?? '',
    String(requests),
    megabytes(upBytes),
    megabytes(downBytes),
    cpuSeconds.toFixed(2),
    (peakBytes / 1e6).toFixed(0),
    (lineSeconds ?? (row.tool === 'local' ? undefined : localSeconds))?.toFixed(3) ?? '',
  ];
}

function describe(measured: Readonly<Record<string, number>>): string {
  return Object.entries(measured)
    .map(([name, value]) => `${name} ${value.toPrecision(3)}`)
    .join(', ');
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(2);
}

function align(table: readonly (readonly string[])[]): string {
  const complete = table.filter((line) => line.length === HEAD.length);
  const widths = HEAD.map((_, column) => Math.max(...complete.map((line) => line[column]?.length ?? 0), 12));
  return table
    .map((line) => {
      if (line.length < HEAD.length) return `  ${line.join('  ')}`;
      const padded = line.map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      );
      return `  ${padded.join('')}`;
    })
    .join('\n');
}
