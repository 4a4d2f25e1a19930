/**
 * What goes over the control socket: the JSON of every request and answer, checked on both sides. Version 1 may grow
 * fields; what changes or goes makes a version 2. Sizes are in bytes, times in milliseconds since the epoch, durations
 * in milliseconds; paths are absolute within the mount ("/" is its root).
 */

import * as z from 'zod';

/** The first segment of every route's path. */
export const CONTROL_VERSION = 'v1';

/** Items of one answer. */
const MAX_QUEUE_ITEMS = 10_000;

const count = z.int().nonnegative();
const bytes = z.int().nonnegative();
const timeMs = z.number();
const path = z.string().min(1).max(65_536).startsWith('/');

/** Whether the server can be reached, as `Connectivity` has it. */
export const connection = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('online') }),
  z.object({ kind: z.literal('offline'), reason: z.string(), retryAtMs: timeMs }),
  /** The credentials were refused. */
  z.object({ kind: z.literal('unauthorized'), reason: z.string(), retryAtMs: timeMs }),
]);

export const status = z.object({
  version: z.string(),
  pid: count,
  startedAtMs: timeMs,
  /** Which command `mount` was given, for choosing among several mounts. */
  profile: z.string().optional(),
  url: z.string(),
  mountPoint: z.string(),
  cacheDir: z.string(),
  driver: z.enum(['kernel', 'fuse-native']),
  readOnly: z.boolean(),
  /** Of the kernel's side: protocol version and the features that are in use, and those that are not, with the reason. */
  kernel: z.object({
    protocol: z.string(),
    features: z.array(z.string()),
    absent: z.array(z.object({ feature: z.string(), reason: z.string() })),
  }),
  /** How often a new daemon took this mount over. */
  takeovers: count,
  /** Who holds the mount while no daemon does. */
  keeper: z.enum(['systemd', 'process', 'none']),
  connection,
  credentials: z.object({
    kind: z.enum(['none', 'basic', 'oauth2', 'token-command']),
    user: z.string().optional(),
    state: z.enum(['untried', 'accepted', 'refused']),
    /** When the present ones were taken up. */
    sinceMs: timeMs,
  }),
  paused: z.boolean(),
  queue: z.object({
    pending: count,
    running: count,
    failing: count,
    bytes: bytes,
    bytesDone: bytes,
    /** Why uploads wait for room on the server; absent while none does. */
    full: z.string().optional(),
  }),
  rates: z.object({
    upBytesPerSecond: z.number().nonnegative(),
    downBytesPerSecond: z.number().nonnegative(),
  }),
  cache: z.object({
    cleanBytes: bytes,
    cleanFiles: count,
    stagedBytes: bytes,
    stagedFiles: count,
    pinned: count,
    limitBytes: bytes,
  }),
  capacity: z.object({ totalBytes: bytes.optional(), usedBytes: bytes.optional() }).optional(),
  conflicts: count,
  /** The latest troubles, newest last; bounded. */
  errors: z.array(
    z.object({ atMs: timeMs, code: z.string(), message: z.string(), path: z.string().optional() }),
  ),
});

export const queueItem = z.object({
  /** As the mount shows it now; of something deleted, as the server knows it. */
  path: z.string(),
  operation: z.enum(['upload', 'copy', 'create-directory', 'move', 'delete', 'check', 'other']),
  state: z.enum(['running', 'due', 'waiting', 'held', 'paused']),
  /** Bytes of the body, for uploads. */
  bytesTotal: bytes.optional(),
  bytesDone: bytes.optional(),
  retries: count,
  lastError: z.string().optional(),
  /** When it is tried next, where that is known. */
  dueAtMs: timeMs.optional(),
});
/** Of a query, so numbers come as text. */
export const queueRequest = z.strictObject({
  limit: z.coerce.number<number | string>().pipe(z.int().min(0).max(MAX_QUEUE_ITEMS)).default(100),
});
export const queue = z.object({ total: count, items: z.array(queueItem), truncated: z.boolean() });

/** An event of the stream; `type` is the SSE event's name. */
export const event = z.discriminatedUnion('type', [
  z.object({ type: z.literal('status'), status }),
  z.object({ type: z.literal('uploaded'), path: z.string(), bytes }),
  z.object({
    type: z.literal('trouble'),
    code: z.string(),
    message: z.string(),
    path: z.string().optional(),
  }),
  z.object({ type: z.literal('conflict'), path: z.string(), copy: z.string() }),
  z.object({ type: z.literal('connection'), connection }),
]);

export const pathRequest = z.strictObject({ path });
export const refreshRequest = z.strictObject({ path, recursive: z.boolean().default(false) });
export const refreshed = z.object({ directories: count });
export const flushRequest = z.strictObject({ timeoutMs: count.optional() });
/** Where the time was over first, `pending` tells what is left. */
export const flushed = z.object({ pending: count });
export const pauseState = z.object({ paused: z.boolean() });
export const pin = z.object({ path: z.string(), files: count, bytes, presentBytes: bytes });
export const pins = z.object({ pins: z.array(pin) });
export const evictRequest = z.strictObject({ path: path.optional() });
export const evicted = z.object({ freedBytes: bytes });
export const conflict = z.object({
  /** Where the server's version is. */
  path: z.string(),
  /** Where this machine's version was kept. */
  copy: z.string(),
  atMs: timeMs,
});
export const conflicts = z.object({ conflicts: z.array(conflict) });
/** `local`: the copy replaces the server's version; `server`: the copy is removed; `both`: only no longer listed. */
export const resolveRequest = z.strictObject({ copy: path, keep: z.enum(['local', 'server', 'both']) });
export const cacheStats = z.object({
  cleanBytes: bytes,
  cleanFiles: count,
  stagedBytes: bytes,
  stagedFiles: count,
  limitBytes: bytes,
  minFreeBytes: bytes,
  freeDiskBytes: bytes,
  nodes: count,
  pinnedFiles: count,
});
export const cacheReport = z.object({
  checkedFiles: count,
  checkedBytes: bytes,
  /** Clean bodies that were not what they should be; they are fetched again when wanted. */
  droppedFiles: count,
  /** Staged bodies that are damaged: kept and named. */
  damaged: z.array(z.string()),
});
export const logLevel = z.strictObject({
  level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']),
});
export const logLevelState = z.object(logLevel.shape);
/** Without any of the three: reads them again where they came from. */
export const rotateRequest = z.strictObject({
  password: z.string().min(1).max(4096).optional(),
  refreshToken: z.string().min(1).max(65_536).optional(),
  apiKey: z.string().min(1).max(4096).optional(),
  /** Take them up though the server refuses them: it may need minutes to know them. */
  force: z.boolean().default(false),
});
export const rotated = z.object({
  /** Whether the server took them. */
  accepted: z.boolean(),
  /** Where they were written; absent: they live in memory until the mount ends, and why is in `note`. */
  writtenTo: z.string().optional(),
  note: z.string().optional(),
});
export const remountRequest = z.strictObject({
  /** Options by name, as in the config file, as text. Empty: reads the config file again. */
  options: z.record(z.string(), z.string()).default({}),
  /** Make a new kernel mount in the place of this one; open files are lost. */
  reestablish: z.boolean().default(false),
  /** Take another URL up though the folder there does not look like the one that is mounted. */
  force: z.boolean().default(false),
});
export const remounted = z.object({
  changed: z.array(z.object({ option: z.string(), from: z.string(), to: z.string() })),
  /** Options that differ and hold only from the next kernel mount on. */
  needsNewMount: z.array(z.string()),
  /** What else there is to know: open files that were lost, a place that was not written. */
  note: z.string().optional(),
});
export const unmountRequest = z.strictObject({
  /** Wait until everything is on the server. */
  wait: z.boolean().default(true),
  timeoutMs: count.optional(),
  /** Detach from programs that use the mount still. */
  lazy: z.boolean().default(false),
});
/** The versions before and after; the daemon goes on to the latter once it has answered. */
export const upgrading = z.object({ from: z.string(), to: z.string() });
export const unmounting = z.object({ pending: count });
export const nothing = z.strictObject({});
/** Done, and there is nothing to tell of it. */
export const done = z.object({});
export const text = z.string();

/** RFC 9457 problem details; `code` and `advice` are extension members. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string().optional(),
  code: z.string(),
  advice: z.string().optional(),
});

export type Status = z.infer<typeof status>;
export type Queue = z.infer<typeof queue>;
export type QueueEntry = z.infer<typeof queueItem>;
export type ControlEvent = z.infer<typeof event>;
export type CacheReport = z.infer<typeof cacheReport>;
export type CacheStats = z.infer<typeof cacheStats>;
export type Conflict = z.infer<typeof conflict>;
export type Connection = z.infer<typeof connection>;
export type Pin = z.infer<typeof pin>;
export type RotateRequest = z.output<typeof rotateRequest>;
export type Rotated = z.infer<typeof rotated>;
export type RemountRequest = z.output<typeof remountRequest>;
export type Remounted = z.infer<typeof remounted>;
export type UnmountRequest = z.output<typeof unmountRequest>;
export type ControlLogLevel = z.infer<typeof logLevel>['level'];
export type Problem = z.infer<typeof problem>;
