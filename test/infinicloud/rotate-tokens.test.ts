/** A refresh token of a new login for a mount that runs, given by command and control socket. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { EXIT_CODES } from '../../src/cli/exit-codes.js';
import { type InfiniCloud, startInfiniCloud } from '../support/infinicloud/index.js';
import { FsWorker, type MountedDrive } from '../support/mount/index.js';
import { byDevice, oauthArgs, personLogin } from './person.js';
import { assertCredentialsStayHome, assertNoSecret, Home, SKIP_CLOUD_MOUNT, serverHas } from './setup.js';

interface TokenFile {
  readonly accessToken: string;
  readonly refreshToken: string;
}

const tokenFileOf = (home: Home) => home.at('state', 'infinimount', 'tokens', 'cloud.json');

function tokensOf(home: Home): TokenFile {
  return JSON.parse(readFileSync(tokenFileOf(home), 'utf8'));
}

async function logIn(home: Home, cloud: InfiniCloud): Promise<TokenFile> {
  const { code, stderr } = await personLogin(home, oauthArgs(cloud), byDevice(cloud));
  assert.equal(code, 0, stderr);
  return tokensOf(home);
}

/** A program that writes and reads back until it is told to end. */
async function work(drive: MountedDrive, until: AbortSignal): Promise<ReadonlyMap<string, Buffer>> {
  const worker = new FsWorker({ timeoutMs: 60_000 });
  const written = new Map<string, Buffer>();
  try {
    while (!until.aborted || written.size < 20) {
      const name = `written-${written.size}`;
      const content = randomBytes(10_000 + written.size);
      await worker.fs.writeFile(drive.at(name), content);
      assert.ok((await worker.fs.readFile(drive.at(name))).equals(content), name);
      written.set(name, content);
    }
    return written;
  } finally {
    worker.close();
  }
}

describe('rotation of a refresh token', { skip: SKIP_CLOUD_MOUNT, timeout: 300_000 }, () => {
  test('under a running mount: tried, written, in use at once, and renewed from then on', async () => {
    await using cloud = await startInfiniCloud();
    using home = new Home();
    using elsewhere = new Home();
    const first = await logIn(home, cloud);
    // Another login of the same account, as on another machine: a grant of its own.
    const second = await logIn(elsewhere, cloud);
    writeFileSync(join(cloud.root, 'from-server'), 'from the server');
    await using drive = await home.mount();
    assert.equal(String(await drive.fs.readFile(drive.at('from-server'))), 'from the server');
    const stop = new AbortController();
    const working = work(drive, stop.signal);

    const rotate = (token: string) => home.rotate(drive, ['--refresh-token-stdin'], `${token}\n`);
    const wrong = await rotate('no-such-refresh-token');
    assert.equal(wrong.code, EXIT_CODES.denied.code, wrong.stderr);
    assert.deepEqual(tokensOf(home), { ...tokensOf(home), ...first });

    const taken = await rotate(second.refreshToken);
    assert.equal(taken.code, 0, taken.stderr);
    assert.match(taken.stdout, /the server accepts the new credentials; they are written to .*cloud\.json/);
    const kept = tokensOf(home);
    assert.notEqual(kept.refreshToken, first.refreshToken);
    assert.notEqual(kept.refreshToken, second.refreshToken, 'a refresh token works once');
    assert.equal(statSync(tokenFileOf(home)).mode & 0o077, 0);
    cloud.clearReceived();
    stop.abort();
    const written = await working;
    for (const [name, content] of written) await serverHas(cloud, name, content);
    await drive.fs.writeFile(drive.at('after'), 'after');
    await serverHas(cloud, 'after', 'after');
    const carried = cloud.received('node').map(({ headers }) => headers.authorization);
    assert.ok(carried.includes(`Bearer ${kept.accessToken}`));

    await cloud.expireAccessTokens();
    await drive.fs.writeFile(drive.at('renewed'), 'renewed');
    await serverHas(cloud, 'renewed', 'renewed');
    const renewed = tokensOf(home);
    assert.notEqual(renewed.refreshToken, kept.refreshToken);
    const secrets = [first, second, kept, renewed].flatMap((each) => [each.accessToken, each.refreshToken]);
    assertNoSecret(drive.stdout + drive.stderr + wrong.stderr + taken.stdout + taken.stderr, secrets);
    assertCredentialsStayHome(cloud);

    assert.deepEqual(await drive.unmount(), { code: 0, signal: null });
    await using again = await home.mount();
    assert.equal(String(await again.fs.readFile(again.at('renewed'))), 'renewed');
  });
});
