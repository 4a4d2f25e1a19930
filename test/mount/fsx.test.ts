/** Random work on one file through the mount, checked byte by byte: there, after a restart, on the server, elsewhere. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MountedDrive } from '../support/mount/index.js';
import type { FsxOptions } from './fsx-run.js';
import { SKIP_MOUNT, startBench, TempDir } from './setup.js';

const RUN = new URL('./fsx-run.ts', import.meta.url);
const SEEDS = (process.env.FSX_SEEDS ?? '1,2').split(',').map(Number);
const OPERATIONS = Number(process.env.FSX_OPERATIONS ?? 400);

async function exercise(drive: MountedDrive, options: FsxOptions, initial: Uint8Array): Promise<Buffer> {
  const bytes = await drive.worker.call(RUN, 'exercise', [drive.at('file'), options, initial], 60_000);
  return Buffer.from(bytes as Uint8Array);
}

describe('random work on one file', { skip: SKIP_MOUNT }, () => {
  for (const seed of SEEDS) {
    for (const maxBytes of [200_000, 3_000_000]) {
      test(`seed ${seed}, up to ${maxBytes} bytes`, async () => {
        using temp = new TempDir('fsx');
        const mount = { cacheDir: temp.at('cache'), args: ['--upload-delay', '5ms', '--freshness', '1s'] };
        await using bench = await startBench({ ...mount, rttMs: 5 });
        const size = { operations: OPERATIONS, maxBytes };
        let bytes: Buffer = await exercise(bench.drive, { ...size, seed }, Buffer.alloc(0));
        assert.deepEqual(await bench.drive.unmount(), { code: 0, signal: null });

        await using again = await bench.secondMount(mount);
        assert.ok((await again.fs.readFile(again.at('file'))).equals(bytes), 'after a restart');
        bytes = await exercise(again, { ...size, seed: seed + 1_000 }, bytes);
        await bench.serverHas('file', bytes);
        await again.unmount();

        // A cache that holds next to nothing: what is read must come back from the server.
        const tiny = [...mount.args, '--cache-size', '64K'];
        await using evicting = await bench.secondMount({ args: tiny });
        assert.ok((await evicting.fs.readFile(evicting.at('file'))).equals(bytes), 'with an empty cache');
        bytes = await exercise(evicting, { ...size, seed: seed + 2_000 }, bytes);
        await bench.serverHas('file', bytes);
      });
    }
  }
});
