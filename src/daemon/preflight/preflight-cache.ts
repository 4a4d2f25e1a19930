/**
 * Claiming a cache directory: it is private, has room, is used by one mount only, and belongs to one server and user.
 * Nothing of an existing cache is ever changed or deleted here; of a new one, everything goes again on
 * {@link CacheClaim.abandon}.
 *
 *     DIR/lock         held with flock(2) while a mount uses the directory; says which process
 *     DIR/cache.json   what the directory is: format version, identity, server, user
 */

import { randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { mkdir, open, readdir, readFile, realpath, rename, rm, rmdir, stat, statfs } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { quote, shellWord, syncDirectory, systemErrorCode, tryLock, UserError } from '../../base/index.js';

/** Version of the directory's layout; a directory with a later one is left alone. */
export const CACHE_VERSION = 1;

const FORMAT = 'infinimount-cache';
const FORMAT_FILE = 'cache.json';
/** Moves that are remembered. */
const MAX_FORMER_URLS = 8;
const LOCK_FILE = 'lock';

/** What a fresh file system may hold by itself. */
const IGNORED_ENTRIES: ReadonlySet<string> = new Set([LOCK_FILE, `${FORMAT_FILE}.new`, 'lost+found']);

/** Bytes that must be free: room for the database to grow and for a change to be written down. */
const MIN_FREE_BYTES = 16 * 1024 * 1024;

/** How long a process that was killed is waited for, how long until its lock is looked into, and how often. */
const DYING_LIMIT_MS = 20_000;
const DYING_GRACE_MS = 1_000;
const DYING_LOOK_MS = 10;

export interface CacheRequest {
  /** Absolute path. */
  readonly dir: string;
  /** The server's folder; a cache belongs to one. */
  readonly url: string;
  readonly user: string | undefined;
  /** Absolute path without symbolic links. */
  readonly mountPoint: string;
}

export interface CacheClaim {
  readonly dir: string;
  /** Identity of the cache, for logs. */
  readonly id: string;
  /** Whether this claim made the cache. */
  readonly isNew: boolean;
  /** The server's folder is at this URL from now on; the cache is taken for the earlier one too. Rejects with UserError. */
  moved(url: string): Promise<void>;
  /** Gives the directory back and keeps what is in it. */
  release(): void;
  /** Before the mount was ready: gives the directory back as it was found. */
  abandon(): Promise<void>;
}

interface Identity {
  readonly format: typeof FORMAT;
  readonly version: number;
  readonly id: string;
  readonly url: string;
  readonly user: string | null;
  /** Where the same folder was before, the latest first; absent in most. */
  readonly formerUrls?: readonly string[];
}

/**
 * Claims the directory, making it where it is not there; rejects with {@link UserError} and leaves nothing behind. With a
 * `dying` holder, its end is waited for, at most `DYING_LIMIT_MS`.
 */
export async function claimCache(
  request: CacheRequest,
  { holder }: { readonly holder: 'none' | 'dying' } = { holder: 'none' },
): Promise<CacheClaim> {
  const { dir } = request;
  await requireApart(request);
  let made: string | undefined;
  let lock: number | undefined;
  let isNew = false;
  const abandon = async () => {
    // Under the lock, so that nobody else's new cache is cleared.
    if (isNew) await clearDirectory(dir);
    if (lock !== undefined) closeSync(lock);
    if (made !== undefined) await removeUpTo(dir, made);
  };
  try {
    made = await makeDirectories(dir);
    await requirePrivate(dir);
    // Before the lock file is made: a directory that is refused stays as it is.
    const found = await readIdentity(dir);
    if (found === undefined) await requireUnused(dir);
    else requireOurs(found, request);
    await requireRoom(dir);
    lock = holder === 'none' ? await takeLock(dir) : await takeLockFromDying(dir);
    // Again: someone else may have made the cache before the lock was ours.
    const existing = await readIdentity(dir);
    if (existing === undefined) isNew = true;
    else requireOurs(existing, request);
    const held = lock;
    recordHolder(held, request);
    let identity = existing ?? (await makeIdentity(request));
    const moved = async (url: string) => {
      identity = await writeIdentity(dir, movedTo(identity, url)).catch((error: unknown) => {
        throw cacheFault(dir, error);
      });
    };
    return { dir, id: identity.id, isNew, moved, release: () => closeSync(held), abandon };
  } catch (error) {
    await abandon();
    throw error instanceof UserError ? error : cacheFault(dir, error);
  }
}

/** A cache below its own mount point would be served by itself; a mount point in the cache would hide it. */
async function requireApart({ dir, mountPoint }: CacheRequest): Promise<void> {
  const real = await realpathOfFuture(dir);
  const within = (child: string, parent: string) =>
    child === parent || !relative(parent, child).startsWith('..');
  const place = within(real, mountPoint)
    ? 'it lies within the mount point'
    : within(mountPoint, real)
      ? 'the mount point lies within it'
      : undefined;
  if (place === undefined) return;
  throw new UserError(
    'cache-placement',
    `Cannot use the cache directory ${quote(dir)}: ${place} ${quote(mountPoint)}`,
    'Choose another with --cache-dir.',
  );
}

/** The path without symbolic links, also where its end does not exist yet. */
async function realpathOfFuture(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const parent = dirname(path);
    if (systemErrorCode(error) !== 'ENOENT' || parent === path) throw cacheFault(path, error);
    return resolve(await realpathOfFuture(parent), relative(parent, path));
  }
}

/**
 * Makes `dir` and those above it, private; gives the topmost that was made back. Node's own recursive mkdir turns for
 * ever where a file system answers ENOENT though the parent exists, as /proc does.
 */
async function makeDirectories(dir: string): Promise<string | undefined> {
  try {
    await mkdir(dir, { mode: 0o700 });
    return dir;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EEXIST' && (await stat(dir)).isDirectory()) return undefined;
    if (code !== 'ENOENT' || dirname(dir) === dir) throw error;
  }
  const above = await makeDirectories(dirname(dir));
  try {
    await mkdir(dir, { mode: 0o700 });
  } catch (error) {
    if (above !== undefined) await removeUpTo(dirname(dir), above);
    throw error;
  }
  return above ?? dir;
}

async function requirePrivate(dir: string): Promise<void> {
  const { uid, mode } = await stat(dir);
  const me = process.geteuid?.();
  if (uid !== me) {
    throw new UserError(
      'cache-exposed',
      `Cannot use the cache directory ${quote(dir)}: it belongs to another user (uid ${uid}, you are ${me})`,
      'Choose another with --cache-dir, or mount as that user.',
    );
  }
  if ((mode & 0o077) === 0) return;
  const found = (mode & 0o777).toString(8).padStart(4, '0');
  throw new UserError(
    'cache-exposed',
    `Cannot use the cache directory ${quote(dir)}: its mode is ${found}, and must be 0700`,
    `Run: chmod 700 ${shellWord(dir)}`,
  );
}

async function requireUnused(dir: string): Promise<void> {
  const strange = (await readdir(dir)).find((name) => !IGNORED_ENTRIES.has(name));
  if (strange === undefined) return;
  throw new UserError(
    'cache-foreign',
    `Cannot use the cache directory ${quote(dir)}: it is no cache of infinimount and not empty (it holds ${quote(strange)})`,
    'Choose an empty or a new directory with --cache-dir.',
  );
}

async function requireRoom(dir: string): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  if (bavail * bsize >= MIN_FREE_BYTES) return;
  throw fullDisk(dir, `only ${Math.floor((bavail * bsize) / 1024)} KiB are free on its disk`);
}

/** The descriptor that holds the directory's lock until it is closed. */
async function takeLock(dir: string): Promise<number> {
  const path = join(dir, LOCK_FILE);
  for (;;) {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      if (!(await tryLock(fd))) throw busy(dir, readFileSync(fd, 'utf8'));
      // A mount that gave up may have removed the file between the two calls: then this lock locks nothing.
      if (fstatSync(fd).ino === statSync(path, { throwIfNoEntry: false })?.ino) return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd);
  }
}

/**
 * The lock of a daemon that was killed: the kernel gives it back when the last of its threads is gone. A thread inside a
 * notification may itself wait for the answer of the daemon that is starting here, so a dead process's lock is
 * not waited for in the end: the file is replaced, as its lock stands for the process only.
 */
async function takeLockFromDying(dir: string): Promise<number> {
  for (const endMs = Date.now() + DYING_LIMIT_MS; ; ) {
    try {
      return await takeLock(dir);
    } catch (error) {
      if (!(error instanceof UserError) || error.code !== 'cache-busy' || Date.now() > endMs) throw error;
    }
    if (Date.now() > endMs - DYING_LIMIT_MS + DYING_GRACE_MS && (await isDead(await holderOf(dir)))) {
      await rm(join(dir, LOCK_FILE), { force: true });
    } else await delay(DYING_LOOK_MS);
  }
}

async function holderOf(dir: string): Promise<number | undefined> {
  const pid = parseObject(await readFile(join(dir, LOCK_FILE), 'utf8'))?.pid;
  return typeof pid === 'number' ? pid : undefined;
}

/** Whether nothing of the process runs any more but, perhaps, what the kernel does for it (proc_pid_stat(5)). */
async function isDead(pid: number | undefined): Promise<boolean> {
  if (pid === undefined) return false;
  try {
    const state = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ').at(-1)?.charAt(0);
    return state === 'Z' || state === 'X';
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ESRCH') return false;
    throw error;
  }
}

/** Says in the lock file who holds it, for the message that another mount will show. */
function recordHolder(lock: number, { mountPoint }: CacheRequest): void {
  ftruncateSync(lock, 0);
  writeSync(lock, `${JSON.stringify({ pid: process.pid, mountPoint })}\n`, 0);
}

function busy(dir: string, holder: string): UserError {
  const known = parseObject(holder);
  const where = typeof known?.mountPoint === 'string' ? ` on ${quote(known.mountPoint)}` : '';
  const who = typeof known?.pid === 'number' ? ` (process ${known.pid})` : '';
  return new UserError(
    'cache-busy',
    `Cannot use the cache directory ${quote(dir)}: another mount${where} is using it${who}`,
    'Unmount that one first, or choose another with --cache-dir.',
  );
}

async function readIdentity(dir: string): Promise<Identity | undefined> {
  let text: string;
  try {
    text = await readFile(join(dir, FORMAT_FILE), 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const { format, version, id, url, user, formerUrls } = parseObject(text) ?? {};
  if (format !== FORMAT || typeof version !== 'number') throw damaged(dir);
  // A later version may say the rest in another way: its number is all that is sure.
  if (version > CACHE_VERSION) {
    throw new UserError(
      'cache-newer',
      `Cannot use the cache directory ${quote(dir)}: a newer infinimount wrote it (format ${version}, this one knows ${CACHE_VERSION})`,
      'Use that version, or choose another directory with --cache-dir.',
    );
  }
  if (typeof id !== 'string' || typeof url !== 'string' || (user !== null && typeof user !== 'string'))
    throw damaged(dir);
  const former = Array.isArray(formerUrls) ? formerUrls.filter((one) => typeof one === 'string') : [];
  return { format, version, id, url, user, ...(former.length === 0 ? {} : { formerUrls: former }) };
}

function damaged(dir: string): UserError {
  return new UserError(
    'cache-damaged',
    `Cannot use the cache directory ${quote(dir)}: its file ${FORMAT_FILE} is damaged, and nothing was changed`,
    'Restore it from a backup, or choose another directory with --cache-dir.',
  );
}

function requireOurs(identity: Identity, { dir, url, user }: CacheRequest): void {
  const urls = [identity.url, ...(identity.formerUrls ?? [])];
  if (urls.includes(url) && identity.user === (user ?? null)) return;
  const owner =
    identity.user === null ? quote(identity.url) : `${quote(identity.user)} on ${quote(identity.url)}`;
  throw new UserError(
    'cache-foreign',
    `Cannot use the cache directory ${quote(dir)}: it belongs to ${owner}, and nothing was changed`,
    'Each server and user needs a directory of its own: choose another with --cache-dir.',
  );
}

function makeIdentity({ dir, url, user }: CacheRequest): Promise<Identity> {
  const id = randomUUID();
  return writeIdentity(dir, { format: FORMAT, version: CACHE_VERSION, id, url, user: user ?? null });
}

function movedTo(identity: Identity, url: string): Identity {
  const before = [identity.url, ...(identity.formerUrls ?? [])].filter((other) => other !== url);
  return { ...identity, url, formerUrls: before.slice(0, MAX_FORMER_URLS) };
}

async function writeIdentity(dir: string, identity: Identity): Promise<Identity> {
  const target = join(dir, FORMAT_FILE);
  const file = await open(`${target}.new`, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify(identity, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${target}.new`, target);
  syncDirectory(dir);
  return identity;
}

async function clearDirectory(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (name !== 'lost+found') await rm(join(dir, name), { recursive: true, force: true });
  }
}

/** Removes `dir` and the directories above it down to `first`, as long as they are empty. */
async function removeUpTo(dir: string, first: string): Promise<void> {
  for (let at = dir; !relative(first, at).startsWith('..'); at = dirname(at)) {
    try {
      await rmdir(at);
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === 'ENOTEMPTY' || code === 'ENOENT') return;
      throw error;
    }
  }
}

function cacheFault(dir: string, error: unknown): UserError {
  const code = systemErrorCode(error);
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return fullDisk(dir, code === 'ENOSPC' ? 'its disk is full' : 'your disk quota is used up', error);
    case 'EACCES':
    case 'EPERM':
      return unusable(dir, 'you may not write there', error);
    case 'EROFS':
      return unusable(dir, 'its file system is read-only', error);
    case 'ENOTDIR':
    case 'EEXIST':
      return unusable(dir, 'a file is in its place', error);
    case 'ENAMETOOLONG':
      return unusable(dir, 'the path is too long', error);
    default:
      return unusable(dir, code ?? String(error), error);
  }
}

function unusable(dir: string, found: string, cause: unknown): UserError {
  return new UserError(
    'cache-not-writable',
    `Cannot use the cache directory ${quote(dir)}: ${found}`,
    'Choose another with --cache-dir.',
    { cause },
  );
}

function fullDisk(dir: string, found: string, cause?: unknown): UserError {
  return new UserError(
    'cache-full',
    `Cannot use the cache directory ${quote(dir)}: ${found}`,
    'Make room, or choose a directory on another disk with --cache-dir.',
    { cause },
  );
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    // Not JSON: the caller says what that means for the file at hand.
    return undefined;
  }
}
