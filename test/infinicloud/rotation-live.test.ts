/** New credentials for a mount that runs: by control socket, by signal, by a change of a file; tried first, live at once. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { controlSocketPath } from '../../src/config/index.js';
import { ControlClient, ControlError } from '../../src/control/index.js';
import { waitUntil } from '../support/exec.js';
import { type InfiniCloud, startInfiniCloud } from '../support/infinicloud/index.js';
import { FsWorker, type MountedDrive, type RemoteFs } from '../support/mount/index.js';
import { assertNoSecret, basicProfile, Home, SKIP_CLOUD_MOUNT, serverHas } from './setup.js';

const COMMENT = '# the comment of a person\n';
const REMOTE_FILES = 300;
const REMOTE_BYTES = 120_000;
/** Between the server's change and the new password: a person types it. */
const TYPING_MS = 1_500;

function controlOf(drive: MountedDrive): ControlClient {
  return new ControlClient({
    socketPath: controlSocketPath(drive.runtimeDir, drive.path),
    timeoutMs: 60_000,
  });
}

function refusedWith(cloud: InfiniCloud, password: string): number {
  const wanted = `Basic ${Buffer.from(`${cloud.user}:${password}`).toString('base64')}`;
  return cloud
    .received('node')
    .filter(({ status, headers }) => status === 401 && headers.authorization === wanted).length;
}

describe('rotation', { skip: SKIP_CLOUD_MOUNT }, () => {
  test('under load: uploads and reads running, no failed read, no failed write, every file on the server', async () => {
    await using cloud = await startInfiniCloud();
    using home = new Home();
    home.writeConfig(COMMENT + basicProfile(cloud));
    const remote = randomBytes(REMOTE_BYTES);
    for (let index = 0; index < REMOTE_FILES; index += 1)
      writeFileSync(join(cloud.root, `down-${index}`), remote);
    await using drive = await home.mount();
    assert.equal((await drive.fs.readdir(drive.path)).length, REMOTE_FILES);

    const load = new Load(drive, remote);
    const running = load.run();
    await delay(1_500);
    const first = cloud.password;
    const second = cloud.renewPassword();
    cloud.acceptPassword();
    await waitUntil('the old password to be refused', () => refusedWith(cloud, first) > 0);
    await delay(TYPING_MS);
    const readBefore = load.read;
    const rotated = await controlOf(drive).call('rotate', { password: second });
    assert.deepEqual(rotated, { accepted: true, writtenTo: home.configFile });
    await delay(3_000);
    load.stop();
    await running;

    assert.deepEqual(load.errors, []);
    assert.ok(load.read > readBefore, 'reads went on after the rotation');
    assert.ok(load.written.size > 20, `${load.written.size} files were written`);
    for (const [name, content] of load.written) await serverHas(cloud, name, content);
    const config = home.readConfig();
    assert.ok(config.startsWith(COMMENT));
    assert.ok(config.includes(second));
    assert.ok(!config.includes(first));
    const { credentials, connection } = await controlOf(drive).call('status', {});
    assert.deepEqual([credentials.kind, credentials.state, connection.kind], ['basic', 'accepted', 'online']);
    assert.equal(credentials.user, cloud.user);
    assertNoSecret(drive.stdout + drive.stderr, [first, second]);
  });

  test('one that the server refuses is tried once, and everything stays as it was', async () => {
    await using cloud = await startInfiniCloud();
    using home = new Home();
    home.writeConfig(COMMENT + basicProfile(cloud));
    const before = home.readConfig();
    await using drive = await home.mount();
    await assert.rejects(controlOf(drive).call('rotate', { password: 'wrong' }), (error) => {
      assert.ok(error instanceof ControlError);
      assert.match(error.message, /does not accept this user and password/);
      return true;
    });
    assert.equal(refusedWith(cloud, 'wrong'), 1);
    assert.equal(home.readConfig(), before);
    await drive.fs.writeFile(drive.at('after'), 'after');
    await serverHas(cloud, 'after', 'after');
    assert.equal(refusedWith(cloud, 'wrong'), 1);
  });

  test('one that the server will take in a while is taken up when someone insists', async () => {
    await using cloud = await startInfiniCloud();
    using home = new Home();
    home.writeConfig(basicProfile(cloud));
    await using drive = await home.mount();
    assert.deepEqual(await drive.fs.readdir(drive.path), []);
    const second = cloud.renewPassword();
    const rotated = await controlOf(drive).call('rotate', { password: second, force: true });
    assert.equal(rotated.accepted, false);
    assert.equal(rotated.writtenTo, home.configFile);
    await drive.fs.writeFile(drive.at('later'), 'later');
    cloud.acceptPassword();
    await serverHas(cloud, 'later', 'later');
    assert.ok(home.readConfig().includes(second));
  });

  test('a password file is replaced whole and stays private; a change of it by hand is noticed', async () => {
    await using cloud = await startInfiniCloud();
    using home = new Home();
    const file = home.secretFile('the-password', cloud.password);
    home.writeConfig(
      basicProfile(cloud).replace(/^password = .*$/m, `password-file = ${JSON.stringify(file)}`),
    );
    // Nothing is asked of the server meanwhile that could be refused.
    await using drive = await home.mount('cloud', ['--freshness', '1h']);
    await waitUntil('the end of the probe', () =>
      cloud.received('node').some(({ method, status }) => method === 'DELETE' && status === 204),
    );
    const second = cloud.renewPassword();
    cloud.acceptPassword();
    const rotated = await controlOf(drive).call('rotate', { password: second });
    assert.equal(rotated.writtenTo, file);
    assert.equal(readFileSync(file, 'utf8'), `${second}\n`);
    assert.equal(statSync(file).mode & 0o777, 0o600);

    const third = cloud.renewPassword();
    cloud.acceptPassword();
    cloud.clearReceived();
    writeFileSync(file, `${third}\n`);
    await waitUntil('the new password to be used', () => cloud.received('node').length > 0);
    await drive.fs.writeFile(drive.at('third'), 'third');
    await serverHas(cloud, 'third', 'third');
    assert.equal(refusedWith(cloud, second), 0);
  });

  test('a wrong password in the file does not replace the one that works', async () => {
    await using cloud = await startInfiniCloud();
    using home = new Home();
    home.writeConfig(basicProfile(cloud));
    await using drive = await home.mount();
    home.writeConfig(basicProfile(cloud, { password: 'wrong' }));
    await waitUntil('the wrong one to be tried', () => refusedWith(cloud, 'wrong') > 0);
    await drive.fs.writeFile(drive.at('still'), 'still');
    await serverHas(cloud, 'still', 'still');
    assert.equal(refusedWith(cloud, 'wrong'), 1);
    await waitUntil('word of it', () => drive.stderr.includes('were not taken'));
  });

  test('a signal has the password command run again', async () => {
    await using cloud = await startInfiniCloud();
    using home = new Home();
    const shown = home.secretFile('shown', cloud.password);
    const config = basicProfile(cloud).replace(/^password = .*$/m, `password-command = "cat '${shown}'"`);
    home.writeConfig(config);
    await using drive = await home.mount();
    const second = cloud.renewPassword();
    cloud.acceptPassword();
    writeFileSync(shown, `${second}\n`);
    cloud.clearReceived();
    drive.kill('SIGHUP');
    await waitUntil('the new password to be tried', () => cloud.received('node').length > 0);
    await drive.fs.writeFile(drive.at('after'), 'after');
    await serverHas(cloud, 'after', 'after');
    const noted = await controlOf(drive).call('rotate', { password: second });
    assert.equal(noted.writtenTo, undefined);
    assert.match(noted.note ?? '', /where the password command gets it from/);
  });

  test('an API key is tried with the REST API', async () => {
    await using cloud = await startInfiniCloud();
    using home = new Home();
    home.writeConfig(basicProfile(cloud, { api: cloud.apiUrl, 'api-key': cloud.apiKey }));
    await using drive = await home.mount();
    await assert.rejects(controlOf(drive).call('rotate', { apiKey: '0'.repeat(32) }), ControlError);
    assert.ok(home.readConfig().includes(cloud.apiKey));
    const same = await controlOf(drive).call('rotate', { apiKey: cloud.apiKey });
    assert.equal(same.accepted, true);
  });
});

/** Programs that read what was never read, and write, all the time. */
class Load {
  readonly errors: string[] = [];
  readonly written = new Map<string, Buffer>();
  read = 0;
  readonly #drive: MountedDrive;
  readonly #remote: Buffer;
  #next = 0;
  #stopped = false;

  constructor(drive: MountedDrive, remote: Buffer) {
    this.#drive = drive;
    this.#remote = remote;
  }

  async run(): Promise<void> {
    const programs = Array.from({ length: 4 }, () => new FsWorker({ timeoutMs: 60_000 }));
    try {
      await Promise.all(
        programs.map(({ fs }, index) => (index < 2 ? this.#reads(fs) : this.#writes(fs, `${index}`))),
      );
    } finally {
      for (const program of programs) program.close();
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  async #reads(fs: RemoteFs): Promise<void> {
    while (!this.#stopped && this.#next < REMOTE_FILES) {
      const name = `down-${this.#next++}`;
      await this.#noting(`read ${name}`, async () => {
        const content = await fs.readFile(this.#drive.at(name));
        assert.ok(content.equals(this.#remote), 'wrong bytes');
        this.read += 1;
      });
      await delay(40);
    }
  }

  async #writes(fs: RemoteFs, lane: string): Promise<void> {
    for (let index = 0; !this.#stopped; index += 1) {
      const name = `up-${lane}-${index}`;
      const content = randomBytes(20_000 + index);
      await this.#noting(`write ${name}`, async () => {
        await fs.writeFile(this.#drive.at(name), content);
        this.written.set(name, content);
      });
      await delay(40);
    }
  }

  async #noting(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.errors.push(`${what}: ${String(error)}`);
    }
  }
}
