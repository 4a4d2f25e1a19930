/**
 * Makes and removes the kernel's mount: by mount(2) where that is allowed (root, or CAP_SYS_ADMIN), else through
 * fusermount3. Every call that may wait for the file system itself runs on the thread pool or in another process,
 * because the process that serves the mount must stay free to answer.
 */

import { closeSync, openSync } from 'node:fs';
import { access, constants, lstat, readdir, readFile, realpath, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ERRNO, errnoName } from './errno.js';
import { fusermount, fusermountUnmount } from './fusermount.js';
import { MNT_DETACH, MS, mount, UMOUNT_NOFOLLOW, umount } from './libc.js';
import { MountError } from './mount-error.js';
import { type MountEntry, mountedAt } from './mountinfo.js';

export interface MountOptions {
  /** An existing empty directory on which nothing is mounted. */
  readonly mountPoint: string;
  /** Shown as the source in the mount table. No secrets: every user can read it. */
  readonly fsName: string;
  /** Behind `fuse.` in the mount's type. Default infinimount. */
  readonly subtype?: string;
  /** Other users may use the mount; default is only the mounting user. */
  readonly allowOther?: boolean;
  readonly readOnly?: boolean;
  /** The kernel checks modes and owners itself. Default true. */
  readonly defaultPermissions?: boolean;
  readonly noExec?: boolean;
  readonly noAtime?: boolean;
  /** Mount over a directory that has entries, which are hidden then. */
  readonly allowNonEmpty?: boolean;
  /** Default `auto`: mount(2), and fusermount3 when that is not permitted. */
  readonly method?: 'auto' | MountMethod;
}

export type MountMethod = 'mount' | 'fusermount3';

export interface KernelMount {
  /** The device descriptor, for a FuseSession, which owns it from then on. */
  readonly fd: number;
  readonly method: MountMethod;
  /** Absolute and free of links. */
  readonly mountPoint: string;
  /** `major:minor`, for setReadAhead. */
  readonly device: string;
  /**
   * Unmounts, and resolves when the mount is out of the mount table. MountError `busy` when it is in use; with `lazy`
   * it is detached at once and goes when the last user has (the session's `closed` tells). Already unmounted is fine.
   */
  unmount(options?: { readonly lazy: boolean }): Promise<void>;
}

/** How long a look at a mount point may take before it counts as hanging. */
const LOOK_LIMIT_MS = 3000;
const DEVICE = '/dev/fuse';
const FUSE_CONF = '/etc/fuse.conf';

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** Runs a look at the mount point, which hangs when a stuck file system is there. */
async function limited<T>(path: string, look: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new MountError('dead', `"${path}" does not answer`, `Run: umount -l "${path}"`));
    }, LOOK_LIMIT_MS);
  });
  return Promise.race([look, late]).finally(() => clearTimeout(timer));
}

function explain(path: string, error: unknown): MountError {
  if (error instanceof MountError) return error;
  const options = { cause: error };
  switch (codeOf(error)) {
    case 'ENOENT':
      return new MountError(
        'missing',
        `Mount point "${path}" does not exist`,
        `Run: mkdir -p "${path}"`,
        options,
      );
    case 'ENOTDIR':
      return new MountError('not-a-directory', `"${path}" is not a directory`, 'Choose a directory', options);
    case 'ENOTCONN':
    case 'ECONNABORTED': {
      const advice = `Run: fusermount3 -uz "${path}" (or as root: umount -l "${path}")`;
      return new MountError('dead', `A mount whose daemon has died is on "${path}"`, advice, options);
    }
    case 'EACCES':
    case 'EPERM':
      return new MountError(
        'permission',
        `No permission to look at "${path}"`,
        'Choose another directory',
        options,
      );
    default:
      return new MountError(
        'failed',
        `Cannot look at "${path}": ${codeOf(error)}`,
        'Check the directory',
        options,
      );
  }
}

/** The mount point's own path, its parent's links resolved; the mount point itself is not touched. */
async function canonical(mountPoint: string): Promise<string> {
  const path = resolve(mountPoint);
  if (path === '/')
    throw new MountError('occupied', 'The root directory is a mount', 'Choose another directory');
  try {
    return join(await limited(path, realpath(dirname(path))), basename(path));
  } catch (error) {
    throw explain(path, error);
  }
}

async function checkMountPoint(path: string, allowNonEmpty: boolean): Promise<void> {
  const there = await mountedAt(path);
  // An automount is there to be mounted on; looking at it would wait for that mount.
  if (there?.type === 'autofs') return;
  try {
    const stat = await limited(path, lstat(path));
    if (there !== undefined) {
      // lstat answers from the kernel's cache when the daemon is long gone; statfs always asks.
      await limited(path, statfs(path));
      const advice = `Unmount it first: umount "${path}"`;
      throw new MountError('occupied', `Something is mounted on "${path}" already (${there.type})`, advice);
    }
    if (!stat.isDirectory()) {
      throw new MountError('not-a-directory', `"${path}" is not a directory`, 'Choose a directory');
    }
    if (!allowNonEmpty && (await limited(path, readdir(path))).length > 0) {
      throw new MountError('not-empty', `Directory "${path}" is not empty`, 'Choose an empty directory');
    }
  } catch (error) {
    throw explain(path, error);
  }
}

/** The mount point's own path, where a file system can be mounted on it. Throws MountError. */
export async function checkedMountPoint(mountPoint: string, allowNonEmpty: boolean): Promise<string> {
  const path = await canonical(mountPoint);
  await checkMountPoint(path, allowNonEmpty);
  return path;
}

async function checkAllowOther(): Promise<void> {
  const advice = `Ask the administrator to put the line user_allow_other into ${FUSE_CONF}`;
  let text = '';
  try {
    text = await readFile(FUSE_CONF, 'utf8');
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw explain(FUSE_CONF, error);
  }
  if (!/^\s*user_allow_other\s*$/m.test(text)) {
    throw new MountError('allow-other-denied', 'Users may not share FUSE mounts on this machine', advice);
  }
}

function noDevice(error: unknown): MountError {
  const advice = 'Run: modprobe fuse (in a container: pass the device in)';
  return new MountError('no-device', `There is no usable ${DEVICE}`, advice, { cause: error });
}

/** Mounts by mount(2). Undefined when that is not permitted. */
async function mountDirectly(path: string, options: MountOptions): Promise<number | undefined> {
  let fd: number;
  try {
    fd = openSync(DEVICE, 'r+');
  } catch (error) {
    if (codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM') return undefined;
    throw noDevice(error);
  }
  const data = [
    `fd=${fd}`,
    'rootmode=40000', // S_IFDIR, octal
    `user_id=${process.getuid?.() ?? 0}`,
    `group_id=${process.getgid?.() ?? 0}`,
    ...((options.defaultPermissions ?? true) ? ['default_permissions'] : []),
    ...(options.allowOther ? ['allow_other'] : []),
  ].join(',');
  let flags = MS.NOSUID | MS.NODEV;
  if (options.readOnly) flags |= MS.RDONLY;
  if (options.noExec) flags |= MS.NOEXEC;
  if (options.noAtime) flags |= MS.NOATIME;
  const type = `fuse.${options.subtype ?? 'infinimount'}`;
  const result = await mount(options.fsName, path, type, flags, data);
  if (result >= 0) return fd;
  closeSync(fd);
  switch (-result) {
    case ERRNO.EPERM:
      return undefined;
    case ERRNO.ENODEV:
      throw noDevice(undefined);
    default:
      throw explain(path, { code: errnoName(-result) });
  }
}

function helperOptions(options: MountOptions): readonly string[] {
  return [
    options.readOnly ? 'ro' : 'rw',
    'nosuid',
    'nodev',
    ...(options.noExec ? ['noexec'] : []),
    ...(options.noAtime ? ['noatime'] : []),
    ...((options.defaultPermissions ?? true) ? ['default_permissions'] : []),
    ...(options.allowOther ? ['allow_other'] : []),
  ];
}

async function mountByHelper(path: string, options: MountOptions): Promise<number> {
  if (options.allowOther && process.getuid?.() !== 0) await checkAllowOther();
  try {
    await access(DEVICE, constants.R_OK | constants.W_OK);
  } catch (error) {
    if (codeOf(error) !== 'EACCES' && codeOf(error) !== 'EPERM') throw noDevice(error);
    const advice = `Run as root: chmod 666 ${DEVICE} (where udev runs, it does that itself)`;
    throw new MountError('permission', `You may not open ${DEVICE}`, advice, { cause: error });
  }
  const names = { fsName: options.fsName, subtype: options.subtype ?? 'infinimount' };
  return fusermount(path, helperOptions(options), names);
}

/** Whether `entry` is still mounted at its place. */
async function isThere(entry: MountEntry): Promise<boolean> {
  const now = await mountedAt(entry.mountPoint);
  return now?.mountId === entry.mountId && now.device === entry.device;
}

/** Takes the mount away; does nothing where it is gone already. With `lazy` it is detached. Throws MountError. */
export async function unmountEntry(entry: MountEntry, method: MountMethod, lazy: boolean): Promise<void> {
  if (!(await isThere(entry))) return;
  const path = entry.mountPoint;
  const advice = 'Close the programs that use it (fuser -m shows them), or unmount lazily';
  if (method === 'fusermount3') {
    const done = await fusermountUnmount(path, lazy);
    if (!done && (await isThere(entry))) throw new MountError('busy', `"${path}" is in use`, advice);
    return;
  }
  const result = await umount(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0));
  // EINVAL: someone else unmounted it in the meantime.
  if (result >= 0 || result === -ERRNO.EINVAL || result === -ERRNO.ENOENT) return;
  if (result === -ERRNO.EBUSY) throw new MountError('busy', `"${path}" is in use`, advice);
  throw new MountError('failed', `Cannot unmount "${path}": ${errnoName(-result)}`, 'Run: umount -l as root');
}

/**
 * Mounts a FUSE file system and returns its device descriptor. Start a FuseSession on it at once: the mount point
 * answers nobody before. Throws MountError.
 */
export async function mountKernel(options: MountOptions): Promise<KernelMount> {
  const mountPoint = await checkedMountPoint(options.mountPoint, options.allowNonEmpty ?? false);
  const wish = options.method ?? 'auto';
  let method: MountMethod = 'mount';
  let fd = wish === 'fusermount3' ? undefined : await mountDirectly(mountPoint, options);
  if (fd === undefined) {
    if (wish === 'mount') {
      throw new MountError(
        'permission',
        'mount(2) is not permitted',
        'Run as root, or mount through fusermount3',
      );
    }
    method = 'fusermount3';
    fd = await mountByHelper(mountPoint, options);
  }
  const entry = await mountedAt(mountPoint);
  if (entry === undefined) {
    closeSync(fd);
    throw new MountError('failed', `The mount on "${mountPoint}" vanished`, 'See the kernel log');
  }
  return {
    fd,
    method,
    mountPoint,
    device: entry.device,
    unmount: (how) => unmountEntry(entry, method, how?.lazy ?? false),
  };
}
