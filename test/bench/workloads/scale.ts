/** What does not grow with what is known and cached: the start, and the cost of one operation. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FileRecord } from '../../../src/state/index.js';
import { openStores } from '../../support/scale/drive.js';
import { allFiles, fillContent } from '../../support/scale/fill.js';
import type { Workload } from '../types.js';
import { makeTree } from './fixtures.js';

const CACHED_FILES = 100_000;
const CACHED_DIRECTORIES = 400;
/** The first ones in each directory of the tree. */
const READ_DIRECTORY_FILES = CACHED_FILES / CACHED_DIRECTORIES;

/** The body of each file of `makeTree`, which holds its own number. */
function bodyOf({ local }: FileRecord): Uint8Array {
  return Buffer.from(`file ${/\d+/.exec(local?.name ?? '')?.[0]}`);
}

export const start: Workload = {
  name: 'start',
  title: 'start with 100,000 cached files in 400 directories',
  tools: ['infinimount'],
  prepare: (root) => makeTree(join(root, 'tree'), CACHED_DIRECTORIES, CACHED_FILES),
  run: async (run) => {
    await run.startAgain('with nothing', async () => undefined);
    await run.quietly({ name: 'walk', args: [run.path('tree'), CACHED_FILES] });
    await run.startAgain('with 100,000 cached files', async (cacheDir) => {
      const { state, content } = await openStores(cacheDir);
      const filled = await fillContent(state, content, allFiles(state), bodyOf);
      if (filled !== CACHED_FILES) throw new Error(`${filled} files were put into the cache`);
      await content.close();
      await state.close();
    });
    const dir = run.path('tree', 'directory1');
    await run.step('read 250 of them', { name: 'readAll', args: [dir, READ_DIRECTORY_FILES, 'file'] });
  },
};

const PROGRAM = fileURLToPath(new URL('../scale-curve.ts', import.meta.url));
const SIZES = [1_000, 10_000, 100_000, 1_000_000];

export const scale: Workload = {
  name: 'scale',
  title: 'CPU time of one operation while the tree grows, without kernel and network',
  tools: ['infinimount'],
  prepare: () => undefined,
  run: async (run) => {
    for (const nodes of SIZES) {
      const dir = mkdtempSync(join(tmpdir(), 'infinimount-bench-scale-'));
      try {
        const program = [process.execPath, '--import', 'tsx', PROGRAM];
        await run.quietly({ name: 'command', args: [[...program, 'fill', dir, String(nodes)], '/', {}] });
        const result = join(dir, 'figures.json');
        await run.quietly({ name: 'command', args: [[...program, 'measure', dir, result], '/', {}] });
        run.note(`${nodes.toLocaleString('en')} nodes`, JSON.parse(readFileSync(result, 'utf8')));
      } finally {
        rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
      }
    }
  },
};
