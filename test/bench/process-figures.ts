/** CPU time and memory of a running process, from proc(5). */

import { readFileSync, writeFileSync } from 'node:fs';

/** sysconf(_SC_CLK_TCK) on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
/** Written to clear_refs it resets the peak resident set size. */
const RESET_PEAK = '5';

/** User and system time of the process and of its ended children, in seconds. */
export function cpuSeconds(pid: number | undefined): number {
  if (pid === undefined) return 0;
  const stat = readOr(`/proc/${pid}/stat`, '');
  // The command, in parentheses, may hold spaces; the fields behind it start with number 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = [14, 15, 16, 17].reduce((sum, number) => sum + Number(fields[number - 3] ?? 0), 0);
  return ticks / TICKS_PER_SECOND;
}

/** The peak resident set size since the start or the last {@link resetPeak}, in bytes. */
export function peakBytes(pid: number | undefined): number {
  if (pid === undefined) return 0;
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readOr(`/proc/${pid}/status`, ''))?.[1];
  return Number(kibibytes ?? 0) * 1024;
}

export function resetPeak(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK);
  } catch {
    // Without the right to it the peak is that of the whole life, which is never too small.
  }
}

function readOr(path: string, fallback: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return fallback;
  }
}
