/**
 * A test double of systemd for one service: runs the command of the unit file and speaks the whole protocol with it,
 * over a real notify socket: readiness, reload, watchdog, stop with its time-out, restarts with their limit, and the
 * descriptor store. What the unit says about namespaces, users and limits of resources it does not do.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import koffi from 'koffi';
import { killGroup, run, waitUntil } from './exec.js';
import { type NotifyMessage, NotifyReceiver } from './systemd-notify-socket.js';
import { commandWords, type Specifiers, UnitFile } from './systemd-unit.js';

const POLLERR_HUP_NVAL = 0x8 | 0x10 | 0x20;
/** systemd.service(5): signals that end a service cleanly. */
const CLEAN_SIGNALS: readonly (NodeJS.Signals | null)[] = ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGPIPE'];
/** DefaultTimeoutStartSec=, DefaultTimeoutStopSec=. */
const DEFAULT_TIMEOUT_MS = 90_000;
const TICK_MS = 20;
const MAX_OUTPUT_CHARACTERS = 1024 * 1024;

export type ServiceState =
  | 'inactive'
  | 'activating'
  | 'active'
  | 'reloading'
  | 'deactivating'
  | 'auto-restart'
  | 'failed';

export type ServiceResult = 'success' | 'exit-code' | 'signal' | 'watchdog' | 'timeout' | 'start-limit-hit';

export interface ManagerOptions {
  /** The unit file; its command lines are run as they are. */
  readonly unit: string;
  /** Text of the units that OnFailure= names, by name. */
  readonly others?: Readonly<Record<string, string>>;
  readonly specifiers: Specifiers;
  /** Wins over the unit's own. */
  readonly environment?: Readonly<Record<string, string>>;
}

interface StoredFd {
  readonly name: string;
  readonly fd: number;
}

const cPoll = koffi.load(null).func('int poll(void *fds, uint64_t count, int timeoutMs)');

export class SystemdManager {
  /** Of the service, newest last. */
  readonly statusLines: string[] = [];
  /** Each message of the main process, as `NAME=value` lines without their order. */
  readonly messages: NotifyMessage['fields'][] = [];
  state: ServiceState = 'inactive';
  result: ServiceResult = 'success';
  /** Starts that the manager made by itself. */
  restarts = 0;
  output = '';

  readonly #options: ManagerOptions;
  readonly #unit: UnitFile;
  readonly #dir = mkdtempSync(join(tmpdir(), 'infinimount-manager-'));
  readonly #receiver = new NotifyReceiver(join(this.#dir, 'notify'));
  readonly #stored: StoredFd[] = [];
  readonly #startsMs: number[] = [];
  readonly #ticker: NodeJS.Timeout;
  #child: ChildProcess | undefined;
  /** What the running stop, start or watchdog ends at, by performance.now(). */
  #deadlineMs = Number.POSITIVE_INFINITY;
  #watchdogAtMs = Number.POSITIVE_INFINITY;
  #ending: ServiceResult | undefined;
  #onFailure: Promise<unknown> = Promise.resolve();

  constructor(options: ManagerOptions) {
    this.#options = options;
    this.#unit = new UnitFile(options.unit, options.specifiers);
    this.#receiver.listen((message) => this.#take(message));
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Names of the descriptors in the store. */
  get stored(): readonly string[] {
    return this.#stored.map(({ name }) => name);
  }

  /** `systemctl start`: resolves when the service is ready; rejects when it fails. */
  async start(): Promise<void> {
    this.#launch();
    await this.waitFor('active', 'failed');
    if (this.state === 'failed') throw new Error(`the service failed (${this.result})\n${this.output}`);
  }

  /** `systemctl reload`: resolves when the service says that it is done. */
  async reload(): Promise<void> {
    const before = this.messages.length;
    const argv = commandWords(
      (this.#unit.one('Service.ExecReload') ?? '').replaceAll('$MAINPID', String(this.pid)),
    );
    const done = await run(argv);
    if (done.code !== 0) throw new Error(`ExecReload failed: ${done.stderr}`);
    const said = (name: string) => this.messages.slice(before).some((fields) => fields.has(name));
    await waitUntil('the end of the reload', () => said('RELOADING') && this.state === 'active', {
      intervalMs: 10,
    });
  }

  /** `systemctl stop`: resolves when nothing of the service runs any more. */
  async stop(): Promise<ServiceResult> {
    if (this.#child === undefined) {
      this.#settle('inactive', this.result);
      return this.result;
    }
    this.state = 'deactivating';
    this.#watchdogAtMs = Number.POSITIVE_INFINITY;
    this.#deadlineMs = performance.now() + this.#unit.spanMs('Service.TimeoutStopSec', DEFAULT_TIMEOUT_MS);
    this.#child.kill('SIGTERM');
    await this.waitFor('inactive', 'failed');
    return this.result;
  }

  /** `systemctl kill`: to the main process. */
  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async waitFor(...states: readonly ServiceState[]): Promise<void> {
    await waitUntil(`the service to be ${states.join(' or ')}`, () => states.includes(this.state), {
      timeoutMs: 120_000,
      intervalMs: 10,
    }).catch((error: unknown) => {
      throw new Error(`${error}; it is ${this.state}\n${this.output.slice(-4000)}`);
    });
    await this.#onFailure;
  }

  /** Whatever state the service is in: no process and no descriptor of it afterwards. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#ticker);
    this.state = 'deactivating';
    this.#child?.kill('SIGTERM');
    for (let waitedMs = 0; this.#child !== undefined && waitedMs < 20_000; waitedMs += TICK_MS)
      await delay(TICK_MS);
    if (this.#child !== undefined) killGroup(this.#child);
    await this.#onFailure;
    this.#closeStored();
    this.#receiver.close();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #launch(): void {
    const intervalMs = this.#unit.spanMs('Unit.StartLimitIntervalSec', 10_000);
    const nowMs = performance.now();
    const recent = this.#startsMs.filter((atMs) => nowMs - atMs < intervalMs);
    if (recent.length >= this.#unit.number('Unit.StartLimitBurst', 5)) {
      this.#settle('failed', 'start-limit-hit');
      return;
    }
    this.#startsMs.push(nowMs);
    this.state = 'activating';
    this.#ending = undefined;
    this.#deadlineMs = nowMs + this.#unit.spanMs('Service.TimeoutStartSec', DEFAULT_TIMEOUT_MS);
    const argv = commandWords(this.#unit.one('Service.ExecStart') ?? '');
    const watchdogMs = this.#unit.spanMs('Service.WatchdogSec', 0);
    // Both variables name the process that reads them, whose number is known to itself only.
    const own = `export LISTEN_PID=$$; ${watchdogMs > 0 ? 'export WATCHDOG_PID=$$; ' : ''}exec "$@"`;
    const child = spawn('/bin/sh', ['-c', own, 'sh', ...argv], {
      env: {
        PATH: process.env.PATH ?? '',
        ...this.#unit.environment(),
        ...this.#options.environment,
        NOTIFY_SOCKET: this.#receiver.address,
        ...(watchdogMs > 0 && { WATCHDOG_USEC: String(watchdogMs * 1000) }),
        ...(this.#stored.length > 0 && {
          LISTEN_FDS: String(this.#stored.length),
          LISTEN_FDNAMES: this.stored.join(':'),
        }),
      },
      stdio: ['ignore', 'pipe', 'pipe', ...this.#stored.map(({ fd }) => fd)],
      detached: true,
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.output = (this.output + chunk).slice(-MAX_OUTPUT_CHARACTERS);
      });
    }
    child.once('error', (error) => {
      this.output += String(error);
      this.#exited(child, 203, null);
    });
    child.once('exit', (code, signal) => this.#exited(child, code, signal));
  }

  #take({ pid, fields, fds }: NotifyMessage): void {
    const refused = pid !== this.pid && this.#unit.one('Service.NotifyAccess') !== 'all';
    const name = fields.get('FDNAME') ?? 'stored';
    const room = this.#unit.number('Service.FileDescriptorStoreMax', 0) - this.#stored.length;
    for (const [index, fd] of fds.entries()) {
      if (!refused && fields.has('FDSTORE') && index < room) this.#stored.push({ name, fd });
      else closeSync(fd);
    }
    if (refused) return;
    this.messages.push(fields);
    if (fields.has('FDSTOREREMOVE')) this.#closeStored((stored) => stored.name === name);
    const status = fields.get('STATUS');
    if (status !== undefined) this.statusLines.push(status);
    if (fields.has('RELOADING') && this.state === 'active') this.state = 'reloading';
    if (fields.has('READY') && (this.state === 'activating' || this.state === 'reloading')) {
      this.state = 'active';
      this.#deadlineMs = Number.POSITIVE_INFINITY;
      this.#feed();
    }
    if (fields.has('STOPPING') && this.state === 'active') this.state = 'deactivating';
    if (fields.has('WATCHDOG')) this.#feed();
    const extendUs = fields.get('EXTEND_TIMEOUT_USEC');
    if (extendUs !== undefined && this.#deadlineMs !== Number.POSITIVE_INFINITY)
      this.#deadlineMs = Math.max(this.#deadlineMs, performance.now() + Number(extendUs) / 1000);
  }

  #feed(): void {
    const watchdogMs = this.#unit.spanMs('Service.WatchdogSec', 0);
    if (watchdogMs > 0 && this.state !== 'deactivating') this.#watchdogAtMs = performance.now() + watchdogMs;
  }

  #tick(): void {
    const nowMs = performance.now();
    // A stored descriptor whose other end is gone is let go.
    this.#closeStored(({ fd }) => isBroken(fd));
    if (this.#child === undefined) return;
    if (nowMs > this.#watchdogAtMs) {
      this.#watchdogAtMs = Number.POSITIVE_INFINITY;
      this.#ending = 'watchdog';
      this.#child.kill('SIGABRT');
    }
    if (nowMs > this.#deadlineMs) {
      this.#deadlineMs = Number.POSITIVE_INFINITY;
      this.#ending = 'timeout';
      this.#child.kill('SIGKILL');
    }
  }

  #exited(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#child !== child) return;
    // KillMode=mixed: what the main process left behind is killed.
    killGroup(child);
    this.#child = undefined;
    this.#deadlineMs = Number.POSITIVE_INFINITY;
    this.#watchdogAtMs = Number.POSITIVE_INFINITY;
    const clean = code === 0 || CLEAN_SIGNALS.includes(signal);
    const result = this.#ending ?? (clean ? 'success' : signal === null ? 'exit-code' : 'signal');
    if (this.state === 'deactivating' || !this.#restarts(result, code)) {
      this.#settle(result === 'success' ? 'inactive' : 'failed', result);
      return;
    }
    this.state = 'auto-restart';
    this.result = result;
    setTimeout(
      () => {
        if (this.state !== 'auto-restart') return;
        this.restarts++;
        this.#launch();
      },
      this.#unit.spanMs('Service.RestartSec', 100),
    );
  }

  #restarts(result: ServiceResult, code: number | null): boolean {
    const never = (this.#unit.one('Service.RestartPreventExitStatus') ?? '').split(/\s+/);
    if (code !== null && never.includes(String(code))) return false;
    switch (this.#unit.one('Service.Restart')) {
      case 'always':
        return true;
      case 'on-failure':
        return result !== 'success';
      default:
        return false;
    }
  }

  #settle(state: 'inactive' | 'failed', result: ServiceResult): void {
    this.result = result;
    this.#closeStored();
    this.state = state;
    if (state !== 'failed') return;
    for (const name of this.#unit.all('Unit.OnFailure')) {
      const text = this.#options.others?.[name];
      if (text === undefined) throw new Error(`OnFailure= names ${name}, which is not there`);
      const unit = new UnitFile(text, this.#options.specifiers);
      const env = { ...unit.environment(), ...this.#options.environment };
      for (const line of unit.all('Service.ExecStart'))
        this.#onFailure = this.#onFailure.then(() => run(commandWords(line), { env }));
    }
  }

  #closeStored(which: (stored: StoredFd) => boolean = () => true): void {
    for (let at = this.#stored.length - 1; at >= 0; at--) {
      const stored = this.#stored[at];
      if (stored === undefined || !which(stored)) continue;
      closeSync(stored.fd);
      this.#stored.splice(at, 1);
    }
  }
}

function isBroken(fd: number): boolean {
  // struct pollfd: fd, events, revents.
  const pollfd = Buffer.alloc(8);
  pollfd.writeInt32LE(fd, 0);
  if ((cPoll as (...args: readonly unknown[]) => number)(pollfd, 1, 0) <= 0) return false;
  return (pollfd.readInt16LE(6) & POLLERR_HUP_NVAL) !== 0;
}
