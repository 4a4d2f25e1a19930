/**
 * Other options for a mount that runs. All are checked before any is taken up; of each the option table says from when
 * on it holds. What was given here once wins over the sources for as long as the daemon runs, as a flag of the command
 * line does.
 */

import { symlink } from 'node:fs/promises';
import { isErrno, type Log, quote, UserError } from '../../base/index.js';
import {
  isOptionName,
  type MountOptions,
  nearest,
  OPTION_NAMES,
  type OptionName,
  type OptionSource,
  type OptionsNow,
  type OptionTexts,
  optionSpec,
} from '../../config/index.js';
import type { ContentStore } from '../../content/index.js';
import type { Remounted, RemountRequest } from '../../control/index.js';
import type { FlagOutcome } from '../../fuse/index.js';
import type { Logger } from '../../observe/index.js';
import { isRemoteError } from '../../remote/index.js';
import type { StateView } from '../../state/index.js';
import type { SyncEngine } from '../../sync/index.js';
import { checkServer } from '../../webdav/index.js';
import { remoteUserError } from '../errors.js';
import type { CacheClaim } from '../preflight/preflight-cache.js';
import { isAlike, likeness } from '../preflight/same-folder.js';
import type { Connection } from './connection.js';
import type { LiveSettings } from './live-settings.js';
import type { SwitchableStore } from './switched-store.js';

/** For looking at another address before it is taken up. */
const LOOK_MS = 60_000;

/** The kernel's side of the mount, as far as options concern it. */
export interface RemountableKernel {
  setReadOnly(readOnly: boolean): Promise<FlagOutcome>;
  /** Makes a new kernel mount in the place of this one; says what was lost. Rejects with {@link UserError}. */
  reestablish(options: Pick<MountOptions, 'url' | 'readOnly' | 'allowOther' | 'nonempty'>): Promise<string>;
}

export interface RemountDeps {
  readonly source: OptionSource | undefined;
  /** As the mount was made. */
  readonly cacheDir: string;
  readonly cache: Pick<CacheClaim, 'moved'>;
  readonly settings: LiveSettings;
  readonly connection: Pick<Connection, 'candidate' | 'use'> & {
    readonly store: Pick<SwitchableStore, 'maxConnections'>;
  };
  readonly engine: Pick<SyncEngine, 'reachable'>;
  readonly content: Pick<ContentStore, 'evict'>;
  readonly state: StateView;
  readonly kernel: RemountableKernel;
  /** Keeps what was given here for a daemon that takes the mount over. */
  readonly keep: (overrides: OptionTexts) => void;
  readonly logger: Pick<Logger, 'level'>;
  readonly log: Log;
}

type Change = Remounted['changed'][number] & { readonly name: OptionName };

export class Remounter {
  readonly #deps: RemountDeps;
  /** As they hold now. */
  #now: OptionsNow | undefined;
  #overrides: OptionTexts = {};
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: RemountDeps) {
    this.#deps = deps;
    this.#now = deps.source?.first;
  }

  /** One after another; rejects with {@link UserError}, and then nothing was changed. */
  remount(request: RemountRequest): Promise<Remounted> {
    const mine = this.#turn.then(() => this.#remount(request));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /**
   * Takes up what was given to the daemon before this one, as far as it held at once; it was looked at then. Rejects
   * with {@link UserError} where the sources cannot be read.
   */
  async restore(given: Readonly<Record<string, string>>): Promise<void> {
    const { source, connection, log } = this.#deps;
    const before = this.#now;
    const overrides = only(given, (name) => optionSpec(name).applies === 'live');
    if (source === undefined || before === undefined || Object.keys(overrides).length === 0) return;
    const next = await source.read(overrides);
    const changes = differences(before, next);
    const waiting = changes.filter(({ name }) => !holds(name, false));
    const isElsewhere = changes.some(({ name }) => LINE_OPTIONS.includes(name));
    this.#take(before, next, waiting, isElsewhere ? connection.candidate(next.line) : undefined);
    this.#overrides = overrides;
    log.info({ options: Object.keys(overrides) }, 'the options that were given to the mount hold again');
  }

  async #remount({ options, reestablish, force }: RemountRequest): Promise<Remounted> {
    const { source } = this.#deps;
    const before = this.#now;
    if (source === undefined || before === undefined) {
      throw new UserError('usage', 'Cannot remount: the options of this mount are fixed');
    }
    const given = checkedNames(options);
    const overrides = withOverrides(this.#overrides, given);
    const next = await source.read(overrides);
    const changes = differences(before, next);
    const applied = changes.filter(({ name }) => holds(name, reestablish));
    const waiting = changes.filter(({ name }) => !holds(name, reestablish));
    const notes: string[] = [];
    const has = (...names: readonly OptionName[]) => applied.some(({ name }) => names.includes(name));

    const candidate = has(...LINE_OPTIONS) ? await this.#candidate(before, next, has, force) : undefined;
    try {
      if (has('read-only') && !next.mount.readOnly && !reestablish) await this.#allowWriting();
      if (has('url')) notes.push(...(await this.#moveCache(before, next)));
    } catch (error) {
      await candidate?.close();
      throw error;
    }
    // From here on nothing fails but a new kernel mount.
    this.#take(before, next, waiting, candidate);
    this.#overrides = only(overrides, (name) => holds(name, reestablish));
    this.#deps.keep(this.#overrides);
    if (has('read-only') && next.mount.readOnly && !reestablish) notes.push(...(await this.#refuseWriting()));
    if (has('cache-size', 'min-free-space')) await this.#deps.content.evict();
    this.#deps.log.info(
      { changed: applied.map(({ option, to }) => `${option} = ${to}`), reestablish },
      'the options of the mount were changed',
    );
    if (reestablish) {
      notes.push(await this.#deps.kernel.reestablish({ url: next.line.url, ...next.mount }));
    }
    return {
      changed: applied.map(({ option, from, to }) => ({ option, from, to })),
      needsNewMount: waiting.map(({ name }) => name),
      ...(notes.length === 0 ? {} : { note: notes.join(' ') }),
    };
  }

  /** The server by the new options, looked at where it may be another. */
  async #candidate(
    before: OptionsNow,
    next: OptionsNow,
    has: (...names: readonly OptionName[]) => boolean,
    force: boolean,
  ): Promise<SwitchableStore> {
    const { connection } = this.#deps;
    const candidate = connection.candidate(next.line);
    try {
      if (has('url', 'ca-file', 'insecure-http')) {
        await checkServer(candidate, { signal: AbortSignal.timeout(LOOK_MS) });
      }
      if (has('url') && !force) await this.#requireSameFolder(candidate, before, next);
      return candidate;
    } catch (error) {
      await candidate.close();
      throw isRemoteError(error) ? remoteUserError(error, next.line.url) : error;
    }
  }

  async #requireSameFolder(candidate: SwitchableStore, before: OptionsNow, next: OptionsNow): Promise<void> {
    const found = await likeness(candidate, this.#deps.state, AbortSignal.timeout(LOOK_MS));
    if (isAlike(found)) return;
    throw new UserError(
      'cache-foreign',
      `Cannot remount: the folder at ${quote(next.line.url)} is not that of ${quote(before.line.url)}: ${found.found} of ${found.known} entries are the same`,
      'Unmount, and mount it as another server; or use --force if it is the same all the same.',
    );
  }

  /** The kernel refuses changes by itself where the mount was made so. */
  async #allowWriting(): Promise<void> {
    const outcome = await this.#deps.kernel.setReadOnly(false);
    if (outcome !== 'denied') return;
    throw new UserError(
      'mount-point-denied',
      'Cannot remount for writing: the kernel mount is read-only, and only root may change that',
      'Make a new kernel mount: infinimount remount --reestablish --option read-only=false',
    );
  }

  /** What is asked of the daemon is refused already; the kernel refusing by itself comes on top. */
  async #refuseWriting(): Promise<readonly string[]> {
    const outcome = await this.#deps.kernel.setReadOnly(true);
    this.#deps.log.debug({ outcome }, 'the kernel was told that the mount is read-only');
    if (outcome !== 'busy') return [];
    return ['Files that are open for writing may be written until they are closed.'];
  }

  /** The cache is that of the new address from now on, and the next mount is to find it. */
  async #moveCache(before: OptionsNow, next: OptionsNow): Promise<readonly string[]> {
    const { cache, cacheDir, log } = this.#deps;
    await cache.moved(next.line.url);
    // Only where the next mount would look for it elsewhere.
    if (cacheDir !== before.defaultCacheDir || next.defaultCacheDir === cacheDir) return [];
    try {
      await symlink(cacheDir, next.defaultCacheDir);
      return [];
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) log.warn({ err: error }, 'the cache has no name for the new address');
      return [`The next mount has to be told where the cache is: --cache-dir ${quote(cacheDir)}`];
    }
  }

  #take(
    before: OptionsNow,
    next: OptionsNow,
    waiting: readonly Change[],
    candidate: SwitchableStore | undefined,
  ): void {
    const { settings, connection, engine, logger } = this.#deps;
    const { line } = next;
    settings.set({ ...next.mount, maxConnections: line.maxConnections });
    connection.store.maxConnections = line.maxConnections;
    if (candidate !== undefined) {
      connection.use(candidate, line);
      if (line.url !== before.line.url) engine.reachable();
    }
    logger.level = next.logLevel;
    this.#now = asTakenUp(before, next, waiting);
  }
}

/** What holds now: of the options that wait for a new mount, the values before. */
function asTakenUp(before: OptionsNow, next: OptionsNow, waiting: readonly Change[]): OptionsNow {
  const values = waiting.map(({ name }) => [name, before.values[name]]);
  const texts = waiting.map(({ name }) => [name, before.texts[name]]);
  return {
    ...next,
    values: { ...next.values, ...Object.fromEntries(values) },
    texts: { ...next.texts, ...Object.fromEntries(texts) },
  };
}

/** Those for which another store is made. */
const LINE_OPTIONS: readonly OptionName[] = [
  'url',
  'ca-file',
  'insecure-http',
  'connect-timeout',
  'read-timeout',
];

/** Whether a new value of the option can be taken up now. */
function holds(name: OptionName, reestablish: boolean): boolean {
  const { applies } = optionSpec(name);
  return applies === 'live' || (reestablish && applies === 'new-mount');
}

function checkedNames(options: Readonly<Record<string, string>>): OptionTexts {
  for (const name of Object.keys(options)) {
    if (!isOptionName(name)) {
      const guess = nearest(name, OPTION_NAMES);
      const hint = guess === undefined ? undefined : `Did you mean ${guess}?`;
      throw new UserError('usage', `Cannot remount: there is no option ${quote(name)}`, hint);
    }
    if (optionSpec(name).applies === 'credentials') {
      const hint = 'Put it into the configuration file, or run: infinimount rotate';
      throw new UserError('usage', `Cannot remount with ${name}: it belongs to the credentials`, hint);
    }
  }
  return options;
}

/** The newer wins; `url` and `node` are two ways to say one thing. */
function withOverrides(before: OptionTexts, given: OptionTexts): OptionTexts {
  const isElsewhere = given.url !== undefined || given.node !== undefined;
  return { ...only(before, (name) => !isElsewhere || (name !== 'url' && name !== 'node')), ...given };
}

function only(texts: OptionTexts, keep: (name: OptionName) => boolean): OptionTexts {
  return Object.fromEntries(Object.entries(texts).filter(([name]) => isOptionName(name) && keep(name)));
}

const NONE = 'none';

function differences(before: OptionsNow, next: OptionsNow): readonly Change[] {
  return OPTION_NAMES.flatMap((name): readonly Change[] => {
    const { applies } = optionSpec(name);
    // Credentials have a way of their own; the address is compared as it is used, however it is written.
    if (applies === 'credentials' || name === 'node') return [];
    if (name === 'url') return change(name, before.line.url, next.line.url);
    const isSame =
      name === 'ca-file'
        ? before.line.extraCaPem === next.line.extraCaPem
        : before.values[name] === next.values[name];
    if (isSame) return [];
    return [{ name, option: name, from: before.texts[name] ?? NONE, to: next.texts[name] ?? NONE }];
  });
}

function change(name: OptionName, from: string, to: string): readonly Change[] {
  return from === to ? [] : [{ name, option: name, from, to }];
}
