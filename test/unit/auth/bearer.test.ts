import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AuthError, BearerAuth, type BearerToken, type TokenSource } from '../../../src/auth/index.js';
import { Secret, silentLog } from '../../../src/base/index.js';
import { ManualClock, quiesce } from '../../support/manual-clock.js';

const request = { method: 'GET', url: 'https://host.example/v2/dav/' };
const LIFE_MS = 1_000_000;

/** Hands out `token-1`, `token-2`, ...; each renewal ends when the test says so, unless `immediate`. */
class Source implements TokenSource<BearerToken> {
  readonly clock = new ManualClock();
  renewals = 0;
  stored: BearerToken | undefined;
  fault: AuthError | undefined;
  gate: Promise<void> = Promise.resolve();

  load(): Promise<BearerToken | undefined> {
    return Promise.resolve(this.stored);
  }

  async renew(): Promise<BearerToken> {
    this.renewals += 1;
    const name = `token-${this.renewals}`;
    await this.gate;
    if (this.fault !== undefined) throw this.fault;
    return this.token(name);
  }

  token(name: string, lifeMs = LIFE_MS): BearerToken {
    const issuedAtMs = this.clock.nowMs();
    return { accessToken: new Secret(name), issuedAtMs, expiresAtMs: issuedAtMs + lifeMs };
  }
}

function rig() {
  const source = new Source();
  return { source, auth: new BearerAuth(source, { clock: source.clock, log: silentLog }) };
}

describe('BearerAuth', () => {
  test('a stored token is used, and nobody is asked', async () => {
    const { source, auth } = rig();
    source.stored = source.token('kept');
    assert.deepEqual(await auth.authorize(request), { authorization: 'Bearer kept' });
    assert.equal(source.renewals, 0);
  });

  test('an expired stored token is not sent', async () => {
    const { source, auth } = rig();
    source.stored = source.token('kept', 0);
    assert.deepEqual(await auth.authorize(request), { authorization: 'Bearer token-1' });
  });

  test('requests that need a token at the same time share one renewal', async () => {
    const { source, auth } = rig();
    const all = await Promise.all(Array.from({ length: 9 }, () => auth.authorize(request)));
    assert.equal(source.renewals, 1);
    assert.ok(all.every((headers) => headers.authorization === 'Bearer token-1'));
  });

  test('it is renewed ahead of its end, without anybody waiting', async () => {
    const { source, auth } = rig();
    await auth.authorize(request);
    await source.clock.advance(LIFE_MS - 60_001);
    assert.deepEqual(await auth.authorize(request), { authorization: 'Bearer token-1' });
    assert.equal(source.renewals, 1);
    await source.clock.advance(2);
    const answer = auth.authorize(request);
    assert.deepEqual(answer, { authorization: 'Bearer token-1' });
    await quiesce();
    assert.equal(source.renewals, 2);
    assert.deepEqual(auth.authorize(request), { authorization: 'Bearer token-2' });
  });

  test('a renewal ahead that fails does no harm while the token lasts', async () => {
    const { source, auth } = rig();
    await auth.authorize(request);
    await source.clock.advance(LIFE_MS - 1_000);
    source.fault = new AuthError('unreachable', 'no line', 'Wait.');
    assert.deepEqual(auth.authorize(request), { authorization: 'Bearer token-1' });
    await quiesce();
    assert.deepEqual(auth.authorize(request), { authorization: 'Bearer token-1' });
    await source.clock.advance(1_000);
    await assert.rejects(async () => auth.authorize(request), AuthError);
  });

  test('refusals of one token together make one renewal, and each is worth another try', async () => {
    const { source, auth } = rig();
    const sent = await auth.authorize(request);
    const worth = await Promise.all(
      Array.from({ length: 9 }, () => auth.onUnauthorized(request, sent, 'Bearer error="invalid_token"')),
    );
    assert.equal(source.renewals, 2);
    assert.deepEqual([...new Set(worth)], [true]);
    assert.equal(await auth.onUnauthorized(request, sent), true);
    assert.equal(source.renewals, 2);
  });

  test('after a failure nobody is asked for a while, longer each time', async () => {
    const { source, auth } = rig();
    source.fault = new AuthError('login-required', 'no login', 'Log in.');
    const fails = () => assert.rejects(async () => auth.authorize(request), AuthError);
    await fails();
    await fails();
    assert.equal(source.renewals, 1);
    await source.clock.advance(1_000);
    await fails();
    await source.clock.advance(1_000);
    await fails();
    assert.equal(source.renewals, 2);
    await source.clock.advance(1_000);
    await fails();
    assert.equal(source.renewals, 3);
  });

  test('tokens of a new login are taken up at once', async () => {
    const { source, auth } = rig();
    source.fault = new AuthError('login-required', 'no login', 'Log in.');
    await assert.rejects(async () => auth.authorize(request), AuthError);
    assert.equal(await auth.reload(), false);
    source.stored = source.token('by login');
    assert.equal(await auth.reload(), true);
    assert.deepEqual(auth.authorize(request), { authorization: 'Bearer by login' });
  });

  test('a server that asks for BASIC costs no token', async () => {
    const { source, auth } = rig();
    const sent = await auth.authorize(request);
    await assert.rejects(
      async () => auth.onUnauthorized(request, sent, 'Basic realm="x"'),
      (error) => error instanceof AuthError && error.code === 'scheme',
    );
    assert.equal(source.renewals, 1);
  });
});
