/** The stand-in itself: each rule that it mimics, seen with plain HTTP requests and a plain OAuth2 client. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, beforeEach, describe, test } from 'node:test';
import { connect } from 'node:tls';
import * as oauth from 'openid-client';
import { Agent, type Dispatcher, fetch, request } from 'undici';
import { waitUntil } from '../support/exec.js';
import { type InfiniCloud, startInfiniCloud } from '../support/infinicloud/index.js';
import { SKIP_CLOUD } from './setup.js';

interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer | Readable;
}

interface Told {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  readonly text: string;
}

describe('the InfiniCLOUD stand-in', { skip: SKIP_CLOUD }, () => {
  let cloud: InfiniCloud;
  let agent: Agent;

  before(async () => {
    cloud = await startInfiniCloud();
    agent = new Agent({ connect: { ca: readFileSync(cloud.caFile, 'utf8') } });
  });
  after(async () => {
    await agent.close();
    await cloud.stop();
  });
  beforeEach(() => cloud.clearReceived());

  async function ask(url: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<Told> {
    const answer = await request(url, {
      dispatcher: agent,
      method: method as Dispatcher.HttpMethod,
      headers,
      ...(body === undefined ? {} : { body }),
    });
    return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
  }

  const basic = (password = cloud.password, user = cloud.user) => ({
    authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
  });
  const key = (value = cloud.apiKey) => ({ 'x-infinicloud-api-key': value });
  const listing = { method: 'PROPFIND', headers: { depth: '1' } };
  const list = (url: string, headers: Readonly<Record<string, string>>) =>
    ask(url, { ...listing, headers: { ...listing.headers, ...headers } });

  describe('REST', () => {
    const userCall = () => `${cloud.apiUrl}/v2/api/ba/user`;
    const capacityCall = () => `${cloud.nodeUrl}/v2/api/ba/dataset/(capacity)`;

    test('ba/user names the node, with the key by either header or in the URL', async () => {
      const older = { 'x-teracloud-api-key': cloud.apiKey };
      for (const headers of [
        { ...basic(), ...key() },
        { ...basic(), ...older },
      ]) {
        const { status, text } = await ask(userCall(), { headers });
        assert.equal(status, 200);
        assert.deepEqual(JSON.parse(text), {
          result: 0,
          user: cloud.user,
          node: cloud.nodeHost,
          webdav_url: cloud.davUrl,
          capacity: 20,
        });
      }
      const inUrl = await ask(`${userCall()};api_key=${cloud.apiKey}`, { headers: basic() });
      assert.equal(inUrl.status, 200);
    });

    test('capacity: bytes of the quota, and more used than the files take', async () => {
      const { text } = await ask(capacityCall(), { headers: { ...basic(), ...key() } });
      const root = JSON.parse(text).dataset.__ROOT__;
      assert.equal(root.quota, cloud.quotaBytes);
      assert.equal(root.used, await cloud.usedBytes());
      assert.ok(root.used > 0);
      const missing = capacityCall().replace('capacity', 'nothing');
      assert.equal((await ask(missing, { headers: { ...basic(), ...key() } })).status, 404);
    });

    test('wrong ID or password 401, wrong or no key 403, node not ready 202, result not 0', async () => {
      const status = async (headers: Readonly<Record<string, string>>) =>
        (await ask(userCall(), { headers })).status;
      assert.equal(await status({ ...basic('wrong'), ...key() }), 401);
      assert.equal(await status({ ...basic(cloud.password, 'nobody'), ...key() }), 401);
      assert.equal(await status({ ...basic(), ...key('0'.repeat(32)) }), 403);
      assert.equal(await status(basic()), 403);
      cloud.setNodeReady(false);
      assert.equal(await status({ ...basic(), ...key() }), 202);
      cloud.setNodeReady(true);
      cloud.setRestResult(7);
      const { text } = await ask(userCall(), { headers: { ...basic(), ...key() } });
      cloud.setRestResult(0);
      assert.deepEqual(JSON.parse(text), { result: 7 });
    });

    test('an API host that is down refuses connections and comes back', async () => {
      await cloud.setApiHostUp(false);
      await assert.rejects(ask(userCall()));
      await cloud.setApiHostUp(true);
      assert.equal((await ask(userCall(), { headers: { ...basic(), ...key() } })).status, 200);
    });
  });

  describe('BASIC', () => {
    test('a file goes up, is moved and comes back; the server sees no address of its own', async () => {
      const put = await ask(`${cloud.davUrl}a.txt`, { method: 'PUT', headers: basic(), body: 'hello' });
      assert.equal(put.status, 201);
      const move = await ask(`${cloud.davUrl}a.txt`, {
        method: 'MOVE',
        headers: { ...basic(), destination: `${cloud.davUrl}b.txt` },
      });
      assert.equal(move.status, 201);
      assert.equal(move.headers.location, `${cloud.davUrl}b.txt`);
      assert.equal((await ask(`${cloud.davUrl}b.txt`, { headers: basic() })).text, 'hello');
      assert.equal(readFileSync(join(cloud.root, 'b.txt'), 'utf8'), 'hello');
      const { status, text } = await list(cloud.davUrl, basic());
      assert.equal(status, 207);
      assert.match(text, /<D:href>\/dav\/b\.txt<\/D:href>/);
      const puts = cloud.received('node').filter(({ method }) => method === 'PUT');
      assert.deepEqual(
        puts.map(({ path, bodyBytes, status }) => ({ path, bodyBytes, status })),
        [{ path: '/dav/a.txt', bodyBytes: 5, status: 201 }],
      );
    });

    test('a collection without its slash is sent to its public address', async () => {
      assert.equal((await ask(`${cloud.davUrl}dir/`, { method: 'MKCOL', headers: basic() })).status, 201);
      const moved = await list(`${cloud.davUrl}dir`, basic());
      assert.deepEqual([moved.status, moved.headers.location], [301, `${cloud.davUrl}dir/`]);
    });

    test('/backup/ has files of its own', async () => {
      await ask(`${cloud.backupUrl}kept.txt`, { method: 'PUT', headers: basic(), body: 'kept' });
      assert.ok(existsSync(join(cloud.backupRoot, 'kept.txt')));
      assert.equal((await ask(`${cloud.davUrl}kept.txt`, { headers: basic() })).status, 404);
    });

    test('a wrong password gets a challenge for BASIC and no other scheme', async () => {
      const refused = await list(cloud.davUrl, basic('wrong'));
      assert.equal(refused.status, 401);
      assert.match(String(refused.headers['www-authenticate']), /^Basic realm="[^"]*"$/);
    });

    test('apps connection off: a web page for a PROPFIND, 401 for the rest', async () => {
      cloud.setAppsConnection(false);
      const page = await list(cloud.davUrl, basic());
      const put = await ask(`${cloud.davUrl}no.txt`, { method: 'PUT', headers: basic(), body: 'x' });
      const user = await ask(`${cloud.apiUrl}/v2/api/ba/user`, { headers: { ...basic(), ...key() } });
      cloud.setAppsConnection(true);
      assert.deepEqual([page.status, page.headers['content-type']], [200, 'text/html; charset=utf-8']);
      assert.deepEqual([put.status, user.status], [401, 401]);
      assert.equal(existsSync(join(cloud.root, 'no.txt')), false);
    });

    test('a web page instead of a multistatus', async () => {
      cloud.htmlInsteadOf207(true);
      const page = await list(cloud.davUrl, basic());
      cloud.htmlInsteadOf207(false);
      assert.equal(page.status, 200);
      assert.match(page.text, /^<!DOCTYPE html>/);
    });

    test('a renewed password: the old one is refused at once, the new one until it is accepted', async () => {
      const old = cloud.password;
      const renewed = cloud.renewPassword();
      assert.equal((await list(cloud.davUrl, basic(old))).status, 401);
      assert.equal((await list(cloud.davUrl, basic(renewed))).status, 401);
      cloud.acceptPassword();
      assert.equal((await list(cloud.davUrl, basic(renewed))).status, 207);
      assert.equal((await list(cloud.davUrl, basic(old))).status, 401);
      const timed = cloud.renewPassword({ acceptAfterMs: 30 });
      await waitUntil(
        'the password to work',
        async () => (await list(cloud.davUrl, basic(timed))).status === 207,
      );
    });

    test('over the quota: 507, and nothing is kept', async () => {
      const quota = cloud.quotaBytes;
      cloud.setQuota((await cloud.usedBytes()) + 10);
      const big = await ask(`${cloud.davUrl}big`, { method: 'PUT', headers: basic(), body: 'x'.repeat(11) });
      const small = await ask(`${cloud.davUrl}small`, { method: 'PUT', headers: basic(), body: 'x' });
      cloud.setQuota(quota);
      assert.deepEqual([big.status, small.status], [507, 201]);
      assert.equal(existsSync(join(cloud.root, 'big')), false);
    });

    test('redirects go where they are told, and what arrives there is recorded', async () => {
      cloud.redirect({ from: 'node', to: 'plain' });
      const plain = await list(cloud.davUrl, basic());
      cloud.redirect({ from: 'api', to: 'other', status: 307 });
      const other = await ask(`${cloud.apiUrl}/v2/api/ba/user`);
      const through = await list(cloud.davUrl, basic());
      cloud.redirect(undefined);
      assert.deepEqual([plain.status, through.status, other.status], [302, 207, 307]);
      assert.match(String(plain.headers.location), /^http:\/\/.*\/dav\/$/);
      assert.equal((await ask(String(plain.headers.location))).status, 401);
      assert.equal((await ask(String(other.headers.location))).status, 401);
      assert.deepEqual(
        cloud.received().map(({ host }) => host),
        ['node', 'api', 'node', 'plain', 'other'],
      );
    });
  });

  test('TLS: only with the CA, and no version before 1.2', async () => {
    await assert.rejects(request(cloud.davUrl), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    const { hostname: host, port } = new URL(cloud.davUrl);
    const old = connect({
      host,
      port: Number(port),
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      // At its usual level the client itself would not offer them.
      ciphers: 'DEFAULT@SECLEVEL=0',
      rejectUnauthorized: false,
    });
    const outcome = await new Promise<string | undefined>((resolve) => {
      old.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
      old.once('secureConnect', () => resolve('connected'));
    });
    old.destroy();
    assert.equal(outcome, 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
  });

  describe('OAuth2', () => {
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

    async function client(id = cloud.clientId, secret?: string): Promise<oauth.Configuration> {
      return oauth.discovery(new URL(cloud.issuer), id, secret, undefined, {
        [oauth.customFetch]: (url, options) =>
          fetch(url, { ...options, dispatcher: agent } as Parameters<
            typeof fetch
          >[1]) as unknown as Promise<Response>,
      });
    }

    async function deviceTokens(config: oauth.Configuration): Promise<oauth.TokenEndpointResponse> {
      const device = await oauth.initiateDeviceAuthorization(config, { scope: 'openid offline_access' });
      await cloud.approve(device.verification_uri, device.user_code);
      return oauth.pollDeviceAuthorizationGrant(config, { ...device, interval: 0.01 });
    }

    test('device flow: a token for /v2/dav/, which shows the files of /dav/', async () => {
      writeFileSync(join(cloud.root, 'same.txt'), 'same');
      const tokens = await deviceTokens(await client());
      const same = await ask(`${cloud.v2DavUrl}same.txt`, { headers: bearer(tokens.access_token) });
      assert.deepEqual([same.status, same.text], [200, 'same']);
      assert.match(
        (await list(cloud.v2DavUrl, bearer(tokens.access_token))).text,
        /<D:href>\/v2\/dav\/same\.txt</,
      );
      assert.equal((await list(cloud.davUrl, bearer(tokens.access_token))).status, 401);
      assert.equal((await list(cloud.v2DavUrl, basic())).status, 400);
      assert.equal((await list(cloud.v2DavUrl, {})).status, 401);
    });

    test('a refresh token works once; used again it ends the grant', async () => {
      const config = await client();
      const first = await deviceTokens(config);
      await cloud.expireAccessTokens();
      assert.equal((await list(cloud.v2DavUrl, bearer(first.access_token))).status, 401);
      const second = await oauth.refreshTokenGrant(config, first.refresh_token ?? '');
      assert.equal((await list(cloud.v2DavUrl, bearer(second.access_token))).status, 207);
      await assert.rejects(oauth.refreshTokenGrant(config, first.refresh_token ?? ''), {
        error: 'invalid_grant',
      });
      await assert.rejects(oauth.refreshTokenGrant(config, second.refresh_token ?? ''), {
        error: 'invalid_grant',
      });
      assert.equal((await list(cloud.v2DavUrl, bearer(second.access_token))).status, 401);
    });

    test('client credentials', async () => {
      const { id, secret } = cloud.serviceClient;
      const tokens = await oauth.clientCredentialsGrant(await client(id, secret), {});
      assert.equal((await list(cloud.v2DavUrl, bearer(tokens.access_token))).status, 207);
    });

    test('authorization code with PKCE: only with the verifier', async () => {
      const config = await client();
      const verifier = oauth.randomPKCECodeVerifier();
      const url = oauth.buildAuthorizationUrl(config, {
        redirect_uri: 'http://127.0.0.1:1/callback',
        scope: 'openid offline_access',
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        prompt: 'consent',
      });
      const tokensFor = async (pkceCodeVerifier: string) =>
        oauth.authorizationCodeGrant(config, await cloud.approve(url.href), { pkceCodeVerifier });
      await assert.rejects(tokensFor(oauth.randomPKCECodeVerifier()), { error: 'invalid_grant' });
      const tokens = await tokensFor(verifier);
      assert.ok(tokens.refresh_token);
      assert.equal((await list(cloud.v2DavUrl, bearer(tokens.access_token))).status, 207);
    });

    test('an upload cut by the end of its token gets 401 and leaves nothing', async () => {
      const tokens = await deviceTokens(await client());
      const half = Buffer.alloc(1_000_000, 'x');
      let more: () => void = () => undefined;
      const body = Readable.from(
        (async function* () {
          yield half;
          await new Promise<void>((resolve) => {
            more = resolve;
          });
          yield half;
        })(),
        { objectMode: false },
      );
      const put = ask(`${cloud.v2DavUrl}cut.bin`, {
        method: 'PUT',
        headers: { ...bearer(tokens.access_token), 'content-length': '2000000' },
        body,
      });
      const arrived = () =>
        cloud.received('node').some(({ method, bodyBytes }) => method === 'PUT' && bodyBytes > 0);
      await waitUntil('the first half to arrive', arrived);
      await cloud.expireAccessTokens({ cutUploads: true });
      assert.equal((await put).status, 401);
      more();
      assert.equal(existsSync(join(cloud.root, 'cut.bin')), false);
    });
  });
});
