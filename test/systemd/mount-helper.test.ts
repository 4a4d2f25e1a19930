/** `mount -t infinimount` and /etc/fstab, with the real mount(8) and a real systemd. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { skipWithout, waitUntil } from '../support/exec.js';
import { INFINIMOUNT } from '../support/mount/index.js';
import { SKIP_SYSTEMD } from '../support/systemd.js';
import { ServiceBench } from './setup.js';

const SKIP = SKIP_SYSTEMD || skipWithout('apache2');

/** Beside the program's other script. */
const HELPER = join(INFINIMOUNT[1] ?? '', '../mount.infinimount');

async function start(): Promise<ServiceBench> {
  const bench = await ServiceBench.start();
  await bench.systemd.sh('ln -s "$1" /sbin/mount.infinimount', [HELPER]);
  return bench;
}

/** The processes of mounts, where the units run. */
async function daemons(bench: ServiceBench): Promise<string> {
  return (await bench.systemd.try(['pgrep', '-f', 'infinimount.js mount'])).stdout.trim();
}

describe('mount -t infinimount', { skip: SKIP }, () => {
  test('mounts a profile, and umount ends it', async () => {
    await using bench = await start();
    const { systemd, mountPoint } = bench;
    await systemd.run([
      'mount',
      '-t',
      'infinimount',
      'work',
      mountPoint,
      '-o',
      'noexec,nofail,x-mine=1,upload-delay=0',
    ]);
    await bench.sh('echo fstab > "$1/file"');
    await bench.serverHas('file', 'fstab\n');
    const options = (await systemd.run(['cat', '/proc/self/mountinfo']))
      .split('\n')
      .find((line) => line.includes(mountPoint));
    assert.match(options ?? '', /rw,nosuid,nodev,noexec/);
    await systemd.run(['umount', mountPoint]);
    await waitUntil('the daemon to end', async () => (await daemons(bench)) === '');
  });

  test('mounts a URL read-only with a password file', async () => {
    await using bench = await start();
    const { systemd, mountPoint, server } = bench;
    writeFileSync(join(server.root, 'there'), 'on the server\n');
    await systemd.sh('umask 077; cat > /etc/secret', [], { input: `${server.password}\n` });
    const options = `ro,user=${server.user},password-file=/etc/secret,allow_other`;
    await systemd.run(['mount', '-t', 'infinimount', server.url, mountPoint, '-o', options]);
    assert.equal(await bench.sh('cat "$1/there"'), 'on the server\n');
    assert.equal((await systemd.try(['touch', join(mountPoint, 'file')])).code, 1);
    await systemd.run(['umount', mountPoint]);
  });

  test('ends as mount(8) wants it', async () => {
    await using bench = await start();
    const { systemd, mountPoint } = bench;
    const mount = (...words: readonly string[]) => systemd.try(['mount', '-t', 'infinimount', ...words]);
    const unknown = await mount('work', mountPoint, '-o', 'cache-sise=1G');
    assert.deepEqual(
      [unknown.code, unknown.stderr.trim()],
      [
        1,
        'infinimount: Cannot use the mount option "cache-sise": there is no such option. Did you mean cache-size?',
      ],
    );
    assert.equal((await mount('nobody', mountPoint)).code, 1);
    assert.equal((await mount('work', join(mountPoint, 'missing'))).code, 32);
    assert.equal((await mount('-f', 'work', mountPoint)).code, 0);
    assert.equal(await bench.isMounted(), false);
  });

  test('a line of fstab is a unit: mounted by the first access, unmounted by systemctl', async () => {
    await using bench = await start();
    const { systemd, mountPoint } = bench;
    const line = `work ${mountPoint} infinimount noauto,_netdev,x-systemd.automount,drain-timeout=1m,upload-delay=4s 0 0\n`;
    writeFileSync(join(systemd.dir, 'fstab'), line);
    await systemd.run(['systemctl', 'daemon-reload']);
    const unit = (await systemd.run(['systemd-escape', '--path', '--suffix=mount', mountPoint])).trim();
    const automount = unit.replace(/mount$/, 'automount');
    await systemd.run(['systemctl', 'start', automount]);
    assert.equal((await systemd.show(unit, 'ActiveState')).ActiveState, 'inactive');
    await bench.sh('echo automatic > "$1/file"');
    const shown = await systemd.show(unit, 'ActiveState', 'What');
    assert.deepEqual(shown, { ActiveState: 'active', What: bench.server.url });
    await systemd.run(['systemctl', 'stop', automount, unit]);
    assert.equal(await bench.isMounted(), false);
    // The change was not due yet: the end of the mount sent it.
    await bench.serverHas('file', 'automatic\n');
    await waitUntil('the daemon to end', async () => (await daemons(bench)) === '');
  });
});
