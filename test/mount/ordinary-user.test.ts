/** The mount made by an ordinary user, through fusermount3. */

import assert from 'node:assert/strict';
import { chmodSync, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { run, sh, skipUnless } from '../support/exec.js';
import { PROJECT, programIn, type UserIds } from '../support/mount/index.js';
import { SurvivingMount } from '../support/mount/surviving.js';
import { DRIVERS, diffTrees, SKIP_MOUNT, startBench, TempDir } from './setup.js';

const DEVICE = '/dev/fuse';
const FUSERMOUNT = ['/usr/bin/fusermount3', '/bin/fusermount3'];

/**
 * udev's mode of the device is 0666. In a container it may be closed to all but root, who may then open it for the
 * time of the test.
 */
class OpenDevice {
  readonly #mode = statSync(DEVICE).mode & 0o777;

  constructor() {
    if ((this.#mode & 0o006) !== 0o006) chmodSync(DEVICE, 0o666);
  }

  [Symbol.dispose](): void {
    if ((this.#mode & 0o006) !== 0o006) chmodSync(DEVICE, this.#mode);
  }
}

/** `nobody` of Debian: has no home, no groups and no rights. */
const NOBODY: UserIds = { uid: 65_534, gid: 65_534 };

/** The project where `nobody` reaches it, whoever may look into the folders above it. */
class ReachableProject implements AsyncDisposable {
  readonly path: string;
  readonly #temp: TempDir | undefined;

  private constructor(path: string, temp?: TempDir) {
    this.path = path;
    this.#temp = temp;
  }

  static async make(): Promise<ReachableProject> {
    const { code } = await run(['test', '-r', join(PROJECT, 'package.json')], NOBODY);
    if (code === 0) return new ReachableProject(PROJECT);
    const temp = new TempDir('project');
    await sh('mkdir "$2"; chmod a+rx "$2/.."; mount -o bind,ro "$1" "$2"', [PROJECT, temp.at('project')]);
    return new ReachableProject(temp.at('project'), temp);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#temp === undefined) return;
    await sh('umount "$1"', [this.#temp.at('project')]);
    this.#temp[Symbol.dispose]();
  }
}

function canMountAsUser(): boolean {
  if (process.getuid?.() !== 0 || !existsSync(DEVICE)) return false;
  return FUSERMOUNT.some((path) => existsSync(path) && (statSync(path).mode & 0o4000) !== 0);
}

const SKIP =
  SKIP_MOUNT || skipUnless(canMountAsUser(), 'root to change from, /dev/fuse, and a set-user-id fusermount3');

describe('an ordinary user', { skip: SKIP }, () => {
  let reachable: ReachableProject | undefined;
  before(async () => {
    reachable = await ReachableProject.make();
    const started = await run([...programIn(reachable.path), '--version'], {
      ...NOBODY,
      env: { HOME: '/tmp' },
    });
    assert.equal(started.code, 0, started.stderr);
  });
  after(() => reachable?.[Symbol.asyncDispose]());
  const asNobody = () => {
    assert.ok(reachable !== undefined);
    return { asUser: NOBODY, project: reachable.path, env: { HOME: '/tmp' } };
  };

  for (const driver of DRIVERS) {
    test(`mounts, works, and unmounts, driver ${driver}`, async () => {
      using _device = new OpenDevice();
      using temp = new TempDir('user');
      await sh('mkdir "$1"; cd "$1"; for i in $(seq 50); do seq $i > f$i; done; chmod -R a+rX ..', [
        temp.at('source'),
      ]);
      await using bench = await startBench({ driver, ...asNobody() });
      const { drive } = bench;
      await drive.sh('cp -r "$1" copy; diff -r "$1" copy; mv copy/f1 copy/renamed', [temp.at('source')]);
      const stat = await drive.fs.stat(drive.at('copy', 'f2'));
      assert.deepEqual([stat.uid, stat.gid], [NOBODY.uid, NOBODY.gid]);
      // Written in small pieces through the kernel's writeback cache, and read by another handle before the close.
      await drive.sh(
        'exec 3>pieces; for i in $(seq 500); do echo $i >&3; done; test "$(wc -l < pieces)" = 500',
      );
      await bench.serverHas('pieces', Array.from({ length: 500 }, (_, i) => `${i + 1}\n`).join(''));
      await sh('mv "$1/f1" "$1/renamed"', [temp.at('source')]);
      await bench.serverEquals(temp.at('source'), 'copy');
      assert.equal(await diffTrees(temp.at('source'), bench.onServer('copy')), '');
      assert.deepEqual(await drive.unmount(), { code: 0, signal: null });
    });
  }

  test('keeps a mount whose daemon is killed, and the next daemon unmounts it', async () => {
    using _device = new OpenDevice();
    await using bench = await startBench(asNobody());
    const { drive } = bench;
    await using mount = SurvivingMount.of(drive.path);
    await drive.sh('echo one > a');
    const writing = drive.sh('exec 3>>a; sleep 1; echo two >&3; cat a');
    await mount.killDaemon();
    assert.equal(await writing, 'one\ntwo\n');
    assert.equal(mount.daemons().length, 1);
    await bench.serverHas('a', 'one\ntwo\n');
    await mount.unmount();
  });
});
