/** Mounts the product through its fixed command line, for tests that see it from outside only. */

import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { type RunOptions, sh } from '../exec.js';
import { type ExitStatus, type ServedMount, serveMount } from './process.js';
import { FsWorker, PROJECT, type RemoteFs } from './worker.js';

/** What of a server the mount needs to know; the test servers' handle fits. */
export interface MountTarget {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/** How a mount is served: by which driver, and where the kernel is not left to do what it does fastest, by whom. */
export type Driver = 'kernel' | 'kernel-writeback' | 'kernel-daemon' | 'fuse-native';

const DRIVER_ARGS: Readonly<Record<Driver, readonly string[]>> = {
  kernel: ['--driver', 'kernel'],
  'kernel-writeback': ['--kernel-io', 'writeback'],
  'kernel-daemon': ['--kernel-io', 'daemon'],
  'fuse-native': ['--driver', 'fuse-native'],
};

export interface MountOptions {
  readonly server: MountTarget;
  readonly driver?: Driver;
  /** Kept after the unmount when given; a new one, removed with the drive, when absent. */
  readonly cacheDir?: string;
  readonly mountPoint?: string;
  readonly args?: readonly string[];
  /** A command that runs the daemon, such as unshare(1), which must keep its process. */
  readonly prefix?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where the project is for the user, when not where it is for us. */
  readonly project?: string;
  /** Mounts (and touches the mount) as this user instead of ours. */
  readonly asUser?: UserIds;
  readonly readyTimeoutMs?: number;
}

/** The program of the fixed command line; `INFINIMOUNT_BIN` names that of an installed package to test instead. */
export const INFINIMOUNT: readonly string[] = [
  process.execPath,
  process.env.INFINIMOUNT_BIN ?? join(PROJECT, 'bin/infinimount.js'),
];

/** {@link INFINIMOUNT} where the project is at another place. */
export function programIn(project = PROJECT): readonly string[] {
  const [node = '', script = ''] = INFINIMOUNT;
  return [node, script.startsWith(`${PROJECT}/`) ? join(project, relative(PROJECT, script)) : script];
}

/** A mounted drive; disposing of it unmounts and removes what it made, whatever state the daemon is in. */
export class MountedDrive {
  readonly path: string;
  readonly cacheDir: string;
  readonly runtimeDir: string;
  readonly #served: ServedMount;
  readonly #worker: FsWorker;
  readonly #user: UserIds | undefined;
  readonly #remove: readonly string[];

  constructor(
    served: ServedMount,
    cacheDir: string,
    runtimeDir: string,
    options: Pick<MountOptions, 'asUser' | 'project'>,
    remove: readonly string[],
  ) {
    this.path = served.mountPoint;
    this.cacheDir = cacheDir;
    this.runtimeDir = runtimeDir;
    this.#served = served;
    const { asUser, project } = options;
    this.#user = asUser;
    this.#worker = new FsWorker({ ...asUser, ...(project === undefined ? {} : { project }) });
    this.#remove = remove;
  }

  get pid(): number {
    return this.#served.pid;
  }

  get stdout(): string {
    return this.#served.stdout;
  }

  get stderr(): string {
    return this.#served.stderr;
  }

  /** File operations on the mount, executed in a child process with a time limit each. */
  get fs(): RemoteFs {
    return this.#worker.fs;
  }

  /** The child process behind {@link fs}, to call functions of a module of one's own in. */
  get worker(): FsWorker {
    return this.#worker;
  }

  /** `path` below the mount. */
  at(...segments: readonly string[]): string {
    return join(this.path, ...segments);
  }

  /** Runs `sh -eu` with the mount as working directory and `args` as $1...; throws when it fails or takes too long. */
  sh(script: string, args: readonly string[] = [], options: RunOptions = {}): Promise<string> {
    // The cwd option of spawn() would be entered with no time limit; a cd in the shell has one.
    return sh(`cd ${quote(this.path)}\n${script}`, args, { ...this.#user, ...options });
  }

  kill(signal: NodeJS.Signals): void {
    this.#served.kill(signal);
  }

  /** SIGKILL, then takes the dead mount away; the cache directory stays as it is. */
  async crash(): Promise<void> {
    // In this order: a daemon that still runs would hear that the worker, ended, has closed its files.
    await this.#served.crash();
    this.#worker.close();
  }

  /** SIGTERM and wait; how the daemon ended, or undefined when it had to be killed. Keeps the cache directory. */
  async unmount(): Promise<ExitStatus | undefined> {
    this.#worker.close();
    return this.#served.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker.close();
    await this.#served.clear();
    for (const path of this.#remove) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Starts `infinimount mount` and waits for its ready line. */
export async function mountInfinimount(options: MountOptions): Promise<MountedDrive> {
  const home = mkdtempSync(join(tmpdir(), 'infinimount-test-'));
  const give = (path: string) => {
    if (options.asUser !== undefined) chownSync(path, options.asUser.uid, options.asUser.gid);
  };
  chmodSync(home, 0o755);
  const passwordFile = join(home, 'password');
  writeFileSync(passwordFile, `${options.server.password}\n`, { mode: 0o600 });
  give(passwordFile);
  const cacheDir = options.cacheDir ?? join(home, 'cache');
  if (options.cacheDir === undefined) {
    mkdirSync(cacheDir, { mode: 0o700 });
    give(cacheDir);
  }
  const mountPoint = options.mountPoint ?? join(home, 'mnt');
  if (options.mountPoint === undefined) {
    mkdirSync(mountPoint);
    give(mountPoint);
  }
  const runtimeDir = join(home, 'run');
  mkdirSync(runtimeDir, { mode: 0o700 });
  give(runtimeDir);
  try {
    const served = await serveMount({
      argv: [
        ...(options.prefix ?? []),
        ...programIn(options.project),
        ...['mount', options.server.url, mountPoint, '--user', options.server.user],
        ...['--password-file', passwordFile, '--cache-dir', cacheDir],
        ...(options.driver === undefined ? [] : DRIVER_ARGS[options.driver]),
        ...(options.args ?? []),
      ],
      mountPoint,
      ready: 'stdout-line',
      env: { INFINIMOUNT_RUNTIME_DIR: runtimeDir, ...options.env },
      ...options.asUser,
      ...(options.readyTimeoutMs === undefined ? {} : { readyTimeoutMs: options.readyTimeoutMs }),
    });
    return new MountedDrive(served, cacheDir, runtimeDir, options, [home]);
  } catch (error) {
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
    throw error;
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
