/** Several processes change names at random; the mount answers as a local directory does, and the server ends alike. */

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { run, waitUntil } from '../support/exec.js';
import { FsWorker } from '../support/mount/index.js';
import { DRAIN_TIMEOUT_MS, DRIVERS, diffTrees, SKIP_MOUNT, startBench, TempDir } from './setup.js';

const RUN = new URL('./namespace-run.ts', import.meta.url);
const SEEDS = (process.env.NAMESPACE_SEEDS ?? '1,2').split(',').map(Number);
const OPERATIONS = Number(process.env.NAMESPACE_OPERATIONS ?? 500);
const PROCESSES = 3;

/** What `diff -r` says of a local tree and the server's, where symbolic links are files. */
async function diffWithServer(local: string, server: string): Promise<string> {
  const command = ['diff', '-r', '-q', '-x', '.DAV', '-x', 'link-*', local, server];
  return (await run(command, { timeoutMs: 60_000 })).stdout;
}

for (const driver of DRIVERS) {
  describe(`random changes of names, driver ${driver}`, { skip: SKIP_MOUNT }, () => {
    for (const seed of driver === 'kernel' ? SEEDS : SEEDS.slice(0, 1)) {
      test(`seed ${seed}`, async () => {
        using temp = new TempDir('names');
        await using bench = await startBench({ driver, rttMs: 20, args: ['--upload-delay', '5ms'] });
        const workers = Array.from({ length: PROCESSES }, () => new FsWorker());
        try {
          await Promise.all(
            workers.map(async (worker, index) => {
              const name = `process ${index}`;
              mkdirSync(temp.at(name));
              await bench.drive.fs.mkdir(bench.drive.at(name));
              const args = [
                bench.drive.at(name),
                temp.at(name),
                seed * 100 + index,
                OPERATIONS,
                driver === 'kernel',
              ];
              await worker.call(RUN, 'wander', args, 50_000);
            }),
          );
        } finally {
          for (const worker of workers) worker.close();
        }
        assert.equal(await diffTrees(temp.path, bench.drive.path), '', 'the mount');
        let difference = '';
        const isEqual = async () => {
          difference = await diffWithServer(temp.path, bench.server.root);
          return difference === '';
        };
        await waitUntil('the server to have it all', isEqual, {
          timeoutMs: DRAIN_TIMEOUT_MS,
          intervalMs: 300,
        }).catch((error: unknown) =>
          assert.fail(`${error}\n${difference}\n${bench.drive.stderr.slice(-3_000)}`),
        );
        await using second = await bench.secondMount();
        assert.equal(await diffTrees(temp.path, second.path), '', 'a second mount');
      });
    }
  });
}
