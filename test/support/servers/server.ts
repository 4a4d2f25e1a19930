/** What the test servers have in common: the handle, a folder of their own, the process, the access log. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, connect as netConnect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { killGroup } from '../exec.js';
import { findComponent } from './component.js';

export interface AccessLogEntry {
  readonly method: string;
  /** The request target as it came, percent-encoded. */
  readonly path: string;
  /** Undefined where the server does not log it (rclone). */
  readonly status: number | undefined;
  /** Bytes of the response's body. */
  readonly bytes: number | undefined;
  /** Request headers that tests ask about, lower-case names, absent ones left out. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A WebDAV server on loopback with a folder of its own, ended by `stop` or with the test process. */
export interface DavServer {
  readonly kind: 'apache' | 'nginx' | 'rclone';
  /** Ends with a slash. */
  readonly url: string;
  readonly port: number;
  /** The directory on disk that it serves. */
  readonly root: string;
  readonly user: string;
  readonly password: string;
  readonly pid: number;
  /** All finished requests since the start or the last `clearLog`, oldest first. */
  log(): Promise<AccessLogEntry[]>;
  clearLog(): Promise<void>;
  /** What the server wrote of its own troubles. */
  errorLog(): string;
  /** Holds the server still (SIGSTOP), as a line that went dead does. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ServerOptions {
  /** The directory to serve; a new one, removed at the end, when absent. */
  readonly root?: string;
  /** Who may log in; one made-up user when absent. The first is the one that the handle names. */
  readonly users?: Readonly<Record<string, string>>;
  /** PEM texts. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Where on the server the directory appears; starts and ends with a slash. */
  readonly basePath?: string;
  /** The port to listen on, for a server that is started again; a free one when absent. */
  readonly port?: number;
}

export const DEFAULT_USERS: Readonly<Record<string, string>> = { tester: 'correct horse' };

/** Headers that the access logs carry, in this order. */
export const LOGGED_HEADERS = [
  'depth',
  'destination',
  'overwrite',
  'range',
  'if-match',
  'if-none-match',
  'content-length',
  'user-agent',
] as const;

/** How long a server may take until it listens. */
const START_LIMIT_MS = 10_000;
const POLL_MS = 10;
/** After this long a server that was asked to end is killed. */
const STOP_LIMIT_MS = 5_000;

/** A temporary folder that other users may pass through, with the served folder and the logs in it. */
export class ServerHome {
  readonly path: string;
  readonly root: string;
  readonly accessLog: string;
  readonly errorLog: string;

  constructor(kind: string, root: string | undefined) {
    this.path = mkdtempSync(join(tmpdir(), `infinimount-${kind}-`));
    chmodSync(this.path, 0o711);
    this.root = root ?? join(this.path, 'root');
    if (root === undefined) mkdirSync(this.root);
    this.accessLog = join(this.path, 'access.log');
    this.errorLog = join(this.path, 'error.log');
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** The password file and the TLS files, as every server here reads them. */
  writeSecrets(users: Readonly<Record<string, string>>, tls: ServerOptions['tls']): void {
    writeFileSync(this.file('users'), htpasswd(users), { mode: 0o644 });
    if (tls === undefined) return;
    writeFileSync(this.file('key.pem'), tls.key, { mode: 0o644 });
    writeFileSync(this.file('cert.pem'), tls.cert, { mode: 0o644 });
  }

  readError(): string {
    return existsSync(this.errorLog) ? readFileSync(this.errorLog, 'utf8') : '';
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A loopback port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no port'));
        else resolve(address.port);
      });
    });
  });
}

/** htpasswd lines with SHA-1, which Apache, nginx and rclone all read and which cost no time a request. */
function htpasswd(users: Readonly<Record<string, string>>): string {
  return Object.entries(users)
    .map(([user, password]) => `${user}:{SHA}${createHash('sha1').update(password).digest('base64')}\n`)
    .join('');
}

/** The user of Debian's web servers, keeping the right to write into folders of others (capabilities(7)). */
const WWW_DATA = [
  '--reuid=www-data',
  '--regid=www-data',
  '--clear-groups',
  '--inh-caps=+dac_override',
  '--ambient-caps=+dac_override',
] as const;

/**
 * Options of setpriv(1) that make a server started by root run as www-data with the one capability that lets it write
 * into folders of any owner, so that a test may lay out files as it likes. None for another user.
 */
export function webUserPrivileges(home: ServerHome): readonly string[] {
  if (process.getuid?.() !== 0) return [];
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith('www-data:'));
  const [, , uid, gid] = (line ?? '').split(':');
  for (const path of [home.path, home.root]) chownSync(path, Number(uid), Number(gid));
  return WWW_DATA;
}

export interface HandleParts {
  readonly kind: DavServer['kind'];
  readonly home: ServerHome;
  readonly child: ChildProcess & { readonly pid: number };
  readonly port: number;
  readonly users: Readonly<Record<string, string>>;
  readonly basePath: string;
  readonly options: ServerOptions;
  readonly log: { read(): Promise<AccessLogEntry[]>; clear(): Promise<void> };
}

export function makeHandle(parts: HandleParts): DavServer {
  const { home, child, port } = parts;
  const [user = '', password = ''] = Object.entries(parts.users)[0] ?? [];
  const stop = async () => {
    await stopProcess(child);
    home.remove();
  };
  return {
    kind: parts.kind,
    url: `${parts.options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}${parts.basePath}`,
    port,
    root: home.root,
    user,
    password,
    pid: child.pid,
    log: () => parts.log.read(),
    clearLog: () => parts.log.clear(),
    errorLog: () => home.readError(),
    pause: () => signalGroup(child, 'SIGSTOP'),
    resume: () => signalGroup(child, 'SIGCONT'),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

export interface ProcessPlan {
  readonly command: readonly string[];
  /** Options of setpriv(1) before the command, beside the signal at the parent's death. */
  readonly privileges?: readonly string[];
  readonly home: ServerHome;
  readonly port: number;
}

/** Starts a server in the foreground under setpriv(1), so that it ends with this process, and waits until it listens. */
export async function startProcess(plan: ProcessPlan): Promise<ChildProcess & { readonly pid: number }> {
  const setpriv = findComponent('setpriv');
  const argv = [...(plan.privileges ?? []), '--pdeathsig', 'TERM', ...plan.command];
  const child = spawn(setpriv, argv, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  const keep = (chunk: Buffer) => {
    // The last lines are enough to say why a start failed.
    output = (output + chunk.toString()).slice(-8_192);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let spawnError: Error | undefined;
  child.once('error', (error) => {
    spawnError = error;
  });
  const limit = Date.now() + START_LIMIT_MS;
  for (;;) {
    const ended = spawnError !== undefined || child.exitCode !== null || child.signalCode !== null;
    if (ended || Date.now() > limit) {
      const reason =
        spawnError?.message ?? (ended ? output : `nothing listens on port ${plan.port}: ${output}`);
      child.kill('SIGKILL');
      const text = `Cannot start ${plan.command[0]}: ${reason}\n${plan.home.readError()}`;
      plan.home.remove();
      throw new Error(text);
    }
    if (await isListening(plan.port)) return child as ChildProcess & { readonly pid: number };
    await delay(POLL_MS);
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = netConnect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Sends `signal` to a server with all its children; each one leads a process group. */
function signalGroup(child: { readonly pid: number }, signal: 'SIGSTOP' | 'SIGCONT'): void {
  process.kill(-child.pid, signal);
}

/** Ends a server that {@link startProcess} started, with all its children, and waits for it. */
export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    killGroup(child, 'SIGCONT');
    child.kill('SIGTERM');
    const killer = setTimeout(() => killGroup(child), STOP_LIMIT_MS);
    await ended;
    clearTimeout(killer);
  }
  // Whom it has left behind would keep its pipes, and with them this process.
  killGroup(child);
  child.stdout?.destroy();
  child.stderr?.destroy();
}

/**
 * Reads an access log of tab-separated lines: status, bytes, request line, then {@link LOGGED_HEADERS}, `-` for absent.
 * A server writes the line after the answer went out, so a marker request is sent and waited for first.
 */
export class AccessLog {
  readonly #path: string;
  readonly #origin: string;
  #markers = 0;

  constructor(home: ServerHome, port: number, options: ServerOptions) {
    this.#path = home.accessLog;
    this.#origin = `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
  }

  async read(): Promise<AccessLogEntry[]> {
    await this.#settle();
    return readFileSync(this.#path, 'utf8')
      .split('\n')
      .map(parseLine)
      .filter((entry): entry is AccessLogEntry => entry !== undefined && !entry.path.startsWith(MARKER));
  }

  async clear(): Promise<void> {
    await this.#settle();
    truncateSync(this.#path);
  }

  async #settle(): Promise<void> {
    this.#markers += 1;
    const target = `${MARKER}${this.#markers}`;
    if (this.#origin.startsWith('https')) {
      // The marker would need the test's certificate; the line is there soon after the answer.
      await delay(100);
      return;
    }
    await fetch(`${this.#origin}${target}`, { headers: { connection: 'close' } }).then((r) =>
      r.arrayBuffer(),
    );
    const limit = Date.now() + START_LIMIT_MS;
    while (!readFileSync(this.#path, 'utf8').includes(`${target} `)) {
      if (Date.now() > limit) throw new Error(`the access log ${this.#path} never shows ${target}`);
      await delay(POLL_MS);
    }
  }
}

const MARKER = '/.log-marker-';

function parseLine(line: string): AccessLogEntry | undefined {
  const [status, bytes, request, ...headers] = line.split('\t');
  const [method, path] = (request ?? '').split(' ');
  if (status === undefined || method === undefined || path === undefined) return undefined;
  const named: Record<string, string> = {};
  for (const [index, name] of LOGGED_HEADERS.entries()) {
    const value = headers[index];
    if (value !== undefined && value !== '-' && value !== '')
      named[name] = value.replaceAll('\\"', '"').replaceAll('\\x22', '"');
  }
  return { method, path, status: Number(status), bytes: Number(bytes), headers: named };
}
