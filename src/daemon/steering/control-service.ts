/** What the routes of the control socket do: each asks the part of the daemon that knows, in that part's own words. */

import { statfs } from 'node:fs/promises';
import { type Clock, LOG_LEVELS, type LogLevel, UserError } from '../../base/index.js';
import type { ContentStore } from '../../content/index.js';
import type {
  CallContext,
  ControlEvent,
  ControlService,
  Listener,
  Remounted,
  RemountRequest,
  Rotated,
  RotateRequest,
  Status,
  UnmountRequest,
} from '../../control/index.js';
import type { Logger, Metrics } from '../../observe/index.js';
import type { Quota } from '../../remote/index.js';
import type { PinInfo, SyncControl } from '../../sync/index.js';
import type { CredentialStatus } from '../credentials/live-auth.js';
import type { Continuity } from '../mounting/mount-guard.js';
import type { Versions } from '../mounting/upgrade.js';

/** Of the engine. */
export interface EngineControl extends SyncControl {
  drained(signal?: AbortSignal): Promise<void>;
  retryNow(): void;
  pendingCount(): number;
  quota(): Quota | undefined;
}

/** What does not change while the mount runs. */
export interface MountFacts {
  readonly version: string;
  readonly profile: string | undefined;
  readonly mountPoint: string;
  readonly cacheDir: string;
  readonly startedAtMs: number;
  readonly driver: Status['driver'];
}

/** What may have changed since the mount was made. */
export interface MountSettings {
  readonly url: string;
  readonly readOnly: boolean;
  readonly maxCleanBytes: number;
  readonly minFreeBytes: number;
}

export interface ControlServiceDeps {
  readonly facts: MountFacts;
  readonly settings: () => MountSettings;
  readonly engine: EngineControl;
  readonly content: Pick<ContentStore, 'stats'>;
  readonly nodeCount: () => number;
  readonly credentials: () => CredentialStatus;
  readonly kernel: () => Status['kernel'];
  readonly continuity: () => Pick<Continuity, 'takeovers' | 'keeper'>;
  readonly rotation: { rotate(request: RotateRequest): Promise<Rotated> };
  readonly remounter: { remount(request: RemountRequest): Promise<Remounted> };
  /** Another version of the program in the place of this one. */
  readonly upgrade: {
    /** Rejects with `UserError` where that cannot be. */
    check(): Promise<Versions>;
    begin(): void;
  };
  /** Takes the kernel mount away; rejects with `UserError` 'mount-busy' where programs use it, and changes nothing then. */
  readonly unmount: () => Promise<void>;
  /** Ends the daemon, and what is left of the mount with it. */
  readonly stop: () => void;
  readonly metrics: Pick<Metrics, 'scrape'>;
  readonly logger: Pick<Logger, 'level'>;
  readonly clock: Clock;
}

export function createControlService(deps: ControlServiceDeps): ControlService {
  const { engine, content, clock, logger } = deps;
  const listeners = new Set<Listener<ControlEvent>>();

  const status = () => statusOf(deps);
  /** Something that only the status tells has changed. */
  const announce = () => {
    if (listeners.size === 0) return;
    const event: ControlEvent = { type: 'status', status: status() };
    for (const listener of listeners) listener(event);
  };
  const level = () => LOG_LEVELS.find((known) => known === logger.level) ?? 'fatal';
  const pinOf = async (path: string, { signal }: CallContext) => {
    const ino = await engine.inoOfPath(path, signal);
    engine.pin(ino);
    const found = (await engine.pins(signal)).find((pin) => pin.ino === ino);
    return found === undefined ? { path, files: 0, bytes: 0, presentBytes: 0 } : shownPin(found);
  };

  return {
    status,
    queue: ({ limit }) => {
      const { pending } = engine.summary();
      const items = engine.entries(limit);
      return { total: pending, items, truncated: items.length < pending };
    },
    events: () => (listener) => {
      listeners.add(listener);
      const unsubscribe = engine.onEvent(listener);
      listener({ type: 'status', status: status() });
      return () => {
        listeners.delete(listener);
        unsubscribe();
      };
    },
    metrics: () => deps.metrics.scrape(),
    refresh: async ({ path, recursive }, { signal }) => {
      const dir = await engine.inoOfPath(path, signal);
      return { directories: await engine.refreshTree(dir, recursive, signal) };
    },
    flush: async ({ timeoutMs }, { signal }) => {
      // What waits for its next try is asked for now.
      engine.retryNow();
      return { pending: await drained(engine, clock, timeoutMs, signal) };
    },
    pause: () => {
      engine.pause();
      announce();
      return { paused: engine.paused };
    },
    resume: () => {
      engine.resume();
      announce();
      return { paused: engine.paused };
    },
    pin: ({ path }, context) => pinOf(path, context),
    unpin: async ({ path }, { signal }) => {
      engine.unpin(await engine.inoOfPath(path, signal));
      return {};
    },
    pins: async (_, { signal }) => ({ pins: (await engine.pins(signal)).map(shownPin) }),
    evict: async ({ path }, { signal }) => {
      const ino = path === undefined ? undefined : await engine.inoOfPath(path, signal);
      return { freedBytes: await engine.evict(ino, signal) };
    },
    conflicts: () => ({
      conflicts: engine.conflicts().map(({ path, copy, atMs }) => ({ path, copy, atMs })),
    }),
    resolve: async ({ copy, keep }, { signal }) => {
      engine.resolveConflict(await engine.inoOfPath(copy, signal), keep);
      return {};
    },
    cache: async () => {
      const { maxCleanBytes, minFreeBytes } = deps.settings();
      const { bavail, bsize } = await statfs(deps.facts.cacheDir);
      return {
        ...content.stats(),
        limitBytes: maxCleanBytes,
        minFreeBytes,
        freeDiskBytes: bavail * bsize,
        nodes: deps.nodeCount(),
        pinnedFiles: (await engine.pins()).reduce((files, pin) => files + pin.files, 0),
      };
    },
    verify: async (_, { signal }) => {
      const { checkedFiles, checkedBytes, droppedFiles, damaged } = await engine.verify(signal);
      return { checkedFiles, checkedBytes, droppedFiles, damaged: [...damaged] };
    },
    logLevel: () => ({ level: level() }),
    setLogLevel: ({ level: wanted }) => {
      logger.level = wanted satisfies LogLevel;
      return { level: level() };
    },
    rotate: async (request) => {
      const rotated = await deps.rotation.rotate(request);
      announce();
      return rotated;
    },
    remount: async (request) => {
      const remounted = await deps.remounter.remount(request);
      announce();
      return remounted;
    },
    upgrade: async (_, { afterAnswer }) => {
      const versions = await deps.upgrade.check();
      afterAnswer(() => deps.upgrade.begin());
      return versions;
    },
    unmount: (request, context) => unmount(deps, request, context),
  };
}

function statusOf(deps: ControlServiceDeps): Status {
  const { facts, engine, content } = deps;
  const { profile, version, mountPoint, cacheDir, startedAtMs, driver } = facts;
  const { url, readOnly, maxCleanBytes } = deps.settings();
  const { takeovers, keeper } = deps.continuity();
  const { kind, user, state, sinceMs } = deps.credentials();
  const quota = engine.quota();
  return {
    version,
    pid: process.pid,
    startedAtMs,
    ...(profile === undefined ? {} : { profile }),
    url,
    mountPoint,
    cacheDir,
    driver,
    readOnly,
    kernel: deps.kernel(),
    takeovers,
    keeper,
    connection: engine.connection,
    credentials: { kind, ...(user === undefined ? {} : { user }), state, sinceMs },
    paused: engine.paused,
    queue: engine.summary(),
    rates: engine.rates(),
    cache: { ...content.stats(), pinned: engine.pinCount, limitBytes: maxCleanBytes },
    ...(quota === undefined
      ? {}
      : { capacity: { totalBytes: quota.used + quota.available, usedBytes: quota.used } }),
    conflicts: engine.conflicts().length,
    errors: [...engine.troubles],
  };
}

function shownPin({ path, files, bytes, presentBytes }: PinInfo) {
  return { path, files, bytes, presentBytes };
}

/** Waits until everything is on the server, or the time is over; what is left then. Rejects with the signal's reason. */
async function drained(
  engine: EngineControl,
  clock: Clock,
  timeoutMs: number | undefined,
  signal: AbortSignal,
): Promise<number> {
  const late = new AbortController();
  const timer = timeoutMs === undefined ? undefined : clock.after(timeoutMs, () => late.abort());
  try {
    await engine.drained(AbortSignal.any([signal, late.signal]));
    return 0;
  } catch (error) {
    if (signal.aborted || !late.signal.aborted) throw error;
    return engine.pendingCount();
  } finally {
    timer?.cancel();
  }
}

/** A mount that stays for any reason stays as it was. */
async function unmount(
  { engine, clock, unmount: takeAway, stop }: ControlServiceDeps,
  { wait, timeoutMs, lazy }: UnmountRequest,
  { signal, afterAnswer }: CallContext,
): Promise<{ pending: number }> {
  if (wait) {
    engine.retryNow();
    const left = await drained(engine, clock, timeoutMs, signal);
    if (left > 0) {
      throw new UserError(
        'unfinished',
        `Cannot unmount yet: ${left === 1 ? 'one change is' : `${left} changes are`} not on the server`,
        'It is still mounted. Without waiting, the rest goes up at the next mount.',
      );
    }
  }
  if (!lazy) await takeAway();
  afterAnswer(stop);
  return { pending: engine.pendingCount() };
}
