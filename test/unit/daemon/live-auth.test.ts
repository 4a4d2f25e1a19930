import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { AuthError, type AuthHeaders, FileTokenStore } from '../../../src/auth/index.js';
import { Secret, silentLog, type Timer, UserError } from '../../../src/base/index.js';
import type { BasicLogin, CredentialSource, OAuth2Login } from '../../../src/config/index.js';
import { LiveAuth } from '../../../src/daemon/live-auth.js';
import { waitUntil } from '../../support/exec.js';
import { ManualClock } from '../../support/manual-clock.js';

const home = mkdtempSync(join(tmpdir(), 'infinimount-live-'));
after(() => rmSync(home, { recursive: true, force: true }));

const REQUEST = { method: 'GET', url: 'https://h/' };

function login(password: string, user = 'me'): BasicLogin {
  return { kind: 'basic', user, password: new Secret(password), preemptive: true };
}

/** A source whose password a test changes, with or without a change of its file. */
class Source implements CredentialSource {
  readonly file = join(mkdtempSync(join(home, 'source-')), 'config.toml');
  readonly files = [this.file];
  reads = 0;
  now: BasicLogin | UserError = login('old');

  constructor() {
    writeFileSync(this.file, 'x');
  }

  async read() {
    this.reads += 1;
    if (this.now instanceof UserError) throw this.now;
    return { credentials: this.now, rest: undefined };
  }

  /** As an editor does. */
  save(login: BasicLogin | UserError): void {
    this.now = login;
    writeFileSync(this.file, 'x'.repeat(this.reads + 2));
  }
}

/** Knows how many timers are armed. */
class CountingClock extends ManualClock {
  pending = 0;

  override after(delayMs: number, callback: () => void): Timer {
    this.pending += 1;
    return super.after(delayMs, () => {
      this.pending -= 1;
      callback();
    });
  }
}

function make(source: CredentialSource | undefined) {
  const clock = new CountingClock();
  const auth = new LiveAuth(
    { credentials: login('old'), rest: undefined, source },
    { clock, log: silentLog, ca: undefined },
  );
  let renewals = 0;
  auth.onRenewed = () => {
    renewals += 1;
  };
  return { clock, auth, renewals: () => renewals };
}

async function passwordOf(auth: LiveAuth): Promise<string> {
  const { authorization = '' }: AuthHeaders = await auth.authorize(REQUEST);
  return Buffer.from(authorization.replace('Basic ', ''), 'base64').toString().replace('me:', '');
}

describe('credentials that change', () => {
  test('a refusal reads them again: what is new is tried at once', async () => {
    const source = new Source();
    const { auth } = make(source);
    source.now = login('new');
    assert.equal(await auth.onUnauthorized(REQUEST, await auth.authorize(REQUEST)), true);
    assert.equal(await passwordOf(auth), 'new');
  });

  test('many refusals at once read them once, and none again for a while', async () => {
    const source = new Source();
    const { auth } = make(source);
    const sent = await auth.authorize(REQUEST);
    const answers = await Promise.all(Array.from({ length: 20 }, () => auth.onUnauthorized(REQUEST, sent)));
    assert.deepEqual(new Set(answers), new Set([false]));
    await auth.onUnauthorized(REQUEST, sent);
    assert.equal(source.reads, 1);
    auth.close();
  });

  test('a file that changes after a refusal is taken up, and what waits is told', async () => {
    const source = new Source();
    const { auth, clock, renewals } = make(source);
    assert.equal(await auth.onUnauthorized(REQUEST, await auth.authorize(REQUEST)), false);
    source.save(login('new'));
    await waitUntil('the renewal', async () => {
      await clock.advance(2_000);
      return renewals() === 1;
    });
    assert.equal(await passwordOf(auth), 'new');
    auth.close();
  });

  test('a file that cannot be read for a while is tried again when it changes', async () => {
    const source = new Source();
    const { auth, clock, renewals } = make(source);
    await auth.onUnauthorized(REQUEST, await auth.authorize(REQUEST));
    source.save(new UserError('config-file', 'Cannot use the configuration file: it is half written'));
    await waitUntil('the failed attempt', async () => {
      await clock.advance(2_000);
      return source.reads === 2;
    });
    assert.equal(await passwordOf(auth), 'old');
    source.save(login('new'));
    await waitUntil('the renewal', async () => {
      await clock.advance(2_000);
      return renewals() === 1;
    });
    auth.close();
  });

  test("another user's credentials are not taken up: the cache belongs to this one", async () => {
    const source = new Source();
    const { auth } = make(source);
    source.now = login('new', 'you');
    assert.equal(await auth.onUnauthorized(REQUEST, await auth.authorize(REQUEST)), false);
    assert.equal(await passwordOf(auth), 'old');
    auth.close();
  });

  test('nothing is watched without a refusal, nor for ever after one', async () => {
    const source = new Source();
    const { auth, clock } = make(source);
    assert.equal(clock.pending, 0);
    await auth.onUnauthorized(REQUEST, await auth.authorize(REQUEST));
    assert.equal(clock.pending, 1);
    await waitUntil('the end of the watch', async () => {
      await clock.advance(60_000);
      return clock.pending === 0;
    });
    assert.equal(source.reads, 1);
  });

  test('when told to, they are read however recently that was done, and what waits is told', async () => {
    const source = new Source();
    const { auth, renewals } = make(source);
    assert.equal(await auth.onUnauthorized(REQUEST, await auth.authorize(REQUEST)), false);
    source.now = login('new');
    await auth.reload();
    assert.equal(await passwordOf(auth), 'new');
    assert.equal(renewals(), 1);
  });

  test('a login that is done while there is none is taken up', async () => {
    const credentials: OAuth2Login = {
      kind: 'oauth2',
      user: undefined,
      issuer: 'https://issuer.example',
      tokenEndpoint: undefined,
      deviceAuthorizationEndpoint: undefined,
      authorizationEndpoint: undefined,
      clientId: 'c',
      clientSecret: undefined,
      scope: undefined,
      grant: 'device',
      tokenFile: join(mkdtempSync(join(home, 'login-')), 'tokens.json'),
    };
    const clock = new ManualClock();
    const source: CredentialSource = {
      files: [credentials.tokenFile],
      read: async () => ({ credentials, rest: undefined }),
    };
    const auth = new LiveAuth(
      { credentials, rest: undefined, source },
      { clock, log: silentLog, ca: undefined },
    );
    let renewals = 0;
    auth.onRenewed = () => {
      renewals += 1;
    };
    await assert.rejects(async () => auth.authorize(REQUEST), AuthError);
    // A login takes longer than a look at the file.
    await stat(credentials.tokenFile).catch(() => undefined);
    await new FileTokenStore(credentials.tokenFile).save({
      issuedTo: JSON.stringify([credentials.issuer, credentials.clientId]),
      accessToken: new Secret('token'),
      issuedAtMs: clock.nowMs(),
      expiresAtMs: undefined,
      refreshToken: undefined,
    });
    await waitUntil('the login to be found', async () => {
      await clock.advance(2_000);
      return renewals === 1;
    });
    assert.deepEqual(await auth.authorize(REQUEST), { authorization: 'Bearer token' });
    auth.close();
  });

  test('what was typed cannot be read again', async () => {
    const { auth, clock } = make(undefined);
    assert.equal(await auth.onUnauthorized(REQUEST, await auth.authorize(REQUEST)), false);
    assert.equal(clock.pending, 0);
  });
});
