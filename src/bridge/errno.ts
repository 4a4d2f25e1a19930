/**
 * The one place where errors become errno: a total mapping of every layer's closed set of codes. What is in none of
 * them is a defect, answered EIO and logged with its stack.
 */

import { assertNever, type Interruptible } from '../base/index.js';
import { ContentError } from '../content/index.js';
import { type ErrnoName, FuseError } from '../fuse/index.js';
import { RemoteError, type RemoteErrorCode } from '../remote/index.js';
import { StateError } from '../state/index.js';
import { SyncError, type SyncErrorCode } from '../sync/index.js';
import { VfsError } from '../vfs/index.js';

/** `answer`: an everyday refusal; `trouble`: the machine or the data is not as it should be; `defect`: nobody expects it. */
export type Severity = 'answer' | 'trouble' | 'defect';

export interface Verdict {
  readonly errno: ErrnoName;
  readonly severity: Severity;
}

/** What a program is told of anything that was thrown while `request` was answered. */
export function judge(error: unknown, request: Interruptible): Verdict {
  if (error instanceof VfsError) return verdict(error.code, error.code === 'EIO' ? 'trouble' : 'answer');
  if (error instanceof FuseError) return verdict(error.code);
  // Whatever an interrupted wait rejects with, the program asked for it.
  if (request.signal.aborted) return verdict('EINTR');
  if (error instanceof RemoteError) return verdict(remoteErrno(error.code));
  if (error instanceof SyncError) return verdict(syncErrno(error.code));
  if (error instanceof ContentError || error instanceof StateError) {
    return verdict(diskErrno(error.cause) ?? 'EIO', 'trouble');
  }
  const errno = diskErrno(error);
  return errno === undefined ? verdict('EIO', 'defect') : verdict(errno, 'trouble');
}

/** Codes of the disk that keeps the cache which mean the same to a program above; any other is EIO to it. */
const DISK_ERRNOS: ReadonlyMap<string, ErrnoName> = new Map<string, ErrnoName>([
  ['ENOSPC', 'ENOSPC'],
  ['EDQUOT', 'EDQUOT'],
  ['EFBIG', 'EFBIG'],
  ['EOPNOTSUPP', 'EOPNOTSUPP'],
  // libuv's name for the same number on Linux.
  ['ENOTSUP', 'EOPNOTSUPP'],
]);

/** Undefined for what is no error of a system call. */
function diskErrno(error: unknown): ErrnoName | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  return (typeof error.code === 'string' ? DISK_ERRNOS.get(error.code) : undefined) ?? 'EIO';
}

function remoteErrno(code: RemoteErrorCode): ErrnoName {
  switch (code) {
    case 'not-found':
    case 'parent-missing':
      return 'ENOENT';
    case 'exists':
      return 'EEXIST';
    case 'unauthorized':
    case 'forbidden':
      return 'EACCES';
    case 'locked':
      return 'EBUSY';
    case 'throttled':
      return 'EAGAIN';
    case 'no-space':
      return 'ENOSPC';
    case 'too-large':
      return 'EFBIG';
    case 'bad-name':
      return 'EINVAL';
    case 'not-supported':
      return 'EOPNOTSUPP';
    case 'unreachable':
      return 'EHOSTUNREACH';
    case 'timeout':
      return 'ETIMEDOUT';
    case 'aborted':
      return 'EINTR';
    case 'changed':
    case 'server':
    case 'not-webdav':
    case 'redirect-refused':
    case 'tls':
    case 'interrupted':
    case 'protocol':
      return 'EIO';
    default:
      return assertNever(code);
  }
}

function syncErrno(code: SyncErrorCode): ErrnoName {
  switch (code) {
    case 'paused':
      return 'EAGAIN';
    case 'offline':
      return 'EHOSTUNREACH';
    case 'not-found':
      return 'ENOENT';
    case 'not-a-directory':
      return 'ENOTDIR';
    case 'busy':
    case 'pinned':
      return 'EBUSY';
    case 'not-a-file':
    case 'not-a-conflict':
    case 'limit':
      return 'EINVAL';
    case 'stopping':
      return 'EIO';
    default:
      return assertNever(code);
  }
}

function verdict(errno: ErrnoName, severity: Severity = 'answer'): Verdict {
  return { errno, severity };
}
