/**
 * From a path as the shell has it to the mount that it lies in and its path within. Symbolic links are followed up to
 * the mount and no further: within the mount nothing is touched, for its daemon may hang.
 */

import { readlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { quote, systemErrorCode, UserError } from '../base/index.js';

/** Links that one path may lead over, as the kernel has it (path_resolution(7)). */
const MAX_LINKS = 40;

export interface Place {
  readonly mountPoint: string;
  /** Absolute within the mount; `/` is its root. */
  readonly path: string;
}

/** Every mount point in the text of mountinfo (proc_pid_mountinfo(5)). */
export function mountPointsOf(mountinfo: string): ReadonlySet<string> {
  return new Set(entriesOf(mountinfo).map(({ point }) => point));
}

/** The mount points of FUSE file systems. */
export function fuseMountPointsOf(mountinfo: string): ReadonlySet<string> {
  const ours = entriesOf(mountinfo).filter(({ type }) => type === 'fuse' || type.startsWith('fuse.'));
  return new Set(ours.map(({ point }) => point));
}

/** Where an automounter (autofs(5)) waits for a mount, or did before one was made there. */
export function automountPointsOf(mountinfo: string): ReadonlySet<string> {
  return new Set(
    entriesOf(mountinfo)
      .filter(({ type }) => type === 'autofs')
      .map(({ point }) => point),
  );
}

function entriesOf(mountinfo: string): readonly { readonly point: string; readonly type: string }[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [front = '', back = ''] = line.split(' - ', 2);
    const point = front.split(' ')[4];
    return point === undefined ? [] : [{ point: unescapeOctal(point), type: back.split(' ')[0] ?? '' }];
  });
}

/** Blanks, tabs, line ends and backslashes stand as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/**
 * `path` without symbolic links as far as the last of `stops` on the way, and that one; undefined where it passes none.
 * `stops`: mount points of ours.
 */
export async function placeOf(
  path: string,
  workingDirectory: string,
  stops: (directory: string) => boolean,
): Promise<Place | undefined> {
  let links = 0;
  let at = '/';
  const left = segmentsOf(resolve(workingDirectory, path));
  for (;;) {
    if (stops(at)) return { mountPoint: at, path: `/${left.join('/')}` };
    const next = left.shift();
    if (next === undefined) return undefined;
    const step = join(at, next);
    const target = stops(step) ? undefined : await linkTarget(step);
    if (target === undefined) {
      at = step;
      continue;
    }
    links += 1;
    if (links > MAX_LINKS)
      throw new UserError('usage', `Cannot follow ${quote(path)}: too many symbolic links`);
    left.unshift(...segmentsOf(resolve(dirname(step), target)));
    at = '/';
  }
}

/** Where `place` is when mounts within its mount are looked at too: `points` are all mount points. */
export function innermost(place: Place, points: ReadonlySet<string>): Place {
  const full = join(place.mountPoint, place.path);
  let found = place;
  for (
    let at = full === '/' ? '/' : full.replace(/\/+$/, '');
    at.length > place.mountPoint.length;
    at = dirname(at)
  ) {
    if (!points.has(at)) continue;
    found = { mountPoint: at, path: full.slice(at.length) || '/' };
    break;
  }
  return found;
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '');
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    switch (systemErrorCode(error)) {
      // No link, not there, or not to be looked at: the path goes on as it is written.
      case 'EINVAL':
      case 'ENOENT':
      case 'ENOTDIR':
      case 'EACCES':
        return undefined;
      default:
        throw new UserError(
          'usage',
          `Cannot follow ${quote(path)}: ${systemErrorCode(error) ?? String(error)}`,
          undefined,
          {
            cause: error,
          },
        );
    }
  }
}
