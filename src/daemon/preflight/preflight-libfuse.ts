/** Is everything here that the driver fuse-native needs: the package, its native part, libfuse, and `fusermount`? */

import { join } from 'node:path';
import { assertNever, UserError } from '../../base/index.js';
import { LibfuseError, loadFuseNative } from '../../libfuse/index.js';
import { isExecutable } from './preflight-kernel.js';

/** Rejects with `UserError`. Looked at before anything is mounted, since libfuse says why only on stderr. */
export async function checkLibfuse(
  mount: { readonly privileged: boolean },
  searchPath: readonly string[],
  load: () => unknown = loadFuseNative,
): Promise<void> {
  try {
    load();
  } catch (error) {
    throw error instanceof LibfuseError ? libfuseUserError(error) : error;
  }
  if (mount.privileged) return;
  for (const directory of searchPath) {
    if (await isExecutable(join(directory, 'fusermount'))) return;
  }
  throw new UserError(
    'no-fusermount',
    'Cannot mount as an ordinary user with the driver fuse-native: the program fusermount is not installed',
    'Run: sudo apt-get install fuse3',
  );
}

export function libfuseUserError(error: LibfuseError): UserError {
  const problem = `Cannot use the driver fuse-native: ${error.message}`;
  return new UserError('no-libfuse', problem, adviceOf(error), { cause: error });
}

const INSTEAD = 'or leave out --driver: the driver kernel needs neither.';

function adviceOf({ code }: LibfuseError): string {
  switch (code) {
    case 'no-package':
      return `Run "npm install --ignore-scripts fuse-native@2.2.6" where infinimount is installed, ${INSTEAD}`;
    case 'no-build':
      return `It comes ready for x64 only; leave out --driver.`;
    case 'no-library':
      return `Run "sudo apt-get install libfuse2" (libfuse2t64 on Debian 13 and Ubuntu 24.04), ${INSTEAD}`;
    default:
      return assertNever(code);
  }
}
