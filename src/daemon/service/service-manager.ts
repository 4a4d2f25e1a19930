/**
 * When the service manager is told what: ready, how things stand, that the process is alive, reloads, and how a stop
 * gets on. Where there is no manager, nothing is said and everything else is the same.
 */

import type { Clock, Log, Timer } from '../../base/index.js';
import type { UploadProgress } from './drain.js';
import { NotifySocketError, openNotifySocket, type SdNotify } from './sd-notify.js';

/** What the manager's messages are made from. */
export interface ServiceSources {
  /** One line for `systemctl status`. */
  status(): string;
  /** Resolves with true when the mount can answer; false, or not in time, keeps the watchdog unfed. */
  answers(): Promise<boolean>;
}

export interface ServiceManagerDeps {
  /** Undefined: there is no manager. */
  readonly notify: SdNotify | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

const STATUS_EVERY_MS = 2_000;
/** What a stop may take beyond the next look at the queue: closing the database, and a machine that is busy. */
const STOP_MARGIN_MS = 20_000;

/** The connection to the manager that the environment names. One that cannot be used is logged, and does without. */
export function connectServiceManager(
  environment: Readonly<Record<string, string | undefined>>,
  deps: Omit<ServiceManagerDeps, 'notify'>,
): ServiceManager {
  try {
    return new ServiceManager({ ...deps, notify: openNotifySocket(environment) });
  } catch (error) {
    if (!(error instanceof NotifySocketError)) throw error;
    deps.log.warn({ err: error }, 'the service manager cannot be told how the mount is');
    return new ServiceManager({ ...deps, notify: undefined });
  }
}

export class ServiceManager {
  readonly #deps: ServiceManagerDeps;
  #phase: 'starting' | 'serving' | 'stopping' | 'closed' = 'starting';
  #sources: ServiceSources | undefined;
  #shown = '';
  #statusTimer: Timer | undefined;
  #watchdogTimer: Timer | undefined;
  #checking = false;
  #isLost = false;

  constructor(deps: ServiceManagerDeps) {
    this.#deps = deps;
  }

  /** For the descriptor store; undefined where there is no manager. */
  get notify(): SdNotify | undefined {
    return this.#deps.notify;
  }

  /** What the start is doing, for `systemctl status`. */
  starting(what: string): void {
    this.#show(what);
  }

  /** Programs can use the mount. From now on the status follows the sources, and the watchdog is fed. */
  serving(sources: ServiceSources): void {
    if (this.#phase !== 'starting') return;
    this.#phase = 'serving';
    this.#sources = sources;
    this.#say((notify) => notify.ready());
    this.#followStatus();
    this.#armWatchdog();
  }

  /** Runs `work` as a reload; rejects as it does. */
  async reload<T>(work: () => Promise<T>): Promise<T> {
    if (this.#phase !== 'serving') return await work();
    this.#say((notify) => notify.reloading());
    try {
      return await work();
    } finally {
      // A reload that failed leaves the service running as it was: there is no other way to say that it is over.
      this.#say((notify) => notify.ready());
    }
  }

  /** The mount is being taken down. */
  stopping(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'stopping';
    this.#statusTimer?.cancel();
    this.#say((notify) => notify.stopping());
    this.#show('Unmounting');
  }

  /** The queue is being sent before the end: shown, and more time asked for as far as the next look at it. */
  draining(progress: UploadProgress, nextLookMs: number): void {
    this.#show(`Unmounted; sending ${changes(progress)} before the end`);
    this.#say((notify) => notify.extendTimeout((nextLookMs + STOP_MARGIN_MS) * 1000));
  }

  /** What is not on the server at the end. */
  drained(left: number): void {
    if (left > 0) this.#show(`Stopped; ${countOf(left)} left in the cache for the next start`);
  }

  close(): void {
    this.#phase = 'closed';
    this.#statusTimer?.cancel();
    this.#watchdogTimer?.cancel();
    this.#deps.notify?.close();
  }

  #followStatus(): void {
    if (this.#sources === undefined || this.#phase !== 'serving' || this.#deps.notify === undefined) return;
    this.#show(this.#sources.status());
    this.#statusTimer = this.#deps.clock.after(STATUS_EVERY_MS, () => this.#followStatus());
  }

  /** Feeds the watchdog at its interval for as long as the mount answers; a stop is watched by its own time-out. */
  #armWatchdog(): void {
    const everyMs = this.#deps.notify?.watchdogEveryMs;
    if (everyMs === undefined) return;
    this.#watchdogTimer = this.#deps.clock.after(everyMs, () => {
      if (this.#phase === 'closed') return;
      this.#armWatchdog();
      if (this.#phase === 'stopping') this.#say((notify) => notify.watchdog());
      else this.#feedIfAnswering();
    });
  }

  #feedIfAnswering(): void {
    if (this.#sources === undefined || this.#checking) return;
    this.#checking = true;
    this.#sources
      .answers()
      .then((answers) => {
        this.#checking = false;
        if (answers && this.#phase !== 'closed') this.#say((notify) => notify.watchdog());
      })
      .catch((error: unknown) => {
        this.#checking = false;
        this.#deps.log.error({ err: error }, 'could not find out whether the mount answers');
      });
  }

  #show(line: string): void {
    if (line === this.#shown) return;
    this.#shown = line;
    this.#say((notify) => notify.status(line));
  }

  /** A manager that went away is logged once: the mount goes on without. */
  #say(message: (notify: SdNotify) => unknown): void {
    if (this.#deps.notify === undefined) return;
    try {
      message(this.#deps.notify);
      this.#isLost = false;
    } catch (error) {
      if (!this.#isLost) this.#deps.log.warn({ err: error }, 'the service manager cannot be reached');
      this.#isLost = true;
    }
  }
}

/** What `systemctl status` shows of a mount that runs. */
export function statusLine(mount: {
  readonly url: string;
  readonly mountPoint: string;
  readonly connection: 'online' | 'offline' | 'unauthorized';
  readonly paused: boolean;
  readonly queue: UploadProgress;
}): string {
  const where = `${mount.url} on ${mount.mountPoint}`;
  return `${where}; ${queueText(mount.queue, mount.paused)}${CONNECTION_TEXT[mount.connection]}`;
}

const CONNECTION_TEXT = {
  online: '',
  offline: '; the server cannot be reached',
  unauthorized: '; the server refuses the credentials',
} as const;

function queueText(queue: UploadProgress, paused: boolean): string {
  if (queue.pending === 0) return 'everything is on the server';
  return `${changes(queue)} to send${paused ? ', paused' : ''}`;
}

function changes({ pending, bytes, bytesDone }: UploadProgress): string {
  const left = Math.max(0, bytes - bytesDone);
  return left === 0 ? countOf(pending) : `${countOf(pending)} (${sizeText(left)})`;
}

function countOf(pending: number): string {
  return pending === 1 ? '1 change' : `${pending} changes`;
}

const SIZE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

function sizeText(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && unit < SIZE_UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${SIZE_UNITS[unit] ?? ''}`;
}
