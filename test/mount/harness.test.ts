/** The means of the mount tests themselves: that a hang, a crash or a failed start cannot take a test with it. */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { run, runOk, waitUntil } from '../support/exec.js';
import {
  FsWorker,
  findMount,
  listMounts,
  ServedMount,
  serveMount,
  TimeLimitError,
} from '../support/mount/index.js';
import { TempDir } from './setup.js';

describe('run', () => {
  test('gives code, output and signal', async () => {
    const result = await run(['sh', '-c', 'echo out; echo err >&2; exit 3']);
    assert.deepEqual(
      [result.code, result.stdout, result.stderr, result.timedOut],
      [3, 'out\n', 'err\n', false],
    );
    await assert.rejects(runOk(['sh', '-c', 'exit 3']));
    await assert.rejects(run(['no-such-program-here']), { code: 'ENOENT' });
  });

  test('ends a program and its children at the time limit', async () => {
    const result = await run(['sh', '-c', 'sleep 1000 & echo $!; wait'], { timeoutMs: 300 });
    assert.equal(result.timedOut, true);
    const child = `/proc/${result.stdout.trim()}`;
    await waitUntil('the child to be gone', () => !existsSync(child));
  });
});

describe('FsWorker', () => {
  test('gives results and errno codes', async () => {
    using temp = new TempDir('harness');
    using worker = new FsWorker();
    await worker.fs.writeFile(temp.at('f'), 'text');
    assert.equal((await worker.fs.stat(temp.at('f'))).size, 4);
    assert.equal(String(await worker.fs.readFile(temp.at('f'))), 'text');
    await assert.rejects(worker.fs.stat(temp.at('x')), { code: 'ENOENT' });
  });

  test('an operation that hangs fails at its time limit, and the next one works', async () => {
    using temp = new TempDir('harness');
    await runOk(['mkfifo', temp.at('fifo')]);
    using worker = new FsWorker({ timeoutMs: 5_000 });
    assert.deepEqual(await worker.fs.readdir(temp.path), ['fifo']);
    // Opening a FIFO without a writer waits for ever.
    await assert.rejects(worker.fs.open(temp.at('fifo'), 'r'), TimeLimitError);
    assert.deepEqual(await worker.fs.readdir(temp.path), ['fifo']);
  });
});

describe('mounts', () => {
  test('the mount table is read', () => {
    assert.ok(findMount('/') !== undefined);
    assert.ok(listMounts().every((entry) => entry.path.startsWith('/') && Number.isInteger(entry.minor)));
    assert.equal(findMount('/no/mount/here'), undefined);
  });

  test('a program that ends before it is ready fails the start and leaves nothing', async () => {
    using temp = new TempDir('harness');
    mkdirSync(temp.at('mnt'));
    const spec = { mountPoint: temp.at('mnt'), ready: 'stdout-line' } as const;
    await assert.rejects(
      serveMount({ ...spec, argv: ['sh', '-c', 'echo sorry >&2; exit 5'] }),
      /"code":5.*sorry/s,
    );
    assert.equal(existsSync(temp.at('mnt')), false);
  });

  test('a program that never is ready, and ignores SIGTERM, is killed', async () => {
    using temp = new TempDir('harness');
    mkdirSync(temp.at('mnt'));
    const served = new ServedMount({
      argv: ['sh', '-c', 'trap "" TERM; while :; do sleep 1; done'],
      mountPoint: temp.at('mnt'),
      ready: 'stdout-line',
      readyTimeoutMs: 300,
      stopTimeoutMs: 300,
    });
    await assert.rejects(served.ready());
    await served.clear();
    assert.equal(served.exitStatus?.signal, 'SIGKILL');
  });
});
