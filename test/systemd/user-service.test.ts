/** The service of one user, under that user's own manager of a real systemd: fusermount3 mounts it. */

import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { skipUnless, skipWithout, waitUntil } from '../support/exec.js';
import { INFINIMOUNT } from '../support/mount/index.js';
import { SKIP_SYSTEMD } from '../support/systemd.js';
import { ServiceBench } from './setup.js';

const FUSERMOUNT = '/usr/bin/fusermount3';
const isSetUserId = existsSync(FUSERMOUNT) && (statSync(FUSERMOUNT).mode & 0o4000) !== 0;
const SKIP =
  SKIP_SYSTEMD || skipWithout('apache2', 'setpriv') || skipUnless(isSetUserId, 'a set-user-id fusermount3');

const UID = '4711';
const RUNTIME = `/run/user/${UID}`;
const UNIT = 'infinimount-user@work.service';

/** A user `alice` with a manager, and the profile `work` in her home. */
class UserBench {
  readonly bench: ServiceBench;
  readonly #home: string;

  private constructor(bench: ServiceBench) {
    this.bench = bench;
    this.#home = join(bench.systemd.dir, 'home');
  }

  static async start(): Promise<UserBench> {
    const user = new UserBench(await ServiceBench.start());
    const { systemd, mountPoint } = user.bench;
    await systemd.sh(
      `echo "alice:x:${UID}:${UID}::$1:/bin/sh" >> /etc/passwd; echo "alice:x:${UID}:" >> /etc/group
       mkdir -p "$1" ${RUNTIME}`,
      [user.#home],
    );
    await user.bench.writeConfig(
      `${user.#home}/.config/infinimount`,
      user.bench.profile({ profile: ['upload-delay = "3s"'] }),
    );
    await systemd.sh(`chown -R alice: "$1" "$2" ${RUNTIME}; chmod 700 ${RUNTIME}`, [user.#home, mountPoint]);
    await systemd.run([
      ...['systemd-run', '--quiet', '--unit=alice', '--uid=alice', '--property=Delegate=yes'],
      ...[
        `--setenv=XDG_RUNTIME_DIR=${RUNTIME}`,
        '--setenv=SYSTEMD_LOG_TARGET=null',
        '/lib/systemd/systemd',
        '--user',
      ],
    ]);
    const isUp = async () => (await systemd.try(['test', '-S', `${RUNTIME}/systemd/private`])).code === 0;
    await waitUntil("the user's manager", isUp);
    return user;
  }

  /** Runs a program as alice does in a session of hers. */
  run(...argv: readonly string[]): Promise<string> {
    const environment = [`HOME=${this.#home}`, `XDG_RUNTIME_DIR=${RUNTIME}`, 'USER=alice'];
    return this.bench.systemd.run([
      ...[
        'setpriv',
        `--reuid=${UID}`,
        `--regid=${UID}`,
        '--clear-groups',
        '--',
        'env',
        ...environment,
        ...argv,
      ],
    ]);
  }

  sh(script: string): Promise<string> {
    return this.run('sh', '-eu', '-c', script, 'sh', this.bench.mountPoint);
  }

  async show(name: string): Promise<string> {
    return (await this.run('systemctl', '--user', 'show', UNIT, '--value', `--property=${name}`)).trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bench[Symbol.asyncDispose]();
  }
}

describe('the service of a user', { skip: SKIP }, () => {
  test('is installed, survives a kill, sends what is waiting at its stop, and is removed', async () => {
    await using user = await UserBench.start();
    const { bench } = user;
    const said = await user.run(...INFINIMOUNT, 'service', 'install', '--user', 'work', '--now');
    assert.match(said, /^Enabled infinimount-user@work\.service: it starts when you log in$/m);
    const verified = await user.run('systemd-analyze', '--user', 'verify', UNIT);
    assert.equal(verified, '');
    await user.sh('echo mine > "$1/file"');
    assert.equal(await user.show('NFileDescriptorStore'), '1');
    assert.match(await user.run(...INFINIMOUNT, 'status', '--json'), /"keeper": *"systemd"/);
    await user.run('systemctl', '--user', 'kill', '--signal=KILL', '--kill-whom=main', UNIT);
    assert.equal(await user.sh('cat "$1/file"'), 'mine\n');
    await waitUntil(
      'the next daemon',
      async () => (await user.show('NRestarts')) === '1' && (await user.show('SubState')) === 'running',
    );
    await user.sh('for i in 1 2 3; do echo $i > "$1/f$i"; done');
    await user.run('systemctl', '--user', 'stop', UNIT);
    assert.equal(await bench.isMounted(), false);
    assert.deepEqual(bench.onServer(), ['f1', 'f2', 'f3', 'file']);
    await user.run(...INFINIMOUNT, 'service', 'remove', '--user', 'work');
    assert.equal(await user.sh('find "$HOME/.config/systemd" -type f -o -type l'), '');
  });

  test('one that is given up leaves no dead mount', async () => {
    await using user = await UserBench.start();
    const { bench } = user;
    await user.run(...INFINIMOUNT, 'service', 'install', '--user', 'work', '--now');
    assert.equal(await bench.isMounted(), true);
    await waitUntil(
      'the service to be given up',
      async () => {
        if ((await user.show('MainPID')) !== '0')
          await bench.systemd.try(['kill', '-KILL', await user.show('MainPID')]);
        return (await user.show('ActiveState')) === 'failed';
      },
      { timeoutMs: 90_000, intervalMs: 300 },
    );
    await waitUntil('the mount to be released', async () => !(await bench.isMounted()));
  });
});
