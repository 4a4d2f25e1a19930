/** Failures of the cache and of the kernel mount at the start, as a person has to read them. */

import { assertNever, quote, systemErrorCode, UserError, type UserErrorCode } from '../base/index.js';
import type { MountError, MountErrorCode } from '../fuse/index.js';
import type { StateError } from '../state/index.js';

/** What the kernel, or fusermount3, said to the mount. */
export function mountUserError(error: MountError, mountPoint: string): UserError {
  const problem = `Cannot mount on ${quote(mountPoint)}: ${decapitalize(error.found)}`;
  return new UserError(codeOfMount(error.code), problem, `${error.advice}.`, { cause: error });
}

/** What was wrong with the database in the cache directory. Nothing of it was changed. */
export function cacheUserError(error: StateError, dir: string): UserError {
  const at = `Cannot use the cache directory ${quote(dir)}`;
  const elsewhere = 'or choose another directory with --cache-dir.';
  switch (error.code) {
    case 'newer':
      return new UserError(
        'cache-newer',
        `${at}: a newer infinimount wrote its database`,
        `Use that version, ${elsewhere}`,
        { cause: error },
      );
    case 'disk': {
      const full = systemErrorCode(error) === 'ENOSPC';
      const found = `${at}: ${full ? 'its disk is full' : 'its disk refuses to work with it'}`;
      return new UserError(full ? 'cache-full' : 'cache-not-writable', found, `Mend that, ${elsewhere}`, {
        cause: error,
      });
    }
    case 'damaged':
    case 'invariant':
    case 'misuse':
      return new UserError(
        'cache-damaged',
        `${at}: its database is damaged (${decapitalize(error.message)}), and nothing was changed`,
        `Restore it from a backup, ${elsewhere}`,
        { cause: error },
      );
    default:
      return assertNever(error.code);
  }
}

function codeOfMount(code: MountErrorCode): UserErrorCode {
  switch (code) {
    case 'no-device':
      return 'no-fuse-device';
    case 'no-fusermount':
      return 'no-fusermount';
    case 'missing':
      return 'mount-point-missing';
    case 'not-a-directory':
      return 'mount-point-not-directory';
    case 'not-empty':
      return 'mount-point-not-empty';
    case 'occupied':
    case 'busy':
      return 'mount-point-occupied';
    case 'dead':
      return 'mount-point-dead';
    case 'permission':
    case 'allow-other-denied':
      return 'mount-point-denied';
    case 'refused':
    case 'failed':
      return 'mount-refused';
    default:
      return assertNever(code);
  }
}

function decapitalize(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
