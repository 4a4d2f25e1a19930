import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { challengeSchemes } from '../../../src/auth/challenge.js';
import { AuthError, BasicAuth } from '../../../src/auth/index.js';
import { Secret } from '../../../src/base/index.js';

describe('challengeSchemes', () => {
  for (const [header, schemes] of [
    ['Basic realm="a"', ['basic']],
    ['Basic realm="x, Digest y=\\"z\\"", charset="UTF-8"', ['basic']],
    ['Digest realm="a", qop="auth", nonce=abc', ['digest']],
    ['Digest realm="a", nonce="b", Basic realm="c"', ['digest', 'basic']],
    ['Negotiate YII+/=, BASIC realm="c"', ['negotiate', 'basic']],
    ['Bearer', ['bearer']],
    ['bearer error = "invalid_token"', ['bearer']],
    [', ,', []],
    ['"stray', []],
  ] as const) {
    test(header, () => assert.deepEqual(challengeSchemes(header), [...schemes]));
  }
});

const request = { method: 'GET', url: 'https://host.example/dav/' };
const credentials = { user: 'me', password: new Secret('hunter2') };

describe('BasicAuth and challenges', () => {
  test('without preemptive nothing is sent until the server asks, and then always', () => {
    const auth = new BasicAuth(credentials, { preemptive: false });
    const sent = auth.authorize(request);
    assert.deepEqual(sent, {});
    assert.equal(auth.onUnauthorized(request, sent, 'Basic realm="x"'), true);
    const answered = auth.authorize(request);
    assert.match(answered.authorization ?? '', /^Basic /);
    assert.equal(auth.onUnauthorized(request, answered, 'Basic realm="x"'), false);
  });

  test('a server that asks for Digest only never gets the password', () => {
    const auth = new BasicAuth(credentials, { preemptive: false });
    assert.throws(
      () => auth.onUnauthorized(request, {}, 'Digest realm="x", nonce="y"'),
      (error) =>
        error instanceof AuthError && error.code === 'digest-only' && /InfiniCLOUD/.test(error.message),
    );
    assert.deepEqual(auth.authorize(request), {});
  });

  test('a server that asks for a token says so', () => {
    const auth = new BasicAuth(credentials);
    assert.throws(
      () => auth.onUnauthorized(request, auth.authorize(request), 'Bearer realm="x"'),
      (error) => error instanceof AuthError && error.code === 'scheme' && /oauth2/.test(error.message),
    );
  });

  test('Digest beside Basic is answered by Basic', () => {
    const auth = new BasicAuth(credentials, { preemptive: false });
    assert.equal(auth.onUnauthorized(request, {}, 'Digest nonce="y", Basic realm="x"'), true);
  });
});
