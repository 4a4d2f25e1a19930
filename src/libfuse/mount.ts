/**
 * A mount through libfuse 2: the library mounts, reads the requests in threads of its own and asks for each operation
 * by path. There are no notifications to the kernel, so it is told to remember names for a second and attributes not at
 * all, and every open drops what it has cached of the file.
 */

import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import { type Clock, sleep, type Timer } from '../base/index.js';
import {
  checkedMountPoint,
  type FuseHandlers,
  MountError,
  type MountMethod,
  mountedAt,
  type SessionEnd,
  unmountEntry,
} from '../fuse/index.js';
import { type FuseNative, loadFuseNative } from './binding.js';
import { duplicate, isBroken } from './libc.js';
import { PathCalls } from './path-calls.js';
import { Serving } from './serving.js';
import { allowSingleTimes } from './single-times.js';

export interface LibfuseOptions {
  /** An existing directory on which nothing is mounted. */
  readonly mountPoint: string;
  /** Shown as the source in the mount table. No secrets: every user can read it. */
  readonly fsName: string;
  readonly handlers: FuseHandlers;
  /** Whom new files belong to. */
  readonly owner: { readonly uid: number; readonly gid: number };
  readonly clock: Clock;
  readonly allowOther?: boolean;
  readonly readOnly?: boolean;
  readonly noExec?: boolean;
  readonly noAtime?: boolean;
  readonly allowNonEmpty?: boolean;
  /** Whether this process may call mount(2); else libfuse runs `fusermount`. */
  readonly privileged: boolean;
  /** libfuse prints every request to stderr. */
  readonly debug?: boolean;
  /** An error that a handler was not meant to throw, which was answered EIO. */
  readonly onUnexpectedError: (error: unknown, operation: string) => void;
  /** This libfuse does not tell of calls that set only one of a file's two times. */
  readonly onSingleTimesLost?: () => void;
}

export interface LibfuseMount {
  /** Absolute and free of links. */
  readonly mountPoint: string;
  /** `major:minor`. */
  readonly device: string;
  readonly method: MountMethod;
  /** Resolves when the mount is gone, with the last program that used it. */
  readonly closed: Promise<SessionEnd>;
  /** As KernelMount's: MountError `busy` when it is in use; with `lazy` it is detached. */
  unmount(options?: { readonly lazy: boolean }): Promise<void>;
  /** Ends every wait and answers nothing any more. Unmount first. */
  close(): Promise<void>;
}

/** What the threads of libfuse use as long as the process lives; nothing tells when the last of them has ended. */
const KEPT_FOR_THREADS: Buffer[] = [];

/** How often the end of the mount is looked for. */
const LOOK_EVERY_MS = 250;
/** How long libfuse may take until it has answered the kernel's first request. */
const READY_LIMIT_MS = 15_000;
/** The native part copies mount point and options into arrays of 1024 bytes. */
const MAX_TEXT_BYTES = 1000;

const DEVICE = '/dev/fuse';

/** Backslash and comma separate in an option list (fuse_opt_parse(3)). */
function escapeOption(text: string): string {
  return text.replace(/[\\,]/g, '\\$&');
}

/** mount.fuse(8), fuse(8) of libfuse 2.9. */
function optionList(options: LibfuseOptions): string {
  return `-o${[
    `fsname=${escapeOption(options.fsName)}`,
    'subtype=infinimount',
    'default_permissions',
    'use_ino',
    'big_writes',
    'atomic_o_trunc',
    'entry_timeout=1',
    'negative_timeout=0',
    // Names of one file are different files to libfuse: what happens to one must be seen at the others.
    'attr_timeout=0',
    ...(options.allowOther ? ['allow_other'] : []),
    ...(options.readOnly ? ['ro'] : []),
    ...(options.noExec ? ['noexec'] : []),
    ...(options.noAtime ? ['noatime'] : []),
    // fusermount3 knows no such option and needs none.
    ...(options.allowNonEmpty && options.privileged ? ['nonempty'] : []),
    ...(options.debug ? ['debug'] : []),
  ].join(',')}`;
}

function fuseDescriptors(): ReadonlySet<number> {
  const found = new Set<number>();
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`) === DEVICE) found.add(Number(name));
    } catch (error) {
      // The listing's own descriptor is closed by now.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return found;
}

/** Mounts, and answers by `handlers` from then on. Throws MountError, LibfuseError. */
export async function mountLibfuse(options: LibfuseOptions): Promise<LibfuseMount> {
  const native = loadFuseNative();
  const mountPoint = await checkedMountPoint(options.mountPoint, options.allowNonEmpty ?? false);
  const waits = new AbortController();
  const calls = new PathCalls({ handlers: options.handlers, owner: options.owner, signal: waits.signal });
  const serving = new Serving(native, calls, options.onUnexpectedError);
  const thread = Buffer.alloc(native.threadBytes);
  const fd = mountNow(native, mountPoint, thread, options, serving);
  const entry = await mountedAt(mountPoint);
  if (entry === undefined) {
    closeSync(fd);
    throw new MountError('failed', `The mount on "${mountPoint}" vanished`, 'See the kernel log');
  }
  const method = options.privileged ? 'mount' : 'fusermount3';
  const unmount = (how?: { readonly lazy: boolean }) => unmountEntry(entry, method, how?.lazy ?? false);
  const end = () => {
    serving.end();
    waits.abort();
    native.letGo(mountPoint, thread);
    options.handlers.destroy?.(false);
  };
  if (!allowSingleTimes(thread, mountPoint)) options.onSingleTimesLost?.();
  const connection = new Connection(fd, options.clock, end);
  const late = new AbortController();
  const answered = await Promise.race([
    serving.ready.then(() => true),
    connection.closed.then(() => false),
    sleep(options.clock, READY_LIMIT_MS, late.signal).then(() => false),
  ]).finally(() => late.abort());
  if (!answered) {
    await unmount({ lazy: true });
    connection.close();
    throw new MountError('failed', 'libfuse does not serve the mount', 'Its own messages may tell why');
  }
  return {
    mountPoint,
    device: entry.device,
    method,
    closed: connection.closed,
    unmount,
    close: () => {
      connection.close();
      return Promise.resolve();
    },
  };
}

/** Mounts; returns a descriptor of the connection that is ours. */
function mountNow(
  native: FuseNative,
  mountPoint: string,
  thread: Buffer,
  options: LibfuseOptions,
  serving: Serving,
): number {
  const list = optionList(options);
  if (Buffer.byteLength(mountPoint) > MAX_TEXT_BYTES || Buffer.byteLength(list) > MAX_TEXT_BYTES) {
    throw new MountError(
      'failed',
      'The mount point or the URL is too long for libfuse',
      'Choose a shorter one',
    );
  }
  const before = fuseDescriptors();
  KEPT_FOR_THREADS.push(thread);
  try {
    native.mount(mountPoint, list, thread, serving.handlers, serving.implemented, Buffer.alloc);
  } catch (error) {
    const advice = 'Its own message says why; the driver kernel may work';
    throw new MountError('refused', 'libfuse refused to mount', advice, { cause: error });
  }
  const theirs = [...fuseDescriptors()].find((fd) => !before.has(fd));
  const fd = theirs === undefined ? -1 : duplicate(theirs);
  if (fd < 0) {
    throw new MountError(
      'failed',
      'The connection of libfuse to the kernel is not found',
      'Run: umount -l as root',
    );
  }
  return fd;
}

/** The end of the connection, noticed on a descriptor that libfuse does not know of. */
class Connection {
  readonly closed: Promise<SessionEnd>;
  readonly #fd: number;
  readonly #clock: Clock;
  readonly #end: () => void;
  #setClosed: (end: SessionEnd) => void = () => undefined;
  #timer: Timer | undefined;
  #isOver = false;

  constructor(fd: number, clock: Clock, end: () => void) {
    this.#fd = fd;
    this.#clock = clock;
    this.#end = end;
    this.closed = new Promise((resolve) => {
      this.#setClosed = resolve;
    });
    this.#look();
  }

  close(): void {
    this.#finish({ reason: 'closed' });
  }

  #look(): void {
    if (isBroken(this.#fd)) this.#finish({ reason: 'unmounted' });
    else this.#timer = this.#clock.after(LOOK_EVERY_MS, () => this.#look());
  }

  #finish(end: SessionEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    closeSync(this.#fd);
    this.#end();
    this.#setClosed(end);
  }
}
