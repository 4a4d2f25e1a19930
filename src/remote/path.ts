/** Paths on the server as the layers above HTTP name them: decoded, absolute, without a trailing slash. */

import type { Branded, Name } from '../base/index.js';

/** `/` for the root of the mount, else `/name/name`; each segment a checked {@link Name}; no trailing slash. */
export type RemotePath = Branded<string, 'RemotePath'>;

/** How the directory is named that a probe of the server makes and removes again; nobody else is to see it. */
export const PROBE_PREFIX = '.infinimount-probe-';

export const REMOTE_ROOT = '/' as RemotePath;

export function joinRemote(parent: RemotePath, name: Name): RemotePath {
  return (parent === '/' ? `/${name}` : `${parent}/${name}`) as RemotePath;
}

/** The directory that holds `path`; the root's is the root. */
export function parentOfRemote(path: RemotePath): RemotePath {
  const cut = path.lastIndexOf('/');
  return (cut <= 0 ? '/' : path.slice(0, cut)) as RemotePath;
}

/** The last segment of `path`, or undefined for the root. */
export function nameOfRemote(path: RemotePath): Name | undefined {
  return path === '/' ? undefined : (path.slice(path.lastIndexOf('/') + 1) as Name);
}

/** Whether `path` is `ancestor` or lies below it. */
export function isWithin(path: RemotePath, ancestor: RemotePath): boolean {
  return path === ancestor || ancestor === '/' || path.startsWith(`${ancestor}/`);
}
