/**
 * Runs other programs with a hard time limit. A program that touches a mount may hang where even SIGKILL does not
 * reach it, so nothing here waits for an exit without bound.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Milliseconds until the program and its children are killed. */
  readonly timeoutMs?: number;
  /** Runs as this user and group instead of ours (needs root). */
  readonly uid?: number;
  readonly gid?: number;
}

export interface RunResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

const DEFAULT_TIMEOUT_MS = 60_000;
/** How long a killed program may take to disappear before it is given up as stuck in the kernel. */
const KILL_GRACE_MS = 2_000;
/** More output than this is cut; the tests read only small outputs. */
const MAX_OUTPUT_BYTES = 8 * 1024 * 1024;

/** Kills `child` and everything in the process group that it leads. */
export function killGroup(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone already: that is what was wanted.
  }
}

/** Runs `argv` to its end or its time limit; never rejects for what the program does. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [command, ...args] = argv;
  if (command === undefined) throw new Error('run() needs a command');
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, LC_ALL: 'C.UTF-8', ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    let timedOut = false;
    let grace: NodeJS.Timeout | undefined;
    const finish = (code: number | null, signal: NodeJS.Signals | null) => {
      clearTimeout(limit);
      clearTimeout(grace);
      resolve({ code, signal, stdout: stdout(), stderr: stderr(), timedOut });
    };
    const limit = setTimeout(() => {
      timedOut = true;
      killGroup(child);
      grace = setTimeout(() => {
        child.unref();
        child.stdin.destroy();
        child.stdout.destroy();
        child.stderr.destroy();
        finish(null, 'SIGKILL');
      }, KILL_GRACE_MS);
    }, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    child.once('error', (error) => {
      clearTimeout(limit);
      reject(error);
    });
    child.once('close', finish);
    // A program that exits without reading its input is no failure of the run.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** Like {@link run}, and throws with the program's output when it failed or ran out of time. */
export async function runOk(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(argv, options);
  if (result.timedOut || result.code !== 0) {
    const end = result.timedOut ? 'ran out of time' : `ended with ${result.code ?? result.signal}`;
    const output = `${result.stdout.slice(-3000)}\n${result.stderr.slice(-3000)}`.trim();
    throw new Error(`${argv.join(' ').slice(0, 1000)}\n${end}\n${output}`);
  }
  return result.stdout;
}

/** Runs a shell script (`sh -eu`), its arguments as $1, $2...; throws when it fails. */
export function sh(script: string, args: readonly string[] = [], options: RunOptions = {}): Promise<string> {
  return runOk(['sh', '-eu', '-c', script, 'sh', ...args], options);
}

/** Which of `commands` are not in PATH (or the system's own program folders). */
export function missingCommands(commands: readonly string[]): readonly string[] {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return commands.filter((command) => !folders.some((folder) => isExecutable(join(folder, command))));
}

/**
 * For the `skip` option of a test that needs something of the machine: false when it is there, else the reason that is
 * printed. In CI nothing is skipped: it throws.
 */
export function skipUnless(present: boolean, what: string): false | string {
  if (present) return false;
  const reason = `needs ${what}`;
  if (isCi()) throw new Error(`${reason}, and CI must have it`);
  return reason;
}

/** Whether this is a run in which nothing may be skipped. */
export function isCi(): boolean {
  return !['', '0', 'false'].includes(process.env.CI ?? '');
}

/** {@link skipUnless} for programs in PATH. */
export function skipWithout(...commands: readonly string[]): false | string {
  const missing = missingCommands(commands);
  return skipUnless(missing.length === 0, `the programs ${missing.join(', ')}`);
}

/** Asks `condition` again and again until it holds; throws with `what` when `timeoutMs` have passed. */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  options: { readonly timeoutMs?: number; readonly intervalMs?: number } = {},
): Promise<void> {
  const timeoutMs = options.timeoutMs ?? 30_000;
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await delay(options.intervalMs ?? 50);
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    if (bytes < MAX_OUTPUT_BYTES) chunks.push(chunk);
    bytes += chunk.length;
  });
  return () => Buffer.concat(chunks).toString();
}
