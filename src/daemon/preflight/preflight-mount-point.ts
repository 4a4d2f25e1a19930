/**
 * Is the mount point a directory that can be mounted on? Answered from the kernel's own list of mounts before the
 * directory is touched: what is mounted there may be dead, or may never answer.
 */

import { constants } from 'node:fs';
import { access, lstat, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { quote, shellWord, systemErrorCode, UserError } from '../../base/index.js';
import { probeMount } from '../mounting/dead-mount.js';

export interface MountPointRules {
  /** Whether a directory with files may be mounted on. */
  readonly nonempty: boolean;
  /** Whether the mount is made by mount(2) rather than by fusermount3, which wants a directory that the user may write. */
  readonly privileged: boolean;
}

export interface MountEntry {
  readonly mountPoint: string;
  readonly type: string;
  readonly source: string;
}

/** Checks the directory and gives its path back without symbolic links. */
export async function checkMountPoint(path: string, rules: MountPointRules): Promise<string> {
  const { real, isAutomount } = await findMountPoint(path, rules);
  // It is an empty directory, and looking at it would wait for the very mount that is being made.
  if (isAutomount) return real;
  let isDirectory: boolean;
  try {
    isDirectory = (await stat(real)).isDirectory();
  } catch (error) {
    throw mountPointFault(path, error, rules);
  }
  if (!isDirectory)
    throw new UserError('mount-point-not-directory', `Cannot mount on ${quote(path)}: it is not a directory`);
  if (!rules.privileged) await requireWritable(path, real);
  if (!rules.nonempty) await requireEmpty(path, real, rules);
  return real;
}

interface Place {
  /** The path without symbolic links. */
  readonly real: string;
  /** Whether the kernel's automounter waits there for someone to mount (systemd.automount(5), autofs(5)). */
  readonly isAutomount: boolean;
}

/** The place, after making sure that nothing is mounted there. */
async function findMountPoint(path: string, rules: MountPointRules): Promise<Place> {
  try {
    // The last segment is looked at only when the kernel says that nothing is mounted on it.
    const unfollowed = path === '/' ? '/' : join(await realpath(dirname(path)), basename(path));
    const isAutomount = await requireUnmounted(path, unfollowed, rules);
    if (isAutomount || !(await lstat(unfollowed)).isSymbolicLink()) return { real: unfollowed, isAutomount };
    const parent = await realpath(dirname(await realpath(unfollowed)));
    const followed = join(parent, basename(await realpath(unfollowed)));
    return { real: followed, isAutomount: await requireUnmounted(path, followed, rules) };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw mountPointFault(path, error, rules);
  }
}

/** True for an automount, which waits for a mount on top of it. */
async function requireUnmounted(path: string, real: string, rules: MountPointRules): Promise<boolean> {
  const entry = parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8')).findLast(
    (at) => at.mountPoint === real,
  );
  if (entry === undefined) return false;
  if (entry.type === 'autofs') return true;
  const isFuse = entry.type === 'fuse' || entry.type.startsWith('fuse.');
  const health = isFuse ? await probeMount(real) : 'alive';
  if (health === 'dead') throw deadMount(path, rules);
  const found = `${quote(entry.source)} is mounted there already (${entry.type}${health === 'silent' ? ', not answering' : ''})`;
  throw new UserError(
    'mount-point-occupied',
    `Cannot mount on ${quote(path)}: ${found}`,
    `Choose another directory, or run: ${unmountCommand(path, rules, false)}`,
  );
}

function deadMount(path: string, rules: MountPointRules): UserError {
  return new UserError(
    'mount-point-dead',
    `Cannot mount on ${quote(path)}: a mount is there whose program has ended ("Transport endpoint is not connected")`,
    `Run: ${unmountCommand(path, rules, true)}`,
  );
}

function unmountCommand(path: string, { privileged }: MountPointRules, lazy: boolean): string {
  const command = privileged ? `umount${lazy ? ' -l' : ''}` : `fusermount3 -u${lazy ? 'z' : ''}`;
  return `${command} ${shellWord(path)}`;
}

/** The kernel's list of mounts, oldest first (proc_pid_mountinfo(5)). */
export function parseMountInfo(text: string): readonly MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after] = line.split(' - ', 2);
    const mountPoint = before.split(' ')[4];
    const [type, source] = after?.split(' ') ?? [];
    if (mountPoint === undefined || type === undefined || source === undefined) return [];
    return [{ mountPoint: unescapeMountInfo(mountPoint), type, source: unescapeMountInfo(source) }];
  });
}

/** Space, tab, newline and backslash stand as three octal digits. */
function unescapeMountInfo(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

async function requireWritable(path: string, real: string): Promise<void> {
  try {
    await access(real, constants.W_OK);
  } catch (error) {
    throw new UserError(
      'mount-point-denied',
      `Cannot mount on ${quote(path)}: an ordinary user may mount only on a directory that he may write`,
      'Choose a directory of your own.',
      { cause: error },
    );
  }
}

async function requireEmpty(path: string, real: string, rules: MountPointRules): Promise<void> {
  let entries: readonly string[];
  try {
    entries = await readdir(real);
  } catch (error) {
    throw mountPointFault(path, error, rules);
  }
  if (entries.length === 0) return;
  throw new UserError(
    'mount-point-not-empty',
    `Cannot mount on ${quote(path)}: the directory is not empty, and its files would be hidden`,
    'Choose an empty directory, or add --nonempty.',
  );
}

function mountPointFault(path: string, error: unknown, rules: MountPointRules): UserError {
  const code = systemErrorCode(error);
  const cause = { cause: error };
  switch (code) {
    case 'ENOENT':
      return new UserError(
        'mount-point-missing',
        `Cannot mount on ${quote(path)}: there is no such directory`,
        `Run: mkdir -p ${shellWord(path)}`,
        cause,
      );
    case 'ENOTDIR':
      return new UserError(
        'mount-point-not-directory',
        `Cannot mount on ${quote(path)}: it is not a directory`,
        undefined,
        cause,
      );
    case 'ENOTCONN':
      return deadMount(path, rules);
    case 'EACCES':
    case 'EPERM':
      return new UserError(
        'mount-point-denied',
        `Cannot mount on ${quote(path)}: you may not look into it`,
        'Choose a directory of your own.',
        cause,
      );
    default:
      return new UserError(
        'mount-point-denied',
        `Cannot mount on ${quote(path)}: ${code ?? String(error)}`,
        undefined,
        cause,
      );
  }
}
