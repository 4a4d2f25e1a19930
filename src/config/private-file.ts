/** Reading files that hold a secret: only if nobody but their owner can. */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { quote, shellWord, systemErrorCode, UserError, type UserErrorCode } from '../base/index.js';

/** Permission bits of group and others. */
const OTHERS = 0o077;

/** Far more than any password or configuration needs. */
const MAX_BYTES = 1024 * 1024;

export interface PrivateFileUse {
  /** What the file is to the reader of a message, such as `password file`. */
  readonly role: string;
  readonly code: UserErrorCode;
}

export interface PrivateFile {
  readonly text: string;
  /** Refuses the file if group or others may read or write it. */
  requirePrivate(): void;
  /** Refuses the file if it is another user's: what is in it may name commands to run. */
  requireOwn(): void;
}

/** Reads a small text file; pipes (`/dev/stdin`, process substitution) are read too. */
export async function readPrivateFile(path: string, { role, code }: PrivateFileUse): Promise<PrivateFile> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY);
  } catch (error) {
    throw new UserError(code, `Cannot read the ${role} ${quote(path)}: ${reasonOf(error)}`, undefined, {
      cause: error,
    });
  }
  try {
    const stats = await file.stat();
    if (stats.isDirectory())
      throw new UserError(code, `Cannot read the ${role} ${quote(path)}: it is a directory`);
    if (stats.size > MAX_BYTES)
      throw new UserError(code, `Cannot read the ${role} ${quote(path)}: it is over 1 MiB`);
    const content = await file.readFile('utf8');
    const mode = stats.mode & 0o777;
    return {
      text: content,
      requirePrivate: () => {
        if (!stats.isFile() || (mode & OTHERS) === 0) return;
        throw new UserError(
          code,
          `Cannot use the ${role} ${quote(path)}: other users can read it (mode ${octal(mode)})`,
          `Run: chmod 600 ${shellWord(path)}`,
        );
      },
      requireOwn: () => {
        const uid = process.geteuid?.();
        if (!stats.isFile() || uid === undefined || stats.uid === uid) return;
        throw new UserError(
          code,
          `Cannot use the ${role} ${quote(path)}: it belongs to user ${stats.uid}, and you are user ${uid}`,
          `Run: ${uid === 0 ? '' : 'sudo '}chown ${uid} ${shellWord(path)}`,
        );
      },
    };
  } finally {
    await file.close();
  }
}

/** Plain words for the usual reasons why a file cannot be read. */
export function reasonOf(error: unknown): string {
  const code = systemErrorCode(error);
  switch (code) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
    case 'EPERM':
      return 'you may not read it';
    case 'EROFS':
      return 'its file system is read-only';
    case 'EISDIR':
      return 'it is a directory';
    case 'ENOTDIR':
      return 'a part of the path is not a directory';
    default:
      return code ?? String(error);
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
