/**
 * Tokens in a file of their own, which only its owner can read. Written by temporary file, fsync, rename, fsync of the
 * folder, so that a power loss leaves the old tokens or the new ones.
 *
 *     FILE          JSON, version 1
 *     FILE.lock     held with flock(2) while one process refreshes
 *     FILE.*.tmp    a file being written
 */

import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  isErrno,
  makeDirectory,
  quote,
  Secret,
  SystemClock,
  shellWord,
  sleep,
  syncDirectory,
  systemErrorCode,
  tryLock,
} from '../base/index.js';
import { AuthError } from './errors.js';
import type { TokenStore, Tokens } from './tokens.js';

const VERSION = 1;
const OTHERS = 0o077;
const MAX_BYTES = 256 * 1024;
/** Another process refreshes within its own deadline. */
const LOCK_TRIES = 300;
const LOCK_WAIT_MS = 100;

export class FileTokenStore implements TokenStore {
  readonly path: string;

  /** `path`: absolute; its folder is made where it is missing. */
  constructor(path: string) {
    this.path = path;
  }

  async load(): Promise<Tokens | undefined> {
    const text = await this.#guard('read', () => this.#read());
    if (text === undefined) return undefined;
    const tokens = parseTokens(text);
    if (tokens !== undefined) return tokens;
    throw new AuthError(
      'token-file',
      `the file of tokens ${quote(this.path)} is damaged or from a newer version`,
      `Run: infinimount login, or: rm ${shellWord(this.path)}`,
    );
  }

  async save(tokens: Tokens): Promise<void> {
    await this.#guard('write', async () => {
      makeDirectory(dirname(this.path));
      const temporary = `${this.path}.${randomBytes(6).toString('hex')}.tmp`;
      try {
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
        const file = await open(temporary, flags, 0o600);
        try {
          await file.writeFile(formatTokens(tokens));
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(temporary, this.path);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
      syncDirectory(dirname(this.path));
    });
  }

  async clear(): Promise<void> {
    await this.#guard('remove', async () => {
      const folder = dirname(this.path);
      const name = basename(this.path);
      const files = await readdir(folder).catch((error: unknown) => {
        if (isErrno(error, 'ENOENT')) return [];
        throw error;
      });
      const isOurs = (file: string) =>
        file === name || (file.startsWith(`${name}.`) && (file.endsWith('.tmp') || file.endsWith('.lock')));
      const ours = files.filter(isOurs);
      for (const file of ours) await rm(join(folder, file), { force: true });
      if (ours.length > 0) syncDirectory(folder);
    });
  }

  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    const lock = await this.#guard('lock', () => this.#lock());
    try {
      return await work();
    } finally {
      await lock.close();
    }
  }

  async #lock(): Promise<FileHandle> {
    makeDirectory(dirname(this.path));
    const file = await open(`${this.path}.lock`, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      const clock = new SystemClock();
      for (let tries = 0; tries < LOCK_TRIES; tries += 1) {
        if (await tryLock(file.fd)) return file;
        await sleep(clock, LOCK_WAIT_MS);
      }
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
    throw new AuthError(
      'token-file',
      `another process holds the lock of the tokens ${quote(this.path)} for too long`,
      'End the other infinimount that uses this profile, or wait for it.',
    );
  }

  async #read(): Promise<string | undefined> {
    let file: FileHandle;
    try {
      file = await open(this.path, constants.O_RDONLY);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
    try {
      const { mode, uid, size } = await file.stat();
      if ((mode & OTHERS) !== 0) {
        throw new AuthError(
          'token-file',
          `other users can read the file of tokens ${quote(this.path)} (mode ${(mode & 0o777).toString(8).padStart(4, '0')})`,
          `Run: chmod 600 ${shellWord(this.path)}`,
        );
      }
      const own = process.geteuid?.() ?? uid;
      if (uid !== own && own !== 0) {
        throw new AuthError(
          'token-file',
          `the file of tokens ${quote(this.path)} belongs to another user (uid ${uid})`,
          `Run: sudo chown ${own} ${shellWord(this.path)}`,
        );
      }
      if (size > MAX_BYTES) return '';
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  }

  async #guard<T>(verb: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof AuthError) throw error;
      throw new AuthError(
        'token-file',
        `the tokens in ${quote(this.path)} cannot be ${PAST[verb] ?? verb} (${systemErrorCode(error) ?? 'error'})`,
        'Check the disk and the permissions of its folder.',
        { cause: error },
      );
    }
  }
}

const PAST: Readonly<Record<string, string>> = {
  read: 'read',
  write: 'written',
  remove: 'removed',
  lock: 'locked',
};

function formatTokens(tokens: Tokens): string {
  const { issuedTo, issuedAtMs, expiresAtMs } = tokens;
  const file = {
    version: VERSION,
    issuedTo,
    accessToken: tokens.accessToken.reveal(),
    issuedAtMs,
    expiresAtMs,
    refreshToken: tokens.refreshToken?.reveal(),
  };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

function parseTokens(text: string): Tokens | undefined {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    // Undefined says it: whoever calls makes the error, with the file's name and without its content.
    return undefined;
  }
  if (typeof file !== 'object' || file === null) return undefined;
  const { version, issuedTo, accessToken, issuedAtMs, expiresAtMs, refreshToken } = file as Record<
    string,
    unknown
  >;
  if (version !== VERSION || typeof issuedTo !== 'string' || typeof accessToken !== 'string')
    return undefined;
  if (typeof issuedAtMs !== 'number') return undefined;
  if (expiresAtMs !== undefined && typeof expiresAtMs !== 'number') return undefined;
  if (refreshToken !== undefined && typeof refreshToken !== 'string') return undefined;
  return {
    issuedTo,
    accessToken: new Secret(accessToken),
    issuedAtMs,
    expiresAtMs,
    refreshToken: refreshToken === undefined ? undefined : new Secret(refreshToken),
  };
}
