/**
 * The composition root: builds every subsystem from the options, starts them from the bottom up and stops them from
 * the top down. Nobody else builds subsystems.
 */

import { join } from 'node:path';
import { type Clock, ROOT_INO, SystemClock, UserError } from '../base/index.js';
import type { MountOptions } from '../config/index.js';
import { type ContentStore, type KeptFile, openContentStore } from '../content/index.js';
import type { SessionEnd } from '../fuse/index.js';
import { type Logger, Metrics, subsystemLogger } from '../observe/index.js';
import { type Capabilities, isRemoteError, type RemoteStore } from '../remote/index.js';
import { type LmdbStateStore, openState, StateError } from '../state/index.js';
import { SyncEngine } from '../sync/index.js';
import { type Adopted, type HandleLog, NO_HANDLE_LOG, openHandleLog, Vfs } from '../vfs/index.js';
import { capacitySource } from './capacity.js';
import { Rotation } from './credentials/rotation.js';
import { cacheUserError } from './failures.js';
import { KernelSide, type KernelSideDeps } from './mounting/kernel-side.js';
import { LibfuseSide } from './mounting/libfuse-side.js';
import { Lineage } from './mounting/lineage.js';
import { type Continuity, MountGuard } from './mounting/mount-guard.js';
import type { MountSide } from './mounting/mount-side.js';
import { warnIfHidden } from './mounting/mount-visibility.js';
import type { Legacy } from './mounting/succession.js';
import { releaseMount, takeOver } from './mounting/takeover.js';
import { checkUpgrade } from './mounting/upgrade.js';
import { nodeContents } from './node-contents.js';
import { firstLook, firstWarning, type Known } from './preflight/first-look.js';
import { type Preflight, preflight, preflightTakeover } from './preflight/preflight.js';
import { connectServiceManager, type ServiceManager } from './service/service-manager.js';
import { serviceSources } from './service/service-sources.js';
import { StopDrain } from './service/stop-drain.js';
import { connect } from './steering/connection.js';
import { mountFacts, mountSettings, openControl } from './steering/control-start.js';
import { LiveSettings } from './steering/live-settings.js';
import { Remounter } from './steering/remount.js';
import type { CloseReason, DaemonDeps, RunningDaemon, StopReport } from './types.js';

const CAPABILITIES_KEY = 'capabilities';
const REMOUNTED_KEY = 'remounted';
const PROBED_AT_KEY = 'probedAtMs';
/** A server is probed anew once a week: it may have been replaced by another. */
const PROBE_EVERY_MS = 7 * 24 * 60 * 60 * 1000;

/** Things to undo, last first. */
class Undo {
  readonly #steps: (() => Promise<void> | void)[] = [];
  /** Called first where the start fails, with its reason. */
  onFailure: ((reason: unknown) => Promise<void>) | undefined;
  /** Another program goes on with the mount: what programs have open stays open. */
  isHandedOver = false;

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
    await undo.onFailure?.(error);
    await undo.run().catch((failure: unknown) => deps.logger.error({ err: failure }, 'could not clean up'));
    throw error;
  }
}

async function start(options: MountOptions, deps: DaemonDeps, undo: Undo): Promise<RunningDaemon> {
  const { logger } = deps;
  const clock = new SystemClock();
  const manager = connectServiceManager(process.env, { clock, log: subsystemLogger(logger, 'service') });
  undo.add(() => manager.close());
  const { inheritance } = deps;
  const heir = { logger, notify: manager.notify, nowMs: clock.nowMs() };
  const takeover = inheritance === undefined ? undefined : await takeOver(inheritance, options, heir);
  // What a person has to mend is no better for the next daemon; anything else may be.
  undo.onFailure = async (reason) => {
    if (takeover !== undefined && reason instanceof UserError)
      await releaseMount(takeover, options.cacheDir, heir);
  };
  const checked =
    takeover === undefined
      ? await preflight(options, logger)
      : await preflightTakeover(options, takeover.kernel.mountPoint);
  let inUse = false;
  undo.add(() => (inUse ? checked.cache.release() : checked.cache.abandon()));

  const state = openTrees(checked.cache.dir, options, clock, logger);
  undo.add(() => state.close());
  const settings = new LiveSettings(options);
  const metrics = new Metrics();
  const connection = connect(options, {
    clock,
    logger,
    isLive: true,
    onResponse: metrics.httpEnded,
    capabilities: {
      known: (state.getMeta(CAPABILITIES_KEY) ?? {}) as Partial<Capabilities>,
      save: (capabilities) => state.setMeta(CAPABILITIES_KEY, { ...capabilities }),
    },
  });
  const { store } = connection;
  undo.add(() => connection.close());
  connection.auth.watch();
  // Programs may be waiting for a mount that is taken over: it serves first.
  const trouble =
    takeover === undefined ? await firstLook(store, options.url, knownOf(checked, state)) : undefined;
  const warning = trouble === undefined ? undefined : firstWarning(trouble);
  if (warning !== undefined) logger.warn({ reason: trouble?.message }, warning);
  const { content, powerLoss } = await openBodies(checked.cache.dir, state, settings, clock, logger);
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
        line: () => connection.line,
        rest: () => connection.auth.rest,
        clock,
        log: subsystemLogger(logger, 'infinicloud'),
      }),
    },
    settings.sync,
  );
  const lineage = new Lineage(takeover?.record);
  const vfs = new Vfs({
    state,
    content,
    sync: engine,
    clock,
    options: settings.vfs,
    handleLog: openHandles(options, checked.cache.dir, lineage, logger),
  });
  // Before the engine starts, which must not forget what is in use.
  if (takeover !== undefined) noteAdopted(vfs.adopt(), logger);
  let guarding: MountGuard | undefined;
  connection.auth.onRenewed = (accepted) => {
    guarding?.renew();
    if (accepted) engine.reachable();
    else engine.retryNow();
  };
  engine.start({ powerLoss });
  if (trouble !== undefined) engine.failed(trouble);
  undo.add(() => engine.close());
  const drain = new StopDrain({ engine, manager, clock, limitMs: options.drainTimeoutMs, logger });
  undo.add(() => drain.run());
  undo.add(() => {
    if (!undo.isHandedOver) vfs.close();
  });

  const { notify } = manager;
  const { mountPoint, privileged } = checked;
  const observe: KernelSideDeps['observe'] = (operation, durationMs, errno) => {
    metrics.fuseAnswered(operation, durationMs, errno);
    engine.noteRequest();
  };
  const parts = { options, mountPoint, vfs, engine, settings, clock, logger, observe };
  const guard: KernelSideDeps['guard'] = (mount, by, from) => {
    if (from === undefined) lineage.next();
    state.origins.begin(lineage.connection);
    guarding = new MountGuard({
      kernel: mount,
      options: by,
      inheritance: from === undefined ? undefined : inheritance,
      takeover: from,
      lineage,
      credentials: () => connection.auth.credentials,
      notify,
      clock,
      logger,
    });
    return guarding;
  };
  // A mount that is taken over goes on as it is, whatever the options say now.
  const kernel: MountSide =
    options.driver === 'fuse-native' && takeover === undefined
      ? new LibfuseSide({ ...parts, privileged })
      : new KernelSide({ ...parts, privileged, guard });
  undo.add(() => kernel.close());
  await kernel.start(takeover);
  const rotation = new Rotation({ connection, clock, log: subsystemLogger(logger, 'rotation') });
  const remounter = new Remounter({
    source: options.source,
    cacheDir: options.cacheDir,
    cache: checked.cache,
    settings,
    connection,
    engine,
    content,
    state,
    kernel,
    keep: (overrides) => state.setMeta(REMOUNTED_KEY, { ...overrides }),
    logger,
    log: subsystemLogger(logger, 'remount'),
  });
  if (takeover !== undefined) await restoreOptions(remounter, state, logger);
  else if (state.getMeta(REMOUNTED_KEY) !== undefined) state.setMeta(REMOUNTED_KEY, {});
  // Whoever mounts looks there next; whoever goes on with a mount has looked.
  if (takeover === undefined && trouble === undefined) engine.foresee(ROOT_INO);
  if (!options.readOnly) learn(store, state, clock, logger);
  const daemon = new Daemon({ kernel, engine, rotation, remounter, manager, drain, undo, logger });
  const control = openControl({
    ...{ kernel, engine, content, rotation, remounter, metrics, clock, logger },
    runtimeDir: options.runtimeDir,
    facts: mountFacts(options, { mountPoint, driver: kernel.driver, startedAtMs: clock.nowMs() }),
    settings: () => mountSettings(settings, connection),
    nodeCount: () => state.nodeCount,
    openHandles: () => vfs.handleCount,
    credentials: () => connection.auth.status,
    stop: () => daemon.end(),
    upgrade: { check: () => checkUpgrade(kernel), begin: () => deps.onUpgrade?.() },
  });
  // The mount may end while the socket is still being made.
  undo.add(async () => (await control)?.close());
  await control;
  if (takeover === undefined) deps.onReady?.({ url: options.url, mountPoint: kernel.mountPoint, warning });
  if (manager.notify !== undefined) await warnIfHidden(kernel.mountPoint, logger);
  manager.serving(serviceSources({ url: options.url, mountPoint: kernel.mountPoint, engine }));
  return daemon;
}

function knownOf({ cache }: Preflight, state: LmdbStateStore): Known {
  if (cache.isNew) return 'nothing';
  const root = state.get(ROOT_INO);
  return root?.kind === 'dir' && root.listedAtMs !== undefined ? 'tree' : 'itself';
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

/** Where what programs have open is written down for the next daemon, if there will be one. */
function openHandles(options: MountOptions, dir: string, lineage: Lineage, logger: Logger): HandleLog {
  if (!options.keeper || options.driver === 'fuse-native') return NO_HANDLE_LOG;
  const log = subsystemLogger(logger, 'vfs');
  return openHandleLog({ path: join(dir, 'handles'), connection: lineage.id, log });
}

function noteAdopted({ files, directories, lost }: Adopted, logger: Logger): void {
  logger.info({ files, directories }, 'what programs had open is open again');
  if (lost.length > 0) logger.error({ inodes: lost }, 'files that programs had open are gone from the cache');
}

async function openBodies(
  dir: string,
  state: LmdbStateStore,
  { limits }: LiveSettings,
  clock: Clock,
  logger: Logger,
): Promise<{ content: ContentStore; powerLoss: boolean }> {
  const log = subsystemLogger(logger, 'content');
  const content = openContentStore({
    dir: join(dir, 'content'),
    presence: state.sideTable('presence'),
    clock,
    log,
    limits,
  });
  const nodes = nodeContents(state);
  const report = await content.reconcile(nodes);
  const noteKept = (files: readonly KeptFile[]) => {
    if (files.length > 0)
      log.error({ files }, 'files that belong to nothing were found in the cache and are kept there');
  };
  noteKept(report.lostAndFound);
  // Beside all else: it takes as long as the cache is large.
  content
    .tidy(nodes)
    .then(({ lostAndFound }) => noteKept(lostAndFound))
    .catch((error: unknown) => log.error({ err: error }, 'the cache could not be tidied up'));
  if (report.powerLoss)
    log.warn({}, 'the machine went down without a clean end; unfinished writes may be missing');
  return { content, powerLoss: report.powerLoss };
}

/** What the daemon before was told by remount holds on: the mount is the same. */
async function restoreOptions(remounter: Remounter, state: LmdbStateStore, logger: Logger): Promise<void> {
  try {
    await remounter.restore((state.getMeta(REMOUNTED_KEY) ?? {}) as Record<string, string>);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    logger.error({ reason: error.message }, 'the options that were given to the mount could not be taken up');
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
  readonly #kernel: MountSide;
  readonly #rotation: Rotation;
  readonly #remounter: Remounter;
  readonly #manager: ServiceManager;
  readonly #drain: StopDrain;
  readonly #undo: Undo;
  readonly #logger: Logger;
  #stopping: Promise<StopReport> | undefined;
  #setClosed: (reason: CloseReason) => void = () => undefined;

  constructor(parts: {
    readonly kernel: MountSide;
    readonly engine: SyncEngine;
    readonly rotation: Rotation;
    readonly remounter: Remounter;
    readonly manager: ServiceManager;
    readonly drain: StopDrain;
    readonly undo: Undo;
    readonly logger: Logger;
  }) {
    this.#engine = parts.engine;
    this.#kernel = parts.kernel;
    this.#rotation = parts.rotation;
    this.#remounter = parts.remounter;
    this.#manager = parts.manager;
    this.#drain = parts.drain;
    this.#undo = parts.undo;
    this.#logger = parts.logger;
    this.closed = new Promise((resolve) => {
      this.#setClosed = resolve;
    });
    parts.kernel.closed
      .then((end) => this.#ended(end))
      .catch((error: unknown) => this.#logger.error({ err: error }, 'could not stop cleanly'));
  }

  get continuity(): Continuity {
    return this.#kernel.continuity;
  }

  flush(signal: AbortSignal): Promise<void> {
    return this.#engine.drained(signal);
  }

  reload(): void {
    this.#manager
      .reload(async () => {
        const nothing = { options: {}, reestablish: false, force: false };
        await this.#told('credentials', () => this.#rotation.reload());
        await this.#told('options', () => this.#remounter.remount(nothing));
      })
      .catch((error: unknown) =>
        this.#logger.error({ err: error }, 'could not read the configuration again'),
      );
  }

  /** What a person can put right is told in the log: nobody waits for an answer. */
  async #told(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#logger.warn({ what, reason: error.message }, 'not everything was read again');
    }
  }

  stop(reason: 'signal' | 'request'): Promise<StopReport> {
    // Who asks for the end of the mount by request has waited for the queue already, or did not want to.
    if (reason === 'request') this.#drain.skip();
    this.#stopping ??= this.#close('stopped');
    return this.#stopping;
  }

  async handOver(): Promise<Legacy> {
    const refused = (found: string) =>
      new UserError('refused', `Cannot hand the mount over to another program: ${found}`);
    if (this.#kernel.handOver === undefined) throw refused('its driver does not give the connection away');
    if (this.#stopping !== undefined) throw refused('it is being unmounted');
    this.#stopping = this.closed.then(() => ({ pendingUploads: this.#drain.left }));
    this.#drain.skip();
    this.#undo.isHandedOver = true;
    const legacy = await this.#kernel.handOver();
    await this.#undo.run();
    if (legacy === undefined) throw refused('it is not there any more');
    return legacy;
  }

  /** `stop` for someone who does not wait for it. */
  end(): void {
    this.stop('request').catch((error: unknown) =>
      this.#logger.error({ err: error }, 'could not stop cleanly'),
    );
  }

  async #ended(end: SessionEnd): Promise<void> {
    if (this.#stopping !== undefined) return;
    if (end.reason === 'failed')
      this.#logger.error({ err: end.error }, 'the connection to the kernel failed');
    this.#stopping = this.#close(end.reason === 'failed' ? 'failed' : 'unmounted');
    await this.#stopping;
  }

  async #close(reason: CloseReason): Promise<StopReport> {
    this.#manager.stopping();
    this.#drain.allow();
    try {
      await this.#undo.run();
    } finally {
      this.#setClosed(reason);
    }
    return { pendingUploads: this.#drain.left };
  }
}
