/** Another client changes the server's files while the mount is up. */

import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { describe, test } from 'node:test';
import { waitUntil } from '../support/exec.js';
import type { MountedDrive } from '../support/mount/index.js';
import { type Bench, DRAIN_TIMEOUT_MS, EVERY_WAY, SKIP_MOUNT, startBench } from './setup.js';

const FRESH = ['--freshness', '1s'];
const CONFLICT = /^file \(conflict \S.* \S+\)\.txt$/;

/** Replaces a file as a WebDAV server does: whole, with a new modified time. */
function replace(path: string, content: string): void {
  writeFileSync(`${path}.upload`, content);
  const later = Date.now() / 1000 + 5;
  utimesSync(`${path}.upload`, later, later);
  renameSync(`${path}.upload`, path);
}

function conflictCopies(bench: Bench, dir: string): string[] {
  return readdirSync(bench.onServer(dir)).filter((name) => CONFLICT.test(name));
}

async function mountSees(
  drive: MountedDrive,
  what: string,
  condition: () => Promise<boolean>,
): Promise<void> {
  await waitUntil(`the mount to show ${what} (${drive.path})`, condition, { intervalMs: 200 });
}

for (const driver of EVERY_WAY) {
  describe(`another client, driver ${driver}`, { skip: SKIP_MOUNT }, () => {
    test('both sides changed: the server’s version keeps the name, ours is kept beside it', async () => {
      await using bench = await startBench({
        driver,
        args: FRESH,
        prepare: (root) => {
          mkdirSync(`${root}/dir`);
          writeFileSync(`${root}/dir/file.txt`, 'common');
          utimesSync(`${root}/dir/file.txt`, 1_700_000_000, 1_700_000_000);
        },
      });
      const file = bench.drive.at('dir', 'file.txt');
      assert.equal(String(await bench.drive.fs.readFile(file)), 'common');
      bench.server.pause();
      await bench.drive.fs.writeFile(file, 'ours, changed here');
      replace(bench.onServer('dir', 'file.txt'), 'theirs, changed by another');
      bench.server.resume();
      await waitUntil('a conflict copy on the server', () => conflictCopies(bench, 'dir').length > 0, {
        timeoutMs: DRAIN_TIMEOUT_MS,
      });
      const [copy = '', ...others] = conflictCopies(bench, 'dir');
      assert.deepEqual(others, []);
      await bench.serverHas(`dir/${copy}`, 'ours, changed here');
      assert.equal(readFileSync(bench.onServer('dir', 'file.txt'), 'utf8'), 'theirs, changed by another');
      await mountSees(bench.drive, 'both versions', async () => {
        const names = await bench.drive.fs.readdir(bench.drive.at('dir'));
        return (
          names.includes(copy) && String(await bench.drive.fs.readFile(file)) === 'theirs, changed by another'
        );
      });
      assert.equal(String(await bench.drive.fs.readFile(bench.drive.at('dir', copy))), 'ours, changed here');
    });

    test('a new name taken by another client meanwhile: both are kept', async () => {
      await using bench = await startBench({
        driver,
        args: FRESH,
        prepare: (root) => mkdirSync(`${root}/dir`),
      });
      await bench.drive.fs.readdir(bench.drive.at('dir'));
      bench.server.pause();
      await bench.drive.fs.writeFile(bench.drive.at('dir', 'file.txt'), 'ours');
      writeFileSync(bench.onServer('dir', 'file.txt'), 'theirs, first');
      bench.server.resume();
      await waitUntil('a conflict copy on the server', () => conflictCopies(bench, 'dir').length === 1, {
        timeoutMs: DRAIN_TIMEOUT_MS,
      });
      await bench.serverHas(`dir/${conflictCopies(bench, 'dir')[0]}`, 'ours');
      assert.equal(readFileSync(bench.onServer('dir', 'file.txt'), 'utf8'), 'theirs, first');
    });

    test('changed here, removed there: what was written here survives', async () => {
      await using bench = await startBench({
        driver,
        args: FRESH,
        prepare: (root) => {
          mkdirSync(`${root}/dir`);
          writeFileSync(`${root}/dir/file.txt`, 'common');
        },
      });
      await bench.drive.fs.readFile(bench.drive.at('dir', 'file.txt'));
      bench.server.pause();
      await bench.drive.fs.writeFile(bench.drive.at('dir', 'file.txt'), 'ours');
      rmSync(bench.onServer('dir', 'file.txt'));
      bench.server.resume();
      await waitUntil(
        'what was written here to be on the server',
        () =>
          readdirSync(bench.onServer('dir')).some(
            (name) => name.startsWith('file') && readFileSync(bench.onServer('dir', name), 'utf8') === 'ours',
          ),
        { timeoutMs: DRAIN_TIMEOUT_MS },
      );
    });

    test('removed here, changed there: what was written there survives', async () => {
      await using bench = await startBench({
        driver,
        args: FRESH,
        prepare: (root) => {
          mkdirSync(`${root}/dir`);
          writeFileSync(`${root}/dir/file.txt`, 'common');
          writeFileSync(`${root}/dir/mark`, '');
        },
      });
      await bench.drive.fs.readFile(bench.drive.at('dir', 'file.txt'));
      bench.server.pause();
      await bench.drive.fs.unlink(bench.drive.at('dir', 'file.txt'));
      await bench.drive.fs.writeFile(bench.drive.at('dir', 'mark'), 'after the removal');
      replace(bench.onServer('dir', 'file.txt'), 'theirs, changed by another');
      bench.server.resume();
      await bench.serverHas('dir/mark', 'after the removal');
      await mountSees(bench.drive, 'the other client’s version', async () =>
        (await bench.drive.fs.readdir(bench.drive.at('dir'))).includes('file.txt'),
      );
      assert.equal(readFileSync(bench.onServer('dir', 'file.txt'), 'utf8'), 'theirs, changed by another');
    });

    test('a reader never sees two versions mixed', async () => {
      const lines = (version: string) => `${version} ${'x'.repeat(100)}\n`.repeat(400_000);
      await using bench = await startBench({
        driver,
        args: FRESH,
        rttMs: 20,
        rateBytesPerS: 20_000_000,
        prepare: (root) => {
          writeFileSync(`${root}/big`, lines('v1'));
          utimesSync(`${root}/big`, 1_700_000_000, 1_700_000_000);
        },
      });
      const reader = new URL('./version-reader.ts', import.meta.url);
      const { worker } = bench.drive;
      const first = await worker.call(reader, 'startReading', [bench.drive.at('big'), 300_000]);
      assert.deepEqual(first, ['v1']);
      replace(bench.onServer('big'), lines('v2').slice(0, -1_000));
      const whole = (await worker.call(reader, 'readOn', [], 60_000)) as {
        readonly versions: string[];
        readonly error: string | undefined;
      };
      assert.deepEqual(whole.versions, ['v1'], 'the open file changed its version under the reader');
      await mountSees(bench.drive, 'the new version', async () => {
        const again = await worker.call(reader, 'startReading', [bench.drive.at('big'), 300_000]);
        await worker.call(reader, 'readOn', [], 60_000);
        return Array.isArray(again) && again[0] === 'v2';
      });
    });

    test('files added, changed and removed on the server show up within the freshness time', async () => {
      await using bench = await startBench({
        driver,
        args: FRESH,
        prepare: (root) => {
          mkdirSync(`${root}/dir/old`, { recursive: true });
          for (const name of ['stays', 'changes', 'goes'])
            writeFileSync(`${root}/dir/${name}`, `first ${name}`);
        },
      });
      const { drive } = bench;
      assert.deepEqual((await drive.fs.readdir(drive.at('dir'))).sort(), ['changes', 'goes', 'old', 'stays']);
      assert.equal(String(await drive.fs.readFile(drive.at('dir', 'changes'))), 'first changes');
      writeFileSync(bench.onServer('dir', 'comes'), 'new');
      mkdirSync(bench.onServer('dir', 'newdir'));
      writeFileSync(bench.onServer('dir', 'newdir', 'inner'), 'inner');
      replace(bench.onServer('dir', 'changes'), 'second, longer');
      rmSync(bench.onServer('dir', 'goes'));
      rmSync(bench.onServer('dir', 'old'), { recursive: true });
      await mountSees(drive, 'the new list', async () => {
        const names = (await drive.fs.readdir(drive.at('dir'))).filter((name) => name !== '.DAV').sort();
        return names.join() === 'changes,comes,newdir,stays';
      });
      await mountSees(drive, 'the new content', async () => {
        return String(await drive.fs.readFile(drive.at('dir', 'changes'))) === 'second, longer';
      });
      assert.equal(String(await drive.fs.readFile(drive.at('dir', 'newdir', 'inner'))), 'inner');
      await assert.rejects(drive.fs.stat(drive.at('dir', 'goes')), { code: 'ENOENT' });
      assert.equal(existsSync(bench.onServer('dir', 'goes')), false);
    });
  });
}
