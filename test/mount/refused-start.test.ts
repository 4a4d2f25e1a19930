/** A mount whose credentials the server refuses from the start: what is in the cache is served, and all else comes later. */

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { EXIT_CODES } from '../../src/cli/exit-codes.js';
import { run, waitUntil } from '../support/exec.js';
import { INFINIMOUNT, type MountedDrive, mountInfinimount } from '../support/mount/index.js';
import { DRIVERS, SKIP_MOUNT, startBench, TempDir } from './setup.js';

const COMMAND_MS = 60_000;

async function statusOf({ path, runtimeDir }: MountedDrive) {
  const words = ['status', path, '--json', '--runtime-dir', runtimeDir];
  const { stdout } = await run([...INFINIMOUNT, ...words], { timeoutMs: COMMAND_MS });
  return JSON.parse(stdout);
}

for (const driver of DRIVERS) {
  describe(`credentials that are refused at the start, driver ${driver}`, {
    skip: SKIP_MOUNT,
    timeout: 300_000,
  }, () => {
    test('what is here is served, changes are held, and all goes on by itself with the new password', async () => {
      using temp = new TempDir('refused');
      const cacheDir = temp.at('cache');
      mkdirSync(cacheDir, { mode: 0o700 });
      await using bench = await startBench({
        driver,
        cacheDir,
        prepare: (root) => {
          writeFileSync(`${root}/seen`, 'was read');
          writeFileSync(`${root}/unseen`, 'was not read');
        },
      });
      const { server } = bench;
      assert.equal(String(await bench.drive.fs.readFile(bench.drive.at('seen'))), 'was read');
      assert.deepEqual(await bench.drive.unmount(), { code: 0, signal: null });

      const wrong = { ...server, password: `not ${server.password}` };
      const log = temp.at('log');
      await using drive = await mountInfinimount({
        server: wrong,
        driver,
        cacheDir,
        args: ['--log-file', log],
      });
      // It comes by another pipe than the word that the mount is ready.
      await waitUntil('the warning', () => drive.stderr.includes('\n'));
      assert.match(
        drive.stderr,
        /The server refuses the credentials: mounted with what is in the cache[^\n]*\n/,
      );
      assert.equal(drive.stderr.trim().split('\n').length, 1);
      assert.deepEqual([...(await drive.fs.readdir(drive.path))].sort(), ['seen', 'unseen']);
      assert.equal(String(await drive.fs.readFile(drive.at('seen'))), 'was read');
      await assert.rejects(drive.fs.readFile(drive.at('unseen')), { code: 'EACCES' });
      await drive.fs.writeFile(drive.at('new'), 'written meanwhile');
      const held = await statusOf(drive);
      assert.equal(held.connection.kind, 'unauthorized');
      assert.equal(held.credentials.state, 'refused');
      assert.equal(held.queue.pending, 1);

      const rotate = await run(
        [...INFINIMOUNT, 'rotate', drive.path, '--password-stdin', '--runtime-dir', drive.runtimeDir],
        { input: `${server.password}\n`, timeoutMs: COMMAND_MS },
      );
      assert.equal(rotate.code, 0, rotate.stderr);
      await bench.serverHas('new', 'written meanwhile');
      assert.equal(String(await drive.fs.readFile(drive.at('unseen'))), 'was not read');
      await waitUntil('all to be well', async () => {
        const { connection, credentials } = await statusOf(drive);
        return connection.kind === 'online' && credentials.state === 'accepted';
      });
    });

    test('where nothing is known of the server, a wrong password ends the mount', async () => {
      await using bench = await startBench({ driver });
      const wrong = { ...bench.server, password: 'mistyped' };
      using temp = new TempDir('refused');
      for (const attempt of ['first', 'second']) {
        const mountPoint = temp.at(`mnt-${attempt}`);
        mkdirSync(mountPoint);
        writeFileSync(temp.at('password'), wrong.password, { mode: 0o600 });
        const { code, stderr } = await run(
          [
            ...[...INFINIMOUNT, 'mount', wrong.url, mountPoint, '--user', wrong.user],
            ...['--password-file', temp.at('password'), '--cache-dir', temp.at('cache')],
            ...['--runtime-dir', temp.at('run'), '--driver', driver],
          ],
          { timeoutMs: COMMAND_MS },
        );
        assert.equal(code, EXIT_CODES.denied.code, `${attempt}: ${stderr}`);
        assert.match(stderr, /does not accept this user and password/);
      }
    });
  });
}
