/** Sizes, rates and times as a person reads them. Sizes are in the units of the option table: 1 KiB is 1024 bytes. */

import prettyBytes from 'pretty-bytes';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Three significant digits: `1.5 GiB`, `0 B`. */
export function showBytes(bytes: number): string {
  return prettyBytes(bytes, { binary: true });
}

/** `1.5 MiB/s`. */
export function showRate(bytesPerSecond: number): string {
  return `${showBytes(Math.round(bytesPerSecond))}/s`;
}

/** The share of a whole in percent; what has no whole is 0. */
export function showPercent(part: number, whole: number): string {
  return `${Math.floor(fraction(part, whole) * 100)} %`;
}

/** From 0 to 1, whatever the two are. */
export function fraction(part: number, whole: number): number {
  if (!(whole > 0) || !(part > 0)) return 0;
  return Math.min(1, part / whole);
}

/** The two largest units: `45 s`, `2 min 5 s`, `3 h 20 min`, `12 d 4 h`. */
export function showDuration(durationMs: number): string {
  const ms = Math.max(0, durationMs);
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)} s`;
  if (ms < HOUR_MS) return two(ms, MINUTE_MS, 'min', SECOND_MS, 's');
  if (ms < DAY_MS) return two(ms, HOUR_MS, 'h', MINUTE_MS, 'min');
  return two(ms, DAY_MS, 'd', HOUR_MS, 'h');
}

/** Above this a remaining time says nothing any more. */
const LONGEST_WAIT_MS = 100 * DAY_MS;

/** How long the rest takes at a rate; undefined where that cannot be said. */
export function remainingMs(bytes: number, bytesPerSecond: number): number | undefined {
  if (bytesPerSecond <= 0) return undefined;
  const ms = (bytes / bytesPerSecond) * SECOND_MS;
  return ms > LONGEST_WAIT_MS ? undefined : ms;
}

/** `5 min 3 s ago`, `just now`. */
export function showAge(atMs: number, nowMs: number): string {
  const age = nowMs - atMs;
  return age < SECOND_MS ? 'just now' : `${showDuration(age)} ago`;
}

/** `in 20 s`, `now`. */
export function showUntil(atMs: number, nowMs: number): string {
  const ahead = atMs - nowMs;
  return ahead < SECOND_MS ? 'now' : `in ${showDuration(ahead)}`;
}

/** Date and time of day in the local time zone: `2026-11-23 21:10:05`. */
export function showTime(atMs: number): string {
  const at = new Date(atMs);
  const pad = (value: number) => String(value).padStart(2, '0');
  const date = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${date} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** `1 file`, `2 files`, `1,234 files`; `plural` where an s does not do. */
export function showCount(count: number, singular: string, plural = `${singular}s`): string {
  return `${showNumber(count)} ${count === 1 ? singular : plural}`;
}

/** With commas between thousands. */
export function showNumber(value: number): string {
  return value.toLocaleString('en-US');
}

function two(ms: number, largeMs: number, largeName: string, smallMs: number, smallName: string): string {
  const large = Math.floor(ms / largeMs);
  const small = Math.floor((ms % largeMs) / smallMs);
  return small === 0 ? `${large} ${largeName}` : `${large} ${largeName} ${small} ${smallName}`;
}
