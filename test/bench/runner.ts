/** Runs one workload with one tool on a server behind a far line, and measures its steps. */

import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitUntil } from '../support/exec.js';
import { FsWorker } from '../support/mount/index.js';
import { startApache } from '../support/servers/apache.js';
import type { DavServer } from '../support/servers/server.js';
import { daemonFigures } from './daemon-figures.js';
import { PlainLine } from './plain-line.js';
import { cpuSeconds, peakBytes, resetPeak } from './process-figures.js';
import { ProxyProcess } from './proxy-process.js';
import type {
  LineNeed,
  Program,
  ProgramResult,
  Row,
  Run,
  StepOptions,
  Tool,
  ToolMount,
  Workload,
} from './types.js';

const PROGRAMS = new URL('./programs.ts', import.meta.url);
/** No program may take longer with any tool. */
const PROGRAM_TIMEOUT_MS = 300_000;
/** Nor may the background work behind it. */
const ON_SERVER_TIMEOUT_MS = 120_000;
const ON_SERVER_POLL_MS = 10;

export interface RunnerOptions {
  readonly rttMs: number;
  readonly rateBytesPerS?: number;
  /** The directory that the server serves, prepared by the workload. */
  readonly root: string;
  /** What the line alone takes, by what it has to do: measured once for all tools. */
  readonly lines: Map<string, number>;
}

/** The rows of one tool on one workload; a failure becomes a row and does not stop the benchmark. */
export async function runWorkload(workload: Workload, tool: Tool, options: RunnerOptions): Promise<Row[]> {
  const bench = new BenchRun(workload, tool, options);
  try {
    await bench.start();
    await workload.run(bench);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    bench.rows.push({
      workload: workload.name,
      step: 'failed',
      tool: tool.name,
      error: message.slice(0, 500),
    });
  } finally {
    await bench.close();
  }
  return bench.rows;
}

class BenchRun implements Run {
  readonly rows: Row[] = [];
  readonly ownName: string;
  readonly #workload: Workload;
  readonly #tool: Tool;
  readonly #options: RunnerOptions;
  readonly #home = mkdtempSync(join(tmpdir(), 'infinimount-bench-'));
  readonly #worker = new FsWorker({ timeoutMs: PROGRAM_TIMEOUT_MS });
  #server: DavServer | undefined;
  #proxy: ProxyProcess | undefined;
  #mount: ToolMount | undefined;
  #caches = 0;

  constructor(workload: Workload, tool: Tool, options: RunnerOptions) {
    this.#workload = workload;
    this.#tool = tool;
    this.#options = options;
    this.ownName = `of-${tool.name}`;
  }

  async start(): Promise<void> {
    // davfs2 works in it as another user.
    chmodSync(this.#home, 0o755);
    if (this.#tool.mount !== undefined) {
      this.#server = await startApache({ root: this.#options.root });
      const rate = this.#workload.rateBytesPerS ?? this.#options.rateBytesPerS;
      this.#proxy = await ProxyProcess.start({
        targetPort: this.#server.port,
        rttMs: this.#options.rttMs,
        ...(rate === undefined ? {} : { rateBytesPerS: rate }),
      });
    }
    await this.remountCold();
    // Starts the worker's process outside of any measurement.
    await this.quietly({ name: 'command', args: [['true'], '/', {}] });
  }

  path(...segments: readonly string[]): string {
    return join(this.#tool.mount === undefined ? this.#options.root : this.#mountPoint, ...segments);
  }

  onServer(...segments: readonly string[]): string {
    return join(this.#options.root, ...segments);
  }

  async step(step: string, program: Program, { onServer, line }: StepOptions = {}): Promise<void> {
    const lineSeconds = line === undefined ? undefined : await this.#lineSeconds(line);
    const pid = this.#mount?.pid;
    await this.#server?.clearLog();
    await this.#proxy?.reset();
    const countedBefore = await this.#mount?.metrics?.();
    resetPeak(pid);
    const cpuBefore = cpuSeconds(pid);
    const start = performance.now();
    const { seconds, measured } = await this.#call(program);
    let onServerSeconds: number | undefined;
    if (onServer !== undefined) {
      const limits = { timeoutMs: ON_SERVER_TIMEOUT_MS, intervalMs: ON_SERVER_POLL_MS };
      await waitUntil('the server to have everything', onServer, limits);
      onServerSeconds = Math.max(seconds, (performance.now() - start) / 1000);
    }
    const cpu = cpuSeconds(pid) - cpuBefore;
    const peak = peakBytes(pid);
    const counted = await this.#mount?.metrics?.();
    const moved = await this.#proxy?.stats();
    this.rows.push({
      workload: this.#workload.name,
      step,
      tool: this.#tool.name,
      figures: {
        seconds,
        ...(onServerSeconds === undefined ? {} : { onServerSeconds }),
        ...(lineSeconds === undefined ? {} : { lineSeconds }),
        ...(measured === undefined ? {} : { measured }),
        ...(counted === undefined || countedBefore === undefined
          ? {}
          : { daemon: daemonFigures(countedBefore, counted) }),
        requests: (await this.#server?.log())?.length ?? 0,
        upBytes: moved?.upBytes ?? 0,
        downBytes: moved?.downBytes ?? 0,
        cpuSeconds: cpu,
        peakBytes: peak,
      },
    });
  }

  note(step: string, measured: Readonly<Record<string, number>>): void {
    this.rows.push({
      workload: this.#workload.name,
      step,
      tool: this.#tool.name,
      figures: {
        seconds: 0,
        measured,
        requests: 0,
        upBytes: 0,
        downBytes: 0,
        cpuSeconds: 0,
        peakBytes: 0,
      },
    });
  }

  async quietly(program: Program): Promise<void> {
    await this.#call(program);
  }

  async remount(): Promise<void> {
    await this.#mount?.stop();
    await this.#mountAgain();
  }

  async startAgain(step: string, change: (cacheDir: string) => Promise<void>): Promise<void> {
    if (this.#tool.mount === undefined) throw new Error(`${this.#tool.name} does not mount`);
    await this.#mount?.stop();
    await change(this.#cacheDir);
    await this.#server?.clearLog();
    await this.#proxy?.reset();
    const start = performance.now();
    await this.#mountAgain();
    const seconds = (performance.now() - start) / 1000;
    const pid = this.#mount?.pid;
    const moved = await this.#proxy?.stats();
    this.rows.push({
      workload: this.#workload.name,
      step,
      tool: this.#tool.name,
      figures: {
        seconds,
        requests: (await this.#server?.log())?.length ?? 0,
        upBytes: moved?.upBytes ?? 0,
        downBytes: moved?.downBytes ?? 0,
        cpuSeconds: cpuSeconds(pid),
        peakBytes: peakBytes(pid),
      },
    });
  }

  async #mountAgain(): Promise<void> {
    if (this.#tool.mount === undefined || this.#server === undefined || this.#proxy === undefined) return;
    mkdirSync(this.#mountPoint, { recursive: true });
    const scratchDir = join(this.#home, 'scratch');
    mkdirSync(scratchDir, { recursive: true });
    const url = new URL(this.#server.url);
    url.port = String(this.#proxy.port);
    const { user, password } = this.#server;
    this.#mount = await this.#tool.mount({
      server: { url: url.href, user, password },
      mountPoint: this.#mountPoint,
      cacheDir: this.#cacheDir,
      root: this.#options.root,
      scratchDir,
    });
  }

  async remountCold(): Promise<void> {
    this.#caches++;
    mkdirSync(this.#cacheDir, { mode: 0o700 });
    await this.remount();
  }

  async close(): Promise<void> {
    this.#worker.close();
    await this.#mount?.stop();
    await this.#proxy?.stop();
    await this.#server?.stop();
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 3 });
  }

  get #mountPoint(): string {
    return join(this.#home, 'mnt');
  }

  get #cacheDir(): string {
    return join(this.#home, `cache${this.#caches}`);
  }

  async #call(
    program: Program,
  ): Promise<{ readonly seconds: number; readonly measured?: Readonly<Record<string, number>> }> {
    const result = (await this.#worker.call(PROGRAMS, program.name, program.args)) as ProgramResult;
    return typeof result === 'number' ? { seconds: result } : result;
  }

  /** What the line alone takes: its round trips, and its bytes at the rate that one plain transfer has here and now. */
  async #lineSeconds({ roundTrips, upBytes = 0, downBytes = 0 }: LineNeed): Promise<number | undefined> {
    if (this.#server === undefined || this.#proxy === undefined) return undefined;
    const { rttMs, lines } = this.#options;
    const known = lines.get(JSON.stringify([roundTrips, upBytes, downBytes]));
    if (known !== undefined) return known;
    const { user, password, url } = this.#server;
    const origin = new URL(url);
    origin.port = String(this.#proxy.port);
    const line = new PlainLine({ url: origin, user, password, root: this.#options.root });
    const moving = (await line.upSeconds(upBytes)) + (await line.downSeconds(downBytes));
    const seconds = (roundTrips * rttMs) / 1000 + moving;
    lines.set(JSON.stringify([roundTrips, upBytes, downBytes]), seconds);
    return seconds;
  }
}
