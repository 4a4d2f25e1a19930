/**
 * What goes wrong at a login, at a mount and while mounted: each time a message that says what to do, no credential where
 * it does not belong, and nothing lost of what waits to be uploaded.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after as afterAll, afterEach, before, beforeEach, describe, test } from 'node:test';
import { EXIT_CODES } from '../../src/cli/exit-codes.js';
import { type RunResult, waitUntil } from '../support/exec.js';
import { type InfiniCloud, startInfiniCloud } from '../support/infinicloud/index.js';
import type { MountedDrive } from '../support/mount/index.js';
import {
  assertClearRefusal,
  assertCredentialsStayHome,
  basicProfile,
  byKey,
  diskFree,
  Home,
  SKIP_CLOUD,
  SKIP_CLOUD_MOUNT,
  serverHas,
} from './setup.js';

const WRONG_PASSWORD = 'not-the-apps-password';
const WRONG_KEY = '0123456789ABCDEF0123456789ABCDEF';

describe('refusals', { skip: SKIP_CLOUD }, () => {
  let cloud: InfiniCloud;
  before(async () => {
    cloud = await startInfiniCloud();
  });
  afterAll(() => cloud.stop());
  beforeEach(() => cloud.clearReceived());
  afterEach(() => {
    cloud.redirect(undefined);
    cloud.setAppsConnection(true);
    cloud.setNodeReady(true);
    cloud.setRestResult(0);
    cloud.htmlInsteadOf207(false);
    cloud.acceptPassword();
  });

  const secrets = () => [cloud.password, WRONG_PASSWORD, cloud.apiKey];

  /** A login that must fail: with these words, no profile written, and all credentials where they belong. */
  function refuses(home: Home, result: RunResult, words: RegExp): void {
    assertClearRefusal(result, words, secrets());
    assert.equal(existsSync(home.configFile), false, 'a login that failed wrote a profile');
    assertCredentialsStayHome(cloud);
  }

  describe('login', () => {
    test('wrong password, with and without a key', async () => {
      using home = new Home();
      const words = /ID.*password|password/i;
      refuses(home, await home.login(cloud, byKey(home, cloud), WRONG_PASSWORD), words);
      refuses(home, await home.login(cloud, ['--url', cloud.davUrl], WRONG_PASSWORD), words);
    });

    test('apps connection is off: the message names it and MyPage, with and without a key', async () => {
      using home = new Home();
      cloud.setAppsConnection(false);
      for (const args of [byKey(home, cloud), ['--url', cloud.davUrl]]) {
        const result = await home.login(cloud, args);
        refuses(home, result, /apps connection/i);
        assert.match(result.stderr, /MyPage/);
      }
    });

    test('a web page instead of a multistatus', async () => {
      using home = new Home();
      cloud.htmlInsteadOf207(true);
      refuses(home, await home.login(cloud, ['--url', cloud.davUrl]), /apps connection|URL/i);
    });

    test('wrong API key, and one that cannot be one', async () => {
      using home = new Home();
      refuses(home, await home.login(cloud, byKey(home, cloud, WRONG_KEY)), /API key/i);
      cloud.clearReceived();
      refuses(home, await home.login(cloud, byKey(home, cloud, 'abc')), /32.*hex/i);
      assert.deepEqual(cloud.received(), [], 'a key that cannot be one was sent');
    });

    test('the node is not ready yet', async () => {
      using home = new Home();
      cloud.setNodeReady(false);
      refuses(home, await home.login(cloud, byKey(home, cloud)), /not ready|later|minutes/i);
    });

    test('the REST API answers with an error of its own', async () => {
      using home = new Home();
      cloud.setRestResult(7);
      refuses(home, await home.login(cloud, byKey(home, cloud)), /\b7\b/);
    });

    test('missing CA: no request is made at all, and the message names the option', async () => {
      using home = new Home();
      const proof = ['--user', cloud.user, '--password-file', home.secretFile('password', cloud.password)];
      for (const args of [byKey(home, cloud), ['--url', cloud.davUrl]]) {
        refuses(home, await home.command(['login', 'cloud', ...proof, ...args]), /certificate/i);
      }
      assert.deepEqual(cloud.received(), []);
      const result = await home.command(['login', 'cloud', ...proof, '--url', cloud.davUrl]);
      assert.match(result.stderr, /ca-file/);
    });

    for (const to of ['plain', 'other'] as const) {
      const where = to === 'plain' ? 'http' : 'another host';
      for (const status of [301, 302, 307, 308]) {
        test(`a redirect to ${where} (${status}): refused, and nothing goes there with credentials`, async () => {
          using home = new Home();
          cloud.redirect({ from: 'node', to, status });
          refuses(home, await home.login(cloud, ['--url', cloud.davUrl]), /redirect|sends on to/i);
          cloud.redirect({ from: 'api', to, status });
          refuses(home, await home.login(cloud, byKey(home, cloud)), /redirect|sends on to/i);
        });
      }
    }

    test('the API host is down: says so, and that the WebDAV URL does without it', async () => {
      using home = new Home();
      await cloud.setApiHostUp(false);
      try {
        refuses(home, await home.login(cloud, byKey(home, cloud)), /--url|WebDAV URL/i);
      } finally {
        await cloud.setApiHostUp(true);
      }
    });

    test('plain http to another machine is refused before anything is sent', async () => {
      using home = new Home();
      const result = await home.login(cloud, ['--url', 'http://cloud.invalid/dav/']);
      refuses(home, result, /http/);
    });
  });

  describe('mount', { skip: SKIP_CLOUD_MOUNT }, () => {
    /** A mount that never had anything in its cache, so that trouble at the start ends it. */
    async function mountFails(text: string): Promise<RunResult> {
      using home = new Home();
      home.writeConfig(text);
      const mountPoint = home.at('mnt');
      mkdirSync(mountPoint);
      return await home.command(['mount', 'cloud', mountPoint, '--cache-dir', home.at('drive-cache')]);
    }

    const cases: readonly {
      readonly name: string;
      readonly arrange: () => void;
      readonly profile?: () => Readonly<Record<string, string>>;
      readonly words: RegExp;
    }[] = [
      {
        name: 'wrong password',
        arrange: () => undefined,
        profile: () => ({ password: WRONG_PASSWORD }),
        words: /password/i,
      },
      {
        name: 'apps connection off',
        arrange: () => cloud.setAppsConnection(false),
        words: /apps connection/i,
      },
      {
        name: 'redirect to http',
        arrange: () => cloud.redirect({ from: 'node', to: 'plain' }),
        words: /redirect|sends on to/i,
      },
      {
        name: 'redirect to another host',
        arrange: () => cloud.redirect({ from: 'node', to: 'other' }),
        words: /redirect|sends on to/i,
      },
    ];
    for (const { name, arrange, profile, words } of cases) {
      test(name, async () => {
        arrange();
        assertClearRefusal(await mountFails(basicProfile(cloud, profile?.())), words, secrets());
        assertCredentialsStayHome(cloud);
      });
    }

    test('missing CA', async () => {
      const text = basicProfile(cloud)
        .split('\n')
        .filter((line) => !line.startsWith('ca-file'))
        .join('\n');
      assertClearRefusal(await mountFails(text), /certificate/i, secrets());
      assert.deepEqual(cloud.received(), []);
    });

    test('a wrong API key is no reason not to mount', async () => {
      using home = new Home();
      home.writeConfig(basicProfile(cloud, { 'api-key': WRONG_KEY, api: cloud.apiUrl }));
      await using drive = await home.mount();
      await drive.fs.writeFile(drive.at('works'), 'works');
      await serverHas(cloud, 'works', 'works');
      assert.ok((await diskFree(drive)).available > 1024 ** 3);
    });
  });

  describe('while uploads are pending', { skip: SKIP_CLOUD_MOUNT }, () => {
    const troubles: readonly {
      readonly name: string;
      readonly begin: () => void;
      readonly end: () => void;
    }[] = [
      {
        name: 'apps connection switched off',
        begin: () => cloud.setAppsConnection(false),
        end: () => cloud.setAppsConnection(true),
      },
      {
        name: 'a redirect to http',
        begin: () => cloud.redirect({ from: 'node', to: 'plain' }),
        end: () => cloud.redirect(undefined),
      },
      {
        name: 'a redirect to another host',
        begin: () => cloud.redirect({ from: 'node', to: 'other', status: 307 }),
        end: () => cloud.redirect(undefined),
      },
      {
        name: 'a quota that is full',
        begin: () => cloud.setQuota(0),
        end: () => cloud.setQuota(20 * 1024 ** 3),
      },
    ];
    for (const [index, { name, begin, end }] of troubles.entries()) {
      test(`${name}: what was written stays readable, and goes up at the next mount`, async () => {
        using home = new Home();
        home.writeConfig(basicProfile(cloud));
        const files = Array.from({ length: 5 }, (_, number) => `trouble-${index}-${number}`);
        try {
          await using drive = await home.mount();
          await drive.fs.writeFile(drive.at(`${files[0]}-earlier`), 'earlier');
          await serverHas(cloud, `${files[0]}-earlier`, 'earlier');
          begin();
          for (const file of files) await drive.fs.writeFile(drive.at(file), `content of ${file}`);
          await waitUntil('an upload to be refused', () => hasRefusedPut(files), { timeoutMs: 60_000 });
          await assertReadable(drive, files);
          for (const file of files) assert.equal(existsSync(join(cloud.root, file)), false);
          await drive.unmount();
          assert.match(drive.stderr, /not on the server yet/);
        } finally {
          end();
        }
        await using again = await home.mount();
        for (const file of files) await serverHas(cloud, file, `content of ${file}`);
        await assertReadable(again, files);
        assertCredentialsStayHome(cloud);
      });
    }

    test('flush tells of a full server, and ends when that is asked for', async () => {
      using home = new Home();
      home.writeConfig(basicProfile(cloud));
      await using drive = await home.mount();
      await drive.fs.readdir(drive.path);
      cloud.setQuota(0);
      try {
        await drive.fs.writeFile(drive.at('flushed'), 'content of flushed');
        const { code, stdout, stderr } = await home.flush(drive, ['--if-possible', '--json']);
        assert.match(
          stderr,
          /^infinimount: the server is full: .*\ninfinimount: Cannot send [^\n]*, which is full\.\n$/s,
        );
        assert.deepEqual(JSON.parse(stdout), { pending: 1, waitsFor: 'full' });
        assert.equal(code, EXIT_CODES.serverFull.code);
        assert.equal((await home.flush(drive, ['--timeout', '1s'])).code, EXIT_CODES.unfinished.code);
      } finally {
        cloud.setQuota(20 * 1024 ** 3);
      }
      const { code, stderr } = await home.flush(drive, []);
      assert.equal(code, 0, stderr);
      await serverHas(cloud, 'flushed', 'content of flushed');
    });

    function hasRefusedPut(files: readonly string[]): boolean {
      return cloud
        .received('node')
        .some(
          ({ method, path, status = 0 }) =>
            status >= 300 && (method !== 'PUT' || files.some((file) => path.endsWith(file))),
        );
    }

    async function assertReadable(drive: MountedDrive, files: readonly string[]): Promise<void> {
      for (const file of files) {
        assert.equal(String(await drive.fs.readFile(drive.at(file))), `content of ${file}`);
      }
    }
  });
});
