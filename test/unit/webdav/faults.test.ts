/** The store against Apache behind the fault proxy: dead and cut lines, lost answers, weak tags, TLS. */

import assert from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { RemotePath } from '../../../src/remote/index.js';
import { bodyOf, collect, listAll, put, rejectsWith, tagOf, textOf } from '../../contract/helpers.js';
import { type FaultProxy, startFaultProxy } from '../../support/proxy/index.js';
import {
  type DavServer,
  makeCertificate,
  requireComponent,
  startApache,
} from '../../support/servers/index.js';
import { makeRig } from './support.js';

const FILE = '/file' as RemotePath;
const MIB = 1024 * 1024;

let server: DavServer | undefined;
let proxy: FaultProxy | undefined;

before(async () => {
  server = await startApache().catch(() => undefined);
  if (server !== undefined) proxy = await startFaultProxy({ targetPort: server.port });
});
after(async () => {
  await proxy?.stop();
  await server?.stop();
});
beforeEach(() => {
  proxy?.setRules([]);
  proxy?.clearSeen();
});

function check(name: string, work: (server: DavServer, proxy: FaultProxy) => Promise<void>): void {
  test(name, async (t) => {
    if (!requireComponent(t, 'apache')) return;
    assert.ok(server !== undefined && proxy !== undefined);
    await work(server, proxy);
  });
}

/** Gives way to sockets until `isTrue`; the test's own limit ends what never comes. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe('a line that goes dead', () => {
  check('before the headers: a read ends, the next one goes through', async (_server, proxy) => {
    const { store, clock } = makeRig(proxy.url);
    await put(store, FILE, 'content');
    proxy.setRules([{ method: 'GET', nth: 1, action: { kind: 'stall-response', afterBytes: 0 } }]);
    const read = store.read(FILE);
    await until(() => proxy.seen.some(({ fault }) => fault === 'stall-response'));
    assert.equal(await clock.fire(30_000, 30_000), 30_000);
    // The deadline of retries has passed with the first attempt.
    await rejectsWith(read, 'timeout');
    assert.equal((await collect(await store.read(FILE))).toString(), 'content');
  });

  check('in the middle of a body: the read fails, and is never short in silence', async (_server, proxy) => {
    const { store, clock } = makeRig(proxy.url);
    await store.write(FILE, bodyOf(Buffer.alloc(MIB, 1)), { condition: { kind: 'any' } });
    proxy.setRules([{ method: 'GET', action: { kind: 'stall-response', afterBytes: 100_000 } }]);
    const body = await store.read(FILE);
    let received = 0;
    const reading = (async () => {
      for await (const chunk of body.chunks) received += chunk.length;
    })();
    const outcome = rejectsWith(reading, 'timeout');
    await until(() => received === 100_000);
    await clock.fire(30_000, 30_000);
    await outcome;
    assert.equal(received, 100_000);
  });

  check('after a change was sent: the outcome is unknown', async (server, proxy) => {
    const { store, clock } = makeRig(proxy.url);
    proxy.setRules([{ method: 'MKCOL', action: { kind: 'stall-response', afterBytes: 0 } }]);
    const change = rejectsWith(store.makeDirectory('/stalled' as RemotePath), 'timeout');
    await until(() => existsSync(`${server.root}/stalled`));
    await clock.fire(120_000, 120_000);
    assert.equal((await change).outcome, 'unknown');
    assert.equal((await store.stat('/stalled' as RemotePath)).kind, 'dir');
  });

  check('no body that nobody reads holds a connection for ever', async (_server, proxy) => {
    const { store, clock } = makeRig(proxy.url, { maxConnections: 1 });
    await store.write(FILE, bodyOf(Buffer.alloc(8 * MIB)), { condition: { kind: 'any' } });
    const body = await store.read(FILE);
    const waiting = store.stat(FILE);
    await clock.fire(30_000, 30_000);
    assert.equal((await waiting).size, 8 * MIB);
    await rejectsWith(collect(body), 'timeout');
  });
});

describe('a connection that is cut', () => {
  check('in the middle of a body is interrupted', async (_server, proxy) => {
    const { store } = makeRig(proxy.url);
    await store.write(FILE, bodyOf(Buffer.alloc(MIB)), { condition: { kind: 'any' } });
    proxy.setRules([{ method: 'GET', action: { kind: 'cut-response', afterBytes: 300_000 } }]);
    await rejectsWith(store.read(FILE).then(collect), 'interrupted');
    proxy.setRules([{ method: 'GET', action: { kind: 'wrong-length', extraBytes: 10 } }]);
    await rejectsWith(store.read(FILE).then(collect), 'interrupted');
  });

  check('in the middle of a listing is an error', async (server, proxy) => {
    const { store, clock } = makeRig(proxy.url);
    await store.makeDirectory('/many' as RemotePath);
    for (let index = 0; index < 500; index += 1) writeFileSync(`${server.root}/many/${index}`, '');
    proxy.setRules([{ method: 'PROPFIND', action: { kind: 'cut-response', afterBytes: 100 } }]);
    const early = rejectsWith(listAll(store, '/many' as RemotePath), 'interrupted');
    for (let retry = 0; retry < 3; retry += 1) await clock.fire(1, 2_000);
    await early;
    proxy.setRules([{ method: 'PROPFIND', action: { kind: 'cut-response', afterBytes: 100_000 } }]);
    await rejectsWith(listAll(store, '/many' as RemotePath), 'interrupted');
    assert.equal(proxy.seen.length, 1 + 4 + 1);
  });

  check('before the headers of a read: tried again', async (_server, proxy) => {
    const { store, clock } = makeRig(proxy.url);
    await put(store, FILE, 'content');
    proxy.setRules([{ method: 'GET', nth: 1, action: { kind: 'cut-response', afterBytes: 0 } }]);
    const read = store.read(FILE).then(collect);
    await clock.fire(1, 2_000);
    assert.equal((await read).toString(), 'content');
  });

  check('while a body goes up: outcome none, the old version stays', async (_server, proxy) => {
    const { store } = makeRig(proxy.url);
    await put(store, FILE, 'old');
    proxy.setRules([{ method: 'PUT', action: { kind: 'cut-request', afterBytes: MIB } }]);
    let sent = 0;
    const write = store.write(FILE, bodyOf(Buffer.alloc(64 * MIB)), {
      condition: { kind: 'any' },
      onSent: () => {
        sent += 1;
      },
    });
    const error = await rejectsWith(write, 'interrupted');
    assert.deepEqual([error.outcome, sent], ['none', 0]);
    assert.equal(await textOf(store, FILE), 'old');
  });

  check('with the answer lost: outcome unknown, and not sent again', async (_server, proxy) => {
    const { store } = makeRig(proxy.url);
    proxy.setRules([{ method: 'PUT', action: { kind: 'lose-answer' } }]);
    const error = await rejectsWith(put(store, '/lost' as RemotePath, 'done'), 'interrupted');
    assert.equal(error.outcome, 'unknown');
    assert.equal(proxy.seen.length, 1);
    assert.equal(await textOf(store, '/lost' as RemotePath), 'done');
  });
});

describe('tags', () => {
  check('a write right after a write waits until the tag is strong', async (server, proxy) => {
    const { store, clock } = makeRig(proxy.url, { capabilities: { ifMatch: true } });
    await put(store, FILE, 'one');
    const etag = await tagOf(store, FILE);
    const write = put(store, FILE, 'two', { kind: 'match', etag });
    // The wait is of the fake clock: the server is as young as before, refuses, and is asked again a second later.
    await clock.fire(1_001, 1_100);
    await until(() => proxy.seen.filter(({ method }) => method === 'PUT').length === 2);
    await until(() => Date.now() - statSync(`${server.root}/file`).mtimeMs > 1_000);
    await clock.fire(1_000, 1_000);
    await write;
    assert.equal(await textOf(store, FILE), 'two');
    assert.ok(
      proxy.seen
        .filter(({ method }) => method === 'PUT')
        .slice(1)
        .every(({ headers }) => headers['if-match'] === etag),
    );
  });

  check('a server whose tags never get strong is written to after a look', async (_server, proxy) => {
    const { store, clock } = makeRig(proxy.url, { capabilities: { ifMatch: true } });
    await put(store, FILE, 'one');
    proxy.setRules([
      { method: 'PROPFIND', action: { kind: 'weaken-tags' } },
      { method: 'GET', action: { kind: 'weaken-tags' } },
      { method: 'PUT', nth: 1, action: { kind: 'answer', status: 412 } },
      { method: 'PUT', nth: 2, action: { kind: 'answer', status: 412 } },
    ]);
    const etag = await tagOf(store, FILE);
    const write = put(store, FILE, 'second', { kind: 'match', etag });
    await clock.fire(1_001, 1_100);
    await clock.fire(1_000, 1_000);
    await write;
    assert.equal(await textOf(store, FILE), 'second');
    proxy.clearSeen();
    await put(store, FILE, 'third', { kind: 'match', etag: await tagOf(store, FILE) });
    assert.deepEqual(
      proxy.seen.map(({ method }) => method),
      ['PROPFIND', 'PROPFIND', 'PUT'],
    );
    assert.ok(proxy.seen.every(({ headers }) => headers['if-match'] === undefined));
    await rejectsWith(put(store, FILE, 'fourth', { kind: 'match', etag }), 'changed');
  });
});

describe('one save', () => {
  check('of a version with a strong tag is one request', async (_server, proxy) => {
    const { store } = makeRig(proxy.url, { capabilities: { ifMatch: true, ifNoneMatch: true } });
    const path = '/saved' as RemotePath;
    await put(store, path, 'one', { kind: 'absent' });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const etag = await tagOf(store, path);
    await put(store, path, 'two', { kind: 'match', etag });
    assert.deepEqual(
      proxy.seen.map(({ method }) => method),
      ['PUT', 'PROPFIND', 'PUT'],
    );
    assert.equal(proxy.seen[2]?.headers['if-match'], etag);
  });
});

test('requests over TLS need a certificate that is trusted', async (t) => {
  if (!requireComponent(t, 'apache') || !requireComponent(t, 'openssl')) return;
  const certificate = makeCertificate();
  await using tlsServer = await startApache({ tls: certificate });
  const distrusting = makeRig(tlsServer.url);
  await rejectsWith(distrusting.store.stat('/' as RemotePath), 'tls');
  const trusting = makeRig(tlsServer.url, { ca: certificate.cert });
  assert.equal((await trusting.store.stat('/' as RemotePath)).kind, 'dir');
  await put(trusting.store, FILE, 'over TLS');
  assert.equal(await textOf(trusting.store, FILE), 'over TLS');
  const wrongName = makeRig(tlsServer.url.replace('127.0.0.1', 'localhost'), {
    ca: makeCertificate(['DNS:other']).cert,
  });
  await rejectsWith(wrongName.store.stat('/' as RemotePath), 'tls');
});

test('metrics tell of each exchange once', async (t) => {
  if (!requireComponent(t, 'apache')) return;
  assert.ok(server !== undefined);
  const { store, responses } = makeRig(server.url);
  await put(store, FILE, 'hello');
  await collect(await store.read(FILE));
  await rejectsWith(store.stat('/none' as RemotePath), 'not-found');
  assert.deepEqual(
    responses.map(({ method, status, sentBytes, receivedBytes, error }) => ({
      method,
      status,
      sentBytes,
      body: method === 'GET' ? receivedBytes : undefined,
      error,
    })),
    [
      { method: 'PUT', status: responses[0]?.status, sentBytes: 5, body: undefined, error: undefined },
      { method: 'GET', status: 200, sentBytes: 0, body: 5, error: undefined },
      {
        method: 'PROPFIND',
        status: 404,
        sentBytes: responses[2]?.sentBytes,
        body: undefined,
        error: undefined,
      },
    ],
  );
});
