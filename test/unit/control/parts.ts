/** What the tests of the control socket share: a service that answers from a table, and a server of it. No test lives here. */

import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Log, SystemClock, silentLog } from '../../../src/base/index.js';
import {
  type CallContext,
  ControlClient,
  type ControlEvent,
  type ControlLimits,
  type ControlServer,
  type ControlService,
  type Listener,
  type Problem,
  type RouteInput,
  type RouteName,
  type Status,
  startControlServer,
} from '../../../src/control/index.js';

export const STATUS: Status = {
  version: '0.1.0',
  pid: 7,
  startedAtMs: 1000,
  url: 'https://host/dav/',
  mountPoint: '/mnt/x',
  cacheDir: '/var/cache/x',
  driver: 'kernel',
  readOnly: false,
  kernel: { protocol: '7.45', features: ['PARALLEL_DIROPS'], absent: [] },
  takeovers: 0,
  keeper: 'none',
  connection: { kind: 'online' },
  credentials: { kind: 'basic', user: 'u', state: 'accepted', sinceMs: 1000 },
  paused: false,
  queue: { pending: 1, running: 0, failing: 0, bytes: 10, bytesDone: 0 },
  rates: { upBytesPerSecond: 0, downBytesPerSecond: 0 },
  cache: { cleanBytes: 1, cleanFiles: 1, stagedBytes: 0, stagedFiles: 0, pinned: 0, limitBytes: 100 },
  conflicts: 0,
  errors: [],
};

/** For every route a request that is good, and the method behind it. A new route does not compile without a row. */
export const GOOD_REQUESTS: { readonly [N in RouteName]: RouteInput<N> } = {
  status: {},
  queue: { limit: 5 },
  events: {},
  metrics: {},
  refresh: { path: '/a', recursive: true },
  flush: { timeoutMs: 10 },
  pause: {},
  resume: {},
  pin: { path: '/a' },
  unpin: { path: '/a' },
  pins: {},
  evict: { path: '/a' },
  conflicts: {},
  resolve: { copy: '/a (conflict)', keep: 'local' },
  cache: {},
  verify: {},
  logLevel: {},
  setLogLevel: { level: 'debug' },
  rotate: { password: 'n3w-pass', force: true },
  remount: { options: { 'read-only': 'true' } },
  upgrade: {},
  unmount: { wait: false, lazy: true },
};

export interface Call {
  readonly name: string;
  readonly request: unknown;
  readonly context: CallContext;
}

export class FakeService implements ControlService {
  readonly calls: Call[] = [];
  readonly listeners = new Set<Listener<ControlEvent>>();
  /** Stands in for the answer of flush. */
  onFlush: (context: CallContext) => Promise<{ pending: number }> = async () => ({ pending: 0 });
  /** Thrown by status when set. */
  failure: unknown;

  #note(name: string, request: unknown, context: CallContext): void {
    this.calls.push({ name, request, context });
  }

  status: ControlService['status'] = (request, context) => {
    this.#note('status', request, context);
    if (this.failure !== undefined) throw this.failure;
    return STATUS;
  };
  queue: ControlService['queue'] = (request, context) => {
    this.#note('queue', request, context);
    return { total: 0, items: [], truncated: false };
  };
  events: ControlService['events'] = (request, context) => {
    this.#note('events', request, context);
    return (listener) => {
      this.listeners.add(listener);
      listener({ type: 'status', status: STATUS });
      return () => this.listeners.delete(listener);
    };
  };
  metrics: ControlService['metrics'] = (request, context) => {
    this.#note('metrics', request, context);
    return { contentType: 'text/plain; version=0.0.4; charset=utf-8', text: 'a_total 1\n' };
  };
  refresh: ControlService['refresh'] = (request, context) => {
    this.#note('refresh', request, context);
    return { directories: 3 };
  };
  flush: ControlService['flush'] = (request, context) => {
    this.#note('flush', request, context);
    return this.onFlush(context);
  };
  pause: ControlService['pause'] = (request, context) => {
    this.#note('pause', request, context);
    return { paused: true };
  };
  resume: ControlService['resume'] = (request, context) => {
    this.#note('resume', request, context);
    return { paused: false };
  };
  pin: ControlService['pin'] = (request, context) => {
    this.#note('pin', request, context);
    return { path: request.path, files: 1, bytes: 2, presentBytes: 2 };
  };
  unpin: ControlService['unpin'] = (request, context) => {
    this.#note('unpin', request, context);
    return {};
  };
  pins: ControlService['pins'] = (request, context) => {
    this.#note('pins', request, context);
    return { pins: [] };
  };
  evict: ControlService['evict'] = (request, context) => {
    this.#note('evict', request, context);
    return { freedBytes: 9 };
  };
  conflicts: ControlService['conflicts'] = (request, context) => {
    this.#note('conflicts', request, context);
    return { conflicts: [] };
  };
  resolve: ControlService['resolve'] = (request, context) => {
    this.#note('resolve', request, context);
    return {};
  };
  cache: ControlService['cache'] = (request, context) => {
    this.#note('cache', request, context);
    return {
      ...{ cleanBytes: 1, cleanFiles: 1, stagedBytes: 0, stagedFiles: 0, limitBytes: 100 },
      ...{ minFreeBytes: 10, freeDiskBytes: 1000, nodes: 5, pinnedFiles: 0 },
    };
  };
  verify: ControlService['verify'] = (request, context) => {
    this.#note('verify', request, context);
    return { checkedFiles: 1, checkedBytes: 1, droppedFiles: 0, damaged: [] };
  };
  logLevel: ControlService['logLevel'] = (request, context) => {
    this.#note('logLevel', request, context);
    return { level: 'info' };
  };
  setLogLevel: ControlService['setLogLevel'] = (request, context) => {
    this.#note('setLogLevel', request, context);
    return { level: request.level };
  };
  rotate: ControlService['rotate'] = (request, context) => {
    this.#note('rotate', request, context);
    return { accepted: true };
  };
  remount: ControlService['remount'] = (request, context) => {
    this.#note('remount', request, context);
    return { changed: [], needsNewMount: [] };
  };
  upgrade: ControlService['upgrade'] = (request, context) => {
    this.#note('upgrade', request, context);
    return { from: '0.1.0', to: '0.2.0' };
  };
  unmount: ControlService['unmount'] = (request, context) => {
    this.#note('unmount', request, context);
    return { pending: 2 };
  };
}

export interface LogLine {
  readonly level: string;
  readonly fields: object;
  readonly message: string;
}

/** A server on a socket of its own, closed and removed with the scope that holds it. */
export class Served {
  readonly service = new FakeService();
  readonly lines: LogLine[] = [];
  readonly dir = mkdtempSync(join(tmpdir(), 'infinimount-control-'));
  readonly path = join(this.dir, 'run', 'x.sock');
  server: ControlServer | undefined;

  static async start(
    options: {
      readonly limits?: Partial<ControlLimits>;
      readonly problemOf?: (error: unknown) => Problem | undefined;
    } = {},
  ): Promise<Served> {
    const served = new Served();
    const note = (level: string) => (fields: object, message: string) => {
      served.lines.push({ level, fields, message });
    };
    const log: Log = { ...silentLog, warn: note('warn'), error: note('error') };
    served.server = await startControlServer({
      path: served.path,
      service: served.service,
      problemOf: options.problemOf ?? (() => undefined),
      log,
      clock: new SystemClock(),
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
    return served;
  }

  client(timeoutMs?: number): ControlClient {
    return new ControlClient({
      socketPath: this.path,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server?.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A connection for bytes that no client would send. */
export class RawConnection {
  readonly socket: Socket;
  received = '';
  readonly closed: Promise<void>;

  constructor(path: string) {
    this.socket = connect({ path, allowHalfOpen: true });
    this.socket.on('data', (chunk) => {
      this.received += chunk.toString();
    });
    // A connection that is cut is what most of these tests want.
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      this.socket.on('end', resolve);
      this.socket.on('close', () => resolve());
    });
  }

  /** Sends, and gives back everything that came until the other side ended. */
  async exchange(bytes: string | Buffer): Promise<string> {
    this.socket.write(bytes);
    await this.closed;
    this.socket.destroy();
    return this.received;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
