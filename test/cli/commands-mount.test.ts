/** The commands against a real mount of a real server: what they say holds, and what they do happens. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { EXIT_CODES } from '../../src/cli/exit-codes.js';
import { queue as queueSchema, status as statusSchema } from '../../src/control/schema.js';
import { SKIP_MOUNT, startBench, TempDir } from '../mount/setup.js';
import { type RunResult, run, waitUntil } from '../support/exec.js';
import { findMount, forceUnmount, INFINIMOUNT } from '../support/mount/index.js';
import { startApache } from '../support/servers/apache.js';

const MIB = 1024 * 1024;

test('status, queue, pause, flush, pin, evict, refresh, unmount', { skip: SKIP_MOUNT }, async () => {
  using temp = new TempDir('commands');
  const runtimeDir = temp.at('run');
  await using bench = await startBench({
    args: ['--runtime-dir', runtimeDir],
    rttMs: 5,
    prepare: (root) => {
      writeFileSync(join(root, 'far.bin'), Buffer.alloc(3 * MIB, 'f'));
    },
  });
  const { drive } = bench;
  const command = (...args: string[]): Promise<RunResult> =>
    run([...INFINIMOUNT, ...args, '--runtime-dir', runtimeDir], {
      env: { NO_COLOR: '1' },
      timeoutMs: 30_000,
    });
  const good = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await command(...args);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  const status = async () => statusSchema.parse(JSON.parse(await good('status', '--json')));

  assert.match(await good('status'), / {2}Connection {4}online\n/);
  const verbose = await good('status', drive.path, '--verbose');
  assert.match(verbose, / {2}Driver {8}kernel, protocol 7\.\d+\n/);
  assert.equal((await status()).mountPoint, drive.path);

  // While nothing is sent, the queue says what waits, and flush why it does.
  await good('pause');
  await drive.fs.writeFile(drive.at('new file.txt'), 'hello');
  await waitUntil('the change to be in the queue', async () => (await status()).queue.pending > 0);
  const waiting = queueSchema.parse(JSON.parse(await good('queue', '--json')));
  assert.deepEqual(
    waiting.items.map(({ path }) => path),
    ['/new file.txt'],
  );
  assert.match(await good('queue'), /^\/new file\.txt +upload +paused/m);
  const inVain = await command('flush', '--timeout', '1s');
  assert.match(inVain.stderr, /uploads are paused.* infinimount resume\n$/);
  assert.equal(inVain.code, EXIT_CODES.unfinished.code);
  assert.equal(existsSync(bench.onServer('new file.txt')), false);
  await good('resume');
  assert.equal(await good('flush'), 'infinimount: everything is on the server\n');
  assert.equal(readFileSync(bench.onServer('new file.txt'), 'utf8'), 'hello');

  // The server stalls: what waits is told with its reason, and is bounded.
  bench.proxy?.setHeld(true);
  await drive.fs.writeFile(drive.at('stalled.txt'), 'x');
  await waitUntil('the change to be in the queue', async () => (await status()).queue.pending > 0);
  assert.equal((await command('flush', '--timeout', '500ms')).code, EXIT_CODES.unfinished.code);
  bench.proxy?.setHeld(false);
  await good('flush');

  // Pinning fetches; evicting frees, and spares what is pinned.
  assert.match(await good('pin', drive.at('far.bin')), /\/far\.bin stays on this machine: 1 file, 3 MiB/);
  assert.match(await good('pins'), /^\/far\.bin +1 +3 MiB +100 %$/m);
  await good('evict');
  assert.ok((await status()).cache.cleanBytes >= 3 * MIB, 'a pinned file stays');
  await good('unpin', drive.at('far.bin'));
  assert.match(await good('evict', drive.at('far.bin')), /3 MiB freed/);
  assert.equal(await good('conflicts'), 'There are no conflicts.\n');
  assert.match(await good('cache', 'stats'), /^Copies of files /);
  assert.match(await good('cache', 'verify'), /Nothing is wrong with the cache/);

  writeFileSync(bench.onServer('from elsewhere'), 'y');
  await good('refresh', drive.path);
  assert.ok((await drive.fs.readdir(drive.path)).includes('from elsewhere'));
  const missing = await command('pin', drive.at('nothing', 'here'));
  assert.notEqual(missing.code, 0);
  assert.match(missing.stderr, /^infinimount: [^\n]+\n$/);

  assert.equal(await good('log-level', 'debug'), 'debug\n');
  assert.equal(await good('log-level'), 'debug\n');

  // Everything is on the server before it goes.
  await drive.fs.writeFile(drive.at('last.txt'), 'last');
  assert.equal(await good('unmount', drive.path), `infinimount: unmounted ${drive.path}\n`);
  assert.equal(readFileSync(bench.onServer('last.txt'), 'utf8'), 'last');
  assert.equal(findMount(drive.path), undefined);
  assert.equal((await command('status')).code, EXIT_CODES.noMount.code);
});

test('a mount whose daemon hangs is told of, and taken away', { skip: SKIP_MOUNT }, async () => {
  using temp = new TempDir('hung');
  const runtimeDir = temp.at('run');
  await using bench = await startBench({ args: ['--runtime-dir', runtimeDir] });
  const { drive } = bench;
  const command = (...args: string[]) =>
    run([...INFINIMOUNT, ...args, '--runtime-dir', runtimeDir], { timeoutMs: 30_000 });
  drive.kill('SIGSTOP');
  try {
    for (const args of [
      ['status', drive.path],
      ['pin', drive.at('any', 'file')],
    ]) {
      const { code, timedOut } = await command(...args);
      assert.deepEqual([code, timedOut], [EXIT_CODES.notAnswering.code, false], args.join(' '));
    }
    const { code, stderr } = await command('unmount', '--lazy', drive.path);
    assert.match(stderr, /its daemon does not answer; taking the mount away without it\n/);
    assert.equal(code, 0, stderr);
    assert.equal(findMount(drive.path), undefined);
  } finally {
    drive.kill('SIGCONT');
  }
});

test('mount --background comes back when the mount is ready, or has failed', {
  skip: SKIP_MOUNT,
}, async () => {
  using temp = new TempDir('background');
  const server = await startApache();
  const [mountPoint, cache, runtimeDir, log] = ['mnt', 'cache', 'run', 'log/mount.log'].map((name) =>
    temp.at(name),
  );
  assert.ok(mountPoint !== undefined && cache !== undefined && runtimeDir !== undefined && log !== undefined);
  writeFileSync(temp.at('pw'), `${server.password}\n`, { mode: 0o600 });
  const mount = (...more: string[]) =>
    run(
      [
        ...INFINIMOUNT,
        ...['mount', server.url, mountPoint, '--background', '--user', server.user],
        ...['--password-file', temp.at('pw'), '--cache-dir', cache, '--runtime-dir', runtimeDir],
        ...['--log-file', log, '--log-level', 'debug', ...more],
      ],
      { timeoutMs: 30_000 },
    );
  try {
    const failed = await mount();
    assert.match(failed.stderr, /^infinimount: Cannot mount on [^\n]+\n$/);
    assert.deepEqual([failed.stdout, failed.code], ['', EXIT_CODES.mountPoint.code]);

    await run(['mkdir', mountPoint]);
    const ready = await mount();
    assert.equal(ready.stdout, `infinimount: mounted ${server.url} on ${mountPoint}\n`);
    assert.match(
      ready.stderr,
      new RegExp(`in the background, process \\d+; its log is ".*${basename(log)}"`),
    );
    assert.equal(ready.code, 0);
    assert.notEqual(findMount(mountPoint), undefined);
    assert.match(readFileSync(log, 'utf8'), /^infinimount: mounted /m);
    assert.match(readFileSync(log, 'utf8'), /"level":"debug"/);
    const unmounted = await run([...INFINIMOUNT, 'unmount', '--runtime-dir', runtimeDir]);
    assert.equal(unmounted.code, 0, unmounted.stderr);
    assert.equal(findMount(mountPoint), undefined);
  } finally {
    await forceUnmount(mountPoint);
    await server.stop();
  }
});
