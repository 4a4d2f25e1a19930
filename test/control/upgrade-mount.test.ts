/** The command `upgrade` on a real mount: an installed copy of the product that is replaced while a program works. */

import assert from 'node:assert/strict';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { EXIT_CODES } from '../../src/cli/exit-codes.js';
import { Scene, WAITING_LIMIT_MS } from '../mount/outlive-scene.js';
import { DRIVERS, SKIP_MOUNT } from '../mount/setup.js';
import { type RunResult, run, waitUntil } from '../support/exec.js';
import { INFINIMOUNT, PROJECT } from '../support/mount/index.js';
import { SurvivingMount } from '../support/mount/surviving.js';

const TIMEOUT_MS = 120_000;

/** An installation that the test may change. */
class Installed {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
    for (const name of ['bin', 'dist', 'package.json'])
      cpSync(join(PROJECT, name), join(dir, name), { recursive: true });
    symlinkSync(join(PROJECT, 'node_modules'), join(dir, 'node_modules'));
  }

  get program(): string {
    return join(this.dir, 'bin/infinimount.js');
  }

  setVersion(version: string): void {
    const path = join(this.dir, 'package.json');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), version }));
  }
}

function upgrade(scene: Scene, ...options: readonly string[]): Promise<RunResult> {
  const command = ['upgrade', scene.mountPoint, '--runtime-dir', scene.temp.at('run'), ...options];
  return run([...INFINIMOUNT, ...command], { timeoutMs: TIMEOUT_MS });
}

describe('an upgrade of a mount that runs', { skip: SKIP_MOUNT, timeout: 300_000 }, () => {
  test('the new version serves, open files go on, and a broken one changes nothing', async () => {
    await using scene = await Scene.start();
    const installed = new Installed(scene.temp.at('installed'));
    installed.setVersion('1.2.3');
    const [node = ''] = INFINIMOUNT;
    const argv = [node, installed.program, ...scene.argv().slice(INFINIMOUNT.length)];
    await using mount = await SurvivingMount.start({
      argv,
      mountPoint: scene.mountPoint,
      logFile: scene.temp.at('log'),
    });
    const [pid] = mount.daemons();
    const go = scene.temp.at('go');
    const appending = scene.sh(
      `exec 3>a; echo one >&3; : > started; while [ ! -e ${go} ]; do sleep 0.05; done; echo two >&3`,
      WAITING_LIMIT_MS,
    );
    await waitUntil('the program to have begun', async () => (await scene.sh('ls')).includes('started'));

    const bin = readFileSync(installed.program, 'utf8');
    writeFileSync(installed.program, 'throw new Error("half installed")');
    const broken = await upgrade(scene);
    assert.equal(broken.code, EXIT_CODES.refused.code, broken.stderr);
    assert.match(broken.stderr, /^infinimount: Cannot replace the program of this mount: .*does not start/);
    assert.equal(mount.takeovers, 0);
    assert.deepEqual(mount.daemons(), [pid]);

    writeFileSync(installed.program, bin);
    installed.setVersion('1.3.0');
    const done = await upgrade(scene);
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stdout, /is served by version 1\.3\.0, before by 1\.2\.3\n$/);
    const again = await upgrade(scene, '--json');
    assert.deepEqual(JSON.parse(again.stdout), { from: '1.3.0', to: '1.3.0', pid });
    assert.equal(mount.takeovers, 2);
    writeFileSync(go, '');
    await appending;
    assert.equal(await scene.sh('cat a'), 'one\ntwo\n');
    await mount.unmount();
  });

  test('without a keeper it is refused, and the mount goes on', async () => {
    await using scene = await Scene.start();
    await using mount = await scene.mount(['--no-keeper']);
    const { code, stderr } = await upgrade(scene);
    assert.equal(code, EXIT_CODES.refused.code);
    assert.match(stderr, /nobody keeps the mount while no daemon serves it/);
    assert.equal(await scene.sh('echo on > a; cat a'), 'on\n');
    await mount.unmount();
  });

  test('with libfuse it is refused, and the mount goes on', {
    skip: !DRIVERS.includes('fuse-native'),
  }, async () => {
    await using scene = await Scene.start();
    await using mount = await scene.mount(['--driver', 'fuse-native']);
    const { code, stderr } = await upgrade(scene);
    assert.equal(code, EXIT_CODES.refused.code);
    assert.match(stderr, /its driver, fuse-native, does not give the connection to the kernel away/);
    assert.equal(await scene.sh('echo on > a; cat a'), 'on\n');
    await mount.unmount();
  });
});
