/**
 * A mount that some foreground program serves: started as a child process, waited for with a limit, and taken
 * away again whatever happens to the program, to the test or to this process. Knows no particular program.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { missingCommands, waitUntil } from '../exec.js';
import { abortConnection, findMount, forceUnmount, removeMountPoint } from './mountinfo.js';

export interface ServeSpec {
  readonly argv: readonly string[];
  readonly mountPoint: string;
  /** What shows that the mount can be used: a line on stdout, or an entry in the mount table. */
  readonly ready: 'stdout-line' | 'mount-table';
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly readyTimeoutMs?: number;
  /** How long the program may take to end after SIGTERM before it is killed. */
  readonly stopTimeoutMs?: number;
}

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;
const MAX_OUTPUT_CHARS = 4 * 1024 * 1024;

const lastResorts = new Set<() => void>();
let guarded = false;

/** A program in the foreground that serves `mountPoint`. Made by {@link serveMount}. */
export class ServedMount {
  readonly mountPoint: string;
  readonly #child: ChildProcess;
  readonly #spec: ServeSpec;
  readonly #exit: Promise<ExitStatus>;
  readonly #guard: Disposable;
  #status: ExitStatus | undefined;
  #stdout = '';
  #stderr = '';

  constructor(spec: ServeSpec) {
    this.#spec = spec;
    this.mountPoint = spec.mountPoint;
    const [command = '', ...args] = [...credentialPrefix(spec), ...spec.argv];
    this.#child = spawn(command, args, {
      cwd: spec.cwd,
      env: { ...process.env, ...spec.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.#stdout = (this.#stdout + chunk).slice(-MAX_OUTPUT_CHARS);
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk).slice(-MAX_OUTPUT_CHARS);
    });
    this.#exit = new Promise((resolve) => {
      const settle = (status: ExitStatus) => {
        this.#status ??= status;
        resolve(this.#status);
      };
      this.#child.once('error', (error) => {
        this.#stderr += `\n${error}`;
        settle({ code: 127, signal: null });
      });
      this.#child.once('close', (code, signal) => settle({ code, signal }));
    });
    this.#guard = atExit(() => this.abandon());
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** How the program ended, or undefined while it runs. */
  get exitStatus(): ExitStatus | undefined {
    return this.#status;
  }

  /** Waits for the ready sign; throws with the program's output when it ends or takes too long. */
  async ready(): Promise<void> {
    const isReady = () =>
      this.#spec.ready === 'stdout-line'
        ? this.#stdout.includes('\n')
        : findMount(this.mountPoint) !== undefined;
    await waitUntil(
      `${this.#spec.argv.slice(0, 3).join(' ')} to be ready`,
      () => isReady() || this.#status !== undefined,
      {
        timeoutMs: this.#spec.readyTimeoutMs ?? READY_TIMEOUT_MS,
        intervalMs: 10,
      },
    ).catch((error: unknown) => {
      throw new Error(`${error}\n${this.#stdout}\n${this.#stderr}`);
    });
    if (!isReady()) {
      throw new Error(
        `ended before it was ready: ${JSON.stringify(this.#status)}\n${this.#stdout}\n${this.#stderr}`,
      );
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGKILL to the processes that the program has started, which may keep its mount, and to itself. */
  #killAll(): void {
    for (const pid of this.#status === undefined ? childrenOf(this.pid) : []) killQuietly(pid);
    this.kill('SIGKILL');
  }

  /** The program's end, or undefined when it does not come within `timeoutMs`. */
  async waitExit(timeoutMs = this.#spec.stopTimeoutMs ?? STOP_TIMEOUT_MS): Promise<ExitStatus | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), timeoutMs);
    });
    const status = await Promise.race([this.#exit, limit]);
    clearTimeout(timer);
    return status;
  }

  /** Kills the program and whoever would start it again at once, and takes the dead mount away. */
  async crash(): Promise<void> {
    this.#killAll();
    await this.waitExit();
    await forceUnmount(this.mountPoint);
  }

  /** Ends the program in order (SIGTERM), by force when it does not end; nothing stays mounted. */
  async stop(): Promise<ExitStatus | undefined> {
    this.kill('SIGTERM');
    const status = await this.waitExit();
    await this.clear();
    return status;
  }

  /** Whatever state the program is in: no mount and no process afterwards. */
  async clear(): Promise<void> {
    const minor = findMount(this.mountPoint)?.minor;
    if (this.#status === undefined) {
      this.kill('SIGTERM');
      await this.waitExit();
    }
    await forceUnmount(this.mountPoint);
    if (this.#status === undefined) {
      if (minor !== undefined) await abortConnection(minor);
      this.#killAll();
      await this.waitExit(5_000);
    }
    removeMountPoint(this.mountPoint);
    this.#guard[Symbol.dispose]();
  }

  /** The last resort when this process ends: no waiting possible. */
  abandon(): void {
    this.#killAll();
    if (findMount(this.mountPoint) !== undefined) {
      spawnSync('umount', ['-l', '-c', this.mountPoint], { timeout: 5_000 });
    }
  }
}

/** Starts the program and waits until the mount can be used. */
export async function serveMount(spec: ServeSpec): Promise<ServedMount> {
  const served = new ServedMount(spec);
  try {
    await served.ready();
    return served;
  } catch (error) {
    await served.clear();
    throw error;
  }
}

/** The processes that another one has started and that still run (proc_pid_task(5)). */
export function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    // It has ended.
    return [];
  }
}

/** SIGKILL to a process that may have ended. */
export function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** setpriv(1) makes the kernel end the daemon when this process dies, and changes the user without su's session. */
function credentialPrefix(spec: ServeSpec): readonly string[] {
  if (missingCommands(['setpriv']).length > 0) return [];
  const user =
    spec.uid === undefined
      ? []
      : ['--reuid', String(spec.uid), '--regid', String(spec.gid ?? spec.uid), '--clear-groups'];
  return ['setpriv', '--pdeathsig', 'TERM', ...user, '--'];
}

/** Calls `lastResort` when this process ends, also by its file's time limit, unless it was disposed of. It cannot wait. */
export function atExit(lastResort: () => void): Disposable {
  lastResorts.add(lastResort);
  guardExit();
  return { [Symbol.dispose]: () => void lastResorts.delete(lastResort) };
}

function guardExit(): void {
  if (guarded) return;
  guarded = true;
  process.once('exit', () => {
    for (const lastResort of lastResorts) lastResort();
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(1));
  }
}
