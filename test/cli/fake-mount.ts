/** A daemon that mounts nothing and answers on a real control socket, for the tests of the commands. No test lives here. */

import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock, silentLog } from '../../src/base/index.js';
import { controlSocketPath } from '../../src/config/index.js';
import {
  type ControlServer,
  type ControlService,
  makeProblem,
  type Queue,
  type Status,
  startControlServer,
} from '../../src/control/index.js';
import { type RunResult, run } from '../support/exec.js';
import { INFINIMOUNT } from '../support/mount/index.js';
import { QUIET } from '../unit/cli/statuses.js';
import { FakeService } from '../unit/control/parts.js';

/** Thrown by a method of the service, and told to the caller. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    readonly detail: string,
    readonly advice?: string,
  ) {
    super(detail);
  }
}

export class FakeMount {
  readonly service = new FakeService();
  status: Status;
  queue: Queue = { total: 0, items: [], truncated: false };
  readonly #server: Promise<ControlServer>;

  constructor(directory: string, status: Partial<Status>) {
    this.status = { ...QUIET, startedAtMs: Date.now() - 60_000, ...status };
    this.service.status = () => this.status;
    this.service.queue = () => this.queue;
    this.#server = startControlServer({
      path: controlSocketPath(directory, this.status.mountPoint),
      service: this.service,
      problemOf: (error) =>
        error instanceof Refusal
          ? makeProblem({ status: 409, code: error.code, detail: error.detail, advice: error.advice })
          : undefined,
      log: silentLog,
      clock: new SystemClock(),
    });
  }

  /** Replaces what stands behind a route. */
  on<N extends keyof ControlService>(route: N, method: ControlService[N]): void {
    const service: ControlService = this.service;
    service[route] = method;
  }

  async ready(): Promise<this> {
    await this.#server;
    return this;
  }

  async close(): Promise<void> {
    await (await this.#server).close();
  }
}

/** A runtime directory with mounts in it, and the program run against it. */
export class FakeMounts {
  readonly home = mkdtempSync(join(tmpdir(), 'infinimount-commands-'));
  readonly directory = join(this.home, 'run');
  readonly #mounts: FakeMount[] = [];
  readonly #closers: (() => void)[] = [];

  constructor() {
    mkdirSync(this.directory, { mode: 0o700 });
  }

  async add(status: Partial<Status> = {}): Promise<FakeMount> {
    const mount = await new FakeMount(this.directory, status).ready();
    this.#mounts.push(mount);
    return mount;
  }

  /** A socket that takes connections and never answers. */
  async addSilent(mountPoint: string): Promise<void> {
    const server = createServer();
    const sockets = new Set<{ destroy(): void }>();
    server.on('connection', (socket) => sockets.add(socket));
    await new Promise<void>((resolve) => {
      server.listen(controlSocketPath(this.directory, mountPoint), resolve);
    });
    this.#closers.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
  }

  /** The socket of a daemon that was killed. */
  async addDead(mountPoint: string): Promise<void> {
    const server = createServer();
    const path = controlSocketPath(this.directory, mountPoint);
    await new Promise<void>((resolve) => {
      server.listen(`${path}.new`, resolve);
    });
    // Closing the server removes the socket under its first name.
    renameSync(`${path}.new`, path);
    await new Promise((resolve) => server.close(resolve));
  }

  /** Runs a command line against these mounts. */
  run(args: readonly string[], input = '', timeoutMs = 30_000): Promise<RunResult> {
    return run([...INFINIMOUNT, ...args], {
      cwd: this.home,
      env: { HOME: this.home, NO_COLOR: '1', TZ: 'UTC', INFINIMOUNT_RUNTIME_DIR: this.directory },
      input,
      timeoutMs,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closers) close();
    for (const mount of this.#mounts) await mount.close();
    rmSync(this.home, { recursive: true, force: true });
  }
}
