/**
 * Notices that files of the credentials change: by word of the kernel about their directories, and by a look at them
 * now and then, for file systems that send none and directories that are not there yet. It reads no file.
 */

import { type FSWatcher, watch } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Clock, isErrno, type Log, type Timer } from '../../base/index.js';

/** An editor writes in several steps. */
const DEBOUNCE_MS = 300;
/** Without word of the kernel. */
const LOOK_EVERY_MS = 30_000;
/** While new credentials are waited for. */
const LOOK_OFTEN_MS = 2_000;
const LOOK_OFTEN_FOR_MS = 15 * 60_000;
const NOT_THERE = ['ENOENT', 'ENOTDIR', 'EACCES'];

export interface CredentialWatchDeps {
  /** Absolute paths; they need not exist. */
  readonly files: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  /** Called when at least one file is another than before; it must not reject. */
  readonly onChange: () => Promise<void>;
}

export class CredentialWatch {
  readonly #deps: CredentialWatchDeps;
  readonly #watchers = new Map<string, FSWatcher>();
  #timer: { readonly atMs: number; readonly timer: Timer } | undefined;
  #oftenUntilMs = Number.NEGATIVE_INFINITY;
  /** The state of the files when they were read last, or first looked at. */
  #seen: string | undefined;
  #looking = false;
  #lookAgain = false;
  #closed = false;

  constructor(deps: CredentialWatchDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#look().catch((error: unknown) => this.#failed(error));
  }

  /** For some minutes a look is taken every other second. */
  lookOften(): void {
    this.#oftenUntilMs = this.#deps.clock.nowMs() + LOOK_OFTEN_FOR_MS;
    this.#arm(LOOK_OFTEN_MS);
  }

  /** The files are about to be read: what changes from now on is a change. */
  async note(): Promise<void> {
    this.#seen = await stateOf(this.#deps.files);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.timer.cancel();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  async #look(): Promise<void> {
    if (this.#looking) {
      this.#lookAgain = true;
      return;
    }
    this.#looking = true;
    try {
      await this.#listen();
      const state = await stateOf(this.#deps.files);
      const before = this.#seen;
      this.#seen = state;
      if (!this.#closed && before !== undefined && before !== state) await this.#deps.onChange();
    } finally {
      this.#looking = false;
      this.#armNext();
    }
  }

  #armNext(): void {
    if (this.#lookAgain) this.#arm(DEBOUNCE_MS);
    else this.#arm(this.#deps.clock.nowMs() < this.#oftenUntilMs ? LOOK_OFTEN_MS : LOOK_EVERY_MS);
    this.#lookAgain = false;
  }

  /** Takes a look after `delayMs`, or when one is due before that. */
  #arm(delayMs: number): void {
    const { clock } = this.#deps;
    const atMs = clock.nowMs() + delayMs;
    if (this.#closed || (this.#timer !== undefined && this.#timer.atMs <= atMs)) return;
    this.#timer?.timer.cancel();
    const timer = clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#look().catch((error: unknown) => this.#failed(error));
    });
    this.#timer = { atMs, timer };
  }

  /** The directories, not the files: an editor puts a new file in the place of the old one. */
  async #listen(): Promise<void> {
    for (const file of this.#deps.files) {
      for (const dir of new Set([dirname(file), dirname(await realpath(file).catch(() => file))])) {
        if (this.#closed || this.#watchers.has(dir)) continue;
        try {
          const watcher = watch(dir, { persistent: false }, () => this.#arm(DEBOUNCE_MS));
          this.#watchers.set(dir, watcher);
          watcher.on('error', () => this.#deaf(dir));
        } catch (error) {
          this.#deps.log.debug({ dir, err: error }, 'changes of a directory are not told; it is looked at');
        }
      }
    }
  }

  /** The directory is gone, or the kernel tells no more: the next look listens again. */
  #deaf(dir: string): void {
    this.#watchers.get(dir)?.close();
    this.#watchers.delete(dir);
  }

  #failed(error: unknown): void {
    this.#deps.log.error({ err: error }, 'the files of the credentials cannot be watched');
  }
}

/** What tells a changed file from the one before: it was replaced, or written in place. */
async function stateOf(files: readonly string[]): Promise<string> {
  const states = await Promise.all(
    files.map(async (file) => {
      try {
        const { ino, mtimeMs, ctimeMs, size } = await stat(file);
        return `${ino} ${mtimeMs} ${ctimeMs} ${size}`;
      } catch (error) {
        if (NOT_THERE.some((code) => isErrno(error, code))) return 'none';
        throw error;
      }
    }),
  );
  return states.join('\n');
}
