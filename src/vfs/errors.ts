/** The error of everything that POSIX itself decides. Errors of server, disk and database pass through as they are. */

import type { Ino } from '../base/index.js';

/** The POSIX name of what is wrong (errno(3)); only the bridge makes numbers of them. */
export type VfsErrorCode =
  | 'E2BIG'
  | 'EBADF'
  | 'EBUSY'
  | 'EEXIST'
  | 'EFBIG'
  | 'EILSEQ'
  | 'EINVAL'
  | 'EIO'
  | 'EISDIR'
  | 'ELOOP'
  | 'EMLINK'
  | 'ENAMETOOLONG'
  | 'ENODATA'
  | 'ENOENT'
  | 'ENOSPC'
  | 'ENOTDIR'
  | 'ENOTEMPTY'
  | 'ENXIO'
  | 'EOPNOTSUPP'
  | 'EPERM'
  | 'EROFS'
  | 'ESTALE';

export interface VfsErrorContext {
  readonly ino?: Ino;
  readonly name?: string;
  readonly cause?: unknown;
}

export class VfsError extends Error {
  override readonly name = 'VfsError';
  readonly code: VfsErrorCode;
  readonly ino: Ino | undefined;
  /** The directory entry that the error is about, where there is one. */
  readonly entry: string | undefined;

  constructor(code: VfsErrorCode, what: string, context: VfsErrorContext = {}) {
    const limit = Error.stackTraceLimit;
    // Everyday answers: nobody reads their stack traces, which cost more than the request. EIO is logged.
    if (code !== 'EIO') Error.stackTraceLimit = 0;
    super(`${code}: ${what}`, context.cause === undefined ? undefined : { cause: context.cause });
    Error.stackTraceLimit = limit;
    this.code = code;
    this.ino = context.ino;
    this.entry = context.name;
  }
}
