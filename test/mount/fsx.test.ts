/** Random work on one file through the mount, checked byte by byte: there, after a restart, on the server, elsewhere. */

import assert from 'node:assert/strict';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { waitUntil } from '../support/exec.js';
import { type MountedDrive, mountInfinimount } from '../support/mount/index.js';
import type { FsxOptions } from './fsx-run.js';
import { pattern } from './posix/context.js';
import { EVERY_WAY, SKIP_MOUNT, startBench, TempDir, throughPort } from './setup.js';

const RUN = new URL('./fsx-run.ts', import.meta.url);
const SEEDS = (process.env.FSX_SEEDS ?? '1,2').split(',').map(Number);
const OPERATIONS = Number(process.env.FSX_OPERATIONS ?? 400);

async function exercise(drive: MountedDrive, options: FsxOptions, initial: Uint8Array): Promise<Buffer> {
  const bytes = await drive.worker.call(RUN, 'exercise', [drive.at('file'), options, initial], 60_000);
  return Buffer.from(bytes as Uint8Array);
}

for (const driver of EVERY_WAY) {
  describe(`random work on one file, driver ${driver}`, { skip: SKIP_MOUNT }, () => {
    const fallocates = driver !== 'fuse-native';
    for (const seed of driver === 'kernel' ? SEEDS : SEEDS.slice(0, 1)) {
      for (const maxBytes of [200_000, 3_000_000]) {
        test(`seed ${seed}, up to ${maxBytes} bytes`, async () => {
          using temp = new TempDir('fsx');
          const mount = { cacheDir: temp.at('cache'), args: ['--upload-delay', '5ms', '--freshness', '1s'] };
          await using bench = await startBench({ ...mount, driver, rttMs: 5 });
          const size = { operations: OPERATIONS, maxBytes, fallocates };
          let bytes: Buffer = await exercise(bench.drive, { ...size, seed }, Buffer.alloc(0));
          assert.deepEqual(await bench.drive.unmount(), { code: 0, signal: null });

          const { proxy, server } = bench;
          assert.ok(proxy);
          const target = { ...server, url: throughPort(server.url, proxy.port) };
          await using again = await mountInfinimount({ ...mount, driver, server: target });
          assert.ok((await again.fs.readFile(again.at('file'))).equals(bytes), 'after a restart');
          bytes = await exercise(again, { ...size, seed: seed + 1_000 }, bytes);
          await bench.serverHas('file', bytes);
          await again.unmount();

          await using elsewhere = await bench.secondMount({ args: mount.args });
          assert.ok((await elsewhere.fs.readFile(elsewhere.at('file'))).equals(bytes), 'with an empty cache');
          bytes = await exercise(elsewhere, { ...size, seed: seed + 2_000 }, bytes);
          await bench.serverHas('file', bytes);
        });
      }
    }

    test('files that are evicted between two looks come back as they were', async () => {
      const files = 24;
      const content = (index: number) => pattern(1_500_000, index + 1);
      await using bench = await startBench({
        driver,
        args: ['--cache-size', '16M', '--upload-delay', '5ms'],
        prepare: (root) => {
          for (let i = 0; i < files; i++) writeFileSync(`${root}/f${i}`, content(i));
        },
      });
      let bytes: Buffer = Buffer.alloc(0);
      for (let round = 0; round < 4; round++) {
        bytes = await exercise(
          bench.drive,
          { seed: round, operations: 60, maxBytes: 2_000_000, fallocates },
          bytes,
        );
        for (let i = 0; i < files; i++) {
          const path = bench.drive.at(`f${i}`);
          assert.ok((await bench.drive.fs.readFile(path)).equals(content(i)), `f${i} in round ${round}`);
        }
        assert.ok((await bench.drive.fs.readFile(bench.drive.at('file'))).equals(bytes));
        await waitUntil(
          'the cache to be within its size',
          () => usedBytes(bench.drive.cacheDir) < 20_000_000,
        );
      }
      await bench.serverHas('file', bytes);
    });
  });
}

/** Disk space below a directory. */
function usedBytes(dir: string): number {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce(
      (sum, entry) =>
        sum + (statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.blocks ?? 0) * 512,
      0,
    );
}
