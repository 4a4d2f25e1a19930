/**
 * The composition root: builds every subsystem from the options, starts them from the bottom up and stops them from
 * the top down. Nobody else builds subsystems.
 */

import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Clock, SystemClock, UserError } from '../base/index.js';
import { connectInvalidation, createBridge, type KernelInvalidation } from '../bridge/index.js';
import type { MountOptions } from '../config/index.js';
import { type ContentStore, openContentStore } from '../content/index.js';
import {
  FuseSession,
  type KernelMount,
  MountError,
  mountKernel,
  type SessionEnd,
  setReadAhead,
} from '../fuse/index.js';
import { type Logger, subsystemLogger } from '../observe/index.js';
import { type Capabilities, isRemoteError, type RemoteStore } from '../remote/index.js';
import { type LmdbStateStore, openState, StateError } from '../state/index.js';
import { SyncEngine } from '../sync/index.js';
import { Vfs } from '../vfs/index.js';
import { checkServer } from '../webdav/index.js';
import { capacitySource } from './capacity.js';
import { connect } from './connection.js';
import { remoteUserError } from './errors.js';
import { cacheUserError, mountUserError } from './failures.js';
import type { LiveAuth } from './live-auth.js';
import { type Preflight, preflight } from './preflight.js';
import type { CloseReason, DaemonDeps, RunningDaemon, StopReport } from './types.js';

/** How often a file that stays open for writing is uploaded from a copy. */
const COPY_INTERVAL_MS = 30_000;
/** What the kernel reads ahead of a sequential reader, in KiB. */
const READ_AHEAD_KIB = 1024;
const CAPABILITIES_KEY = 'capabilities';
const PROBED_AT_KEY = 'probedAtMs';
/** A server is probed anew once a week: it may have been replaced by another. */
const PROBE_EVERY_MS = 7 * 24 * 60 * 60 * 1000;

/** Things to undo, last first. */
class Undo {
  readonly #steps: (() => Promise<void> | void)[] = [];

  add(step: () => Promise<void> | void): void {
    this.#steps.push(step);
  }

  /** Undoes all, also past a step that fails; rejects with the first failure. */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

/** Checks, mounts and serves; see `StartDaemon`. */
export async function startDaemon(options: MountOptions, deps: DaemonDeps): Promise<RunningDaemon> {
  const undo = new Undo();
  try {
    return await start(options, deps, undo);
  } catch (error) {
    await undo.run().catch((failure: unknown) => deps.logger.error({ err: failure }, 'could not clean up'));
    throw error;
  }
}

async function start(options: MountOptions, deps: DaemonDeps, undo: Undo): Promise<RunningDaemon> {
  const { logger } = deps;
  const clock = new SystemClock();
  const checked = await preflight(options);
  let inUse = false;
  undo.add(() => (inUse ? checked.cache.release() : checked.cache.abandon()));

  const state = openTrees(checked.cache.dir, options, clock, logger);
  undo.add(() => state.close());
  const connection = connect(options, {
    clock,
    logger,
    capabilities: {
      known: (state.getMeta(CAPABILITIES_KEY) ?? {}) as Partial<Capabilities>,
      save: (capabilities) => state.setMeta(CAPABILITIES_KEY, { ...capabilities }),
    },
  });
  const { store } = connection;
  undo.add(() => connection.close());
  await askServer(store, options, checked, logger);
  const { content, powerLoss } = await openBodies(checked.cache.dir, state, options, clock, logger);
  undo.add(() => content.close());
  inUse = true;

  const engine = new SyncEngine(
    {
      state,
      content,
      store,
      clock,
      random: Math.random,
      log: subsystemLogger(logger, 'sync'),
      capacity: capacitySource({
        store,
        url: options.url,
        rest: () => connection.auth.rest,
        ca: options.extraCaPem,
        clock,
        log: subsystemLogger(logger, 'infinicloud'),
      }),
    },
    {
      hostName: hostname(),
      owner: { uid: options.uid, gid: options.gid, fileMode: options.fileMode, dirMode: options.dirMode },
      freshnessMs: options.freshnessMs,
      uploadDelayMs: options.uploadDelayMs,
      copyIntervalMs: COPY_INTERVAL_MS,
      maxConnections: options.maxConnections,
    },
  );
  const vfs = new Vfs({
    state,
    content,
    sync: engine,
    clock,
    options: { readOnly: options.readOnly, sync: options.sync, volumeSizeBytes: options.volumeSizeBytes },
  });
  connection.auth.onRenewed = () => engine.retryNow();
  engine.start({ powerLoss });
  undo.add(() => engine.close());
  undo.add(() => vfs.close());

  const kernel = await mountChecked(options, checked);
  const { session, invalidation } = serve(kernel, vfs, engine, options, clock, logger);
  undo.add(() => invalidation.close());
  undo.add(async () => {
    await session.close();
  });
  undo.add(() => unmount(kernel, logger));
  await Promise.race([session.ready, session.closed.then(failIfEnded)]);
  await setReadAhead(kernel.device, READ_AHEAD_KIB).catch((error: unknown) =>
    logger.debug({ err: error }, 'the read-ahead of the mount stays at the default'),
  );
  if (!options.readOnly) learn(store, state, clock, logger);
  deps.onReady?.({ url: options.url, mountPoint: kernel.mountPoint });
  return new Daemon({ session, engine, auth: connection.auth, undo, logger });
}

function failIfEnded(end: SessionEnd): never {
  throw new UserError(
    'mount-refused',
    'Cannot mount: the kernel ended the connection at once',
    'See the kernel log.',
    {
      cause: end.reason === 'failed' ? end.error : undefined,
    },
  );
}

/** A server that cannot be reached is no reason not to show what is known of it. */
async function askServer(
  store: RemoteStore,
  options: MountOptions,
  checked: Preflight,
  logger: Logger,
): Promise<void> {
  try {
    await checkServer(store);
  } catch (error) {
    if (!isRemoteError(error)) throw error;
    const unreachable = isRemoteError(error, 'unreachable', 'timeout', 'interrupted');
    if (checked.cache.isNew || !unreachable) throw remoteUserError(error, options.url);
    logger.warn({ code: error.code, reason: error.message }, 'mounting offline, from what the cache holds');
  }
}

function openTrees(dir: string, options: MountOptions, clock: Clock, logger: Logger): LmdbStateStore {
  try {
    return openState({
      dir: join(dir, 'state'),
      clock,
      log: subsystemLogger(logger, 'state'),
      root: { mode: options.dirMode, uid: options.uid, gid: options.gid, time: clock.nowNs() },
    });
  } catch (error) {
    throw error instanceof StateError ? cacheUserError(error, dir) : error;
  }
}

async function openBodies(
  dir: string,
  state: LmdbStateStore,
  options: MountOptions,
  clock: Clock,
  logger: Logger,
): Promise<{ content: ContentStore; powerLoss: boolean }> {
  const log = subsystemLogger(logger, 'content');
  const content = openContentStore({
    dir: join(dir, 'content'),
    presence: state.sideTable('presence'),
    clock,
    log,
    limits: { maxCleanBytes: options.cacheSizeBytes, minFreeBytes: options.minFreeSpaceBytes },
  });
  const report = await content.reconcile((ino) => {
    const node = state.get(ino);
    if (node?.kind !== 'file') return { kind: 'unknown' };
    return { kind: node.content, etag: node.base?.etag, size: node.size };
  });
  if (report.lostAndFound.length > 0) {
    log.error(
      { files: report.lostAndFound },
      'files that belong to nothing were found in the cache and are kept there',
    );
  }
  if (report.powerLoss)
    log.warn({}, 'the machine went down without a clean end; unfinished writes may be missing');
  return { content, powerLoss: report.powerLoss };
}

async function mountChecked(options: MountOptions, checked: Preflight): Promise<KernelMount> {
  try {
    return await mountKernel({
      mountPoint: checked.mountPoint,
      fsName: options.url,
      allowOther: options.allowOther,
      readOnly: options.readOnly,
      noAtime: true,
      allowNonEmpty: options.nonempty,
    });
  } catch (error) {
    throw error instanceof MountError ? mountUserError(error, checked.mountPoint) : error;
  }
}

function serve(
  kernel: KernelMount,
  vfs: Vfs,
  engine: SyncEngine,
  options: MountOptions,
  clock: Clock,
  logger: Logger,
): { session: FuseSession; invalidation: KernelInvalidation } {
  const log = subsystemLogger(logger, 'fuse');
  const { freshnessMs } = options;
  const timeouts = {
    entryTimeoutMs: freshnessMs,
    attrTimeoutMs: freshnessMs,
    negativeTimeoutMs: freshnessMs,
  };
  const pending: { invalidation: KernelInvalidation | undefined } = { invalidation: undefined };
  const handlers = createBridge({
    vfs,
    timeouts,
    log,
    isStale: (ino) => pending.invalidation?.isPending(ino) ?? false,
  });
  const session = new FuseSession({
    fd: kernel.fd,
    handlers,
    clock,
    options: { extraFlags: ['HANDLE_KILLPRIV_V2'] },
    onUnexpectedError: (error, operation) =>
      log.error({ operation, err: error }, 'request failed unexpectedly'),
    ...(options.debugFuse ? { trace: (line: string) => process.stderr.write(`${line}\n`) } : {}),
  });
  const invalidation = connectInvalidation({
    sync: engine,
    notify: session.notify,
    isKnown: (ino) => vfs.inodes.isInUse(ino),
    log,
  });
  pending.invalidation = invalidation;
  session.start();
  return { session, invalidation };
}

/** Unmounts; where programs hold on to the mount it is detached, and goes when they let go. */
async function unmount(kernel: KernelMount, logger: Logger): Promise<void> {
  try {
    await kernel.unmount();
  } catch (error) {
    if (!(error instanceof MountError) || error.code !== 'busy') throw error;
    logger.warn({ mountPoint: kernel.mountPoint }, 'programs still use the mount; it is detached from them');
    await kernel.unmount({ lazy: true });
  }
}

/** Finds out what the server honours, behind everything else, unless that was done lately. */
function learn(store: RemoteStore, state: LmdbStateStore, clock: Clock, logger: Logger): void {
  const probedAtMs = state.getMeta(PROBED_AT_KEY);
  if (typeof probedAtMs === 'number' && clock.nowMs() - probedAtMs < PROBE_EVERY_MS) return;
  store
    .probe()
    .then((capabilities) => {
      state.setMeta(PROBED_AT_KEY, clock.nowMs());
      logger.debug({ capabilities }, 'what the server honours');
    })
    .catch((error: unknown) => {
      if (isRemoteError(error)) logger.debug({ code: error.code }, 'the server was not probed');
      else logger.error({ err: error }, 'the server was not probed');
    });
}

class Daemon implements RunningDaemon {
  readonly closed: Promise<CloseReason>;
  readonly #engine: SyncEngine;
  readonly #auth: LiveAuth;
  readonly #undo: Undo;
  readonly #logger: Logger;
  #stopping: Promise<StopReport> | undefined;
  #setClosed: (reason: CloseReason) => void = () => undefined;

  constructor(parts: {
    readonly session: FuseSession;
    readonly engine: SyncEngine;
    readonly auth: LiveAuth;
    readonly undo: Undo;
    readonly logger: Logger;
  }) {
    this.#engine = parts.engine;
    this.#auth = parts.auth;
    this.#undo = parts.undo;
    this.#logger = parts.logger;
    this.closed = new Promise((resolve) => {
      this.#setClosed = resolve;
    });
    parts.session.closed
      .then((end) => this.#ended(end))
      .catch((error: unknown) => this.#logger.error({ err: error }, 'could not stop cleanly'));
  }

  flush(signal: AbortSignal): Promise<void> {
    return this.#engine.drained(signal);
  }

  reload(): void {
    this.#auth
      .reload()
      .catch((error: unknown) => this.#logger.error({ err: error }, 'could not read the credentials again'));
  }

  stop(): Promise<StopReport> {
    this.#stopping ??= this.#close('stopped');
    return this.#stopping;
  }

  async #ended(end: SessionEnd): Promise<void> {
    if (this.#stopping !== undefined) return;
    if (end.reason === 'failed')
      this.#logger.error({ err: end.error }, 'the connection to the kernel failed');
    this.#stopping = this.#close(end.reason === 'failed' ? 'failed' : 'unmounted');
    await this.#stopping;
  }

  async #close(reason: CloseReason): Promise<StopReport> {
    const report: StopReport = { pendingUploads: this.#engine.pendingCount() };
    try {
      await this.#undo.run();
    } finally {
      this.#setClosed(reason);
    }
    return report;
  }
}
