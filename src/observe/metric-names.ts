/**
 * Every figure that a mount tells, with its name, kind, unit and labels; nothing else of the product spells a name.
 * Names follow the rules of Prometheus: base units (seconds, bytes), `_total` for what only grows.
 */

export type MetricKind = 'counter' | 'gauge' | 'histogram';

export interface MetricSpec<L extends string = string, K extends MetricKind = MetricKind> {
  readonly name: string;
  readonly kind: K;
  /** One sentence without a full stop. */
  readonly help: string;
  readonly labels: readonly L[];
}

function metric<K extends MetricKind, L extends string = never>(
  kind: K,
  name: string,
  help: string,
  ...labels: readonly L[]
): MetricSpec<L, K> {
  return { name: `infinimount_${name}`, kind, help, labels };
}

export const METRICS = {
  info: metric('gauge', 'info', 'Always 1; the labels tell what runs', 'version', 'driver'),
  startTime: metric('gauge', 'start_time_seconds', 'When this daemon began to serve, since the epoch'),
  takeovers: metric('counter', 'takeovers_total', 'How often a new daemon took this mount over'),

  fuseRequests: metric(
    'counter',
    'fuse_requests_total',
    'Requests of the kernel that were answered, by what they ended with: ok or the errno',
    'operation',
    'errno',
  ),
  fuseSeconds: metric(
    'histogram',
    'fuse_request_seconds',
    'From the request of the kernel to its answer',
    'operation',
  ),
  fuseInFlight: metric('gauge', 'fuse_in_flight', 'Requests of the kernel that are being worked on'),
  fuseHeldBytes: metric('gauge', 'fuse_held_bytes', 'Bytes of buffers that requests hold'),
  fuseInterrupts: metric('counter', 'fuse_interrupts_total', 'Requests that a program called off'),
  fuseUndelivered: metric('counter', 'fuse_undelivered_total', 'Answers that the kernel no longer wanted'),
  fuseMalformed: metric('counter', 'fuse_malformed_total', 'Requests that were not of the protocol'),
  notifyQueued: metric('gauge', 'notify_queued', 'Notifications that wait for the kernel to take them'),
  openHandles: metric('gauge', 'open_handles', 'Files and directories that programs have open'),

  httpRequests: metric(
    'counter',
    'http_requests_total',
    'Requests to the server that ended, by their status, or by what went wrong where there was none',
    'method',
    'outcome',
  ),
  httpSeconds: metric(
    'histogram',
    'http_request_seconds',
    'From sending a request to the server to the end of its answer',
    'method',
  ),
  httpQueuedSeconds: metric(
    'counter',
    'http_queued_seconds_total',
    'Time that requests waited for a free connection',
  ),
  sentBytes: metric('counter', 'sent_bytes_total', 'Bytes of bodies that were sent to the server'),
  receivedBytes: metric('counter', 'received_bytes_total', 'Bytes of bodies that came from the server'),
  refusals: metric('counter', 'auth_refusals_total', 'Requests that the server answered with 401'),
  connection: metric('gauge', 'connection', '1 for the state that the connection is in', 'state'),

  queueChanges: metric(
    'gauge',
    'queue_changes',
    'Changes that the server does not have, by state; pending is all of them',
    'state',
  ),
  queueBytes: metric('gauge', 'queue_bytes', 'Bytes of all bodies that are to go up'),
  queueSentBytes: metric('gauge', 'queue_sent_bytes', 'Of these, what is sent already'),
  paused: metric('gauge', 'paused', '1 while changes are held back by request'),
  uploads: metric('counter', 'uploads_total', 'Files that went up'),
  uploadedBytes: metric('counter', 'uploaded_bytes_total', 'Bytes of these files'),
  troubles: metric('counter', 'troubles_total', 'What went wrong, each retry that failed included', 'code'),
  conflictsFound: metric('counter', 'conflicts_total', 'Files that were changed on both sides'),
  conflicts: metric('gauge', 'conflicts', 'Conflicts that nobody settled yet'),

  cacheBytes: metric('gauge', 'cache_bytes', 'Bytes in the cache, by kind', 'kind'),
  cacheFiles: metric('gauge', 'cache_files', 'Files in the cache, by kind', 'kind'),
  cacheLimitBytes: metric('gauge', 'cache_limit_bytes', 'Bytes of copies that the cache may hold'),
  pins: metric('gauge', 'pins', 'Files and trees that are to stay here'),
  nodes: metric('gauge', 'nodes', 'Files and directories that are known of the server'),
  capacityBytes: metric('gauge', 'server_bytes', 'Room on the server, where it tells', 'kind'),
} as const;

export type MetricKey = keyof typeof METRICS;

type LabelsOf<K extends MetricKey> = (typeof METRICS)[K] extends MetricSpec<infer L> ? L : never;

export interface Sample<L extends string = string> {
  readonly labels: Readonly<Record<L, string>>;
  readonly value: number;
}

/** Of one metric: a number where it has no labels, samples where it has some. */
export type Reading<K extends MetricKey> = (typeof METRICS)[K]['kind'] extends 'histogram'
  ? readonly HistogramSample<LabelsOf<K>>[]
  : [LabelsOf<K>] extends [never]
    ? number
    : readonly Sample<LabelsOf<K>>[];

export interface HistogramSample<L extends string = string> {
  readonly labels: Readonly<Record<L, string>>;
  /** Per bucket, not added up; one more than {@link BUCKETS_SECONDS} for what lies above. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** Everything at one moment. */
export type Readings = { readonly [K in MetricKey]: Reading<K> };

/** Upper bounds: a look-up takes 20 microseconds, a request over a bad line half a minute. */
export const BUCKETS_SECONDS = [
  0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
  2.5, 5, 10, 30,
] as const;
