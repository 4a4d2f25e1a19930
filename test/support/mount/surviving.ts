/**
 * A mount of the product whose daemon may be killed and another one take over: the processes are found by the mount
 * point in their command lines, which is a temporary directory of this test alone. Writes its output to a file, since no
 * one process is there to the end.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '../exec.js';
import { findMount, forceUnmount } from './mountinfo.js';
import { atExit, killQuietly } from './process.js';

export interface SurvivingSpec {
  /** The whole command that mounts, with the mount point in it. */
  readonly argv: readonly string[];
  readonly mountPoint: string;
  /** Gets stdout and stderr of all daemons and keepers. */
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly gid?: number;
}

const READY_TIMEOUT_MS = 90_000;
const END_TIMEOUT_MS = 90_000;
/** Processes are killed again and again, since one may just be starting another. */
const KILL_ROUNDS = 50;
const KILL_PAUSE_MS = 20;

export class SurvivingMount {
  readonly mountPoint: string;
  readonly #logFile: string;
  readonly #guard = atExit(() => this.#abandon());

  private constructor(spec: SurvivingSpec) {
    this.mountPoint = spec.mountPoint;
    this.#logFile = spec.logFile;
  }

  /** A mount that the test has started by itself; its output goes elsewhere. */
  static of(mountPoint: string): SurvivingMount {
    return new SurvivingMount({ argv: [], mountPoint, logFile: '/dev/null' });
  }

  /** Starts the first daemon and waits for its ready line. */
  static async start(spec: SurvivingSpec): Promise<SurvivingMount> {
    const mount = new SurvivingMount(spec);
    const log = openSync(spec.logFile, 'a');
    const { mounts } = mount;
    const [command = '', ...args] = spec.argv;
    const child = spawn(command, args, {
      stdio: ['ignore', log, log],
      detached: true,
      env: { ...process.env, ...spec.env },
      ...(spec.uid === undefined ? {} : { uid: spec.uid }),
      ...(spec.gid === undefined ? {} : { gid: spec.gid }),
    });
    child.unref();
    closeSync(log);
    try {
      await mount.#ready(child, mounts);
      return mount;
    } catch (error) {
      await mount[Symbol.asyncDispose]();
      throw new Error(`${error}\n${mount.log}`);
    }
  }

  get log(): string {
    return readFileSync(this.#logFile, 'utf8');
  }

  /** How often a daemon said that it has mounted. */
  get mounts(): number {
    return this.log.split('infinimount: mounted ').length - 1;
  }

  /** How often a daemon said that it has taken over. */
  get takeovers(): number {
    return takeoversIn(this.log);
  }

  /** The daemons, one of which may just be starting. */
  daemons(): readonly number[] {
    const found = this.#processes((command) => !isShell(command));
    // A process that a daemon has just forked, to become its keeper, still has the daemon's command line.
    return found.filter((pid) => !found.includes(parentOf(pid)));
  }

  keepers(): readonly number[] {
    return this.#processes(isShell);
  }

  get isMounted(): boolean {
    return findMount(this.mountPoint) !== undefined;
  }

  /** SIGKILL to whatever daemon there is; waits for one where there is none at the moment. */
  async killDaemon(): Promise<void> {
    await waitUntil('a daemon to kill', () => this.daemons().length > 0, { intervalMs: 5 }).catch(
      (error: unknown) => {
        throw new Error(`${error}: mounted ${this.isMounted}, keepers ${this.keepers()}\n${this.log}`);
      },
    );
    for (const pid of this.daemons()) killQuietly(pid);
  }

  /** SIGTERM to the daemon, as a person would end the mount; waits until nothing is left. */
  async unmount(): Promise<void> {
    for (const pid of this.daemons()) process.kill(pid, 'SIGTERM');
    await this.gone();
  }

  /** Waits until neither mount nor process is left. */
  async gone(timeoutMs = END_TIMEOUT_MS): Promise<void> {
    const left = () => [...this.daemons(), ...this.keepers()];
    await waitUntil('mount and processes to be gone', () => !this.isMounted && left().length === 0, {
      timeoutMs,
    }).catch((error: unknown) => {
      throw new Error(`${error}: mounted ${this.isMounted}, processes ${left().join(' ')}\n${this.log}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let round = 0; round < KILL_ROUNDS && this.#killAll(); round++) await delay(KILL_PAUSE_MS);
    await forceUnmount(this.mountPoint);
    this.#guard[Symbol.dispose]();
  }

  /** Whether there was something to kill. */
  #killAll(): boolean {
    // Keepers first, so that they start nothing.
    const left = [...this.keepers(), ...this.daemons()];
    for (const pid of left) killQuietly(pid);
    return left.length > 0;
  }

  /** The last resort when this process ends. */
  #abandon(): void {
    for (let round = 0; round < KILL_ROUNDS && this.#killAll(); round++) {
      spawnSync('sleep', [String(KILL_PAUSE_MS / 1000)]);
    }
    if (this.isMounted) spawnSync('umount', ['-l', '-c', this.mountPoint], { timeout: END_TIMEOUT_MS });
  }

  async #ready(child: ChildProcess, mounts: number): Promise<void> {
    let ended = false;
    child.once('exit', () => {
      ended = true;
    });
    await waitUntil('the mount to be ready', () => ended || this.mounts > mounts, {
      timeoutMs: READY_TIMEOUT_MS,
      intervalMs: 10,
    });
    if (ended) throw new Error('it ended before it was ready');
  }

  #processes(matches: (command: readonly string[]) => boolean): readonly number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        const command = commandOf(pid);
        return (
          command.includes(this.mountPoint) &&
          command.includes('--cache-dir') &&
          command[0] !== 'script' &&
          matches(command)
        );
      });
  }
}

/** How often the log of daemons says that one has taken over. */
export function takeoversIn(log: string): number {
  return log.split('has taken over').length - 1;
}

function isShell(command: readonly string[]): boolean {
  return command.some((word) => word.endsWith('keeper.sh'));
}

/** 0 for a process that has ended. */
function parentOf(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1]);
  } catch {
    return 0;
  }
}

/** Empty for a process that has ended. */
function commandOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
