/**
 * The POSIX table on a local directory, which is the oracle, then on the mount. `POSIX_CASE=text` runs only the cases
 * whose name contains it; `POSIX_DIR=path` runs it on a directory of one's own too, as on another program's mount.
 */

import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { skipWithout } from '../support/exec.js';
import { FsWorker, type MountedDrive, mountInfinimount } from '../support/mount/index.js';
import { startApache } from '../support/servers/apache.js';
import type { DavServer } from '../support/servers/server.js';
import { DRIVER_DIFFERENCES, differencesOf, MOUNT_DIFFERENCES } from './posix/differences.js';
import { POSIX_TABLE } from './posix/table.js';
import { EVERY_WAY } from './setup.js';

const TABLE = new URL('./posix/table.ts', import.meta.url);
const CASE_TIMEOUT_MS = 30_000;

const filter = process.env.POSIX_CASE ?? '';
const otherDirectory = process.env.POSIX_DIR ?? '';
const cases = Object.keys(POSIX_TABLE).filter((name) => name.includes(filter));

/** One test a case; `where` is asked for the directory when the first case runs. */
function runTable(
  worker: FsWorker,
  where: () => string,
  differences: Readonly<Record<string, string>>,
): void {
  for (const [number, name] of cases.entries()) {
    test(name, async () => {
      const run = worker.call(TABLE, 'runCase', [name, where(), number], CASE_TIMEOUT_MS);
      const reason = differences[name];
      if (reason === undefined) await run;
      else
        await assert.rejects(
          run,
          `passes on the mount, so it is no difference (${reason}): take it off the list`,
        );
    });
  }
}

function runInDirectory(parent: string): void {
  const worker = new FsWorker();
  let dir = '';
  before(async () => {
    dir = join(parent, `infinimount-posix-${process.pid}`);
    await worker.fs.mkdir(dir);
  });
  after(async () => {
    await worker.fs.rm(dir, { recursive: true, force: true });
    worker.close();
  });
  runTable(worker, () => dir, {});
}

test('the table has at least 120 cases, and the differences are among them', () => {
  assert.ok(Object.keys(POSIX_TABLE).length >= 120);
  const listed = [MOUNT_DIFFERENCES, ...Object.values(DRIVER_DIFFERENCES)];
  for (const name of listed.flatMap(Object.keys)) assert.ok(name in POSIX_TABLE, name);
});

describe('POSIX table on a local directory', () => {
  runInDirectory(tmpdir());
});

describe('POSIX table on the directory of POSIX_DIR', { skip: otherDirectory === '' }, () => {
  runInDirectory(otherDirectory);
});

for (const driver of EVERY_WAY) {
  describe(`POSIX table on the mount, driver ${driver}`, { skip: skipWithout('apache2', 'setpriv') }, () => {
    const worker = new FsWorker();
    let server: DavServer | undefined;
    let drive: MountedDrive | undefined;
    before(async () => {
      server = await startApache();
      drive = await mountInfinimount({ server, driver });
    });
    after(async () => {
      worker.close();
      await drive?.[Symbol.asyncDispose]();
      await server?.stop();
    });
    runTable(worker, () => drive?.path ?? '', differencesOf(driver));
  });
}
