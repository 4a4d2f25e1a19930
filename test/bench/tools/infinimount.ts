/** The product, through its fixed command line. */

import { existsSync } from 'node:fs';
import { INFINIMOUNT, mountInfinimount } from '../../support/mount/index.js';
import type { Tool } from '../types.js';

export const infinimount: Tool = {
  name: 'infinimount',
  missing: () => (existsSync(INFINIMOUNT[1] ?? '') ? undefined : 'bin/infinimount.js is not there'),
  mount: async ({ server, mountPoint, cacheDir }) => {
    const drive = await mountInfinimount({ server, mountPoint, cacheDir });
    return { path: drive.path, pid: drive.pid, stop: () => drive[Symbol.asyncDispose]() };
  },
};
