/** The grants against a real authorization server over TLS, and failures against small ones. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import { inspect } from 'node:util';
import {
  AuthError,
  authorizationCodeLogin,
  clientCredentialsLogin,
  createOAuth2,
  deviceLogin,
  FileTokenStore,
  MemoryTokenStore,
  type OAuth2Options,
  refreshTokenLogin,
  type Tokens,
} from '../../../src/auth/index.js';
import { Secret, SystemClock, silentLog } from '../../../src/base/index.js';
import { browse } from '../../support/infinicloud/browser.js';
import {
  type OAuthServer,
  PUBLIC_CLIENT_ID,
  SERVICE_CLIENT_ID,
} from '../../support/infinicloud/oauth-server.js';
import {
  json,
  type Received,
  type SmallServer,
  startServer,
  stopAfterwards,
  stopServers,
  testChain,
} from './support.js';

const request = { method: 'GET', url: 'https://host.example/v2/dav/' };
const deps = { clock: new SystemClock(), log: silentLog };
const never = new AbortController().signal;
const quiet = { show: () => undefined };
const folder = mkdtempSync(join(tmpdir(), 'infinimount-oauth-'));
after(() => rmSync(folder, { recursive: true }));

interface Rig {
  readonly server: SmallServer;
  readonly oauth: OAuthServer;
  readonly options: OAuth2Options;
  readonly ca: string;
}

const SCOPE = 'openid offline_access webdav';

async function realServer(accessTokenSeconds = 600): Promise<Rig> {
  const { OAuthServer: Server } = await import('../../support/infinicloud/oauth-server.js');
  const { createServer } = await import('node:https');
  const { key, cert, caCert } = await testChain();
  const received: Received[] = [];
  const server = createServer({ key, cert });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('a TCP server has a port');
  const host = `127.0.0.1:${address.port}`;
  const oauth = new Server({ issuer: `https://${host}`, user: 'me', accessTokenSeconds });
  server.on('request', (incoming, response) => {
    const { method = '', url = '', headers } = incoming;
    received.push({ method, url, headers, body: '' });
    oauth.handle(incoming, response).catch(() => response.destroy());
  });
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  stopAfterwards(stop);
  const options: OAuth2Options = {
    issuer: `https://${host}`,
    clientId: PUBLIC_CLIENT_ID,
    scope: SCOPE,
    grant: 'device',
    ca: caCert,
  };
  return { server: { origin: `https://${host}`, host, received, stop }, oauth, options, ca: caCert };
}

function tokenRequests({ received }: SmallServer): number {
  return received.filter(({ method, url }) => method === 'POST' && url === '/token').length;
}

async function loginByCode({ options, ca }: Rig): Promise<Tokens> {
  let opened: Promise<URL> | undefined;
  const tokens = await authorizationCodeLogin(
    { ...options, grant: 'authorization-code' },
    {
      ...quiet,
      open: (url) => {
        opened = browse(url, { ca, login: 'me' });
      },
    },
    deps,
    never,
  );
  await opened;
  return tokens;
}

async function failure(work: () => unknown): Promise<AuthError> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof AuthError, inspect(error));
    return error;
  }
  assert.fail('it did not fail');
}

describe('logging in', () => {
  afterEach(stopServers);

  test('authorization code with PKCE on a loopback address', async () => {
    const rig = await realServer();
    const tokens = await loginByCode(rig);
    assert.ok(await rig.oauth.hasAccessToken(`Bearer ${tokens.accessToken.reveal()}`));
    assert.ok(tokens.refreshToken !== undefined);
    const page = rig.server.received.find(({ url }) => url.startsWith('/auth?'));
    const query = new URL(page?.url ?? '', rig.server.origin).searchParams;
    assert.equal(query.get('code_challenge_method'), 'S256');
    assert.match(query.get('redirect_uri') ?? '', /^http:\/\/127\.0\.0\.1:\d+\/callback$/);
  });

  test('device authorization, and what the person sees', async () => {
    const rig = await realServer();
    const shown: string[] = [];
    let opened: Promise<URL> | undefined;
    const ui = {
      show: (message: string) => void shown.push(message),
      open: (url: string) => {
        opened = browse(url, { ca: rig.ca, login: 'me' });
      },
    };
    const tokens = await deviceLogin(rig.options, ui, deps, never);
    await opened;
    assert.ok(await rig.oauth.hasAccessToken(`Bearer ${tokens.accessToken.reveal()}`));
    assert.match(
      shown.join('\n'),
      /^Open https:\/\/\S+\/device on any device and enter the code: \w{4}-\w{4}$/,
    );
  });

  test('client credentials, by the profile that has a secret', async () => {
    const { oauth, options } = await realServer();
    const { issuer = '', ca = '' } = options;
    const service: OAuth2Options = {
      issuer,
      ca,
      clientId: SERVICE_CLIENT_ID,
      clientSecret: new Secret(oauth.serviceSecret),
      grant: 'client-credentials',
    };
    const tokens = await clientCredentialsLogin(service, quiet, deps, never);
    assert.ok(await oauth.hasAccessToken(`Bearer ${tokens.accessToken.reveal()}`));
    const wrong = { ...service, clientSecret: new Secret('wrong') };
    const error = await failure(() => clientCredentialsLogin(wrong, quiet, deps, never));
    assert.equal(error.code, 'client-refused');
    assert.match(error.message, /client-secret/);
  });

  test('a refresh token that is at hand', async () => {
    const rig = await realServer();
    const { refreshToken = new Secret('') } = await loginByCode(rig);
    const tokens = await refreshTokenLogin(rig.options, refreshToken, deps, never);
    assert.ok(await rig.oauth.hasAccessToken(`Bearer ${tokens.accessToken.reveal()}`));
    assert.notEqual(tokens.refreshToken?.reveal(), refreshToken.reveal());
  });

  test('explicit endpoints instead of an issuer', async () => {
    const rig = await realServer();
    const { origin } = rig.server;
    const { issuer: _, ...options } = rig.options;
    const tokens = await loginByCode({
      ...rig,
      options: {
        ...options,
        tokenEndpoint: `${origin}/token`,
        authorizationEndpoint: `${origin}/auth`,
      },
    });
    assert.ok(await rig.oauth.hasAccessToken(`Bearer ${tokens.accessToken.reveal()}`));
    assert.ok(!rig.server.received.some(({ url }) => url.includes('.well-known')));
  });

  test('a person who says no', async () => {
    const rig = await realServer();
    const ui = {
      ...quiet,
      open: (page: string) => {
        const { searchParams } = new URL(page);
        const answer = new URL(searchParams.get('redirect_uri') ?? '');
        answer.searchParams.set('error', 'access_denied');
        answer.searchParams.set('state', searchParams.get('state') ?? '');
        answer.searchParams.set('iss', rig.server.origin);
        void fetch(answer).then((response) => response.text());
      },
    };
    const error = await failure(() => authorizationCodeLogin(rig.options, ui, deps, never));
    assert.equal(error.code, 'declined');
  });

  test('an answer with another state is no answer, and calling off ends the wait', async () => {
    const rig = await realServer();
    const controller = new AbortController();
    let status: number | undefined;
    const ui = {
      ...quiet,
      open: (page: string) => {
        const answer = new URL(new URL(page).searchParams.get('redirect_uri') ?? '');
        answer.searchParams.set('code', 'stolen');
        answer.searchParams.set('state', 'guessed');
        void fetch(answer).then((response) => {
          status = response.status;
          controller.abort();
        });
      },
    };
    const error = await failure(() => authorizationCodeLogin(rig.options, ui, deps, controller.signal));
    assert.equal(error.code, 'aborted');
    assert.equal(status, 400);
    assert.equal(tokenRequests(rig.server), 0);
  });
});

describe('createOAuth2', () => {
  afterEach(stopServers);

  test('one renewal for all, the rotated refresh token on the disk before it is used', async () => {
    const rig = await realServer();
    const store = new FileTokenStore(join(folder, 'rotation.json'));
    await store.save(await loginByCode(rig));
    const auth = createOAuth2(rig.options, { ...deps, tokens: store });
    const sent = await auth.authorize(request);
    assert.ok(await rig.oauth.hasAccessToken(sent.authorization));
    const before = tokenRequests(rig.server);
    await rig.oauth.expireAccessTokens();
    const worth = await Promise.all(Array.from({ length: 6 }, () => auth.onUnauthorized(request, sent)));
    assert.deepEqual([...new Set(worth)], [true]);
    assert.equal(tokenRequests(rig.server), before + 1);
    const next = await auth.authorize(request);
    assert.ok(await rig.oauth.hasAccessToken(next.authorization));
    // A restart finds the new ones, and can renew them once more: the server ends a grant whose old token comes again.
    const again = createOAuth2(rig.options, { ...deps, tokens: new FileTokenStore(store.path) });
    assert.deepEqual(await again.authorize(request), next);
    assert.equal(await again.onUnauthorized(request, next), true);
    assert.ok(await rig.oauth.hasAccessToken((await again.authorize(request)).authorization));
  });

  test('two mounts of one profile do not use up one refresh token twice', async () => {
    const rig = await realServer();
    const path = join(folder, 'shared.json');
    await new FileTokenStore(path).save(await loginByCode(rig));
    const make = () => createOAuth2(rig.options, { ...deps, tokens: new FileTokenStore(path) });
    const mounts = [make(), make(), make()];
    const sent = await Promise.all(mounts.map((auth) => auth.authorize(request)));
    const before = tokenRequests(rig.server);
    const worth = await Promise.all(mounts.map((auth, at) => auth.onUnauthorized(request, sent[at] ?? {})));
    assert.deepEqual(worth, [true, true, true]);
    assert.equal(tokenRequests(rig.server), before + 1);
  });

  test('without a login, or after its end, it says to log in', async () => {
    const rig = await realServer();
    const none = createOAuth2(rig.options, { ...deps, tokens: new MemoryTokenStore() });
    const error = await failure(() => none.authorize(request));
    assert.deepEqual([error.code, error.advice], ['login-required', 'Run: infinimount login']);
    const store = new MemoryTokenStore();
    const tokens = await loginByCode(rig);
    await store.save({ ...tokens, expiresAtMs: 0, refreshToken: new Secret('gone') });
    const ended = createOAuth2(rig.options, { ...deps, tokens: store });
    assert.equal((await failure(() => ended.authorize(request))).code, 'login-required');
  });

  test('tokens of another server or client are not sent', async () => {
    const rig = await realServer();
    const store = new MemoryTokenStore();
    await store.save(await loginByCode(rig));
    const other = createOAuth2({ ...rig.options, clientId: 'another' }, { ...deps, tokens: store });
    assert.equal((await failure(() => other.authorize(request))).code, 'login-required');
  });

  test('client credentials need no stored login', async () => {
    const { oauth, options } = await realServer();
    const { issuer = '', ca = '' } = options;
    const auth = createOAuth2(
      {
        issuer,
        ca,
        clientId: SERVICE_CLIENT_ID,
        clientSecret: new Secret(oauth.serviceSecret),
        grant: 'client-credentials',
      },
      { ...deps, tokens: new MemoryTokenStore() },
    );
    const sent = await auth.authorize(request);
    assert.ok(await oauth.hasAccessToken(sent.authorization));
    await oauth.expireAccessTokens();
    assert.equal(await auth.onUnauthorized(request, sent), true);
  });
});

/** A token endpoint that answers as told; the refresh token it is asked with is `refresh`. */
async function tokenEndpoint(answer: (response: ServerResponse, count: number) => void) {
  let count = 0;
  const server = await startServer((_, response) => {
    count += 1;
    answer(response, count);
  });
  const { caCert } = await testChain();
  const options: OAuth2Options = {
    tokenEndpoint: `${server.origin}/token`,
    clientId: 'c',
    grant: 'refresh-token',
    ca: caCert,
  };
  const login = (changes: Partial<OAuth2Options> = {}) =>
    refreshTokenLogin({ ...options, ...changes }, new Secret('refresh'), deps, never);
  return { server, options, login };
}

describe('failures of the authorization server', () => {
  afterEach(stopServers);

  for (const [what, status, body, code] of [
    ['a refresh token it does not know', 400, { error: 'invalid_grant' }, 'login-required'],
    ['a client it does not know', 401, { error: 'invalid_client' }, 'client-refused'],
    ['a scope it does not know', 400, { error: 'invalid_scope' }, 'client-refused'],
    ['trouble of its own', 503, { error: 'x' }, 'unreachable'],
    ['too many requests', 429, {}, 'unreachable'],
    ['another kind of token', 200, { access_token: 'a', token_type: 'mac' }, 'protocol'],
    [
      'a token that breaks out of its header',
      200,
      { access_token: 'a\r\nb: c', token_type: 'bearer' },
      'protocol',
    ],
    ['no token', 200, { ok: true }, 'protocol'],
  ] as const) {
    test(what, async () => {
      const { login } = await tokenEndpoint((response) => json(response, status, body));
      assert.equal((await failure(login)).code, code);
    });
  }

  test('a web page instead of an answer', async () => {
    const { login } = await tokenEndpoint((response) => response.end('<html>s3cret</html>'));
    const error = await failure(login);
    assert.equal(error.code, 'protocol');
    assert.ok(!inspect(error, { depth: 9 }).includes('s3cret'));
  });

  test('a redirect is not followed', async () => {
    const other = await startServer((_, response) => response.end());
    const { login } = await tokenEndpoint((response) =>
      response.writeHead(307, { location: `${other.origin}/token` }).end(),
    );
    assert.equal((await failure(login)).code, 'protocol');
    assert.equal(other.received.length, 0);
  });

  test('plain http to another machine, before anything is sent', async () => {
    const { login, server } = await tokenEndpoint((response) => response.end());
    const error = await failure(() => login({ tokenEndpoint: 'http://token.example/token' }));
    assert.equal(error.code, 'client-refused');
    assert.equal(server.received.length, 0);
  });

  test('a certificate that nobody knows', async () => {
    const { options, server } = await tokenEndpoint((response) => response.end());
    const { ca: _, ...without } = options;
    const error = await failure(() => refreshTokenLogin(without, new Secret('refresh'), deps, never));
    assert.equal(error.code, 'tls');
    assert.match(error.message, /--ca-file/);
    assert.equal(server.received.length, 0);
  });

  test('nobody there', async () => {
    const { login, server } = await tokenEndpoint((response) => response.end());
    await server.stop();
    assert.equal((await failure(login)).code, 'unreachable');
  });

  test('no description of itself at the issuer', async () => {
    const server = await startServer((_, response) => json(response, 404, {}));
    const { caCert } = await testChain();
    const options: OAuth2Options = { issuer: server.origin, clientId: 'c', grant: 'device', ca: caCert };
    const error = await failure(() => deviceLogin(options, quiet, deps, never));
    assert.equal(error.code, 'protocol');
    assert.deepEqual(
      server.received.map(({ url }) => url),
      ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'],
    );
  });

  test('an answer that names another issuer', async () => {
    const server = await startServer((_, response) =>
      json(response, 200, { issuer: 'https://other.example', token_endpoint: 'https://other.example/token' }),
    );
    const { caCert } = await testChain();
    const options: OAuth2Options = { issuer: server.origin, clientId: 'c', grant: 'device', ca: caCert };
    assert.equal((await failure(() => deviceLogin(options, quiet, deps, never))).code, 'protocol');
  });

  test('a server without rotation leaves the refresh token in force', async () => {
    const { login, server } = await tokenEndpoint((response) =>
      json(response, 200, { access_token: 'a', token_type: 'Bearer', expires_in: 60, id_token: 'not.a.jwt' }),
    );
    const tokens = await login();
    assert.equal(tokens.refreshToken?.reveal(), 'refresh');
    assert.match(server.received[0]?.body ?? '', /grant_type=refresh_token/);
  });

  test('trouble while a device waits is no refusal', async () => {
    const polls: number[] = [];
    const server = await startServer(({ url }, response) => {
      if (url === '/device') {
        json(response, 200, {
          device_code: 'd',
          user_code: 'ABCD',
          verification_uri: 'https://verify.example/',
          expires_in: 60,
          interval: 0.01,
        });
        return;
      }
      polls.push(polls.length);
      if (polls.length === 1) json(response, 400, { error: 'authorization_pending' });
      else if (polls.length === 2) json(response, 502, {});
      else json(response, 200, { access_token: 'a', token_type: 'bearer' });
    });
    const { caCert } = await testChain();
    const tokens = await deviceLogin(
      {
        tokenEndpoint: `${server.origin}/token`,
        deviceAuthorizationEndpoint: `${server.origin}/device`,
        clientId: 'c',
        grant: 'device',
        ca: caCert,
      },
      quiet,
      deps,
      never,
    );
    assert.equal(tokens.accessToken.reveal(), 'a');
    assert.equal(polls.length, 3);
  });
});
