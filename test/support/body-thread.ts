/** The thread for large bodies, from source: a thread does not inherit the hooks that run TypeScript. */

import { Worker } from 'node:worker_threads';
import type { WebdavOptions } from '../../src/webdav/index.js';

type StartThread = NonNullable<WebdavOptions['startThread']>;

const MAIN = new URL('../../src/webdav/body-thread-worker.ts', import.meta.url).href;
const BOOT = `import('tsx/esm/api').then(({ register }) => { register(); return import(${JSON.stringify(MAIN)}); });`;

export const startSourceThread: StartThread = (data) => new Worker(BOOT, { eval: true, workerData: data });
