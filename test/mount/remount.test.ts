/** Options of a mount changed while programs use it, by the control socket. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { controlSocketPath } from '../../src/config/index.js';
import { ControlClient, ControlError } from '../../src/control/index.js';
import { waitUntil } from '../support/exec.js';
import { type MountedDrive, mountInfinimount } from '../support/mount/index.js';
import { startApache } from '../support/servers/apache.js';
import { SKIP_MOUNT, startBench, TempDir } from './setup.js';

const READ_AT = new URL('./read-at.ts', import.meta.url).href;
const MIB = 1024 * 1024;

function controlOf(drive: MountedDrive): ControlClient {
  return new ControlClient({
    socketPath: controlSocketPath(drive.runtimeDir, drive.path),
    timeoutMs: 60_000,
  });
}

describe('remount', { skip: SKIP_MOUNT }, () => {
  test('read-only and back: the mount refuses, what waits still goes up, and then it writes again', async () => {
    await using bench = await startBench({ args: ['--upload-delay', '3s'] });
    const { drive } = bench;
    await drive.fs.writeFile(drive.at('pending'), 'pending');
    const answer = await controlOf(drive).call('remount', { options: { 'read-only': 'true' } });
    assert.deepEqual(answer.changed, [{ option: 'read-only', from: 'false', to: 'true' }]);
    await assert.rejects(drive.fs.writeFile(drive.at('refused'), 'x'), { code: 'EROFS' });
    await assert.rejects(drive.fs.unlink(drive.at('pending')), { code: 'EROFS' });
    await bench.serverHas('pending', 'pending');
    assert.equal((await controlOf(drive).call('status', {})).readOnly, true);
    if (process.getuid?.() === 0) assert.match(flagsOf(drive), /\bro\b/);

    await controlOf(drive).call('remount', { options: { 'read-only': 'false' } });
    await drive.fs.writeFile(drive.at('again'), 'again');
    await bench.serverHas('again', 'again');
  });

  test('the node has moved: an open file is read on, writes go to the new address, the cache stays', async () => {
    const whole = randomBytes(24 * MIB);
    using shared = new TempDir('shared');
    chmodSync(shared.path, 0o777);
    await using server = await startApache({ root: shared.path });
    writeFileSync(join(server.root, 'large'), whole);
    writeFileSync(join(server.root, 'other'), 'other');
    using cache = new TempDir('moved');
    await using drive = await mountInfinimount({
      server,
      cacheDir: cache.at('cache'),
      args: ['--freshness', '1s'],
    });
    await drive.fs.readdir(drive.path);
    const file = await drive.fs.open(drive.at('large'), 'r');
    assert.ok((await readAt(drive, file, 0, MIB)).equals(whole.subarray(0, MIB)));

    await using moved = await startApache({ root: server.root });
    const answer = await controlOf(drive).call('remount', { options: { url: moved.url } });
    assert.deepEqual(answer.changed, [{ option: 'url', from: server.url, to: moved.url }]);
    await server.stop();
    for (let at = 0; at < whole.length; at += MIB) {
      assert.ok((await readAt(drive, file, at, MIB)).equals(whole.subarray(at, at + MIB)), `at ${at}`);
    }
    await drive.fs.close(file);
    await drive.fs.writeFile(drive.at('after'), 'after');
    await waitUntil('the new address to have it', () => existsSync(join(moved.root, 'after')));
    const status = await controlOf(drive).call('status', {});
    assert.equal(status.url, moved.url);
    assert.equal(status.connection.kind, 'online');
    const identity = JSON.parse(readFileSync(join(drive.cacheDir, 'cache.json'), 'utf8'));
    assert.equal(identity.url, moved.url);

    // The next mount of the new address takes the cache.
    await drive.unmount();
    await using next = await mountInfinimount({ server: moved, cacheDir: drive.cacheDir });
    assert.equal(String(await next.fs.readFile(next.at('after'))), 'after');
  });

  test('another folder is not taken for the one that is mounted', async () => {
    await using bench = await startBench({
      prepare: (root) => {
        for (const name of ['a', 'b', 'c', 'd']) writeFileSync(join(root, name), name);
      },
    });
    const { drive } = bench;
    assert.equal((await drive.fs.readdir(drive.path)).length, 4);
    await using other = await startApache();
    await assert.rejects(
      controlOf(drive).call('remount', { options: { url: other.url } }),
      (error) => error instanceof ControlError && /0 of 4 entries/.test(error.message),
    );
    assert.equal(String(await drive.fs.readFile(drive.at('a'))), 'a');
  });

  test('a server that does not answer, or options that are no good, change nothing', async () => {
    await using bench = await startBench();
    const control = controlOf(bench.drive);
    const before = await control.call('status', {});
    for (const options of [
      { url: 'http://127.0.0.1:1/dav/', 'log-level': 'debug' },
      { 'cache-size': 'much', 'log-level': 'debug' },
      { 'cache-sise': '1G' },
    ]) {
      await assert.rejects(control.call('remount', { options }), ControlError);
    }
    assert.equal((await control.call('status', {})).url, before.url);
    assert.ok(!bench.drive.stderr.includes('"level":"debug"'));
  });

  test('a smaller cache makes room at once; the log tells more at once', async () => {
    const size = 8 * MIB;
    await using bench = await startBench({
      prepare: (root) => {
        for (let index = 0; index < 6; index += 1) writeFileSync(join(root, `f${index}`), randomBytes(size));
      },
    });
    const { drive } = bench;
    const control = controlOf(drive);
    for (let index = 0; index < 6; index += 1) await drive.fs.readFile(drive.at(`f${index}`));
    assert.ok((await control.call('status', {})).cache.cleanBytes >= 6 * size);
    const answer = await control.call('remount', { options: { 'cache-size': '16M', 'log-level': 'debug' } });
    assert.deepEqual(
      answer.changed.map(({ option }) => option),
      ['cache-size', 'log-level'],
    );
    await waitUntil('the cache to be small', async () => {
      const { cache } = await control.call('status', {});
      return cache.cleanBytes <= 16 * MIB && cache.limitBytes === 16 * MIB;
    });
    await drive.fs.writeFile(drive.at('new'), 'new');
    await bench.serverHas('new', 'new');
    await waitUntil('more to be told', () => drive.stderr.includes('"level":"debug"'));
  });

  test('a new kernel mount takes the place of the old one, and what was open is told of', async () => {
    await using bench = await startBench();
    const { drive } = bench;
    await drive.fs.writeFile(drive.at('file'), 'content');
    const open = await drive.fs.open(drive.at('file'), 'r+');
    await drive.fs.write(open, 'CONTENT', 0);
    const before = flagsOf(drive);
    const answer = await controlOf(drive).call('remount', { reestablish: true });
    assert.match(answer.note ?? '', /One file or directory that was open fails/);
    assert.notEqual(flagsOf(drive), before, 'another mount');
    // The old descriptor is dead, and the drive is not. A write may still be taken by the kernel, and reaches nobody.
    await drive.fs.write(open, 'x', 0).catch(() => undefined);
    await assert.rejects(drive.fs.fsync(open));
    await drive.fs.close(open).catch(() => undefined);
    assert.equal(String(await drive.fs.readFile(drive.at('file'))), 'CONTENT');
    await bench.serverHas('file', 'CONTENT');
    await drive.fs.writeFile(drive.at('more'), 'more');
    await bench.serverHas('more', 'more');
    await delay(100);
    assert.equal((await controlOf(drive).call('status', {})).connection.kind, 'online');
  });
});

/** The line of the mount table. */
function flagsOf(drive: MountedDrive): string {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.findLast((line) => line.split(' ')[4] === drive.path) ?? '';
}

async function readAt(drive: MountedDrive, file: number, at: number, bytes: number): Promise<Buffer> {
  const read = await drive.worker.call(READ_AT, 'readAt', [file, bytes, at]);
  assert.ok(read instanceof Uint8Array);
  return Buffer.from(read);
}
