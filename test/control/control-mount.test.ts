/** The control socket of a real mount, by its own client and by curl, in peace and under attack. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { ControlError, ROUTE_NAMES, routeOf } from '../../src/control/index.js';
import { METRICS } from '../../src/observe/index.js';
import { type Bench, DRAIN_TIMEOUT_MS, SKIP_MOUNT, startBench } from '../mount/setup.js';
import { runOk, skipWithout, waitUntil } from '../support/exec.js';
import { RawConnection } from '../unit/control/parts.js';
import { clientOf, EventLog, socketOf } from './setup.js';

const SKIP = SKIP_MOUNT || skipWithout('curl', 'setpriv');

describe('the control socket of a mount', { skip: SKIP, timeout: 300_000 }, () => {
  let bench: Bench;
  before(async () => {
    bench = await startBench();
  });
  after(() => bench?.[Symbol.asyncDispose]());

  const curl = (...args: readonly string[]) =>
    runOk(['curl', '-sS', '--unix-socket', socketOf(bench.drive), ...args]);

  test('status tells what is mounted, and how it is', async () => {
    const status = await clientOf(bench.drive).call('status', {});
    assert.equal(status.pid, bench.drive.pid);
    assert.equal(status.mountPoint, bench.drive.path);
    assert.equal(status.cacheDir, bench.drive.cacheDir);
    assert.equal(status.url, bench.server.url);
    assert.equal(status.driver, 'kernel');
    assert.deepEqual(status.connection, { kind: 'online' });
    assert.equal(status.credentials.kind, 'basic');
    assert.equal(status.credentials.state, 'accepted');
    assert.match(status.kernel.protocol, /^7\.\d+$/);
    assert.ok(status.kernel.features.includes('PARALLEL_DIROPS'));
    assert.equal(status.takeovers, 0);
    assert.deepEqual(JSON.parse(await curl('http://localhost/v1/status')).mountPoint, bench.drive.path);
  });

  test('every route that only reads answers by curl', async () => {
    for (const name of ROUTE_NAMES) {
      const { method, path, kind } = routeOf(name);
      if (method !== 'GET' || kind === 'stream') continue;
      const text = await curl('--fail', `http://localhost${path}`);
      if (kind === 'json') assert.equal(typeof JSON.parse(text), 'object', name);
    }
  });

  test('pause, a write, the queue, resume, flush: each says what is so', async () => {
    const { drive, server } = bench;
    const client = clientOf(drive);
    await using log = new EventLog(client);
    await waitUntil('the first event', () => log.events.length === 1);
    assert.deepEqual(await client.call('pause', {}), { paused: true });
    await drive.fs.writeFile(drive.at('paused'), 'content');
    await drive.fs.mkdir(drive.at('folder'));
    await waitUntil('the queue', async () => (await client.call('status', {})).queue.pending === 2);
    const queue = await client.call('queue', {});
    assert.deepEqual(queue.items.map(({ path, operation, state }) => [path, operation, state]).sort(), [
      ['/folder', 'create-directory', 'paused'],
      ['/paused', 'upload', 'paused'],
    ]);
    assert.equal((await client.call('queue', { limit: 1 })).truncated, true);
    assert.ok(!existsSync(bench.onServer('paused')));
    await assert.rejects(
      client.call('flush', {}),
      (error) =>
        error instanceof ControlError && error.problem?.code === 'paused' && error.problem.status === 409,
    );
    assert.deepEqual(await client.call('resume', {}), { paused: false });
    assert.deepEqual(await client.call('flush', {}), { pending: 0 });
    await bench.serverHas('paused', 'content');
    // It comes over another connection than the answer.
    await waitUntil('the event', () =>
      log.events.some((event) => event.type === 'uploaded' && event.path === '/paused' && event.bytes === 7),
    );
    assert.deepEqual(
      log.events.flatMap((event) => (event.type === 'status' ? [event.status.paused] : [])),
      [false, true, false],
    );
    server.pause();
    try {
      await drive.fs.writeFile(drive.at('late'), 'content');
      assert.deepEqual(await client.call('flush', { timeoutMs: 300 }), { pending: 1 });
    } finally {
      server.resume();
    }
    assert.deepEqual(await client.call('flush', {}), { pending: 0 });
  });

  test('refresh, pin, evict, cache, verify', async () => {
    const { drive } = bench;
    const client = clientOf(drive);
    await drive.fs.writeFile(drive.at('kept'), randomBytes(100_000).toString('hex'));
    await client.call('flush', {});
    assert.deepEqual(await client.call('refresh', { path: '/' }), { directories: 1 });
    const pin = await client.call('pin', { path: '/kept' });
    assert.deepEqual(pin, { path: '/kept', files: 1, bytes: 200_000, presentBytes: 200_000 });
    assert.deepEqual((await client.call('pins', {})).pins, [pin]);
    await assert.rejects(
      client.call('evict', { path: '/kept' }),
      (error) => error instanceof ControlError && error.problem?.code === 'pinned',
    );
    assert.deepEqual(await client.call('unpin', { path: '/kept' }), {});
    await waitUntil('the file to be free', async () => {
      const { freedBytes } = await client.call('evict', { path: '/kept' });
      return freedBytes >= 200_000;
    });
    const cache = await client.call('cache', {});
    assert.ok(cache.freeDiskBytes > 0);
    assert.ok(cache.limitBytes > 0);
    // The count leaves the latest seconds out.
    await waitUntil('nodes', async () => (await client.call('cache', {})).nodes >= 2);
    const report = await client.call('verify', {});
    assert.deepEqual(report.damaged, []);
    for (const [name, path] of [
      ['pin', '/missing'],
      ['refresh', '/kept'],
      ['resolve', '/kept'],
    ] as const) {
      const failing =
        name === 'resolve'
          ? client.call('resolve', { copy: path, keep: 'both' })
          : client.call(name, { path });
      await assert.rejects(
        failing,
        (error) => error instanceof ControlError && [404, 422].includes(error.problem?.status ?? 0),
      );
    }
  });

  test('the log level changes while it runs', async () => {
    const { drive } = bench;
    const client = clientOf(drive);
    assert.deepEqual(await client.call('logLevel', {}), { level: 'info' });
    assert.ok(!drive.stderr.includes('"level":"debug"'));
    assert.deepEqual(await client.call('setLogLevel', { level: 'trace' }), { level: 'trace' });
    await client.call('pins', {});
    await waitUntil('debug lines', () => /"level":"debug".*"route":"pins"/.test(drive.stderr));
    assert.deepEqual(await client.call('setLogLevel', { level: 'info' }), { level: 'info' });
  });

  test('metrics: every name is there, and counts', async () => {
    const { drive } = bench;
    const body = randomBytes(50_000);
    await drive.fs.writeFile(drive.at('counted'), body.toString('hex'));
    await drive.sh('ls -l . >/dev/null; mkdir -p full/x; rmdir full 2>/dev/null || true');
    const client = clientOf(drive);
    await client.call('flush', {});
    const headers = await curl('-i', 'http://localhost/metrics');
    assert.match(headers, /content-type: text\/plain; version=0\.0\.4; charset=utf-8/);
    const text = await client.call('metrics', {});
    for (const { name, kind, help } of Object.values(METRICS)) {
      assert.ok(text.includes(`# HELP ${name} ${help}`), name);
      assert.ok(text.includes(`# TYPE ${name} ${kind}`), name);
    }
    const value = (line: RegExp) => Number(text.match(line)?.[1] ?? Number.NaN);
    assert.ok(value(/^infinimount_fuse_requests_total\{operation="lookup",errno="ok"\} (\d+)$/m) > 0);
    assert.ok(value(/^infinimount_fuse_requests_total\{operation="rmdir",errno="ENOTEMPTY"\} (\d+)$/m) > 0);
    const count = value(/^infinimount_fuse_request_seconds_count\{operation="lookup"\} (\d+)$/m);
    assert.equal(
      count,
      value(/^infinimount_fuse_request_seconds_bucket\{operation="lookup",le="\+Inf"\} (\d+)$/m),
    );
    assert.ok(value(/^infinimount_sent_bytes_total (\d+)$/m) >= 100_000);
    assert.ok(value(/^infinimount_uploads_total (\d+)$/m) >= 1);
    assert.ok(value(/^infinimount_http_requests_total\{method="PUT",outcome="20[14]"\} (\d+)$/m) >= 1);
    assert.equal(value(/^infinimount_connection\{state="online"\} (\d+)$/m), 1);
    assert.equal(value(/^infinimount_queue_changes\{state="pending"\} (\d+)$/m), 0);
    assert.ok(value(/^process_resident_memory_bytes (\d+)$/m) > 0);
    assert.ok(/^nodejs_eventloop_lag_seconds /m.test(text));
  });

  test('programs notice nothing of an attack on the socket', async () => {
    const { drive } = bench;
    const path = socketOf(drive);
    const stop = new AbortController();
    const attacks: Promise<void>[] = [];
    const garbage: readonly (() => string | Buffer)[] = [
      () => randomBytes(2000),
      () => 'GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(20),
      () =>
        `POST /v1/rotate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 999999999\r\n\r\n${'{'.repeat(200_000)}`,
      () =>
        `POST /v1/pin HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n20000\r\n${'x'.repeat(0x20000)}\r\n20000\r\n${'x'.repeat(0x20000)}`,
      () => `GET /${'y'.repeat(60_000)} HTTP/1.1\r\n\r\n`,
      () => 'POST /v1/pause HTT',
    ];
    for (let attacker = 0; attacker < 20; attacker++) {
      attacks.push(
        (async () => {
          for (let round = 0; !stop.signal.aborted; round++) {
            const connection = new RawConnection(path);
            const bytes = garbage[(attacker + round) % garbage.length]?.() ?? '';
            connection.socket.write(bytes);
            // Some wait for their answer, some close one side, some all.
            if (round % 3 === 0) connection.socket.end();
            else await new Promise((resolve) => setTimeout(resolve, 5));
            connection.socket.destroy();
          }
        })(),
      );
    }
    try {
      const client = clientOf(drive);
      const content = 'x'.repeat(200_000);
      for (let round = 0; round < 20; round++) {
        await drive.fs.writeFile(drive.at(`attacked-${round}`), content);
        assert.equal(String(await drive.fs.readFile(drive.at(`attacked-${round}`))), content);
        await drive.fs.readdir(drive.path);
      }
      // A person still gets through.
      assert.equal((await client.call('status', {})).paused, false);
      assert.deepEqual(await client.call('pause', {}), { paused: true });
      assert.deepEqual(await client.call('resume', {}), { paused: false });
    } finally {
      stop.abort();
      await Promise.all(attacks);
    }
    await waitUntil('everything on the server', async () => {
      const { pending } = await clientOf(drive).call('flush', { timeoutMs: DRAIN_TIMEOUT_MS });
      return pending === 0;
    });
    assert.ok(!/unexpectedly|"level":"error"/.test(drive.stderr), drive.stderr.slice(-2000));
  });
});

describe('the end of a mount by its socket', { skip: SKIP, timeout: 300_000 }, () => {
  test('waits for the queue, refuses while programs use it, and leaves nothing', async () => {
    await using bench = await startBench();
    const { drive, server } = bench;
    const client = clientOf(drive);
    await drive.fs.writeFile(drive.at('sent'), 'content');
    server.pause();
    await drive.fs.writeFile(drive.at('unsent'), 'content');
    await assert.rejects(
      client.call('unmount', { timeoutMs: 200 }),
      (error) => error instanceof ControlError && error.problem?.code === 'unfinished',
    );
    server.resume();
    const using = drive.sh('exec 3<sent; touch ready; sleep 2');
    await waitUntil('a program to use it', () => drive.fs.exists(drive.at('ready')));
    await assert.rejects(
      client.call('unmount', {}),
      (error) => error instanceof ControlError && error.problem?.code === 'mount-busy',
    );
    assert.equal(String(await drive.fs.readFile(drive.at('sent'))), 'content');
    await using;
    drive.worker.close();
    assert.deepEqual(await client.call('unmount', {}), { pending: 0 });
    assert.deepEqual(await drive.unmount(), { code: 0, signal: null });
    await bench.serverHas('unsent', 'content');
    assert.deepEqual(readdirSync(drive.runtimeDir), []);
  });

  test('a daemon after one that was killed takes the socket over', async () => {
    await using bench = await startBench();
    const { drive } = bench;
    const client = clientOf(drive);
    const before = await client.call('status', {});
    drive.kill('SIGKILL');
    await waitUntil(
      'the next daemon',
      async () => {
        try {
          return (await client.call('status', {})).pid !== before.pid;
        } catch (error) {
          if (error instanceof ControlError && ['no-daemon', 'disconnected'].includes(error.code))
            return false;
          throw error;
        }
      },
      { timeoutMs: 30_000 },
    );
    const after = await client.call('status', {});
    assert.equal(after.takeovers, 1);
    assert.equal(after.mountPoint, before.mountPoint);
    assert.equal(after.keeper, 'process');
    assert.deepEqual(await client.call('unmount', { lazy: true }), { pending: 0 });
    await waitUntil('the socket to be gone', () => readdirSync(drive.runtimeDir).length === 0);
  });
});
