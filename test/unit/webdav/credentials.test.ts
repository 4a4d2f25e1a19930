/** Where credentials come from and go to: challenges, tokens that end in the middle of an upload, TLS. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createPlain } from 'node:http';
import { createServer as createTls } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, describe, test } from 'node:test';
import { AuthError, type AuthErrorCode, type AuthProvider, BasicAuth } from '../../../src/auth/index.js';
import { Secret } from '../../../src/base/index.js';
import { REMOTE_ROOT, type RemoteErrorCode, type RemotePath } from '../../../src/remote/index.js';
import { rejectsWith } from '../../contract/helpers.js';
import { type FaultRule, faults, startFaultProxy } from '../../support/proxy/index.js';
import { makeCertificate } from '../../support/servers/index.js';
import { collectionXml, makeRig, multistatus } from './support.js';

const FILE = '/file' as RemotePath;
const CREDENTIALS = { user: 'tester', password: new Secret('correct horse') };

const FOUND: FaultRule['action'] = {
  kind: 'answer',
  status: 207,
  headers: { 'content-type': 'application/xml; charset=utf-8' },
  body: multistatus(collectionXml('/dav/')),
};

function challenge(header: string, early = false): FaultRule['action'] {
  return { kind: 'answer', status: 401, headers: { 'www-authenticate': header }, early };
}

async function rigWith(rules: readonly FaultRule[], auth: AuthProvider) {
  const proxy = await startFaultProxy({ rules });
  after(() => proxy.stop());
  return { proxy, ...makeRig(proxy.url, { auth }) };
}

/** Bearer tokens `token-1`, `token-2`, ...: a new one after each refusal. */
function countingTokens(): AuthProvider {
  let count = 1;
  return {
    authorize: () => ({ authorization: `Bearer token-${count}` }),
    onUnauthorized: (_, sent) => {
      if (sent.authorization === `Bearer token-${count}`) count += 1;
      return true;
    },
  };
}

describe('a challenge', () => {
  test('is answered once, and then the credentials go out with every request', async () => {
    const auth = new BasicAuth(CREDENTIALS, { preemptive: false });
    const rules = [{ nth: 1, action: challenge('Basic realm="x"') }, { action: FOUND }];
    const { proxy, store } = await rigWith(rules, auth);
    await store.stat(REMOTE_ROOT);
    await store.stat(REMOTE_ROOT);
    const sent = proxy.seen.map(({ headers }) => headers.authorization !== undefined);
    assert.deepEqual(sent, [false, true, true]);
  });

  test('for Digest alone is refused with a word why, and gets no password', async () => {
    const auth = new BasicAuth(CREDENTIALS, { preemptive: false });
    const { proxy, store } = await rigWith([{ action: challenge('Digest realm="x", nonce="y"') }], auth);
    const error = await rejectsWith(store.stat(REMOTE_ROOT), 'unauthorized');
    assert.match(error.message, /Digest.*InfiniCLOUD does not offer/);
    assert.deepEqual(
      proxy.seen.map(({ headers }) => headers.authorization),
      [undefined],
    );
  });
});

describe('a provider that fails', () => {
  for (const [code, expected] of [
    ['login-required', 'unauthorized'],
    ['token-command', 'unauthorized'],
    ['unreachable', 'unreachable'],
    ['tls', 'tls'],
    ['aborted', 'aborted'],
  ] as const satisfies ReadonlyArray<readonly [AuthErrorCode, RemoteErrorCode]>) {
    test(`${code} is ${expected}, nothing is sent, and its words are shown`, async () => {
      const auth: AuthProvider = {
        authorize: () => Promise.reject(new AuthError(code, 'no token', 'Do something.')),
        onUnauthorized: () => false,
      };
      const { proxy, store } = await rigWith([{ action: FOUND }], auth);
      const body = { size: 1, open: () => Buffer.from('x') };
      const error = await rejectsWith(store.write(FILE, body, { condition: { kind: 'any' } }), expected);
      assert.equal(error.outcome, 'none');
      assert.match(error.message, /no token; Do something/);
      assert.equal(proxy.seen.length, 0);
    });
  }

  test('and one that fails at a refusal does so too', async () => {
    const auth: AuthProvider = {
      authorize: () => ({}),
      onUnauthorized: () => Promise.reject(new AuthError('login-required', 'no token', 'Log in.')),
    };
    const { store } = await rigWith([{ action: faults.unauthorized }], auth);
    assert.match((await rejectsWith(store.stat(REMOTE_ROOT), 'unauthorized')).message, /Log in/);
  });
});

describe('a token that ends', () => {
  const CHUNK = Buffer.alloc(256 * 1024, 'x');
  const CHUNKS = 64;

  test('in the middle of an upload: the body is sent anew with the next one', async () => {
    const rules: FaultRule[] = [
      { method: 'PUT', nth: 1, action: challenge('Bearer error="invalid_token"', true) },
      { method: 'PUT', action: { kind: 'answer', status: 201 } },
    ];
    const { proxy, store } = await rigWith(rules, countingTokens());
    let opened = 0;
    let firstLength = 0;
    const body = {
      size: CHUNK.length * CHUNKS,
      open: async function* () {
        opened += 1;
        const attempt = opened;
        for (let count = 0; count < CHUNKS; count += 1) {
          if (attempt === 1) firstLength += CHUNK.length;
          yield CHUNK;
        }
      },
    };
    await store.write(FILE, body, { condition: { kind: 'any' } });
    assert.equal(opened, 2);
    assert.ok(firstLength < body.size, 'the first attempt was broken off');
    assert.equal(proxy.seen[1]?.bodyBytes, body.size);
    assert.deepEqual(
      proxy.seen.map(({ headers }) => headers.authorization),
      ['Bearer token-1', 'Bearer token-2'],
    );
  });

  test('twice in a row is a refusal, without effect', async () => {
    const { proxy, store } = await rigWith([{ action: challenge('Bearer', true) }], countingTokens());
    const body = { size: 1, open: () => Buffer.from('x') };
    const error = await rejectsWith(store.write(FILE, body, { condition: { kind: 'any' } }), 'unauthorized');
    assert.equal(error.outcome, 'none');
    assert.equal(proxy.seen.length, 2);
  });

  test('by a server that hangs up without an answer: nothing took effect, to be tried again', async () => {
    const server = createPlain((request) => {
      request.once('data', () => request.socket.resetAndDestroy());
    });
    server.listen(0, '127.0.0.1').unref();
    await once(server, 'listening');
    after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const { store } = makeRig(`http://127.0.0.1:${port}/dav/`, { auth: countingTokens() });
    const body = {
      size: CHUNK.length * CHUNKS,
      open: async function* () {
        for (let count = 0; count < CHUNKS; count += 1) yield CHUNK;
      },
    };
    const error = await rejectsWith(store.write(FILE, body, { condition: { kind: 'any' } }), 'interrupted');
    assert.deepEqual([error.outcome, error.mayRetry], ['none', true]);
  });
});

describe('TLS', () => {
  async function tlsRig(maxVersion: 'TLSv1.1' | 'TLSv1.2') {
    const { key, cert } = makeCertificate();
    let requests = 0;
    const server = createTls(
      { key, cert, minVersion: 'TLSv1', maxVersion, ciphers: 'DEFAULT:@SECLEVEL=0' },
      (_, response) => {
        requests += 1;
        response.writeHead(207, { 'content-type': 'application/xml; charset=utf-8' });
        response.end(multistatus(collectionXml('/dav/')));
      },
    );
    server.listen(0, '127.0.0.1').unref();
    await once(server, 'listening');
    after(() => server.close());
    const { port } = server.address() as AddressInfo;
    return { ...makeRig(`https://127.0.0.1:${port}/dav/`, { ca: cert }), requests: () => requests };
  }

  test('1.2 is spoken', async () => {
    const { store, requests } = await tlsRig('TLSv1.2');
    await store.stat(REMOTE_ROOT);
    assert.equal(requests(), 1);
  });

  test('1.1 is refused before a password goes out', async () => {
    const { store, requests } = await tlsRig('TLSv1.1');
    await rejectsWith(store.stat(REMOTE_ROOT), 'tls');
    assert.equal(requests(), 0);
  });
});
