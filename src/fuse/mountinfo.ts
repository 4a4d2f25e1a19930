/** The kernel's own table of mounts (proc(5), /proc/PID/mountinfo): what is mounted where, without touching a mount. */

import { readFile, writeFile } from 'node:fs/promises';

export interface MountEntry {
  readonly mountId: number;
  /** `major:minor` of the file system (st_dev). */
  readonly device: string;
  readonly mountPoint: string;
  /** Of the mount: `ro` or `rw`, `nosuid`, `noatime` and the like. */
  readonly flags: readonly string[];
  /** Type, with the subtype behind a dot: `fuse.infinimount`. */
  readonly type: string;
  readonly source: string;
  /** Of a FUSE mount: the user who mounted it. */
  readonly userId?: number;
}

/** Blanks, tabs, line ends and backslashes stand as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** Parses the text of a mountinfo file; lines of another shape are left out. */
export function parseMountinfo(text: string): readonly MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const [front, back] = line.split(' - ', 2);
    const [id, , device, , mountPoint, flags = ''] = front?.split(' ') ?? [];
    const [type, source, options] = back?.split(' ') ?? [];
    const userId = /(?:^|,)user_id=(\d+)/.exec(options ?? '')?.[1];
    if (id === undefined || device === undefined || mountPoint === undefined) return [];
    if (type === undefined || source === undefined) return [];
    return [
      {
        mountId: Number(id),
        device,
        mountPoint: unescapeOctal(mountPoint),
        flags: flags.split(','),
        type,
        source: unescapeOctal(source),
        ...(userId === undefined ? {} : { userId: Number(userId) }),
      },
    ];
  });
}

/** All mounts that this process sees, the topmost last. */
export async function allMounts(): Promise<readonly MountEntry[]> {
  return parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));
}

/** The topmost mount on exactly this path, which must be absolute and free of links. */
export async function mountedAt(path: string): Promise<MountEntry | undefined> {
  return (await allMounts()).findLast((entry) => entry.mountPoint === path);
}

/**
 * Sets how far the kernel reads ahead on a mount, which needs root. INIT lowers the value, so call it once the session
 * is ready. False when it may not be set or the mount is gone; the mount then works with the kernel's value.
 */
export async function setReadAhead(device: string, kib: number): Promise<boolean> {
  try {
    await writeFile(`/sys/class/bdi/${device}/read_ahead_kb`, `${kib}\n`);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOENT') return false;
    throw error;
  }
}
