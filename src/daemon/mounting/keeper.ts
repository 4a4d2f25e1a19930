/**
 * Who holds a mount's device descriptor beside the daemon, so that the mount outlives it: a process of `bin/keeper.sh`, or
 * systemd's descriptor store. This file starts, tells and replaces them; taking over from them is takeover.ts's.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { type Clock, isErrno, memoryFile, type Secret, type Timer } from '../../base/index.js';
import type { Logger } from '../../observe/index.js';
import { KEEPER_SCRIPT } from '../programs.js';
import type { SdNotify } from '../service/sd-notify.js';
import { encodeTold, storeName } from './inheritance.js';

/** Between the end of one keeper and the start of the next, doubled up to the longest. */
const RESPAWN_FIRST_MS = 100;
const RESPAWN_LONGEST_MS = 60_000;
/** A keeper that ended no sooner than this was not at fault. */
const STEADY_MS = 10_000;
/** How long a keeper may take to hear that it is not needed any more. */
const TELL_LIMIT_MS = 1_000;

export interface MountKeeper {
  readonly kind: 'process' | 'systemd' | 'none';
  /** The process, while there is one. */
  readonly pid: number | undefined;
  /** The daemon has served for long enough: earlier deaths do not count any more. */
  well(): void;
  /** What the next daemon would have to ask for may be another now. */
  renew(): void;
  /** The daemon is about to unmount: should it die now, the mount is released. */
  stopping(): void;
  /** The daemon becomes another program, which goes on with the mount. Resolves when that was said. */
  pass(): Promise<void>;
  /** The mount is gone: nothing is kept any more. Resolves when that was said. */
  done(): Promise<void>;
}

/** What is kept, and for whom. */
export interface Kept {
  readonly fd: number;
  readonly mountPoint: string;
  /** `major:minor`. */
  readonly device: string;
}

/** Nobody: the mount dies with the daemon. */
export const NO_KEEPER: MountKeeper = {
  kind: 'none',
  pid: undefined,
  well: () => undefined,
  renew: () => undefined,
  stopping: () => undefined,
  pass: () => Promise.resolve(),
  done: () => Promise.resolve(),
};

/** Keeps the mount in systemd's descriptor store; undefined when the manager does not take the message. */
export function keepInStore({ fd, mountPoint }: Kept, notify: SdNotify): MountKeeper | undefined {
  const name = storeName(mountPoint);
  if (!notify.storeFd(name, fd)) return undefined;
  return {
    ...NO_KEEPER,
    kind: 'systemd',
    done: () => {
      notify.removeFd(name);
      return Promise.resolve();
    },
  };
}

export interface ProcessKeeperConfig {
  readonly kept: Kept;
  /** The command that becomes the next daemon. */
  readonly command: readonly string[];
  /** What the next daemon would have to ask a person for. */
  password(): Secret | undefined;
  /** Daemons in a row that died before they had served for long. */
  readonly deaths: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The words of bin/keeper.sh. */
type Word = 'well' | 'stop' | 'pass' | 'done';

/** A process of `bin/keeper.sh`; another one is started when it ends. */
export class ProcessKeeper implements MountKeeper {
  readonly kind = 'process';
  readonly #config: ProcessKeeperConfig;
  #child: ChildProcess | undefined;
  #timer: Timer | undefined;
  #deaths: number;
  /** What the present keeper holds for the next daemon. */
  #told = '';
  #delayMs = RESPAWN_FIRST_MS;
  /** Without setpriv(1), whose --pdeathsig not every such program has. */
  #plain = false;
  #isStopping = false;
  #ended = false;

  private constructor(config: ProcessKeeperConfig) {
    this.#config = config;
    this.#deaths = config.deaths;
  }

  /** Resolves when the keeper runs, or when it could not be started: that is logged, and tried again. */
  static async start(config: ProcessKeeperConfig): Promise<ProcessKeeper> {
    const keeper = new ProcessKeeper(config);
    await keeper.#spawn();
    return keeper;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  well(): void {
    this.#deaths = 0;
    this.#tell('well');
  }

  renew(): void {
    const before = this.#child;
    if (before === undefined || this.#isStopping || this.#ended) return;
    if (encodeTold(this.#config.password()) === this.#told) return;
    this.#spawn()
      .then(() => before.stdin?.end('done\n'))
      .catch((error: unknown) =>
        this.#config.log.error({ err: error }, 'the keeper of the mount knows old credentials'),
      );
  }

  stopping(): void {
    this.#isStopping = true;
    this.#timer?.cancel();
    this.#tell('stop');
  }

  pass(): Promise<void> {
    return this.#last('pass');
  }

  done(): Promise<void> {
    return this.#last('done');
  }

  /** The last word; there will be no other keeper. */
  async #last(word: Word): Promise<void> {
    this.#ended = true;
    this.#timer?.cancel();
    const pipe = this.#pipe;
    if (pipe === undefined) return;
    await new Promise<void>((resolve) => {
      const limit = this.#config.clock.after(TELL_LIMIT_MS, resolve);
      pipe.write(`${word}\n`, () => {
        limit.cancel();
        resolve();
      });
    });
  }

  get #pipe(): Writable | undefined {
    const pipe = this.#child?.stdin;
    return pipe?.writable ? pipe : undefined;
  }

  #tell(word: Word): void {
    this.#pipe?.write(`${word}\n`);
  }

  async #spawn(): Promise<void> {
    const { kept, command, log } = this.#config;
    const text = encodeTold(this.#config.password());
    const told = text === '' ? undefined : await memoryFile('infinimount', text);
    this.#told = text;
    try {
      const script = [KEEPER_SCRIPT, kept.device, String(this.#deaths), kept.mountPoint, ...command];
      // The kernel signals the death of this process's main thread, which does not always close its descriptors. This
      // signal does nothing to a shell that has not come to its trap yet.
      const [program = '', ...args] = this.#plain
        ? ['sh', ...script]
        : ['setpriv', '--pdeathsig', 'URG', '--', 'sh', ...script];
      const child = spawn(program, args, {
        detached: true,
        stdio: ['pipe', 'inherit', 'inherit', kept.fd, told ?? 'ignore'],
      });
      const startedMs = this.#config.clock.nowMs();
      child.once('error', (error) => {
        if (isErrno(error, 'ENOENT') && !this.#plain) this.#plain = true;
        else log.error({ err: error }, 'the keeper of the mount cannot be started');
        this.#again(child, startedMs);
      });
      child.once('exit', (code) => {
        // 127 of setpriv: it knows no --pdeathsig, or finds no sh.
        if (code !== null && code !== 0) this.#plain = true;
        if (!this.#ended && this.#child === child)
          log.warn({ pid: child.pid, code }, 'the keeper of the mount has ended; another is started');
        this.#again(child, startedMs);
      });
      child.stdin?.on('error', (error) => {
        if (!isErrno(error, 'EPIPE')) log.warn({ err: error }, 'the keeper of the mount does not listen');
      });
      child.unref();
      unref(child.stdin);
      this.#child = child;
      if (this.#isStopping) this.#tell('stop');
    } finally {
      if (told !== undefined) closeSync(told);
    }
  }

  /** Starts another keeper in a while, in the place of `child`. */
  #again(child: ChildProcess, startedMs: number): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    if (this.#ended || this.#isStopping) return;
    const { clock, log } = this.#config;
    if (clock.nowMs() - startedMs >= STEADY_MS) this.#delayMs = RESPAWN_FIRST_MS;
    this.#timer = clock.after(this.#delayMs, () => {
      this.#spawn().catch((error: unknown) => log.error({ err: error }, 'the mount has no keeper'));
    });
    this.#delayMs = Math.min(this.#delayMs * 2, RESPAWN_LONGEST_MS);
  }
}

/** A socket of a child keeps the event loop alive unless it is told not to. */
function unref(stream: Writable | null): void {
  if (stream !== null && 'unref' in stream && typeof stream.unref === 'function') stream.unref();
}
