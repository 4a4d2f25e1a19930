/** What the tests of mounts that outlive their daemons share: a server, the command that mounts it, a program at work. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { killGroup, run, waitUntil } from '../support/exec.js';
import { INFINIMOUNT, type MountTarget } from '../support/mount/index.js';
import { SurvivingMount } from '../support/mount/surviving.js';
import { type LatencyProxy, startLatencyProxy } from '../support/proxy/latency.js';
import { startApache } from '../support/servers/apache.js';
import type { DavServer } from '../support/servers/server.js';
import { DRAIN_TIMEOUT_MS, TempDir, throughPort } from './setup.js';

const PROGRAM = fileURLToPath(new URL('./outlive-program.ts', import.meta.url));
const PROGRAM_END_MS = 120_000;
/** A call on the mount that takes longer counts as hanging. */
export const CALL_LIMIT_MS = 20_000;
/** For a program that itself waits for the test. */
export const WAITING_LIMIT_MS = 120_000;

export interface Report {
  readonly rounds: number;
  readonly bytesRead: number;
  readonly sums: Readonly<Record<string, string>>;
}

/** The program of outlive-program.ts, while it runs. */
export class WorkingProgram {
  readonly #child: ChildProcess;
  #said = '';

  constructor(dir: string, seed: number) {
    this.#child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, dir, String(seed)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.#said += chunk;
    });
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Tells it to end, and gives what it says must be there; throws with what went wrong in it. */
  async end(): Promise<Report> {
    this.#child.stdin?.end();
    await waitUntil('the program to end', () => this.hasEnded, { timeoutMs: PROGRAM_END_MS }).catch(
      (error: unknown) => {
        throw new Error(`${error}; it said: ${this.#said}`);
      },
    );
    assert.equal(this.#child.exitCode, 0, this.#said);
    return JSON.parse(this.#said);
  }

  [Symbol.dispose](): void {
    killGroup(this.#child);
  }
}

/** Directories, a server with a proxy before it, and the command that mounts it. */
export class Scene {
  readonly temp: TempDir;
  readonly server: DavServer;
  readonly proxy: LatencyProxy;
  readonly target: MountTarget;
  /** Of mounts that something else than {@link mount} makes. */
  readonly #leftovers: SurvivingMount;

  private constructor(temp: TempDir, server: DavServer, proxy: LatencyProxy) {
    this.temp = temp;
    this.server = server;
    this.proxy = proxy;
    this.target = { ...server, url: throughPort(server.url, proxy.port) };
    for (const name of ['cache', 'mnt', 'run']) mkdirSync(temp.at(name), { mode: 0o700 });
    writeFileSync(temp.at('password'), `${server.password}\n`, { mode: 0o600 });
    this.#leftovers = SurvivingMount.of(this.mountPoint);
  }

  static async start(options: { readonly rateBytesPerS?: number } = {}): Promise<Scene> {
    const server = await startApache();
    return new Scene(
      new TempDir('outlive'),
      server,
      await startLatencyProxy({ targetPort: server.port, rttMs: 20, ...options }),
    );
  }

  get mountPoint(): string {
    return this.temp.at('mnt');
  }

  argv(...options: readonly string[]): readonly string[] {
    return [
      ...INFINIMOUNT,
      ...['mount', this.target.url, this.mountPoint, '--user', this.server.user],
      ...['--password-file', this.temp.at('password'), '--cache-dir', this.temp.at('cache')],
      ...['--runtime-dir', this.temp.at('run'), ...options],
    ];
  }

  mount(
    options: readonly string[] = [],
    spec: { readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<SurvivingMount> {
    return SurvivingMount.start({
      argv: this.argv(...options),
      mountPoint: this.mountPoint,
      logFile: this.temp.at('log'),
      ...spec,
    });
  }

  /** Runs `sh -eu` on the mount, with a time limit. */
  async sh(script: string, timeoutMs = CALL_LIMIT_MS): Promise<string> {
    const done = await run(['sh', '-euc', `cd "$1"; ${script}`, 'sh', this.mountPoint], {
      timeoutMs,
    });
    assert.equal(done.code, 0, `${script}: ${done.stderr}${done.timedOut ? 'ran out of time' : ''}`);
    return done.stdout;
  }

  /** Waits until the server has all that the program says, byte for byte. */
  async serverHas({ sums }: Report): Promise<void> {
    const wrong = () =>
      Object.entries(sums).filter(([name, sum]) => {
        const path = join(this.server.root, name);
        return !existsSync(path) || createHash('sha256').update(readFileSync(path)).digest('hex') !== sum;
      });
    await waitUntil('the server to have everything', () => wrong().length === 0, {
      timeoutMs: DRAIN_TIMEOUT_MS,
      intervalMs: 300,
    }).catch((error: unknown) => {
      throw new Error(`${error}: ${wrong().map(([name]) => name)}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leftovers[Symbol.asyncDispose]();
    this.proxy.setHeld(false);
    await this.proxy.stop();
    await this.server.stop();
    this.temp[Symbol.dispose]();
  }
}
