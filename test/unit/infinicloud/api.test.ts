import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { afterEach, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { Secret, SystemClock, UserError } from '../../../src/base/index.js';
import {
  InfiniCloudApi,
  InfiniCloudError,
  type InfiniCloudErrorCode,
  type InfiniCloudOptions,
  infiniCloudUserError,
  parseApiKey,
} from '../../../src/infinicloud/index.js';
import { json, startServer, stopServers, testChain } from '../auth/support.js';

const KEY = '0123456789ABCDEF0123456789ABCDEF';
const USER = {
  result: 0,
  user: 'me',
  node: 'node.example',
  webdav_url: 'https://node.example/dav/',
  capacity: 20,
};

async function rig(answer: (response: ServerResponse) => void, changes: Partial<InfiniCloudOptions> = {}) {
  const server = await startServer((_, response) => answer(response));
  const { caCert } = await testChain();
  const api = new InfiniCloudApi({
    apiUrl: server.origin,
    apiKey: parseApiKey(KEY),
    credentials: { user: 'me', password: new Secret('s3cret pässword') },
    ca: caCert,
    clock: new SystemClock(),
    ...changes,
  });
  return { server, api };
}

async function failure(work: Promise<unknown>): Promise<InfiniCloudError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof InfiniCloudError, inspect(error));
    assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(KEY));
    return error;
  }
  assert.fail('it did not fail');
}

describe('ba/user', () => {
  afterEach(stopServers);

  test('asks with BASIC and the key under both names, and reads the node', async () => {
    const { server, api } = await rig((response) => json(response, 200, USER));
    assert.deepEqual(await api.user(), {
      user: 'me',
      node: 'node.example',
      webdavUrl: 'https://node.example/dav/',
      capacityBytes: 20e9,
    });
    const [asked] = server.received;
    assert.equal(asked?.url, '/v2/api/ba/user');
    assert.equal(asked?.headers['x-infinicloud-api-key'], KEY);
    assert.equal(asked?.headers['x-teracloud-api-key'], KEY);
    const [, basic = ''] = asked?.headers.authorization?.split(' ') ?? [];
    assert.equal(Buffer.from(basic, 'base64').toString(), 'me:s3cret pässword');
  });

  test('the key as matrix parameter stands in the URL, and nowhere else', async () => {
    const { server, api } = await rig((response) => json(response, 200, USER), { keyPlacement: 'matrix' });
    await api.user();
    const [asked] = server.received;
    assert.equal(asked?.url, `/v2/api/ba/user;api_key=${KEY}`);
    assert.equal(asked?.headers['x-infinicloud-api-key'], undefined);
    assert.equal(asked?.headers['x-teracloud-api-key'], undefined);
  });

  for (const [what, body, expected] of [
    ['numbers as strings', { ...USER, result: '0', capacity: '20' }, { capacityBytes: 20e9 }],
    [
      'no result',
      { node: 'n.example' },
      { user: 'me', node: 'n.example', webdavUrl: 'https://n.example/dav/' },
    ],
    ['only the URL', { result: 0, webdav_url: 'https://n.example:8443/dav/' }, { node: 'n.example:8443' }],
    [
      'a URL without TLS',
      { ...USER, webdav_url: 'http://x.example/dav/' },
      { webdavUrl: 'https://node.example/dav/' },
    ],
    ['a capacity that is none', { ...USER, capacity: null }, { capacityBytes: undefined }],
    ['more than is known', { ...USER, new: [1] }, { node: 'node.example' }],
  ] as const) {
    test(`lenient: ${what}`, async () => {
      const { api } = await rig((response) => json(response, 200, body));
      for (const [name, value] of Object.entries(expected)) {
        assert.equal(Object.entries(await api.user()).find(([key]) => key === name)?.[1], value);
      }
    });
  }

  for (const [status, body, code, words] of [
    [202, {}, 'not-ready', /Wait a few minutes/],
    [401, {}, 'unauthorized', /Apps Connection/],
    [403, {}, 'wrong-key', /API key/],
    [404, {}, 'not-found', /WebDAV URL/],
    [200, { result: 7 }, 'refused', /result 7.*MyPage/],
    [200, { result: '-1' }, 'refused', /MyPage/],
    [200, { result: 'what' }, 'refused', /MyPage/],
    [200, { result: 0 }, 'protocol', /WebDAV URL/],
    [200, { result: 0, node: 'evil.example/path' }, 'protocol', /WebDAV URL/],
    [200, [], 'protocol', /./],
    [500, {}, 'server', /later/],
    [429, {}, 'server', /later/],
    [418, {}, 'protocol', /option api/],
  ] as const satisfies ReadonlyArray<readonly [number, unknown, InfiniCloudErrorCode, RegExp]>) {
    test(`${status} ${JSON.stringify(body)} is told as ${code}`, async () => {
      const { api } = await rig((response) => json(response, status, body));
      const error = await failure(api.user());
      assert.equal(error.code, code);
      assert.match(error.message, words);
      const shown = infiniCloudUserError(error, 'log in');
      assert.ok(shown instanceof UserError);
      assert.match(shown.message, /^Cannot log in: /);
    });
  }

  test('a web page is no answer', async () => {
    const { api } = await rig((response) => response.end('<html>Welcome</html>'));
    assert.equal((await failure(api.user())).code, 'protocol');
  });

  test('a redirect gets nothing: neither to another host nor to plain http', async () => {
    const other = await startServer((_, response) => json(response, 200, USER));
    const plain = await startServer((_, response) => json(response, 200, USER), { plain: true });
    for (const target of [other, plain]) {
      const { api } = await rig((response) =>
        response.writeHead(302, { location: `${target.origin}/v2/api/ba/user` }).end(),
      );
      const error = await failure(api.user());
      assert.equal(error.code, 'redirect');
      assert.ok(error.message.includes(target.host));
      assert.equal(target.received.length, 0);
    }
  });

  test('plain http to another machine is refused before anything is sent', async () => {
    const { api } = await rig((response) => response.end(), { apiUrl: 'http://api.example' });
    assert.equal((await failure(api.user())).code, 'redirect');
  });

  test('a certificate that nobody knows is told apart from no connection', async () => {
    const { server } = await rig((response) => json(response, 200, USER));
    const unknown = new InfiniCloudApi({
      apiUrl: server.origin,
      apiKey: parseApiKey(KEY),
      credentials: { user: 'me', password: new Secret('x') },
      clock: new SystemClock(),
    });
    assert.equal((await failure(unknown.user())).code, 'tls');
    assert.equal(server.received.length, 0);
    const { api, server: gone } = await rig((response) => json(response, 200, USER));
    await gone.stop();
    assert.equal((await failure(api.user())).code, 'unreachable');
  });

  test('a server that speaks only TLS 1.1 gets nothing', async () => {
    const { caCert } = await testChain();
    const old = await startServer((_, response) => json(response, 200, USER), {
      tls: { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' },
    });
    const { api } = await rig((response) => response.end(), { apiUrl: old.origin, ca: caCert });
    assert.equal((await failure(api.user())).code, 'tls');
    assert.equal(old.received.length, 0);
  });

  test('a server that never answers, after the deadline', async () => {
    const { api } = await rig(() => undefined, { timeoutMs: 30 });
    assert.equal((await failure(api.user())).code, 'timeout');
  });
});

describe('ba/dataset/(capacity)', () => {
  afterEach(stopServers);

  test('asks the node and reads bytes', async () => {
    const { server, api } = await rig(
      (response) => json(response, 200, { result: '0', dataset: { __ROOT__: { quota: '1000', used: 10 } } }),
      { apiUrl: 'https://api.invalid' },
    );
    assert.deepEqual(await api.capacity(server.host), { quotaBytes: 1000, usedBytes: 10 });
    assert.equal(server.received[0]?.url, '/v2/api/ba/dataset/(capacity)');
    assert.equal(server.received[0]?.headers['x-infinicloud-api-key'], KEY);
  });

  test('the matrix parameter goes behind the last segment', async () => {
    const { server, api } = await rig(
      (response) => json(response, 200, { result: 0, dataset: { __ROOT__: { quota: 1, used: 0 } } }),
      { keyPlacement: 'matrix' },
    );
    await api.capacity(server.host);
    assert.equal(server.received[0]?.url, `/v2/api/ba/dataset/(capacity);api_key=${KEY}`);
  });

  for (const dataset of [
    undefined,
    {},
    { __ROOT__: {} },
    { __ROOT__: { quota: 0, used: 0 } },
    { __ROOT__: { quota: 9 } },
  ]) {
    test(`says nothing rather than 0: ${JSON.stringify(dataset)}`, async () => {
      const { server, api } = await rig((response) => json(response, 200, { result: 0, dataset }));
      assert.equal(await api.capacity(server.host), undefined);
    });
  }

  test('404 is told', async () => {
    const { server, api } = await rig((response) => json(response, 404, {}));
    const error = await failure(api.capacity(server.host));
    assert.equal(error.code, 'not-found');
    assert.match(error.message, /volume-size/);
  });
});

describe('parseApiKey', () => {
  test('takes 32 upper-case hexadecimal digits', () => {
    assert.equal(parseApiKey(` ${KEY}\n`).reveal(), KEY);
  });

  for (const [text, words] of [
    [KEY.toLowerCase(), /upper case/],
    [KEY.slice(1), /31 digits/],
    ['', /0 digits/],
    ['my password', /not 32 hex/],
  ] as const) {
    test(`refuses ${JSON.stringify(text)} without repeating it`, () => {
      assert.throws(
        () => parseApiKey(text),
        (error) =>
          error instanceof UserError &&
          words.test(error.message) &&
          (text === '' || !error.message.includes(text)),
      );
    });
  }
});
