/** What the daemon itself tells of a step: how late its event loop was, and how long requests of the kernel waited. */

export interface DaemonFigures {
  /** How late the event loop was, in ms, looked at ten times a second. */
  readonly loop: { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };
  /** Requests of the kernel that ended during the step, by operation; times are bounds of the daemon's buckets. */
  readonly requests: Readonly<Record<string, RequestFigures>>;
}

export interface RequestFigures {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const MS_PER_S = 1000;
/** Percentiles of fewer say nothing. */
const MIN_REQUESTS = 20;
/** The monitor's own period, which its figures include. */
const LOOP_PERIOD_MS = 100;
const FUSE_BUCKET = /^infinimount_fuse_request_seconds_bucket\{operation="([^"]+)",le="([^"]+)"\} (\S+)$/;

/** Bucket bounds in seconds, with how many were at or below each. */
type Buckets = ReadonlyMap<string, ReadonlyMap<number, number>>;

/** From the daemon's metrics before and after; each look begins a new count of the event loop's delay. */
export function daemonFigures(before: string, after: string): DaemonFigures {
  const earlier = bucketsOf(before);
  const requests: Record<string, RequestFigures> = {};
  for (const [operation, bounds] of bucketsOf(after)) {
    const counts = [...bounds].map(([bound, count]): [number, number] => [
      bound,
      count - (earlier.get(operation)?.get(bound) ?? 0),
    ]);
    const count = counts.at(-1)?.[1] ?? 0;
    if (count < MIN_REQUESTS) continue;
    const at = (share: number) =>
      (counts.find(([, below]) => below >= share * count)?.[0] ?? Number.POSITIVE_INFINITY) * MS_PER_S;
    requests[operation] = { count, p50Ms: at(0.5), p99Ms: at(0.99) };
  }
  const lag = (name: string) =>
    Math.max(0, gauge(after, `nodejs_eventloop_lag_${name}_seconds`) * MS_PER_S - LOOP_PERIOD_MS);
  return { loop: { p50Ms: lag('p50'), p99Ms: lag('p99'), maxMs: lag('max') }, requests };
}

function bucketsOf(text: string): Buckets {
  const found = new Map<string, Map<number, number>>();
  for (const line of text.split('\n')) {
    const [, operation, bound, count] = FUSE_BUCKET.exec(line) ?? [];
    if (operation === undefined) continue;
    const bounds = found.get(operation) ?? new Map<number, number>();
    bounds.set(bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound), Number(count));
    found.set(operation, bounds);
  }
  return found;
}

function gauge(text: string, name: string): number {
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? Number.NaN);
}
