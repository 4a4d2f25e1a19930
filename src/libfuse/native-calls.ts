/**
 * The operations as the native part calls them, one row each: arguments by their places in fuse-native.c, answers with
 * the values that the operation's signal wants, also when it fails (without them the thread that waits is lost).
 */

import { FuseError, type SetattrRequest } from '../fuse/index.js';
import { joinHalves, packEntry, packStat, packStatfs, STAT_WORDS, STATFS_WORDS, timesOf } from './pack.js';
import type { PathCalls } from './path-calls.js';

/** The result (0 or a count), then the operation's own values. */
export type NativeAnswer = readonly [result: number, ...values: readonly unknown[]];

export interface NativeCall {
  run(calls: PathCalls, slot: Buffer, args: readonly unknown[]): Promise<NativeAnswer>;
  /** The values of a failed one. */
  failed?(args: readonly unknown[]): readonly unknown[];
}

/** chown(2): leave it as it is. */
const NO_ID = 0xffff_ffff;
const PERMISSION_BITS = 0o7777;

/** `Args` are what fuse-native.c passes, behind the slot and the operation's number. */
function row<Args extends readonly unknown[]>(
  run: (calls: PathCalls, args: Args, slot: Buffer) => Promise<NativeAnswer>,
  failed?: (args: Args) => readonly unknown[],
): NativeCall {
  return {
    run: async (calls, slot, args) => run(calls, args as unknown as Args, slot),
    ...(failed === undefined ? {} : { failed: (args) => failed(args as unknown as Args) }),
  };
}

/** An operation that answers nothing but whether it went well. */
function act<Args extends readonly unknown[]>(
  run: (calls: PathCalls, args: Args, slot: Buffer) => Promise<void>,
): NativeCall {
  return row<Args>(async (calls, args, slot) => {
    await run(calls, args, slot);
    return [0];
  });
}

type Path = readonly [path: string];
type PathAndFile = readonly [path: string, id: number];
type PathAndMode = readonly [path: string, mode: number];
type Sync = readonly [path: string, dataOnly: number, id: number];
type Transfer = readonly [
  path: string,
  id: number,
  buffer: Buffer,
  length: number,
  low: number,
  high: number,
];

const noStat = () => [new Uint32Array(STAT_WORDS)];

export const NATIVE_CALLS: Readonly<Record<string, NativeCall>> = {
  statfs: row<Path>(
    async (calls) => [0, packStatfs(await calls.statfs())],
    () => [new Uint32Array(STATFS_WORDS)],
  ),
  getattr: row<Path>(async (calls, [path]) => [0, packStat(await calls.attributes(path))], noStat),
  fgetattr: row<PathAndFile>(async (calls, [, id]) => [0, packStat(await calls.attributesOf(id))], noStat),
  flush: act<PathAndFile>((calls, [, id]) => calls.flush(id)),
  fsync: act<Sync>((calls, [, dataOnly, id]) => calls.fsync(id, dataOnly !== 0)),
  fsyncdir: act<Sync>((calls, [path, dataOnly]) => calls.syncDirectory(path, dataOnly !== 0)),
  readdir: row<Path>(
    async (calls, [path]) => {
      const entries = await calls.list(path);
      return [0, entries.map(({ name }) => name), entries.map(({ ino, type }) => packEntry(ino, type))];
    },
    () => [[], []],
  ),
  truncate: act<readonly [path: string, low: number, high: number]>((calls, [path, low, high]) =>
    calls.change(path, { size: joinHalves(low, high) }),
  ),
  ftruncate: act<readonly [path: string, id: number, low: number, high: number]>((calls, [, id, low, high]) =>
    calls.resizeOpen(id, joinHalves(low, high)),
  ),
  utimens: act<readonly [path: string, atimeLow: number, atimeHigh: number]>(
    (calls, [path, atimeLow, atimeHigh], slot) => {
      const times = timesOf(slot, atimeLow, atimeHigh);
      if (times === undefined) throw new FuseError('EOPNOTSUPP');
      return calls.change(path, times);
    },
  ),
  readlink: row<Path>(
    async (calls, [path]) => [0, await calls.readlink(path)],
    () => [''],
  ),
  chown: act<readonly [path: string, uid: number, gid: number]>((calls, [path, uid, gid]) =>
    calls.change(path, ownerChanges(uid, gid)),
  ),
  chmod: act<PathAndMode>((calls, [path, mode]) => calls.change(path, { mode: mode & PERMISSION_BITS })),
  mknod: act<readonly [path: string, mode: number, rdev: number]>((calls, [path, mode, rdev]) =>
    calls.mknod(path, mode, rdev),
  ),
  setxattr: row<readonly [path: string, name: string, value: Buffer, position: number, flags: number]>(
    async (calls, [path, name, value, , flags]) => {
      await calls.setxattr(path, name, value, flags);
      return [0, value.buffer];
    },
    ([, , value]) => [value.buffer],
  ),
  getxattr: row<readonly [path: string, name: string, room: Buffer]>(
    async (calls, [path, name, room]) => [fill(room, await calls.getxattr(path, name)), room.buffer],
    ([, , room]) => [room.buffer],
  ),
  listxattr: row<readonly [path: string, room: Buffer]>(
    async (calls, [path, room]) => {
      const names = (await calls.listxattr(path)).map((name) => `${name}\0`).join('');
      return [fill(room, Buffer.from(names)), room.buffer];
    },
    ([, room]) => [room.buffer],
  ),
  removexattr: act<readonly [path: string, name: string]>((calls, [path, name]) =>
    calls.removexattr(path, name),
  ),
  open: row<readonly [path: string, flags: number]>(
    async (calls, [path, flags]) => [0, await calls.open(path, flags)],
    () => [0],
  ),
  read: row<Transfer>(
    async (calls, [, id, buffer, , low, high]) => {
      const got = await calls.read(id, buffer, joinHalves(low, high));
      return [got, got, buffer.buffer];
    },
    ([, , buffer]) => [0, buffer.buffer],
  ),
  write: row<Transfer>(
    async (calls, [, id, buffer, , low, high]) => {
      const taken = await calls.write(id, buffer, joinHalves(low, high));
      return [taken, taken, buffer.buffer];
    },
    ([, , buffer]) => [0, buffer.buffer],
  ),
  release: act<PathAndFile>((calls, [, id]) => calls.release(id)),
  create: row<PathAndMode>(
    async (calls, [path, mode]) => [0, await calls.create(path, mode)],
    () => [0],
  ),
  unlink: act<Path>((calls, [path]) => calls.unlink(path)),
  rename: act<readonly [path: string, newPath: string]>((calls, [path, newPath]) =>
    calls.rename(path, newPath),
  ),
  link: act<readonly [path: string, newPath: string]>((calls, [path, newPath]) => calls.link(path, newPath)),
  symlink: act<readonly [target: string, path: string]>((calls, [target, path]) =>
    calls.symlink(target, path),
  ),
  mkdir: act<PathAndMode>((calls, [path, mode]) => calls.mkdir(path, mode)),
  rmdir: act<Path>((calls, [path]) => calls.rmdir(path)),
};

function ownerChanges(uid: number, gid: number): Pick<SetattrRequest, 'uid' | 'gid'> {
  return { ...(uid === NO_ID ? {} : { uid }), ...(gid === NO_ID ? {} : { gid }) };
}

/** The size protocol of getxattr(2): without room the length is asked for, too little room is ERANGE. */
function fill(room: Buffer, value: Uint8Array): number {
  if (room.length === 0) return value.length;
  if (value.length > room.length) throw new FuseError('ERANGE');
  room.set(value);
  return value.length;
}
