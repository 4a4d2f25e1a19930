/** How long a request waits that needs nothing but the daemon, while the daemon has much to do. */

import { join } from 'node:path';
import type { Workload } from '../types.js';
import { MIB, makeFiles, makeLarge } from './fixtures.js';

export const latency: Workload = {
  name: 'latency',
  title: 'attributes asked for while 256 MiB come down and 5,000 entries are listed',
  prepare: (root) => {
    makeLarge(join(root, 'large'), 256 * MIB);
    makeFiles(join(root, 'flat'), 5_000, 10);
    makeFiles(join(root, 'one'), 1, 10);
  },
  run: async (run) => {
    const known = run.path('one', 'file0.bin');
    await run.quietly({ name: 'statOnce', args: [known] });
    await run.step('idle', { name: 'statWhile', args: [known, ['sleep', '1']] });
    const busy = 'cat "$1" > /dev/null & ls -l "$2" > /dev/null; wait';
    const argv = ['sh', '-c', busy, 'sh', run.path('large'), run.path('flat')];
    await run.step('busy', { name: 'statWhile', args: [known, argv] });
  },
};
