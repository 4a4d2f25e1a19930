/** What the server is asked to do, and that programs do not wait for it. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { waitUntil } from '../support/exec.js';
import { type Bench, DRAIN_TIMEOUT_MS, DRIVERS, fileIs, SKIP_MOUNT, startBench } from './setup.js';

const FILES = 300;
const MIB = 1024 * 1024;

/** A file of the server's that is old enough for its tag to be strong. */
function prepareFile(path: string, content: Buffer): void {
  writeFileSync(path, content);
  utimesSync(path, 1_700_000_000, 1_700_000_000);
}

/** The changes of the server, but for those by which it is probed, as `PUT name`. */
async function changesOf(bench: Bench): Promise<string[]> {
  const entries = (await bench.writes('')).filter(({ path }) => !path.includes('.infinimount-probe'));
  return entries.map(({ method, path }) => `${method} ${path.split('/').at(-1)}`);
}

/** The line is dead while the program runs: it can only end when it does not wait for the server. */
const CREATE_FILES = `
  mkdir many
  i=0; while [ $i -lt ${FILES} ]; do echo "content of file $i" > many/file$i.txt; i=$((i + 1)); done
  test "$(ls many | wc -l)" = ${FILES}`;

for (const driver of DRIVERS) {
  describe(`requests to the server, driver ${driver}`, { skip: SKIP_MOUNT }, () => {
    test('creating 300 files ends while the server hangs, and all are there later', async () => {
      await using bench = await startBench({ driver, rttMs: 20 });
      // Looked at once, so that creating in it needs no answer of the server.
      await bench.drive.fs.readdir(bench.drive.path);
      bench.server.pause();
      await bench.drive.sh(CREATE_FILES, [], { timeoutMs: 20_000 });
      assert.deepEqual(
        readdirSync(bench.server.root).filter((name) => name === 'many'),
        [],
      );
      bench.server.resume();
      await waitUntil(
        'all 300 files to be on the server whole',
        () =>
          Array.from({ length: FILES }, (_, i) => i).every((i) =>
            fileIs(bench.onServer('many', `file${i}.txt`), `content of file ${i}\n`),
          ),
        { timeoutMs: DRAIN_TIMEOUT_MS, intervalMs: 200 },
      );
      const puts = (await bench.writes('many/')).filter(
        (entry) => entry.method === 'PUT' && (entry.status ?? 0) < 300,
      );
      assert.equal(puts.length, FILES);
    });

    test('a save by temporary file and rename is one conditional PUT', async () => {
      await using bench = await startBench({ driver });
      const { fs } = bench.drive;
      await fs.mkdir(bench.drive.at('save'));
      await fs.writeFile(bench.drive.at('save', 'doc.txt'), 'version 1');
      await bench.serverHas('save/doc.txt', 'version 1');
      // A mod_dav ETag is weak, and so no use in If-Match, while the file is younger than a second or two.
      await waitUntil('the ETag to be strong', () => strongEtag(bench.server, 'save/doc.txt'), {
        intervalMs: 250,
      });
      await bench.server.clearLog();
      await bench.drive.sh('printf "version 2" > save/.doc.txt.tmp; mv save/.doc.txt.tmp save/doc.txt');
      await bench.serverHas('save/doc.txt', 'version 2');
      await bench.drive.unmount();
      const writes = await bench.writes('save/');
      assert.deepEqual(
        writes.map((entry) => `${entry.method} ${entry.path.split('/').at(-1)} ${entry.status}`),
        ['PUT doc.txt 204'],
      );
      assert.match(writes[0]?.headers['if-match'] ?? '', /^"/);
      assert.deepEqual(
        readdirSync(bench.onServer('save')).filter((name) => name !== '.DAV'),
        ['doc.txt'],
      );
    });

    test('a save that changes nothing changes nothing on the server', async () => {
      await using bench = await startBench({
        driver,
        prepare: (root) => prepareFile(join(root, 'doc.txt'), Buffer.from('version 1')),
      });
      await bench.drive.sh('cat doc.txt > /dev/null; printf "version 1" > doc.txt');
      await bench.drive.sh('printf "version 1" > doc.tmp; mv doc.tmp doc.txt');
      await bench.drive.sh('printf new > other.txt');
      await bench.serverHas('other.txt', 'new');
      await bench.drive.unmount();
      assert.deepEqual(await changesOf(bench), ['PUT other.txt']);
    });

    // The other driver has no copy_file_range(2): programs read and write then.
    test('cp is one COPY, whether the bytes are here or not', { skip: driver !== 'kernel' }, async () => {
      const [large, small] = [randomBytes(8 * MIB), randomBytes(5_000)];
      await using bench = await startBench({
        driver,
        prepare: (root) => {
          prepareFile(join(root, 'large'), large);
          prepareFile(join(root, 'small'), small);
        },
      });
      const { drive } = bench;
      await drive.sh('mkdir new; cp large new/copy; cat small > /dev/null; cp -p small new/small');
      await waitUntil('both copies to be on the server', () =>
        [
          ['copy', large],
          ['small', small],
        ].every(([name, content]) => fileIs(bench.onServer('new', String(name)), content as Buffer)),
      );
      assert.ok((await drive.fs.readFile(drive.at('new', 'copy'))).equals(large));
      assert.ok((await drive.fs.readFile(drive.at('new', 'small'))).equals(small));
      await drive.sh('printf changed > new/copy');
      await bench.serverHas('new/copy', 'changed');
      assert.ok(fileIs(bench.onServer('large'), large));
      await drive.unmount();
      assert.deepEqual((await changesOf(bench)).filter((request) => !request.startsWith('MKCOL')).sort(), [
        'COPY large',
        'COPY small',
        'PUT copy',
      ]);
    });

    test('a new file is one PUT that cannot overwrite another client’s', async () => {
      await using bench = await startBench({ driver });
      await bench.drive.fs.mkdir(bench.drive.at('new'));
      await bench.drive.fs.writeFile(bench.drive.at('new', 'doc.txt'), 'mine');
      await bench.serverHas('new/doc.txt', 'mine');
      await bench.drive.unmount();
      const puts = (await bench.writes('new/')).filter((entry) => entry.method === 'PUT');
      assert.equal(puts.length, 1);
      assert.equal(puts[0]?.headers['if-none-match'], '*');
      assert.equal(puts[0]?.headers['content-length'], '4');
    });

    test('a file created and deleted at once is no request', async () => {
      await using bench = await startBench({ driver });
      await bench.drive.fs.mkdir(bench.drive.at('gone'));
      await bench.drive.fs.writeFile(bench.drive.at('gone', 'kept'), 'kept');
      await bench.serverHas('gone/kept', 'kept');
      await bench.server.clearLog();
      await bench.drive.sh(
        'echo x > gone/lock; rm gone/lock; mkdir gone/dir; echo y > gone/dir/f; rm -r gone/dir',
      );
      await bench.drive.fs.writeFile(bench.drive.at('gone', 'last'), 'last');
      await bench.serverHas('gone/last', 'last');
      await bench.drive.unmount();
      const named = (await bench.server.log()).filter((entry) => /gone\/(lock|dir)/.test(entry.path));
      assert.deepEqual(named, []);
    });

    test('moving a directory is one MOVE', async () => {
      await using bench = await startBench({ driver });
      await bench.drive.sh('mkdir before; for i in $(seq 30); do echo $i > before/f$i; done');
      await bench.serverHas('before/f30', '30\n');
      await waitUntil('all files to be up', () => readdirSync(bench.onServer('before')).length >= 30);
      await bench.server.clearLog();
      await bench.drive.sh('mv before after');
      await waitUntil('the move to be done', () => fileIs(bench.onServer('after', 'f30'), '30\n'));
      await bench.drive.unmount();
      const writes = (await bench.writes('before')).map((entry) => entry.method);
      assert.deepEqual(writes, ['MOVE']);
      assert.deepEqual(await bench.writes('after/'), []);
    });

    test('removing a full directory asks for less than its files', async () => {
      await using bench = await startBench({ driver });
      await bench.drive.sh('mkdir -p full/sub; for i in $(seq 30); do echo $i > full/sub/f$i; done');
      await waitUntil('all files to be up', () => fileIs(bench.onServer('full/sub/f30'), '30\n'), {
        timeoutMs: 60_000,
      });
      await bench.drive.sh('rm -r full');
      await waitUntil(
        'the server to have none of it',
        () => !readdirSync(bench.server.root).includes('full'),
        {
          timeoutMs: 60_000,
        },
      );
    });
  });
}

async function strongEtag(
  server: { readonly url: string; readonly user: string; readonly password: string },
  path: string,
): Promise<boolean> {
  const authorization = `Basic ${Buffer.from(`${server.user}:${server.password}`).toString('base64')}`;
  const response = await fetch(new URL(path, server.url), { method: 'HEAD', headers: { authorization } });
  return response.headers.get('etag')?.startsWith('"') ?? false;
}
