/** Reading the response headers that matter here. */

/** Lower-case names; a header that came twice is joined by commas (RFC 9110 section 5.3). */
export type HeaderMap = Readonly<Record<string, string>>;

export function toHeaderMap(headers: Readonly<Record<string, string | string[] | undefined>>): HeaderMap {
  const map: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) map[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
  }
  return map;
}

/** Milliseconds since the epoch (RFC 9110 section 5.6.7), or undefined for what is no date. */
export function parseHttpDate(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

/** Bytes of Content-Length (RFC 9110 section 8.6), or undefined where there is none or it is no number. */
export function parseLength(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text.trim()) ? Number(text) : undefined;
}

/** A server that asks for more is taken to mean this. */
const MAX_RETRY_AFTER_MS = 60 * 60 * 1000;

/** Milliseconds of Retry-After (RFC 9110 section 10.2.3: seconds, or a date), at most an hour. */
export function parseRetryAfter(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  const trimmed = text.trim();
  const atMs = parseHttpDate(trimmed);
  const ms = /^\d{1,9}$/.test(trimmed)
    ? Number(trimmed) * 1000
    : atMs === undefined
      ? undefined
      : atMs - nowMs;
  return ms === undefined ? undefined : Math.min(Math.max(0, ms), MAX_RETRY_AFTER_MS);
}

export interface ContentRange {
  /** Undefined in the answer to a range that cannot be had (416). */
  readonly range: { readonly start: number; readonly end: number } | undefined;
  /** Undefined where the server does not know it. */
  readonly total: number | undefined;
}

/** Content-Range (RFC 9110 section 14.4); `end` is one past the last byte. Undefined for what is none. */
export function parseContentRange(text: string | undefined): ContentRange | undefined {
  const match = /^\s*bytes\s+(?:(\d{1,15})-(\d{1,15})|\*)\/(?:(\d{1,15})|\*)\s*$/i.exec(text ?? '');
  if (match === null) return undefined;
  const [, first, last, size] = match;
  const total = size === undefined ? undefined : Number(size);
  if (first === undefined || last === undefined) return { range: undefined, total };
  const range = { start: Number(first), end: Number(last) + 1 };
  if (range.start >= range.end || (total !== undefined && range.end > total)) return undefined;
  return { range, total };
}
