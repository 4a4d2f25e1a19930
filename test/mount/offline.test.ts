/** A mount where there is no network at all: in an empty network namespace, from what an earlier mount left. */

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { run, runOk, skipWithout } from '../support/exec.js';
import { INFINIMOUNT, mountInfinimount } from '../support/mount/index.js';
import { DRIVERS, SKIP_MOUNT, startBench, TempDir } from './setup.js';

/** unshare(1) becomes the daemon; its mount is ours to see, its network is a loopback device that is down. */
const NO_NETWORK = ['unshare', '--net', '--'];

const SKIP = SKIP_MOUNT === false ? skipWithout('unshare') : SKIP_MOUNT;

for (const driver of DRIVERS) {
  describe(`no network, driver ${driver}`, { skip: SKIP }, () => {
    test('what is here is served, what is not fails soon, what is changed goes up later', async () => {
      using temp = new TempDir('offline');
      const cacheDir = temp.at('cache');
      mkdirSync(cacheDir, { mode: 0o700 });
      await using bench = await startBench({
        driver,
        cacheDir,
        prepare: (root) => {
          mkdirSync(`${root}/dir`);
          writeFileSync(`${root}/dir/seen`, 'was read');
          writeFileSync(`${root}/dir/unseen`, 'was not read');
        },
      });
      const { fs, at } = { fs: bench.drive.fs, at: (path: string) => bench.drive.at(path) };
      assert.equal((await fs.readFile(at('dir/seen'))).toString(), 'was read');
      await fs.readdir(at('dir'));
      assert.deepEqual(await bench.drive.unmount(), { code: 0, signal: null });

      const offline = await mountInfinimount({ server: bench.server, driver, cacheDir, prefix: NO_NETWORK });
      try {
        assert.deepEqual([...(await offline.fs.readdir(offline.at('dir')))].sort(), ['seen', 'unseen']);
        assert.equal((await offline.fs.readFile(offline.at('dir/seen'))).toString(), 'was read');
        // The worker's own time limit would be another error.
        await assert.rejects(offline.fs.readFile(offline.at('dir/unseen')), (error: NodeJS.ErrnoException) =>
          ['EIO', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'EAGAIN'].includes(String(error.code)),
        );
        await offline.fs.mkdir(offline.at('new'));
        await offline.fs.writeFile(offline.at('new/file'), 'written without a network');
        await offline.fs.rename(offline.at('dir/seen'), offline.at('new/moved'));
        const status = await runOk([...INFINIMOUNT, 'status', '--json', '--runtime-dir', offline.runtimeDir]);
        assert.equal(JSON.parse(status).connection.kind, 'offline');
        const flush = await run([
          ...INFINIMOUNT,
          ...['flush', '--timeout', '1s', '--runtime-dir', offline.runtimeDir],
        ]);
        assert.notEqual(flush.code, 0);
        assert.deepEqual(await offline.unmount(), { code: 0, signal: null });
      } finally {
        await offline[Symbol.asyncDispose]();
      }

      await using again = await mountInfinimount({ server: bench.server, driver, cacheDir });
      await bench.serverHas('new/file', 'written without a network');
      await bench.serverHas('new/moved', 'was read');
      assert.equal((await again.fs.readFile(again.at('dir/unseen'))).toString(), 'was not read');
      assert.throws(() => readFileSync(bench.onServer('dir/seen')), { code: 'ENOENT' });
    });
  });
}
