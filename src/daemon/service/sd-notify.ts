/**
 * What a service says to its manager: the datagrams of sd_notify(3), without libsystemd. It only puts them into words
 * and sends them; when to say what is `service-manager.ts`'s.
 */

import { UnixDatagram } from './unix-datagram.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * How long a message that must arrive may wait for the manager's queue. It waits on the thread that answers the kernel,
 * and the manager may itself be waiting for this mount.
 */
const SEND_WAIT_MS = 500;
/** The manager keeps this much of a status line, more or less; its own messages are below it too. */
const MAX_STATUS_CHARACTERS = 400;
const MICROSECONDS_PER_MS = 1000;
/** The watchdog is fed at half its interval (sd_watchdog_enabled(3)). */
const WATCHDOG_SHARE = 2;

/** Each method sends one message; those of which no later one makes up for the loss report whether it was taken. */
export interface SdNotify {
  /** How often `watchdog` has to be called; undefined: the manager does not watch this process. */
  readonly watchdogEveryMs: number | undefined;
  /** The start, or the reload, is done. */
  ready(): boolean;
  /** One line for `systemctl status`. Lost when the manager is busy. */
  status(text: string): void;
  /** The configuration is being read again; `ready` ends it. */
  reloading(): boolean;
  stopping(): boolean;
  watchdog(): void;
  /** The start, reload or stop that is under way may take this much longer, counted from now. */
  extendTimeout(microseconds: number): void;
  /**
   * Gives the manager a duplicate of `fd` to keep (FileDescriptorStoreMax= of the unit); a restarted service finds it
   * in $LISTEN_FDS under `name`: ASCII without `:`, control characters and spaces, 255 at most.
   */
  storeFd(name: string, fd: number): boolean;
  /** Makes the manager close what is stored under `name`. */
  removeFd(name: string): boolean;
  close(): void;
}

/** A socket is there, and cannot be used: an address of no kind that is known here, or one that refuses. */
export class NotifySocketError extends Error {
  override readonly name = 'NotifySocketError';
}

/**
 * The connection to the service manager that $NOTIFY_SOCKET names; undefined where there is none. Throws
 * {@link NotifySocketError}. The methods throw Node's ErrnoException when the manager is gone.
 */
export function openNotifySocket(environment: Environment, pid = process.pid): SdNotify | undefined {
  const address = environment.NOTIFY_SOCKET;
  if (address === undefined || address === '') return undefined;
  if (!/^[/@]./.test(address)) {
    throw new NotifySocketError('$NOTIFY_SOCKET is neither a path nor the name of an abstract socket');
  }
  try {
    return new NotifySocket(UnixDatagram.connect(address, SEND_WAIT_MS), watchdogInterval(environment, pid));
  } catch (error) {
    throw new NotifySocketError('$NOTIFY_SOCKET cannot be reached', { cause: error });
  }
}

/** Milliseconds; undefined where the watchdog is off or meant for another process. */
function watchdogInterval(environment: Environment, pid: number): number | undefined {
  const { WATCHDOG_USEC: interval, WATCHDOG_PID: watched } = environment;
  if (interval === undefined || !/^[1-9][0-9]{0,14}$/.test(interval)) return undefined;
  if (watched !== undefined && watched !== String(pid)) return undefined;
  return Math.max(1, Math.floor(Number(interval) / MICROSECONDS_PER_MS / WATCHDOG_SHARE));
}

class NotifySocket implements SdNotify {
  readonly watchdogEveryMs: number | undefined;
  readonly #socket: UnixDatagram;

  constructor(socket: UnixDatagram, watchdogEveryMs: number | undefined) {
    this.#socket = socket;
    this.watchdogEveryMs = watchdogEveryMs;
  }

  ready(): boolean {
    return this.#say('READY=1');
  }

  status(text: string): void {
    const line = text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, MAX_STATUS_CHARACTERS);
    this.#mention(`STATUS=${line}`);
  }

  reloading(): boolean {
    // CLOCK_MONOTONIC, of which hrtime gives the nanoseconds: Type=notify-reload compares it with its signal's time.
    const monotonicUs = process.hrtime.bigint() / 1000n;
    return this.#say(`RELOADING=1\nMONOTONIC_USEC=${monotonicUs}`);
  }

  stopping(): boolean {
    return this.#say('STOPPING=1');
  }

  watchdog(): void {
    this.#mention('WATCHDOG=1');
  }

  extendTimeout(microseconds: number): void {
    this.#mention(`EXTEND_TIMEOUT_USEC=${Math.max(1, Math.round(microseconds))}`);
  }

  storeFd(name: string, fd: number): boolean {
    return this.#socket.send(`FDSTORE=1\nFDNAME=${checkName(name)}`, { wait: true, fd });
  }

  removeFd(name: string): boolean {
    return this.#say(`FDSTOREREMOVE=1\nFDNAME=${checkName(name)}`);
  }

  close(): void {
    this.#socket.close();
  }

  #say(text: string): boolean {
    return this.#socket.send(text, { wait: true });
  }

  #mention(text: string): void {
    this.#socket.send(text, { wait: false });
  }
}

function checkName(name: string): string {
  if (/^[!-9;-~]{1,255}$/.test(name)) return name;
  throw new RangeError('a name of a stored descriptor is 1 to 255 ASCII characters without ":" and spaces');
}
