/**
 * An InfiniCLOUD account to test against: REST hosts, `/dav/` and `/backup/` with BASIC, `/v2/dav/` with OAuth2, over
 * TLS, in front of Apache. It mimics what INFINICLOUD.md says and nothing more; each rule quotes its line where it is.
 */

import { symlinkSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApache } from '../servers/apache.js';
import type { DavServer } from '../servers/server.js';
import { Account } from './account.js';
import { browse } from './browser.js';
import { type Answer, CERTIFICATE_NAMES, Host, Recorder } from './hosts.js';
import { NodeHost } from './node-host.js';
import { OAuthServer, PUBLIC_CLIENT_ID, SERVICE_CLIENT_ID } from './oauth-server.js';
import { reply } from './reply.js';
import { answerApiHost, BASIC_CHALLENGE } from './rest.js';
import { makeTestChain } from './test-ca.js';
import type { HostName, InfiniCloud, InfiniCloudOptions, RedirectRule } from './types.js';

const ACCESS_TOKEN_SECONDS = 600;

export async function startInfiniCloud(options: InfiniCloudOptions = {}): Promise<InfiniCloud> {
  const home = await mkdtemp(join(tmpdir(), 'infinimount-cloud-'));
  const chain = await makeTestChain(CERTIFICATE_NAMES);
  const caFile = join(home, 'ca.pem');
  await writeFile(caFile, chain.caCert);
  const apache = await startApache({ basePath: '/' });
  await layOut(apache.root);

  const recorder = new Recorder();
  const answers = new Map<HostName, Answer>();
  const host = (name: HostName) =>
    new Host(name, name === 'plain' ? undefined : chain, recorder, () => answers.get(name) ?? trap);
  const hosts = {
    api: host('api'),
    node: host('node'),
    issuer: host('issuer'),
    other: host('other'),
    plain: host('plain'),
  };
  for (const each of Object.values(hosts)) await each.listen();

  const account = new Account(options.quotaBytes);
  const oauth = new OAuthServer({
    issuer: hosts.issuer.origin,
    user: account.user,
    accessTokenSeconds: options.accessTokenSeconds ?? ACCESS_TOKEN_SECONDS,
  });
  const node = new NodeHost({
    account,
    oauth,
    storage: apache.root,
    upstream: upstreamOf(apache, hosts.node.origin),
    overQuotaStatus: options.overQuotaStatus ?? 507,
  });

  let redirection: RedirectRule | undefined;
  const redirected =
    (from: RedirectRule['from'], answer: Answer): Answer =>
    async (request, response) => {
      if (redirection?.from !== from) return answer(request, response);
      const location = hosts[redirection.to].origin + (request.url ?? '/');
      return reply(request, response, { status: redirection.status ?? 302, headers: { location } });
    };
  answers.set(
    'api',
    redirected('api', async (request, response) => {
      const { method = '', url: path = '', headers } = request;
      return reply(
        request,
        response,
        answerApiHost({ method, path, headers }, account, hosts.node.authority),
      );
    }),
  );
  answers.set(
    'node',
    redirected('node', (request, response) => node.answer(request, response)),
  );
  answers.set('issuer', oauth.handle);

  let isApiHostUp = true;
  const stop = async () => {
    for (const each of Object.values(hosts)) if (each !== hosts.api || isApiHostUp) await each.close();
    await apache.stop();
    await rm(home, { recursive: true, force: true });
  };
  return {
    apiUrl: hosts.api.origin,
    nodeUrl: hosts.node.origin,
    nodeHost: hosts.node.authority,
    davUrl: `${hosts.node.origin}/dav/`,
    backupUrl: `${hosts.node.origin}/backup/`,
    v2DavUrl: `${hosts.node.origin}/v2/dav/`,
    issuer: hosts.issuer.origin,
    clientId: PUBLIC_CLIENT_ID,
    serviceClient: { id: SERVICE_CLIENT_ID, secret: oauth.serviceSecret },
    caFile,
    user: account.user,
    get password() {
      return account.password;
    },
    apiKey: account.apiKey,
    root: join(apache.root, 'dav'),
    backupRoot: join(apache.root, 'backup'),
    get quotaBytes() {
      return account.quotaBytes;
    },
    usedBytes: () => node.usedBytes(),
    received: (name) => recorder.list(name),
    clearReceived: () => recorder.clear(),
    renewPassword: ({ acceptAfterMs = Number.POSITIVE_INFINITY } = {}) =>
      account.renewPassword(acceptAfterMs),
    acceptPassword: () => account.acceptPassword(),
    setAppsConnection: (on) => {
      account.appsConnection = on;
    },
    setNodeReady: (ready) => {
      account.nodeReady = ready;
    },
    setQuota: (bytes) => {
      account.quotaBytes = bytes;
    },
    htmlInsteadOf207: (on) => {
      account.htmlInsteadOf207 = on;
    },
    setRestResult: (result) => {
      account.restResult = result;
    },
    setApiHostUp: async (up) => {
      if (up === isApiHostUp) return;
      isApiHostUp = up;
      await (up ? hosts.api.listen() : hosts.api.close());
    },
    redirect: (rule) => {
      redirection = rule;
    },
    setUploadRate: (bytesPerSecond) => {
      node.uploadRate = bytesPerSecond;
    },
    expireAccessTokens: async ({ cutUploads = false } = {}) => {
      await oauth.expireAccessTokens();
      if (cutUploads) node.cutUploads();
    },
    approve: (url, userCode) => browse(url, { ca: chain.caCert, login: account.user, userCode }),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Where redirects point: asks for a password, as whoever wants to steal one would. */
const trap: Answer = (request, response) =>
  reply(request, response, { status: 401, headers: { 'www-authenticate': BASIC_CHALLENGE } });

/** `/v2/dav/` shows the files of `/dav/`: the same account by another way in. */
async function layOut(root: string): Promise<void> {
  for (const name of ['dav', 'backup', 'v2']) await mkdir(join(root, name));
  symlinkSync('../dav', join(root, 'v2', 'dav'));
}

function upstreamOf(apache: DavServer, publicOrigin: string) {
  const credentials = Buffer.from(`${apache.user}:${apache.password}`).toString('base64');
  return { origin: new URL(apache.url).origin, authorization: `Basic ${credentials}`, publicOrigin };
}
