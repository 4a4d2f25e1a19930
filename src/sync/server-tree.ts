/** Questions to the base tree: where nodes are on the server, as far as the server has confirmed it. Pure. */

import { type Ino, type Name, ROOT_INO } from '../base/index.js';
import { joinRemote, REMOTE_ROOT, type RemotePath } from '../remote/index.js';
import type { NodeRecord, Place, StateView } from '../state/index.js';

/** The path of a node on the server, or undefined when the server has not (or no longer) confirmed it. */
export function serverPath(view: StateView, ino: Ino): RemotePath | undefined {
  const names: Name[] = [];
  for (let at = ino; at !== ROOT_INO; ) {
    const base = view.get(at)?.base;
    if (base === undefined) return undefined;
    names.push(base.name);
    at = base.parent;
  }
  let path = REMOTE_ROOT;
  for (let index = names.length - 1; index >= 0; index -= 1) path = joinRemote(path, names[index] as Name);
  return path;
}

/** The path of a node below the mount point, for messages; undefined when it is not in the local tree. */
export function localPath(view: StateView, ino: Ino): string | undefined {
  const names: string[] = [];
  for (let at = ino; at !== ROOT_INO; ) {
    const local = view.get(at)?.local;
    if (local === undefined) return undefined;
    names.unshift(local.name);
    at = local.parent;
  }
  return names.join('/');
}

/** The path to show to people, from "/" on: where the mount has the node, else where the server has it. */
export function shownPath(view: StateView, ino: Ino): string | undefined {
  const local = localPath(view, ino);
  return local === undefined ? serverPath(view, ino) : `/${local}`;
}

/** The path that `place` has on the server now; undefined while its directory is not there. */
export function placePath(view: StateView, place: Place): RemotePath | undefined {
  const parent = serverPath(view, place.parent);
  return parent === undefined ? undefined : joinRemote(parent, place.name);
}

/** Whether on the server `ino` is `ancestor` or lies below it. */
export function isBelowInBase(view: StateView, ino: Ino, ancestor: Ino): boolean {
  for (let at = ino; ; ) {
    if (at === ancestor) return true;
    if (at === ROOT_INO) return false;
    const base = view.get(at)?.base;
    if (base === undefined) return false;
    at = base.parent;
  }
}

export function samePlace(a: Place | undefined, b: Place | undefined): boolean {
  return a?.parent === b?.parent && a?.name === b?.name;
}

/**
 * The node that a request made for `ino` at `place` speaks of now. The names of a file pass what the server has to one
 * another (`passName`), also while a request is under way. Undefined when the node is gone.
 */
export function holderOf(view: StateView, ino: Ino, place: Place): NodeRecord | undefined {
  const node = view.get(ino);
  if (node?.kind !== 'file' && node?.kind !== 'alias') return node;
  const file = node.kind === 'alias' ? view.get(node.target) : node;
  if (file?.kind !== 'file' || file.aliases.length === 0) return node;
  const names = [file.ino, ...file.aliases].flatMap((each) => {
    const record = view.get(each);
    return record?.kind === 'file' || record?.kind === 'alias' ? [record] : [];
  });
  return (
    names.find(({ attempt }) => samePlace(attempt?.place, place)) ??
    names.find(({ base }) => samePlace(base, place)) ??
    node
  );
}

/** Whether the server keeps the node as a file (everything but a directory). */
export function isFileLike(record: NodeRecord): boolean {
  return record.kind !== 'dir';
}
