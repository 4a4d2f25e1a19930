import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { AuthError, type AuthHeaders, type AuthProvider, FileTokenStore } from '../../../src/auth/index.js';
import { Secret, silentLog, type Timer, UserError } from '../../../src/base/index.js';
import type { BasicLogin, CredentialSource, OAuth2Login } from '../../../src/config/index.js';
import { LiveAuth, type Verdict } from '../../../src/daemon/credentials/live-auth.js';
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

  async write() {
    return { writtenTo: [], notes: [] };
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

/** Passwords as the server sees them, and what it was asked with. */
class Server {
  readonly accepted = new Set(['old']);
  readonly asked: string[] = [];
  isDown = false;

  readonly prove = async (provider: AuthProvider): Promise<Verdict> => {
    const password = passwordIn(await provider.authorize(REQUEST));
    this.asked.push(password);
    if (this.isDown) return { kind: 'unreachable', error: new UserError('unreachable', 'Cannot reach it') };
    if (this.accepted.has(password)) return { kind: 'accepted' };
    return { kind: 'refused', error: new UserError('unauthorized', 'Cannot log in') };
  };
}

function make(source: CredentialSource | undefined, server?: Server) {
  const clock = new CountingClock();
  const auth = new LiveAuth(
    { credentials: login('old'), rest: undefined, source },
    { clock, log: silentLog, ca: undefined, ...(server === undefined ? {} : { prove: server.prove }) },
  );
  let renewals = 0;
  auth.onRenewed = () => {
    renewals += 1;
  };
  return { clock, auth, renewals: () => renewals };
}

async function passwordOf(auth: LiveAuth): Promise<string> {
  return passwordIn(await auth.authorize(REQUEST));
}

function passwordIn({ authorization = '' }: AuthHeaders): string {
  return Buffer.from(authorization.replace('Basic ', ''), 'base64').toString().replace('me:', '');
}

/** The server carried out a request: the credentials are good. */
async function accept(auth: LiveAuth): Promise<AuthHeaders> {
  const sent = await auth.authorize(REQUEST);
  auth.onAccepted(sent);
  return sent;
}

/** Lets what was begun go on, without moving the clock. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
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
      write: async () => ({ writtenTo: [], notes: [] }),
    };
    const auth = new LiveAuth(
      { credentials, rest: undefined, source },
      { clock, log: silentLog, ca: undefined },
    );
    let renewals = 0;
    auth.onRenewed = () => {
      renewals += 1;
    };
    auth.watch();
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

describe('credentials that are tried before they are taken up', () => {
  test('a file that changes is noticed without a refusal: what the server takes is taken up', async () => {
    const source = new Source();
    const server = new Server();
    const { auth, clock, renewals } = make(source, server);
    auth.watch();
    await accept(auth);
    await waitUntil('the first look at the file', () => clock.pending > 0);
    server.accepted.add('new');
    source.save(login('new'));
    await waitUntil('the renewal', async () => {
      await clock.advance(1_000);
      return renewals() === 1;
    });
    assert.equal(await passwordOf(auth), 'new');
    assert.deepEqual(server.asked, ['new']);
    assert.equal(auth.status.state, 'accepted');
    auth.close();
  });

  test('what the server refuses does not replace what works, and is tried again, ever more seldom', async () => {
    const source = new Source();
    const server = new Server();
    const { auth, clock, renewals } = make(source, server);
    await accept(auth);
    source.now = login('new');
    assert.equal((await auth.reload()).kind, 'refused');
    assert.equal(await passwordOf(auth), 'old');
    for (const [afterMs, tries] of [
      [29_000, 1],
      [1_000, 2],
      [59_000, 2],
      [1_000, 3],
    ] as const) {
      await clock.advance(afterMs);
      await waitUntil('the tries', () => server.asked.length >= tries);
      await auth.exclusively(settle);
      assert.equal(server.asked.length, tries);
    }
    server.accepted.add('new');
    await clock.advance(120_000);
    await waitUntil('the renewal', async () => (await passwordOf(auth)) === 'new');
    assert.equal(renewals(), 2, 'once for the order to read again, once for the renewal');
    auth.close();
  });

  test('the tries end', async () => {
    const source = new Source();
    const server = new Server();
    const { auth, clock } = make(source, server);
    source.now = login('never');
    await auth.reload();
    for (let minutes = 0; minutes < 120; minutes += 1) {
      await clock.advance(60_000);
      await auth.exclusively(settle);
    }
    assert.ok(server.asked.length < 12, `${server.asked.length} wrong tries`);
    assert.equal(await passwordOf(auth), 'old');
    auth.close();
  });

  test('when the present ones are refused, those that were not taken yet take their place', async () => {
    const source = new Source();
    const server = new Server();
    const { auth, clock } = make(source, server);
    await accept(auth);
    source.now = login('new');
    assert.equal((await auth.reload()).kind, 'refused');
    await clock.advance(6_000);
    assert.equal(await auth.onUnauthorized(REQUEST, await auth.authorize(REQUEST)), true);
    assert.equal(await passwordOf(auth), 'new');
    auth.close();
  });

  test('a server that cannot be reached says nothing: what works stays', async () => {
    const source = new Source();
    const server = new Server();
    server.isDown = true;
    const { auth } = make(source, server);
    source.now = login('new');
    assert.equal((await auth.reload()).kind, 'unreachable');
    assert.equal(await passwordOf(auth), 'old');
    auth.close();
  });

  test('a file that cannot be used changes nothing', async () => {
    const source = new Source();
    const server = new Server();
    const { auth } = make(source, server);
    source.now = new UserError('config-file', 'Cannot use the configuration file: it is half written');
    assert.equal((await auth.reload()).kind, 'unusable');
    source.now = login('new', 'you');
    assert.equal((await auth.reload()).kind, 'unusable');
    assert.equal(await passwordOf(auth), 'old');
    assert.deepEqual(server.asked, []);
    auth.close();
  });
});

describe('a refusal of what worked', () => {
  test('requests wait a moment; new credentials send them on their way', async () => {
    const server = new Server();
    const { auth } = make(undefined, server);
    const sent = await accept(auth);
    const refused = auth.onUnauthorized(REQUEST, sent);
    await settle();
    const later = Promise.resolve(auth.authorize(REQUEST));
    await auth.exclusively(async () => auth.takeUp({ credentials: login('new'), rest: undefined }, true));
    assert.equal(await refused, true);
    assert.equal(passwordIn(await later), 'new');
    assert.equal(auth.status.state, 'accepted');
    auth.close();
  });

  test('a single wrong answer of the server costs two seconds and no error', async () => {
    const server = new Server();
    const { auth, clock } = make(undefined, server);
    const refused = auth.onUnauthorized(REQUEST, await accept(auth));
    await settle();
    await clock.advance(2_000);
    assert.equal(await refused, true);
    assert.equal(auth.status.state, 'accepted');
    auth.close();
  });

  test('a good answer to what was sent before the refusal ends no wait: new ones are still to come', async () => {
    const server = new Server();
    const { auth } = make(undefined, server);
    const sent = await accept(auth);
    let isOver = false;
    const refused = auth.onUnauthorized(REQUEST, sent).finally(() => {
      isOver = true;
    });
    await settle();
    auth.onAccepted(sent);
    await settle();
    assert.deepEqual([isOver, auth.status.state], [false, 'refused']);
    await auth.exclusively(async () => auth.takeUp({ credentials: login('new'), rest: undefined }, true));
    assert.equal(await refused, true);
    auth.close();
  });

  test('the wait ends: requests fail, those that come later at once, and the server is asked no more', async () => {
    const server = new Server();
    server.accepted.clear();
    const { auth, clock } = make(undefined, server);
    const sent = await accept(auth);
    const refused = auth.onUnauthorized(REQUEST, sent);
    await settle();
    const waiting = assert.rejects(async () => auth.authorize(REQUEST), AuthError);
    await clock.advance(15_000);
    assert.equal(await refused, false);
    await waiting;
    assert.equal(await auth.onUnauthorized(REQUEST, await auth.authorize(REQUEST)), false);
    assert.deepEqual(server.asked, ['old']);
    assert.equal(auth.status.state, 'refused');
    auth.close();
  });

  test('an answer to a request of before says nothing of the credentials of now', async () => {
    const { auth } = make(undefined, new Server());
    const sent = await accept(auth);
    await auth.exclusively(async () => auth.takeUp({ credentials: login('new'), rest: undefined }, false));
    auth.onAccepted(sent);
    assert.equal(auth.status.state, 'untried');
    assert.equal(await auth.onUnauthorized(REQUEST, sent), true, 'a request of before is worth another try');
    auth.close();
  });
});
