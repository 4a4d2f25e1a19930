import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { BasicAuth } from '../../../src/auth/index.js';
import { Secret } from '../../../src/base/index.js';

const request = { method: 'GET', url: 'https://host.example/dav/' };

describe('BasicAuth', () => {
  test('sends user and password in UTF-8 with the first request', () => {
    const auth = new BasicAuth({ user: 'tést', password: new Secret('pä:ss') });
    const { authorization = '' } = auth.authorize(request);
    assert.equal(Buffer.from(authorization.slice('Basic '.length), 'base64').toString(), 'tést:pä:ss');
  });

  test('a refusal is worth another try only after an update', () => {
    const auth = new BasicAuth({ user: 'me', password: new Secret('old') });
    const sent = auth.authorize(request);
    assert.equal(auth.onUnauthorized(request, sent), false);
    auth.update({ user: 'me', password: new Secret('new') });
    assert.equal(auth.onUnauthorized(request, sent), true);
    assert.notEqual(auth.authorize(request).authorization, sent.authorization);
  });

  test('a user name with a colon is refused', () => {
    assert.throws(() => new BasicAuth({ user: 'a:b', password: new Secret('x') }), TypeError);
  });
});

test('a secret never prints', () => {
  const secret = new Secret('hunter2');
  const holder = { secret, auth: new BasicAuth({ user: 'me', password: secret }) };
  for (const text of [
    String(secret),
    `${secret}`,
    JSON.stringify(holder),
    inspect(holder, { depth: 9, showHidden: true }),
  ]) {
    assert.ok(
      !text.includes('hunter2') && !text.includes(Buffer.from('me:hunter2').toString('base64')),
      text,
    );
  }
  assert.equal(secret.reveal(), 'hunter2');
});
