/** From nothing to a drive: login, mount, df, files there and back, for each way to log in. */

import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type RunResult, waitUntil } from '../support/exec.js';
import { type InfiniCloud, startInfiniCloud } from '../support/infinicloud/index.js';
import type { MountedDrive } from '../support/mount/index.js';
import { byBrowser, byDevice, oauthArgs, personLogin } from './person.js';
import {
  assertCredentialsStayHome,
  assertNoSecret,
  byKey,
  diskFree,
  Home,
  SKIP_CLOUD_MOUNT,
  serverHas,
} from './setup.js';

const MIB = 1024 * 1024;
const PUBLIC_FILES = 0o077;

describe('login and mount', { skip: SKIP_CLOUD_MOUNT }, () => {
  let cloud: InfiniCloud;
  before(async () => {
    cloud = await startInfiniCloud();
  });
  after(() => cloud.stop());
  beforeEach(() => cloud.clearReceived());

  async function assertFilesGoBothWays(drive: MountedDrive, label: string): Promise<void> {
    writeFileSync(join(cloud.root, `${label}-from-server`), 'from the server');
    const up = Buffer.alloc(2 * MIB + 1, label);
    await drive.fs.writeFile(drive.at(`${label}-up`), up);
    await serverHas(cloud, `${label}-up`, up);
    await waitUntil('the file to be listed', () => drive.fs.exists(drive.at(`${label}-from-server`)));
    assert.equal(String(await drive.fs.readFile(drive.at(`${label}-from-server`))), 'from the server');
  }

  test('ID, password and API key: the node is found, df shows the capacity, files go both ways', async () => {
    using home = new Home();
    const result = await home.login(cloud, byKey(home, cloud));
    assertLoggedIn(result);
    assert.equal(statSync(home.configFile).mode & PUBLIC_FILES, 0);
    assertNoSecret(result.stdout + result.stderr, [cloud.password, cloud.apiKey]);
    // The credentials were proved with a request of the kind that the mount makes.
    assert.ok(cloud.received('node').some(({ method, status }) => method === 'PROPFIND' && status === 207));

    await using drive = await home.mount();
    const used = await cloud.usedBytes();
    const shown = await diskFree(drive);
    assert.ok(isNear(shown.size, cloud.quotaBytes), `size ${shown.size} of ${cloud.quotaBytes}`);
    assert.ok(isNear(shown.used, used), `used ${shown.used} of ${used}`);
    assert.ok(isNear(shown.available, cloud.quotaBytes - used), `free ${shown.available}`);
    await assertFilesGoBothWays(drive, 'key');
    assertCredentialsStayHome(cloud);
  });

  test('df counts what is not uploaded yet as used', async () => {
    using home = new Home();
    assertLoggedIn(await home.login(cloud, byKey(home, cloud)));
    await using drive = await home.mount();
    const earlier = await diskFree(drive);
    cloud.setUploadRate(1);
    try {
      await drive.fs.writeFile(drive.at('pending'), Buffer.alloc(8 * MIB, 'p'));
      const later = await diskFree(drive);
      assert.ok(later.used >= earlier.used + 8 * MIB, `${earlier.used} -> ${later.used}`);
      assert.ok(later.available <= earlier.available - 8 * MIB);
    } finally {
      cloud.setUploadRate(undefined);
      await drive.crash();
    }
  });

  test('a mount does not need the API host', async () => {
    using home = new Home();
    assertLoggedIn(await home.login(cloud, byKey(home, cloud)));
    await cloud.setApiHostUp(false);
    try {
      await using drive = await home.mount();
      await assertFilesGoBothWays(drive, 'api-down');
      assert.ok(isNear((await diskFree(drive)).size, cloud.quotaBytes));
    } finally {
      await cloud.setApiHostUp(true);
    }
  });

  test('a pasted WebDAV URL and no key: nothing is asked of the REST API, df never shows a full disk', async () => {
    using home = new Home();
    assertLoggedIn(await home.login(cloud, ['--url', cloud.davUrl]));
    await using drive = await home.mount();
    await assertFilesGoBothWays(drive, 'url');
    assert.ok((await diskFree(drive)).available > 1024 ** 3);
    assert.deepEqual(cloud.received('api'), []);
    assert.deepEqual(
      cloud.received('node').filter(({ path }) => path.startsWith('/v2/')),
      [],
    );
    assertCredentialsStayHome(cloud);
  });

  test('the password from stdin: it is in the private configuration file and nowhere else', async () => {
    using home = new Home();
    const proof = [
      '--user',
      cloud.user,
      '--password-stdin',
      '--url',
      cloud.davUrl,
      '--ca-file',
      cloud.caFile,
    ];
    const result = await home.command(['login', 'cloud', ...proof], `${cloud.password}\n`);
    assertLoggedIn(result);
    assertNoSecret(result.stdout + result.stderr, [cloud.password]);
    assert.ok(home.readConfig().includes(cloud.password));
    assert.equal(statSync(home.configFile).mode & PUBLIC_FILES, 0);
    await using drive = await home.mount();
    await assertFilesGoBothWays(drive, 'stdin');
    assertNoSecret(drive.stdout + drive.stderr, [cloud.password]);
  });

  test('/backup/ by its URL', async () => {
    using home = new Home();
    assertLoggedIn(await home.login(cloud, ['--url', cloud.backupUrl]));
    await using drive = await home.mount();
    await drive.fs.writeFile(drive.at('kept'), 'kept');
    const arrived = () => {
      try {
        return readFileSync(join(cloud.backupRoot, 'kept'), 'utf8') === 'kept';
      } catch {
        return false;
      }
    };
    await waitUntil('the file in /backup/', arrived);
  });

  describe('OAuth2', () => {
    test('device flow: mounts /v2/dav/, and an upload goes on when its token expires in the middle', async () => {
      using home = new Home();
      assertLoggedIn(await personLogin(home, oauthArgs(cloud), byDevice(cloud)));
      await using drive = await home.mount();
      await assertFilesGoBothWays(drive, 'device');
      const big = Buffer.alloc(6 * MIB, 'b');
      cloud.setUploadRate(2 * MIB);
      await drive.fs.writeFile(drive.at('through-expiry'), big);
      const halfWay = () =>
        cloud
          .received('node')
          .some(
            ({ method, path, bodyBytes }) =>
              method === 'PUT' && path.endsWith('through-expiry') && bodyBytes > MIB,
          );
      await waitUntil('the upload to be half way', halfWay);
      await cloud.expireAccessTokens({ cutUploads: true });
      cloud.setUploadRate(undefined);
      await serverHas(cloud, 'through-expiry', big);
      assert.ok((await drive.fs.readFile(drive.at('through-expiry'))).equals(big));
      const refused = cloud.received('node').filter(({ status }) => status === 401);
      assert.ok(refused.length > 0, 'the upload was never refused: nothing was at stake');
      assertCredentialsStayHome(cloud);
    });

    test('many files at once through an expiry: one refresh, and the rotated token is kept for the next mount', async () => {
      using home = new Home();
      assertLoggedIn(await personLogin(home, oauthArgs(cloud), byDevice(cloud)));
      const names = Array.from({ length: 40 }, (_, index) => `many-${index}`);
      {
        await using drive = await home.mount();
        await drive.fs.writeFile(drive.at('before'), 'before');
        await serverHas(cloud, 'before', 'before');
        await cloud.expireAccessTokens();
        cloud.clearReceived();
        for (const name of names) await drive.fs.writeFile(drive.at(name), name);
        for (const name of names) await serverHas(cloud, name, name);
        const refreshes = cloud.received('issuer').filter(({ path }) => path === '/token');
        assert.equal(refreshes.length, 1);
        await drive.unmount();
      }
      await cloud.expireAccessTokens();
      await using again = await home.mount();
      await assertFilesGoBothWays(again, 'again');
    });

    test('authorization code with PKCE, by a browser on this machine', async () => {
      using home = new Home();
      const args = [...oauthArgs(cloud), '--grant', 'authorization-code'];
      assertLoggedIn(await personLogin(home, args, byBrowser(cloud)));
      await using drive = await home.mount();
      await cloud.expireAccessTokens();
      await assertFilesGoBothWays(drive, 'browser');
      assertCredentialsStayHome(cloud);
    });

    test('client credentials', async () => {
      using home = new Home();
      const { id, secret } = cloud.serviceClient;
      const secretFile = home.secretFile('client-secret', secret);
      const client = ['--client-id', id, '--client-secret-file', secretFile, '--grant', 'client-credentials'];
      const base = [
        '--url',
        cloud.v2DavUrl,
        '--auth',
        'oauth2',
        '--issuer',
        cloud.issuer,
        '--ca-file',
        cloud.caFile,
      ];
      const result = await home.command(['login', 'cloud', ...base, ...client]);
      assertLoggedIn(result);
      assertNoSecret(result.stdout + result.stderr, [secret]);
      await using drive = await home.mount();
      await assertFilesGoBothWays(drive, 'service');
      await cloud.expireAccessTokens();
      await assertFilesGoBothWays(drive, 'service-later');
      assertCredentialsStayHome(cloud);
    });

    test('tokens are in a private file of their own, and neither in the configuration nor in the output', async () => {
      using home = new Home();
      const result = await personLogin(home, oauthArgs(cloud), byDevice(cloud));
      assertLoggedIn(result);
      const tokens = home.at('state', 'infinimount', 'tokens', 'cloud.json');
      assert.equal(statSync(tokens).mode & PUBLIC_FILES, 0);
      const secrets = [...readFileSync(tokens, 'utf8').matchAll(/"([\w-]{40,})"/g)].map(
        ([, value = '']) => value,
      );
      assert.ok(secrets.length > 0, 'there is no token in the file');
      assertNoSecret(result.stdout + result.stderr + home.readConfig(), secrets);
    });
  });
});

function assertLoggedIn(result: RunResult): void {
  assert.equal(result.code, 0, `${result.stdout}\n${result.stderr}`);
}

/** df(1) counts in blocks, and the drive's own staging may count too: a MiB more or less is the same. */
function isNear(shown: number, wanted: number): boolean {
  return Math.abs(shown - wanted) <= MIB;
}
