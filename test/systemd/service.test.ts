/** The service of the machine, as `service install` puts it in place, under a real systemd. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { skipWithout, waitUntil } from '../support/exec.js';
import { INFINIMOUNT } from '../support/mount/index.js';
import { SKIP_SYSTEMD } from '../support/systemd.js';
import { ServiceBench, UNIT } from './setup.js';

const SKIP = SKIP_SYSTEMD || skipWithout('apache2', 'systemd-analyze');

/** What `systemd-analyze security` may give the unit at most, of 10; the README tells the figure. */
const MAX_EXPOSURE = 4.1;

describe('the service of the machine', { skip: SKIP }, () => {
  test('is installed, started, reloaded, stopped and removed', async () => {
    await using bench = await ServiceBench.start();
    const { systemd } = bench;
    const said = await bench.infinimount('service', 'install', 'work', '--now');
    assert.match(said, /^Checked the profile "work"/);
    assert.match(said, /^Wrote \/etc\/systemd\/system\/infinimount@\.service$/m);
    assert.match(said, /^Enabled infinimount@work\.service: it starts with the machine$/m);
    assert.match(said, /^Started infinimount@work\.service$/m);

    await bench.sh('echo hello > "$1/file"; test "$(cat "$1/file")" = hello');
    await bench.serverHas('file', 'hello\n');
    await systemd.waitFor(UNIT, 'StatusText', /on \/.*\/mnt; everything is on the server$/);
    const { MainPID, ...before } = await systemd.show(
      UNIT,
      'ActiveState',
      'MainPID',
      'NFileDescriptorStore',
      'NRestarts',
    );
    assert.deepEqual(before, { ActiveState: 'active', NFileDescriptorStore: '1', NRestarts: '0' });

    assert.match(await bench.infinimount('status', '--json'), /"keeper": *"systemd"/);

    await systemd.run(['systemctl', 'reload', UNIT]);
    await systemd.waitFor(UNIT, 'SubState', 'running');
    assert.deepEqual(await systemd.show(UNIT, 'MainPID'), { MainPID });

    await systemd.run(['systemctl', 'stop', UNIT]);
    const after = await systemd.show(UNIT, 'ActiveState', 'Result', 'NFileDescriptorStore');
    assert.deepEqual(after, { ActiveState: 'inactive', Result: 'success', NFileDescriptorStore: '0' });
    assert.equal(await bench.isMounted(), false);

    const removed = await bench.infinimount('service', 'remove', 'work');
    assert.match(removed, /^Removed \/etc\/systemd\/system\/infinimount@\.service$/m);
    assert.equal(await systemd.sh('find /etc/systemd/system -type f -o -type l'), '');
  });

  test('the units are in order, and as closed as a mount can be', async () => {
    await using bench = await ServiceBench.start();
    const { systemd } = bench;
    await bench.infinimount('service', 'install', 'work');
    await bench.infinimount('service', 'install', '--user', 'work', '--print');
    const units = [UNIT, 'infinimount-release@work.service'];
    const verified = await systemd.try(['systemd-analyze', 'verify', ...units]);
    assert.deepEqual([verified.code, verified.stdout, verified.stderr], [0, '', '']);
    const judged = await systemd.run(['systemd-analyze', 'security', '--no-pager', UNIT]);
    const exposure = Number(/Overall exposure level .*: ([0-9.]+)/.exec(judged)?.[1]);
    assert.ok(exposure <= MAX_EXPOSURE, `exposure ${exposure}`);
  });

  test('a stop sends what is waiting, with the mount gone already', async () => {
    // Nothing is due before the stop.
    await using bench = await ServiceBench.start({ profile: ['upload-delay = "4s"'] });
    const { systemd } = bench;
    await bench.infinimount('service', 'install', 'work', '--now');
    await bench.sh('for i in $(seq 60); do echo $i > "$1/f$i"; done');
    const stopped = systemd.run(['systemctl', 'stop', UNIT]);
    await systemd.waitFor(UNIT, 'StatusText', /^Unmounted; sending 60 changes/);
    assert.equal(await bench.isMounted(), false);
    await stopped;
    assert.equal(bench.onServer().length, 60);
    assert.equal((await systemd.show(UNIT, 'Result')).Result, 'success');
  });

  test('a stop does not wait for a server that takes nothing; what is left goes up at the next start', async () => {
    await using bench = await ServiceBench.start();
    const { systemd, server } = bench;
    await bench.infinimount('service', 'install', 'work', '--now');
    await bench.sh('ls "$1"');
    server.pause();
    await bench.sh('echo kept > "$1/kept"');
    await systemd.run(['systemctl', 'stop', UNIT]);
    const after = await systemd.show(UNIT, 'Result', 'StatusText');
    assert.deepEqual(after, {
      Result: 'success',
      StatusText: 'Stopped; 1 change left in the cache for the next start',
    });
    server.resume();
    await systemd.run(['systemctl', 'start', UNIT]);
    await bench.serverHas('kept', 'kept\n');
  });

  test('a program with an open file does not notice that the daemon is killed', async () => {
    await using bench = await ServiceBench.start();
    const { systemd } = bench;
    await bench.infinimount('service', 'install', 'work', '--now');
    const go = join(systemd.dir, 'go');
    const program = bench.sh(`
      exec 3>"$1/log"; echo one >&3; touch "$2/ready"
      until [ -e "$2/go" ]; do sleep 0.05; done
      echo two >&3; exec 3>&-; cat "$1/log"; ls "$1"`);
    await waitUntil(
      'the program to have the file open',
      async () => (await systemd.try(['test', '-e', join(systemd.dir, 'ready')])).code === 0,
    );
    const { MainPID: before } = await systemd.show(UNIT, 'MainPID');
    await systemd.run(['systemctl', 'kill', '--signal=KILL', '--kill-whom=main', UNIT]);
    writeFileSync(go, '');
    assert.equal(await program, 'one\ntwo\nlog\n');
    await systemd.waitFor(UNIT, 'SubState', 'running');
    const after = await systemd.show(UNIT, 'MainPID', 'NRestarts', 'NFileDescriptorStore');
    assert.notEqual(after.MainPID, before);
    assert.deepEqual([after.NRestarts, after.NFileDescriptorStore], ['1', '1']);
    await bench.serverHas('log', 'one\ntwo\n');
  });

  test('one that dies again and again is given up, and its mount released', async () => {
    await using bench = await ServiceBench.start();
    const { systemd } = bench;
    await bench.infinimount('service', 'install', 'work', '--now');
    assert.equal(await bench.isMounted(), true);
    await waitUntil(
      'the service to be given up',
      async () => {
        const { ActiveState, MainPID } = await systemd.show(UNIT, 'ActiveState', 'MainPID');
        if (MainPID !== '0')
          await systemd.try(['systemctl', 'kill', '--signal=KILL', '--kill-whom=main', UNIT]);
        return ActiveState === 'failed';
      },
      { timeoutMs: 90_000, intervalMs: 200 },
    );
    await waitUntil('the mount to be released', async () => !(await bench.isMounted()));
    // Programs see an empty directory, not an error of a dead mount; and a start by hand mounts again.
    assert.equal(await bench.sh('ls "$1"'), '');
    await systemd.run(['systemctl', 'reset-failed', UNIT]);
    await systemd.run(['systemctl', 'start', UNIT]);
    assert.equal(await bench.isMounted(), true);
  });

  test('a process that hangs is found by the watchdog, and replaced', async () => {
    await using bench = await ServiceBench.start();
    const { systemd } = bench;
    await systemd.sh(
      'mkdir -p /etc/systemd/system/infinimount@.service.d; printf "[Service]\\nWatchdogSec=2s\\n" > /etc/systemd/system/infinimount@.service.d/watchdog.conf',
    );
    await bench.infinimount('service', 'install', 'work', '--now');
    // One that answers is left alone for longer than the interval.
    await delay(3_000);
    assert.equal((await systemd.show(UNIT, 'NRestarts')).NRestarts, '0');
    await systemd.run(['systemctl', 'kill', '--signal=STOP', '--kill-whom=main', UNIT]);
    await systemd.waitFor(UNIT, 'NRestarts', '1', 60_000);
    await systemd.waitFor(UNIT, 'SubState', 'running');
    await bench.sh('echo again > "$1/again"');
  });

  test('the password can be a credential of the manager', async () => {
    await using bench = await ServiceBench.start({ password: 'password-credential = "password"' });
    const { systemd, server } = bench;
    await systemd.sh('umask 077; cat > /etc/infinimount/work.password', [], {
      input: `${server.password}\n`,
    });
    await systemd.sh(
      'mkdir -p "/etc/systemd/system/$1.d"; printf "[Service]\\nLoadCredential=password:/etc/infinimount/%%i.password\\n" > "/etc/systemd/system/$1.d/password.conf"',
      [UNIT],
    );
    await bench.infinimount('service', 'install', 'work', '--now');
    await bench.sh('echo credential > "$1/file"');
    await bench.serverHas('file', 'credential\n');
    // A drop-in of one's own stays.
    await bench.infinimount('service', 'remove', 'work');
    assert.match(await systemd.sh('ls /etc/systemd/system/*/'), /password\.conf/);
  });

  test('runs as an ordinary user with the one capability that mounting needs', async () => {
    await using bench = await ServiceBench.start();
    const { systemd } = bench;
    const home = join(systemd.dir, 'home');
    await systemd.sh(
      'echo "alice:x:4711:4711::$1:/bin/sh" >> /etc/passwd; echo "alice:x:4711:" >> /etc/group; mkdir "$1"',
      [home],
    );
    await bench.writeConfig(`${home}/.config/infinimount`, bench.profile());
    await systemd.sh('chown -R alice: "$1" "$2"', [home, bench.mountPoint]);
    await bench.infinimount('service', 'install', 'work', '--run-as', 'alice', '--now');
    const asAlice = (script: string) =>
      systemd.run([
        'setpriv',
        '--reuid=4711',
        '--regid=4711',
        '--clear-groups',
        'sh',
        '-eu',
        '-c',
        script,
        'sh',
        bench.mountPoint,
      ]);
    await asAlice('echo mine > "$1/file"; test "$(stat -c %u "$1/file")" = 4711');
    await bench.serverHas('file', 'mine\n');
    const { MainPID } = await systemd.show(UNIT, 'MainPID');
    const status = await systemd.run(['cat', `/proc/${MainPID}/status`]);
    assert.match(status, /^Uid:\t4711\t4711\t4711\t4711$/m);
    // CAP_SYS_ADMIN is bit 21.
    assert.match(status, /^CapEff:\t0000000000200000$/m);
    await systemd.run(['systemctl', 'kill', '--signal=KILL', '--kill-whom=main', UNIT]);
    await systemd.waitFor(UNIT, 'NRestarts', '1');
    assert.equal(await asAlice('cat "$1/file"'), 'mine\n');
    // Her own commands find it.
    const shown = await asAlice(`HOME=${home} exec ${INFINIMOUNT.join(' ')} status --json`);
    assert.match(shown, /"keeper": *"systemd"/);
    const judged = await systemd.run(['systemd-analyze', 'security', '--no-pager', UNIT]);
    assert.ok(Number(/Overall exposure level .*: ([0-9.]+)/.exec(judged)?.[1]) <= MAX_EXPOSURE, judged);
    await bench.infinimount('service', 'remove', 'work');
    assert.equal(await systemd.sh('find /etc/systemd/system -type f -o -type l'), '');
  });

  test('a unit with a mount namespace of its own mounts for nobody, and says so', async () => {
    await using bench = await ServiceBench.start();
    const { systemd } = bench;
    await systemd.sh(
      'mkdir -p "/etc/systemd/system/$1.d"; printf "[Service]\\nPrivateMounts=yes\\n" > "/etc/systemd/system/$1.d/private.conf"',
      [UNIT],
    );
    await bench.infinimount('service', 'install', 'work', '--now');
    assert.match(systemd.output, /nobody but this service will see the mount/);
    assert.equal(await bench.isMounted(), false);
  });

  test('a profile that is not in order is not installed', async () => {
    await using bench = await ServiceBench.start({ profile: ['cache-sise = "1G"'] });
    const refused = await bench.systemd.try([...INFINIMOUNT, 'service', 'install', 'work']);
    assert.equal(refused.code, 78, refused.stderr);
    assert.match(refused.stderr, /cache-sise/);
    assert.equal(await bench.systemd.sh('find /etc/systemd/system -type f -o -type l'), '');
  });
});
