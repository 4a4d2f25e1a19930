/** The apps password is renewed on the server while uploads are pending, and the new one gets into the configuration. */

import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '../support/exec.js';
import { type InfiniCloud, startInfiniCloud } from '../support/infinicloud/index.js';
import type { MountedDrive } from '../support/mount/index.js';
import {
  assertCredentialsStayHome,
  assertNoSecret,
  basicProfile,
  byKey,
  Home,
  SKIP_CLOUD_MOUNT,
  serverHas,
} from './setup.js';

/** How long requests are counted while the server refuses the password. */
const WATCH_MS = 20_000;
const FILES = Array.from({ length: 30 }, (_, index) => `pending-${index}`);

describe('the password is renewed while uploads are pending', { skip: SKIP_CLOUD_MOUNT }, () => {
  const ways: readonly {
    readonly name: string;
    readonly renew: (home: Home, cloud: InfiniCloud) => Promise<void> | void;
  }[] = [
    {
      name: 'an editor puts the new one into the configuration file',
      renew: (home, cloud) => home.writeConfig(basicProfile(cloud)),
    },
    {
      name: 'login is run again',
      renew: async (home, cloud) => {
        cloud.acceptPassword();
        const result = await home.login(cloud, ['--url', cloud.davUrl]);
        assert.equal(result.code, 0, result.stderr);
      },
    },
  ];
  for (const { name, renew } of ways) {
    test(`${name}: reading goes on, the queue waits quietly, all goes up without a remount`, async () => {
      await using cloud = await startInfiniCloud();
      using home = new Home();
      home.writeConfig(basicProfile(cloud));
      const first = cloud.password;
      const cached = Buffer.alloc(3_000_000, 'c');
      writeFileSync(join(cloud.root, 'cached'), cached);
      await using drive = await home.mount();
      assert.ok((await drive.fs.readFile(drive.at('cached'))).equals(cached));

      const second = cloud.renewPassword();
      await writePending(drive);
      const refused = () => cloud.received('node').filter(({ status }) => status === 401);
      await waitUntil('the old password to be refused', () => refused().length > 0);
      const from = Math.min(...refused().map(({ atMs }) => atMs));
      for (const until = performance.now() + WATCH_MS; performance.now() < until; await delay(1_000)) {
        assert.ok((await drive.fs.readFile(drive.at('cached'))).equals(cached));
        assert.equal(String(await drive.fs.readFile(drive.at('pending-3'))), 'content of pending-3');
        // What a file manager does with an open window.
        assert.equal((await drive.fs.readdir(drive.path)).length, FILES.length + 1);
      }
      const storm = cloud.received('node').filter(({ atMs }) => atMs >= from);
      const limit = WATCH_MS / 1_000;
      assert.ok(storm.length < limit, `${storm.length} requests in ${limit} s`);
      for (const file of FILES) assert.equal(existsSync(join(cloud.root, file)), false);

      await renew(home, cloud);
      cloud.acceptPassword();
      for (const file of FILES) await serverHas(cloud, file, `content of ${file}`);
      await drive.fs.writeFile(drive.at('after'), 'after');
      await serverHas(cloud, 'after', 'after');
      assertNoSecret(drive.stdout + drive.stderr, [first, second]);
      assertCredentialsStayHome(cloud);
    });
  }

  test('the new one is in the configuration before the server takes it: goes up by itself when it does', async () => {
    await using cloud = await startInfiniCloud();
    using home = new Home();
    home.writeConfig(basicProfile(cloud));
    await using drive = await home.mount();
    // A directory that was never listed has no names to add to while the server refuses to list it.
    assert.deepEqual(await drive.fs.readdir(drive.path), []);
    cloud.renewPassword();
    home.writeConfig(basicProfile(cloud));
    await writePending(drive);
    const wanted = `Basic ${Buffer.from(`${cloud.user}:${cloud.password}`).toString('base64')}`;
    const isNewRefused = () =>
      cloud
        .received('node')
        .some(({ status, headers }) => status === 401 && headers.authorization === wanted);
    await waitUntil('the new password to be refused', isNewRefused);
    cloud.clearReceived();
    await delay(WATCH_MS);
    assert.ok(cloud.received('node').length < WATCH_MS / 1_000);
    cloud.acceptPassword();
    for (const file of FILES) await serverHas(cloud, file, `content of ${file}`);
  });

  test('a configuration that cannot be read is told of, and the mount goes on with what it has', async () => {
    await using cloud = await startInfiniCloud();
    using home = new Home();
    assert.equal((await home.login(cloud, byKey(home, cloud))).code, 0);
    const good = home.readConfig();
    await using drive = await home.mount();
    home.writeConfig('[profile.cloud\nnonsense');
    await drive.fs.writeFile(drive.at('meanwhile'), 'meanwhile');
    await serverHas(cloud, 'meanwhile', 'meanwhile');
    home.writeConfig(good);
    await drive.fs.writeFile(drive.at('later'), 'later');
    await serverHas(cloud, 'later', 'later');
  });
});

async function writePending(drive: MountedDrive): Promise<void> {
  for (const file of FILES) await drive.fs.writeFile(drive.at(file), `content of ${file}`);
}
