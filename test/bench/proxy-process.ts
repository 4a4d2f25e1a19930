/** The latency proxy as a process of its own, so that its work is not done by the process that measures. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { LatencyStats } from '../support/proxy/latency.js';

const MAIN = fileURLToPath(new URL('../support/proxy/latency-main.ts', import.meta.url));
const ANSWER_TIMEOUT_MS = 20_000;

export interface ProxyProcessOptions {
  readonly targetPort: number;
  readonly rttMs: number;
  readonly rateBytesPerS?: number;
}

export class ProxyProcess {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #waiting: ((line: string | undefined) => void)[] = [];
  #port = 0;

  private constructor(options: ProxyProcessOptions) {
    const rate = options.rateBytesPerS === undefined ? [] : ['--rate', String(options.rateBytesPerS)];
    this.#child = spawn(
      process.execPath,
      [
        '--import',
        'tsx',
        MAIN,
        '--target',
        String(options.targetPort),
        '--rtt',
        String(options.rttMs),
        ...rate,
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    if (this.#child.stdout === null) throw new Error('the proxy has no stdout');
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#lines.on('line', (line) => this.#waiting.shift()?.(line));
    this.#lines.on('close', () => {
      for (const give of this.#waiting.splice(0)) give(undefined);
    });
  }

  static async start(options: ProxyProcessOptions): Promise<ProxyProcess> {
    const proxy = new ProxyProcess(options);
    const first = JSON.parse(await proxy.#nextLine()) as { readonly port: number };
    proxy.#port = first.port;
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  stats(): Promise<LatencyStats> {
    return this.#ask('stats');
  }

  async reset(): Promise<void> {
    await this.#ask('reset');
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill('SIGTERM');
    await ended;
  }

  async #ask(command: string): Promise<LatencyStats> {
    const line = this.#nextLine();
    this.#child.stdin?.write(`${command}\n`);
    return JSON.parse(await line) as LatencyStats;
  }

  #nextLine(): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the proxy does not answer')), ANSWER_TIMEOUT_MS);
      this.#waiting.push((line) => {
        clearTimeout(timer);
        if (line === undefined) reject(new Error('the proxy ended'));
        else resolve(line);
      });
    });
  }
}
