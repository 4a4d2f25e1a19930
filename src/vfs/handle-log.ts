/**
 * What is written down of open handles, so that a process that takes over the mount opens them again under the same
 * numbers: an append-only file of JSON lines, one write(2) a line and no fsync. The page cache keeps it when the
 * process is killed; when the machine goes down the mount is gone too.
 *
 *     ["infinimount handles", 2, connection, last number given out]
 *     ["f", fh, ino, flags, unique, id]   a file was opened; `id`: its backing file's in the kernel, 0: none
 *     ["d", fh, ino, unique]              a directory was opened
 *     ["n", fh, index, names]             a directory's reader took these names, the first of them at `index`
 *     ["c", fh]                           closed
 *
 * A line that is cut short is the last one: it was never answered for.
 */

import * as fs from 'node:fs';
import type { Ino, Log, Name } from '../base/index.js';
import type { BackingId } from './backed.js';
import type { Fh } from './fh.js';

/** A handle as it is written down. */
export type LoggedHandle =
  | {
      readonly kind: 'file';
      readonly fh: Fh;
      readonly ino: Ino;
      readonly writable: boolean;
      readonly append: boolean;
      /** The request that opened it. */
      readonly unique: number | undefined;
      /** What the kernel reads and writes by itself. */
      readonly backing: BackingId | undefined;
    }
  | {
      readonly kind: 'dir';
      readonly fh: Fh;
      readonly ino: Ino;
      readonly unique: number | undefined;
      readonly names: readonly Name[];
    };

export interface HandleLog {
  /** Highest handle number that an earlier process gave out on this connection; 0: none. */
  readonly lastFh: number;
  /** What was open when it ended. */
  readonly found: readonly LoggedHandle[];
  opened(handle: LoggedHandle): void;
  /** `names` follow those before `index`; with index 0 they are the first ones again. */
  named(fh: Fh, index: number, names: readonly Name[]): void;
  closed(fh: Fh): void;
  /** Whether most of it is about handles that are closed: {@link rewrite} it. */
  readonly isWasteful: boolean;
  /** Begins anew with what is open. */
  rewrite(lastFh: number, open: Iterable<LoggedHandle>): void;
  /** Nothing is written down any more; what is open stays written down, for the next process. */
  close(): void;
}

/** For mounts that end with their process. */
export const NO_HANDLE_LOG: HandleLog = {
  lastFh: 0,
  found: [],
  opened: () => undefined,
  named: () => undefined,
  closed: () => undefined,
  isWasteful: false,
  rewrite: () => undefined,
  close: () => undefined,
};

const MAGIC = 'infinimount handles';
const VERSION = 2;
/** Without backing files. */
const OLDEST_VERSION = 1;
const WRITABLE = 1;
const APPEND = 2;
/** Bytes behind the last beginning anew that are let be: some 4,000 opens and closes. */
const SLACK_BYTES = 256 * 1024;

export interface OpenHandleLogOptions {
  /** In a directory of this user's own; nobody else has it open. */
  readonly path: string;
  /** Names the kernel's connection, in all its life. A log of another one is of no use and begins empty. */
  readonly connection: string;
  readonly log: Log;
}

/** Opens the log and reads what an earlier process left of the same connection. Throws ErrnoException. */
export function openHandleLog({ path, connection, log }: OpenHandleLogOptions): HandleLog {
  const read = readLog(path, connection);
  const file = new FileHandleLog(path, connection, read, log);
  file.rewrite(read.lastFh, read.found);
  return file;
}

class FileHandleLog implements HandleLog {
  readonly lastFh: number;
  readonly found: readonly LoggedHandle[];
  readonly #path: string;
  readonly #connection: string;
  readonly #log: Log;
  #fd: number | undefined;
  #writtenBytes = 0;
  #baseBytes = 0;
  /** A write failed: what is in the file is not all. */
  #isBroken = false;
  #closed = false;

  constructor(
    path: string,
    connection: string,
    read: { readonly lastFh: number; readonly found: readonly LoggedHandle[] },
    log: Log,
  ) {
    this.#path = path;
    this.#connection = connection;
    this.lastFh = read.lastFh;
    this.found = read.found;
    this.#log = log;
  }

  opened(handle: LoggedHandle): void {
    this.#append(linesOf(handle));
  }

  named(fh: Fh, index: number, names: readonly Name[]): void {
    this.#append(line(['n', fh, index, names]));
  }

  closed(fh: Fh): void {
    this.#append(line(['c', fh]));
  }

  get isWasteful(): boolean {
    return this.#isBroken || this.#writtenBytes > 2 * this.#baseBytes + SLACK_BYTES;
  }

  rewrite(lastFh: number, open: Iterable<LoggedHandle>): void {
    if (this.#closed) return;
    let text = line([MAGIC, VERSION, this.#connection, lastFh]);
    for (const handle of open) text += linesOf(handle);
    const temporary = `${this.#path}.new`;
    try {
      const fd = fs.openSync(temporary, 'w', 0o600);
      try {
        this.#baseBytes = fs.writeSync(fd, text);
        if (this.#baseBytes < Buffer.byteLength(text)) throw new Error('short write');
        fs.renameSync(temporary, this.#path);
      } catch (error) {
        fs.closeSync(fd);
        throw error;
      }
      if (this.#fd !== undefined) fs.closeSync(this.#fd);
      this.#fd = fd;
      this.#writtenBytes = this.#baseBytes;
      this.#isBroken = false;
    } catch (error) {
      this.#fail(error);
    }
  }

  close(): void {
    if (this.#fd !== undefined) fs.closeSync(this.#fd);
    this.#fd = undefined;
    this.#closed = true;
  }

  #append(text: string): void {
    // After a failure only beginning anew makes it whole again.
    if (this.#fd === undefined || this.#isBroken) return;
    try {
      const written = fs.writeSync(this.#fd, text, this.#writtenBytes);
      this.#writtenBytes += written;
      if (written < Buffer.byteLength(text)) throw new Error('short write');
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Programs go on; only a process that takes over would miss handles. */
  #fail(error: unknown): void {
    if (!this.#isBroken)
      this.#log.error({ err: error, path: this.#path }, 'cannot note open files for a restart');
    this.#isBroken = true;
  }
}

function line(fields: readonly unknown[]): string {
  return `${JSON.stringify(fields)}\n`;
}

function linesOf(handle: LoggedHandle): string {
  const { fh, ino, unique = 0 } = handle;
  if (handle.kind === 'file') {
    const flags = (handle.writable ? WRITABLE : 0) | (handle.append ? APPEND : 0);
    return `["f",${fh},${ino},${flags},${unique},${handle.backing ?? 0}]\n`;
  }
  const opened = `["d",${fh},${ino},${unique}]\n`;
  return handle.names.length === 0 ? opened : opened + line(['n', fh, 0, handle.names]);
}

function readLog(
  path: string,
  connection: string,
): { readonly lastFh: number; readonly found: readonly LoggedHandle[] } {
  const nothing = { lastFh: 0, found: [] };
  let text: string;
  try {
    text = fs.readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return nothing;
    throw error;
  }
  const lines = text.split('\n');
  // What follows the last line feed is nothing, or a line that was cut short.
  lines.pop();
  const [magic, version, of, last] = parse(lines[0]);
  const isReadable = version === VERSION || version === OLDEST_VERSION;
  if (magic !== MAGIC || !isReadable || of !== connection || typeof last !== 'number') return nothing;
  return replay(last, lines.slice(1));
}

/** What is open after all lines. */
function replay(
  lastFh: number,
  lines: readonly string[],
): { readonly lastFh: number; readonly found: readonly LoggedHandle[] } {
  const open = new Map<Fh, LoggedHandle>();
  const names = new Map<Fh, Name[]>();
  for (const each of lines) {
    const fields = parse(each);
    const fh = fields[1] as Fh;
    switch (fields[0]) {
      case 'f': {
        const [, , ino, flags, unique, id = 0] = fields as [string, Fh, Ino, number, number, BackingId?];
        const writable = (flags & WRITABLE) !== 0;
        const append = (flags & APPEND) !== 0;
        const backing = id === 0 ? undefined : id;
        open.set(fh, { kind: 'file', fh, ino, writable, append, unique: unique || undefined, backing });
        break;
      }
      case 'd': {
        const [, , ino, unique] = fields as [string, Fh, Ino, number];
        const read: Name[] = [];
        names.set(fh, read);
        open.set(fh, { kind: 'dir', fh, ino, unique: unique || undefined, names: read });
        break;
      }
      case 'n': {
        const [, , index, more] = fields as [string, Fh, number, Name[]];
        const read = names.get(fh);
        if (read !== undefined) read.length = Math.min(read.length, index);
        for (const name of more) read?.push(name);
        break;
      }
      case 'c':
        open.delete(fh);
        names.delete(fh);
        break;
      default:
        continue;
    }
    lastFh = Math.max(lastFh, fh);
  }
  return { lastFh, found: [...open.values()] };
}

function parse(text: string | undefined): readonly unknown[] {
  try {
    const value: unknown = text === undefined ? [] : JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}
