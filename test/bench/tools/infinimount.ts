/** The product, through its fixed command line. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ControlClient } from '../../../src/control/index.js';
import { INFINIMOUNT, mountInfinimount } from '../../support/mount/index.js';
import type { Tool } from '../types.js';

export const infinimount: Tool = {
  name: 'infinimount',
  missing: () => (existsSync(INFINIMOUNT[1] ?? '') ? undefined : 'bin/infinimount.js is not there'),
  mount: async ({ server, mountPoint, cacheDir }) => {
    const drive = await mountInfinimount({ server, mountPoint, cacheDir });
    const socket = readdirSync(drive.runtimeDir).find((name) => name.endsWith('.sock'));
    if (socket === undefined) throw new Error('the daemon has no control socket');
    const client = new ControlClient({ socketPath: join(drive.runtimeDir, socket), timeoutMs: 60_000 });
    return {
      path: drive.path,
      pid: drive.pid,
      metrics: () => client.call('metrics', {}),
      stop: () => drive[Symbol.asyncDispose](),
    };
  },
};
