/**
 * A child process that does file operations on a mount for a test, each with a time limit, so that a mount that
 * hangs fails the test instead of hanging the test's own process.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { join, relative } from 'node:path';
import { bundled } from '../bundled.js';
import { PROJECT } from '../project.js';

export { PROJECT };

/** The fields of `fs.Stats` that tests look at, as plain data. */
export interface FileStat {
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly blocks: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly isSymbolicLink: boolean;
}

export interface WorkerRequest {
  readonly id: number;
  /** `fs`: `name`Sync of node:fs; `module`: the export `name` of `module`. */
  readonly kind: 'fs' | 'module';
  readonly module?: string;
  readonly name: string;
  readonly args: readonly unknown[];
}

export interface WorkerError {
  readonly message: string;
  readonly stack: string;
  readonly code?: string;
}

export interface WorkerReply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: WorkerError;
}

/** What a failed operation rejects with; `code` is the errno name where there is one. */
export class RemoteCallError extends Error {
  readonly code: string | undefined;

  constructor(error: WorkerError) {
    super(error.message);
    this.code = error.code;
    this.stack = error.stack;
  }
}

/** An operation did not come back: the worker was killed. */
export class TimeLimitError extends Error {
  constructor(what: string, timeoutMs: number) {
    super(`${what} did not come back within ${timeoutMs} ms`);
  }
}

/** The operations of node:fs that tests use, executed in the worker. File descriptors are the worker's. */
export interface RemoteFs {
  stat(path: string): Promise<FileStat>;
  lstat(path: string): Promise<FileStat>;
  fstat(fd: number): Promise<FileStat>;
  exists(path: string): Promise<boolean>;
  readdir(path: string): Promise<string[]>;
  readFile(path: string): Promise<Buffer>;
  writeFile(path: string, data: string | Uint8Array): Promise<void>;
  appendFile(path: string, data: string | Uint8Array): Promise<void>;
  mkdir(path: string, options?: { readonly recursive?: boolean }): Promise<void>;
  rmdir(path: string): Promise<void>;
  rm(path: string, options?: { readonly recursive?: boolean; readonly force?: boolean }): Promise<void>;
  unlink(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  readlink(path: string): Promise<string>;
  chmod(path: string, mode: number): Promise<void>;
  utimes(path: string, atimeSeconds: number, mtimeSeconds: number): Promise<void>;
  truncate(path: string, size: number): Promise<void>;
  open(path: string, flags: string | number, mode?: number): Promise<number>;
  close(fd: number): Promise<void>;
  fsync(fd: number): Promise<void>;
  write(fd: number, data: string | Uint8Array, position?: number): Promise<number>;
}

export interface WorkerOptions {
  /** Where the project is for the worker's user, when not where it is for us. */
  readonly project?: string;
  readonly timeoutMs?: number;
  readonly uid?: number;
  readonly gid?: number;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

const WORKER_MAIN = 'test/support/mount/worker-main.ts';
const DEFAULT_TIMEOUT_MS = 20_000;

/** Starts its process with the first operation, and a new one after a time limit struck. */
export class FsWorker {
  readonly #options: WorkerOptions;
  readonly #waiting = new Map<number, Waiting>();
  #child: ChildProcess | undefined;
  #nextId = 1;

  constructor(options: WorkerOptions = {}) {
    this.#options = options;
  }

  /** The operations of node:fs; each rejects with {@link RemoteCallError} or {@link TimeLimitError}. */
  readonly fs: RemoteFs = new Proxy({} as RemoteFs, {
    get:
      (_, name) =>
      (...args: readonly unknown[]) =>
        this.#request({ kind: 'fs', name: String(name), args }),
  });

  /** Calls the export `name` of the module at `moduleUrl` in the worker; arguments and result are cloned. */
  call(
    moduleUrl: URL | string,
    name: string,
    args: readonly unknown[],
    timeoutMs?: number,
  ): Promise<unknown> {
    return this.#request({ kind: 'module', module: String(moduleUrl), name, args }, timeoutMs);
  }

  /** Ends the process; an operation under way rejects. */
  close(): void {
    this.#drop(new Error('the worker was closed'));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #request(request: Omit<WorkerRequest, 'id'>, timeoutMs?: number): Promise<unknown> {
    const limitMs = timeoutMs ?? this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const child = this.#process();
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#drop(new TimeLimitError(`${request.name}(${String(request.args[0])})`, limitMs));
      }, limitMs);
      this.#waiting.set(id, {
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      child.send({ id, ...request });
    });
  }

  #process(): ChildProcess {
    if (this.#child !== undefined) return this.#child;
    const { project = PROJECT } = this.#options;
    const main = relative(PROJECT, bundled(join(PROJECT, WORKER_MAIN)));
    const child = fork(join(project, main), {
      cwd: project,
      execArgv: ['--enable-source-maps'],
      serialization: 'advanced',
      // The reporter of the test runner reads the stdout of this process, which is none of the worker's business.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      ...(this.#options.uid === undefined ? {} : { uid: this.#options.uid }),
      ...(this.#options.gid === undefined ? {} : { gid: this.#options.gid }),
    });
    child.on('message', (reply: WorkerReply) => this.#settle(reply));
    child.once('error', (error) => {
      if (this.#child === child) this.#drop(error);
    });
    child.once('exit', (code, signal) => {
      if (this.#child === child) this.#drop(new Error(`the worker ended with ${code ?? signal}`));
    });
    this.#child = child;
    return child;
  }

  #settle(reply: WorkerReply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.error === undefined) waiting?.resolve(reply.value);
    else waiting?.reject(new RemoteCallError(reply.error));
  }

  #drop(reason: Error): void {
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined) {
      child.kill('SIGKILL');
      if (child.connected) child.disconnect();
      // A process stuck in the kernel must not keep the test's process waiting.
      child.unref();
    }
    for (const waiting of this.#waiting.values()) waiting.reject(reason);
    this.#waiting.clear();
  }
}
