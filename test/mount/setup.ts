/** What the mount tests share: a server with a mounted drive, trees to copy, and comparing them. No test lives here. */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LibfuseError, loadFuseNative } from '../../src/libfuse/index.js';
import { run, sh, skipWithout, waitUntil } from '../support/exec.js';
import {
  type Driver,
  type MountedDrive,
  type MountOptions,
  mountInfinimount,
  PROJECT,
} from '../support/mount/index.js';
import { type LatencyProxy, startLatencyProxy } from '../support/proxy/latency.js';
import { startApache } from '../support/servers/apache.js';
import type { AccessLogEntry, DavServer } from '../support/servers/server.js';

/** False where the mount tests can run, else the reason to skip them. */
export const SKIP_MOUNT = skipWithout('apache2', 'setpriv', 'umount');

/**
 * What the mount tests run on, one after the other; `TEST_DRIVER` names one of them alone. fuse-native is an optional
 * dependency: where it is not usable it is left out, but not in CI.
 */
export const DRIVERS: readonly Driver[] = (['kernel', 'fuse-native'] as const).filter(
  (driver) => (process.env.TEST_DRIVER ?? driver) === driver && (driver === 'kernel' || hasFuseNative()),
);

/** {@link DRIVERS}, and the ways that an ordinary user, or an older kernel, has. */
export const EVERY_WAY: readonly Driver[] = [
  ...DRIVERS,
  ...(['kernel-writeback', 'kernel-daemon'] as const).filter(
    (driver) => (process.env.TEST_DRIVER ?? driver) === driver,
  ),
];

function hasFuseNative(): boolean {
  if (process.env.CI === 'true') return true;
  try {
    loadFuseNative();
    return true;
  } catch (error) {
    if (!(error instanceof LibfuseError)) throw error;
    console.error(`SKIP: the mount tests on the driver fuse-native: ${error.message}`);
    return false;
  }
}

/** How long the background work of a test may take until it counts as failed. */
export const DRAIN_TIMEOUT_MS = 120_000;

/** A temporary directory, removed with the scope that holds it. */
export class TempDir {
  readonly path: string;

  constructor(label: string) {
    this.path = mkdtempSync(join(tmpdir(), `infinimount-${label}-`));
  }

  at(...segments: readonly string[]): string {
    return join(this.path, ...segments);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** A server with one drive mounted from it, and what a test does with both. */
export class Bench {
  readonly server: DavServer;
  readonly drive: MountedDrive;
  readonly proxy: LatencyProxy | undefined;
  readonly #driver: Driver | undefined;

  constructor(
    server: DavServer,
    drive: MountedDrive,
    proxy: LatencyProxy | undefined,
    driver: Driver | undefined,
  ) {
    this.server = server;
    this.drive = drive;
    this.proxy = proxy;
    this.#driver = driver;
  }

  /** A path in the server's own directory. */
  onServer(...segments: readonly string[]): string {
    return join(this.server.root, ...segments);
  }

  /** Waits until a file on the server has exactly this content. */
  serverHas(path: string, content: string | Buffer): Promise<void> {
    return waitUntil(`the server to have ${path} as written`, () => fileIs(this.onServer(path), content), {
      timeoutMs: DRAIN_TIMEOUT_MS,
    });
  }

  /** Waits until the directory `path` on the server equals `expected`. */
  async serverEquals(expected: string, path: string): Promise<void> {
    await waitForTree(expected, this.onServer(path));
  }

  /** Another mount of the same server with an empty cache. */
  secondMount(options: Partial<MountOptions> = {}): Promise<MountedDrive> {
    const driver = this.#driver === undefined ? {} : { driver: this.#driver };
    return mountInfinimount({ server: this.server, ...driver, ...options });
  }

  /** The requests that change something on the server, below `path`. */
  async writes(path: string): Promise<AccessLogEntry[]> {
    const reading = new Set(['GET', 'HEAD', 'PROPFIND', 'OPTIONS']);
    return (await this.server.log()).filter(
      (entry) => !reading.has(entry.method) && decodeURIComponent(entry.path).includes(path),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A held server would make the daemon wait for its deadlines.
    this.server.resume();
    this.proxy?.setHeld(false);
    this.proxy?.setOnline(true);
    await this.drive[Symbol.asyncDispose]();
    await this.proxy?.stop();
    await this.server.stop();
  }
}

export interface BenchOptions extends Partial<Omit<MountOptions, 'server'>> {
  /** Puts a proxy with this added round trip between drive and server. */
  readonly rttMs?: number;
  readonly rateBytesPerS?: number;
  /** Lays out the server's directory before the mount. */
  readonly prepare?: (root: string) => void | Promise<void>;
}

/** Starts Apache, and mounts it through the fixed command line. */
export async function startBench(options: BenchOptions = {}): Promise<Bench> {
  const { rttMs, rateBytesPerS, prepare, ...mountOptions } = options;
  const server = await startApache();
  let proxy: LatencyProxy | undefined;
  try {
    await prepare?.(server.root);
    if (rttMs !== undefined) {
      const rate = rateBytesPerS === undefined ? {} : { rateBytesPerS };
      proxy = await startLatencyProxy({ targetPort: server.port, rttMs, ...rate });
    }
    const target = { ...server, url: proxy === undefined ? server.url : throughPort(server.url, proxy.port) };
    const drive = await mountInfinimount({ server: target, ...mountOptions });
    return new Bench(server, drive, proxy, mountOptions.driver);
  } catch (error) {
    await proxy?.stop();
    await server.stop();
    throw error;
  }
}

export function throughPort(url: string, port: number): string {
  const changed = new URL(url);
  changed.port = String(port);
  return changed.href;
}

/** Whether the file is there with exactly this content. */
export function fileIs(path: string, content: string | Buffer): boolean {
  const wanted = Buffer.from(content);
  if (!existsSync(path) || statSync(path).size !== wanted.length) return false;
  return readFileSync(path).equals(wanted);
}

/** What `diff -r` says; empty when both trees are equal. The server's own `.DAV` folders do not count. */
export async function diffTrees(a: string, b: string): Promise<string> {
  const result = await run(['diff', '-r', '--no-dereference', '-x', '.DAV', a, b], { timeoutMs: 120_000 });
  if (result.timedOut || (result.code ?? 2) > 1) return `diff failed: ${result.stderr.slice(0, 2000)}`;
  return result.stdout.slice(0, 4000);
}

/** Waits until two trees, neither of them on a mount, are equal. */
export async function waitForTree(expected: string, found: string): Promise<void> {
  let difference = '';
  try {
    await waitUntil(
      `${found} to equal ${expected}`,
      async () => {
        difference = await diffTrees(expected, found);
        return difference === '';
      },
      { timeoutMs: DRAIN_TIMEOUT_MS, intervalMs: 300 },
    );
  } catch (error) {
    throw new Error(`${error}\n${difference}`);
  }
}

/** Copies the project's installed packages without links and large files: more than 3,000 files of all kinds. */
export async function packageTree(target: string): Promise<number> {
  const tree = `mkdir -p "$2"; cd "$1"; find . -type f -size -200k -print0 | tar --null -cf - -T - | tar -C "$2" -xf -`;
  await sh(tree, [join(PROJECT, 'node_modules'), target]);
  return countFiles(target);
}

export function countFiles(dir: string): number {
  return readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
}

export const ENV_GIT: Readonly<Record<string, string>> = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 'Tester',
  GIT_AUTHOR_EMAIL: 'tester@example.org',
  GIT_COMMITTER_NAME: 'Tester',
  GIT_COMMITTER_EMAIL: 'tester@example.org',
  GIT_TERMINAL_PROMPT: '0',
};
