/**
 * What is mounted where, read from /proc/self/mountinfo (proc_pid_mountinfo(5)) without touching the mounts, and
 * the means to take a mount away whatever state its daemon is in.
 */

import { readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { run } from '../exec.js';

export interface MountEntry {
  readonly path: string;
  readonly fsType: string;
  readonly source: string;
  /** The minor device number: for FUSE also the number of the connection in /sys/fs/fuse/connections. */
  readonly minor: number;
}

const CONNECTIONS = '/sys/fs/fuse/connections';
const UMOUNT_TIMEOUT_MS = 5_000;

/** All mounts of this process's namespace, the topmost last. */
export function listMounts(): readonly MountEntry[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map(parseLine);
}

/** The topmost mount on exactly `path`, or undefined. */
export function findMount(path: string): MountEntry | undefined {
  return listMounts().findLast((entry) => entry.path === path);
}

/** Makes every waiting and future request of a FUSE connection fail, so that nothing hangs on it any longer. */
export async function abortConnection(minor: number): Promise<void> {
  const file = `${CONNECTIONS}/${minor}/abort`;
  try {
    writeFileSync(file, '1');
  } catch {
    // The control file system may not be mounted; without it there is nothing left to try when this fails too.
    await run(['mount', '-t', 'fusectl', 'none', CONNECTIONS], { timeoutMs: UMOUNT_TIMEOUT_MS });
    try {
      writeFileSync(file, '1');
    } catch {
      // The connection is gone already.
    }
  }
}

/** Takes all mounts on `path` away: lazily first, by aborting their connections when that does not help. */
export async function forceUnmount(path: string): Promise<void> {
  for (let attempt = 0; attempt < 4; attempt++) {
    const mount = findMount(path);
    if (mount === undefined) return;
    if (attempt > 0 && mount.fsType.startsWith('fuse')) await abortConnection(mount.minor);
    // Without -c umount(8) looks the path up through the mount, which may hang.
    await run(['umount', '-l', '-c', path], { timeoutMs: UMOUNT_TIMEOUT_MS });
  }
  if (findMount(path) !== undefined) throw new Error(`${path} is still mounted after umount -l and abort`);
}

/** Removes an empty mount point; leaves it when something is (still) mounted on it. */
export function removeMountPoint(path: string): void {
  if (findMount(path) !== undefined) return;
  try {
    rmdirSync(path);
  } catch {
    // Not empty or gone: either way nothing that a clean-up may remove.
  }
}

function parseLine(line: string): MountEntry {
  const [left = '', right = ''] = line.split(' - ');
  const fields = left.split(' ');
  const [fsType = '', source = ''] = right.split(' ');
  return {
    path: unescapeOctal(fields[4] ?? ''),
    fsType,
    source: unescapeOctal(source),
    minor: Number((fields[2] ?? '').split(':')[1]),
  };
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
