/** Changing the flags of a mount that stands, by mount(2). */

import { ERRNO, errnoName } from './errno.js';
import { MS, mount } from './libc.js';
import { MountError } from './mount-error.js';
import { mountedAt } from './mountinfo.js';

/** `busy`: a program has a file open for writing. `denied`: only root, or CAP_SYS_ADMIN, may. `gone`: nothing is there. */
export type FlagOutcome = 'done' | 'busy' | 'denied' | 'gone';

const KEPT = [
  { word: 'nosuid', flag: MS.NOSUID },
  { word: 'nodev', flag: MS.NODEV },
  { word: 'noexec', flag: MS.NOEXEC },
  { word: 'noatime', flag: MS.NOATIME },
] as const;

/**
 * Makes the kernel refuse changes on the mount itself, or take them again. Runs on the thread pool: the kernel may ask
 * whoever serves the mount. Throws MountError.
 */
export async function setKernelReadOnly(mountPoint: string, readOnly: boolean): Promise<FlagOutcome> {
  const entry = await mountedAt(mountPoint);
  if (entry === undefined) return 'gone';
  // mount(2): flags that are not named again are cleared.
  let flags: number = MS.REMOUNT;
  if (readOnly) flags |= MS.RDONLY;
  for (const { word, flag } of KEPT) if (entry.flags.includes(word)) flags |= flag;
  const result = await mount('none', mountPoint, entry.type, flags, '');
  if (result >= 0) return 'done';
  switch (-result) {
    case ERRNO.EBUSY:
      return 'busy';
    case ERRNO.EPERM:
      return 'denied';
    case ERRNO.EINVAL:
      return 'gone';
    default: {
      const found = errnoName(-result);
      throw new MountError(
        'failed',
        `Cannot change the flags of "${mountPoint}": ${found}`,
        'See the kernel log',
      );
    }
  }
}
