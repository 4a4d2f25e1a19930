/** Records for tests, and a random source by seed. */

import { type Ino, type Name, ROOT_INO, toName } from '../../../../src/base/index.js';
import type { ETag } from '../../../../src/remote/index.js';
import type {
  AliasRecord,
  Base,
  DirRecord,
  FileRecord,
  Place,
  SymlinkRecord,
} from '../../../../src/state/index.js';

export function name(text: string): Name {
  const checked = toName(text);
  if (checked === undefined) throw new Error(`"${text}" is no name`);
  return checked;
}

export function place(text: string, parent: Ino = ROOT_INO): Place {
  return { parent, name: name(text) };
}

export function baseOf(at: Place, gen: number): Base {
  return { ...at, etag: '"e"' as ETag, size: 3, mtimeMs: 1_700_000_000_123, gen };
}

const inode = { mode: 0o644, uid: 1000, gid: 1000, atime: 1n, mtime: 2n, ctime: 3n };

export function file(ino: Ino, local: Place | undefined, more: Partial<FileRecord> = {}): FileRecord {
  return {
    kind: 'file',
    ino,
    local,
    base: undefined,
    remote: undefined,
    ...inode,
    size: 3,
    gen: 1,
    content: 'staged',
    writing: false,
    interrupted: false,
    attempt: undefined,
    aliases: [],
    ...more,
  };
}

export function dir(ino: Ino, local: Place | undefined, more: Partial<DirRecord> = {}): DirRecord {
  return {
    kind: 'dir',
    ino,
    local,
    base: undefined,
    remote: undefined,
    ...inode,
    listedAtMs: undefined,
    ...more,
  };
}

export function symlink(
  ino: Ino,
  local: Place | undefined,
  more: Partial<SymlinkRecord> = {},
): SymlinkRecord {
  const own = { target: '../där/ü', gen: 1, attempt: undefined };
  return { kind: 'symlink', ino, local, base: undefined, remote: undefined, ...inode, ...own, ...more };
}

export function alias(
  ino: Ino,
  target: Ino,
  local: Place | undefined,
  more: Partial<AliasRecord> = {},
): AliasRecord {
  return {
    kind: 'alias',
    ino,
    target,
    local,
    base: undefined,
    remote: undefined,
    attempt: undefined,
    ...more,
  };
}

/** A linear congruential generator: the same numbers for the same seed. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
