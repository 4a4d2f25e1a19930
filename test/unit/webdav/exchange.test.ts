/** The store against answers made up by the fault proxy: redirects, credentials, retries, deadlines, broken answers. */

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Secret } from '../../../src/base/index.js';
import { isRemoteError, REMOTE_ROOT, type RemotePath } from '../../../src/remote/index.js';
import { checkServer } from '../../../src/webdav/index.js';
import { bodyOf, collect, listAll, put, rejectsWith } from '../../contract/helpers.js';
import {
  type FaultProxy,
  type FaultRule,
  faults,
  redirect,
  startFaultProxy,
  throttled,
} from '../../support/proxy/index.js';
import { collectionXml, fileXml, makeRig, multistatus } from './support.js';

const FILE = '/file' as RemotePath;
const DIR = '/dir' as RemotePath;

/** A 207 with these response elements. */
function found(...responses: string[]): FaultRule['action'] {
  const headers = { 'content-type': 'application/xml; charset=utf-8' };
  return { kind: 'answer', status: 207, headers, body: multistatus(...responses) };
}

async function rigWith(rules: readonly FaultRule[]) {
  const proxy = await startFaultProxy({ rules });
  after(() => proxy.stop());
  return { proxy, ...makeRig(proxy.url) };
}

function requestsTo(proxy: FaultProxy): string[] {
  return proxy.seen.map(({ method, path }) => `${method} ${path}`);
}

describe('redirects', () => {
  test('within the origin are followed for reads, with credentials', async () => {
    const { proxy, store } = await rigWith([
      { path: '/dav/dir', action: redirect(301, '/dav/dir/') },
      { path: '/dav/dir/', action: found(collectionXml('/dav/dir/')) },
    ]);
    assert.equal((await store.stat(DIR)).kind, 'dir');
    assert.deepEqual(requestsTo(proxy), ['PROPFIND /dav/dir', 'PROPFIND /dav/dir/']);
    assert.ok(
      proxy.seen.every(({ headers }) => headers.authorization !== undefined && headers.depth === '0'),
    );
  });

  test('to another origin are refused, and it hears nothing', async () => {
    const other = await startFaultProxy({ rules: [{ action: found(collectionXml('/dav/')) }] });
    after(() => other.stop());
    for (const location of [`${other.url}dir/`, `//127.0.0.1:${other.port}/dav/dir/`]) {
      const { store } = await rigWith([{ action: redirect(302, location) }]);
      await rejectsWith(store.stat(DIR), 'redirect-refused');
      await rejectsWith(listAll(store, DIR), 'redirect-refused');
      await rejectsWith(store.read(FILE), 'redirect-refused');
    }
    assert.equal(other.seen.length, 0);
  });

  test('without end are an error', async () => {
    const { proxy, store } = await rigWith([{ action: redirect(302, '/dav/again') }]);
    await rejectsWith(store.stat(DIR), 'protocol');
    assert.equal(proxy.seen.length, 6);
  });

  test('of a change are followed only where the method stays, with the body sent anew', async () => {
    const { proxy, store } = await rigWith([
      { path: '/dav/file', action: redirect(307, '/dav/moved') },
      { path: '/dav/moved', action: { kind: 'answer', status: 201 } },
    ]);
    await put(store, FILE, 'hello');
    assert.deepEqual(
      proxy.seen.map(({ path, bodyBytes }) => [path, bodyBytes]),
      [
        ['/dav/file', 5],
        ['/dav/moved', 5],
      ],
    );
    proxy.setRules([{ action: redirect(302, '/dav/moved') }]);
    await rejectsWith(put(store, FILE, 'hello'), 'redirect-refused');
  });

  test('that add a slash say that a file is a directory', async () => {
    const { store } = await rigWith([{ action: redirect(301, '/dav/file/') }]);
    await rejectsWith(put(store, FILE, 'x'), 'exists');
    await rejectsWith(store.read(FILE), 'not-found');
  });
});

describe('credentials', () => {
  test('go out with the first request', async () => {
    const { proxy, store } = await rigWith([{ action: found(collectionXml('/dav/')) }]);
    await checkServer(store);
    const expected = `Basic ${Buffer.from('tester:correct horse').toString('base64')}`;
    assert.deepEqual(
      proxy.seen.map(({ headers }) => headers.authorization),
      [expected],
    );
  });

  test('that are refused fail at once, without a retry', async () => {
    const { proxy, store } = await rigWith([{ action: faults.unauthorized }]);
    const error = await rejectsWith(store.stat(REMOTE_ROOT), 'unauthorized');
    assert.equal(error.status, 401);
    assert.equal(proxy.seen.length, 1);
    assert.equal((await rejectsWith(put(store, FILE, 'x'), 'unauthorized')).outcome, 'none');
    assert.equal(proxy.seen.length, 2);
  });

  test('rotated while a request was under way let it through, body and all', async () => {
    const { proxy, store, auth } = await rigWith([
      { method: 'PUT', nth: 1, action: faults.unauthorized },
      { method: 'PUT', action: { kind: 'answer', status: 201 } },
    ]);
    const body = {
      size: 5,
      open: () => {
        auth.update({ user: 'tester', password: new Secret('new') });
        return Buffer.from('hello');
      },
    };
    await store.write(FILE, body, { condition: { kind: 'any' } });
    const [first, second] = proxy.seen.map(({ headers }) => headers.authorization);
    assert.notEqual(first, second);
    assert.deepEqual(
      proxy.seen.map(({ bodyBytes }) => bodyBytes),
      [5, 5],
    );
  });
});

test('the time of an answer is that of the file after a short upload only', async () => {
  const date = 'Mon, 23 Nov 2026 10:00:00 GMT';
  const { store, clock } = await rigWith([{ action: { kind: 'answer', status: 201, headers: { date } } }]);
  for (const [tookMs, mtimeMs] of [
    [100, Date.parse(date)],
    [10_000, undefined],
  ] as const) {
    const body = {
      size: 4,
      open: () => {
        clock.pass(tookMs);
        return Buffer.from('text');
      },
    };
    const result = await store.write(FILE, body, { condition: { kind: 'any' } });
    assert.equal(result.mtimeMs, mtimeMs, `${tookMs} ms`);
  }
});

test('a page where a change was asked for leaves it open whether the change was made', async () => {
  const { store } = await rigWith([{ action: faults.htmlPage }]);
  const calls = {
    PUT: () => store.write(FILE, bodyOf('text'), { condition: { kind: 'any' } }),
    MKCOL: () => store.makeDirectory(DIR),
    MOVE: () => store.move(FILE, DIR, { overwrite: true, directory: false }),
    COPY: () => store.copy(FILE, DIR, { overwrite: true, directory: false }),
    DELETE: () => store.remove(FILE, { directory: false }),
  };
  for (const [verb, call] of Object.entries(calls)) {
    const error: unknown = await call().catch((cause: unknown) => cause);
    assert.ok(isRemoteError(error, 'not-webdav'), verb);
    assert.equal(error.outcome, 'unknown', verb);
  }
});

describe('checkServer', () => {
  const cases = [
    ['unauthorized', faults.unauthorized],
    ['forbidden', { kind: 'answer', status: 403 }],
    ['not-found', { kind: 'answer', status: 404 }],
    ['not-webdav', faults.htmlPage],
    ['not-webdav', { kind: 'answer', status: 405 }],
    ['not-webdav', { ...faults.htmlPage, status: 207 }],
    ['not-webdav', found(fileXml('/dav/'))],
    ['protocol', { kind: 'answer', status: 400 }],
    ['protocol', found()],
    ['redirect-refused', redirect(301, 'https://elsewhere.invalid/')],
  ] as const;
  for (const [code, action] of cases) {
    test(`${JSON.stringify(action).slice(0, 60)} is ${code}`, async () => {
      const { store, proxy } = await rigWith([{ action }]);
      await rejectsWith(checkServer(store), code);
      assert.equal(proxy.seen.length, 1);
    });
  }

  test('nobody listening is unreachable, after retries', async () => {
    const proxy = await startFaultProxy({});
    await proxy.stop();
    const { store, clock } = makeRig(proxy.url);
    const check = rejectsWith(checkServer(store), 'unreachable');
    for (let retry = 0; retry < 3; retry += 1) await clock.fire(1, 2_000);
    await check;
  });

  test('a name that does not exist is unreachable', async () => {
    const { store, clock } = makeRig('https://does-not-exist.invalid/dav/');
    const check = rejectsWith(checkServer(store), 'unreachable');
    for (let retry = 0; retry < 3; retry += 1) await clock.fire(1, 2_000);
    await check;
  });
});

describe('retries', () => {
  test('repeat a read after passing trouble, each after a longer wait', async () => {
    const { proxy, store, clock } = await rigWith([
      { nth: 1, action: faults.unavailable },
      { nth: 2, action: faults.badGateway },
      { action: found(collectionXml('/dav/dir/')) },
    ]);
    const stat = store.stat(DIR);
    const waits = [await clock.fire(1, 2_000), await clock.fire(1, 2_000)];
    assert.equal((await stat).kind, 'dir');
    assert.deepEqual(waits, [200, 400]);
    assert.equal(proxy.seen.length, 3);
  });

  test('wait as long as Retry-After asks', async () => {
    const { store, clock } = await rigWith([
      { nth: 1, action: throttled('7') },
      { action: { kind: 'answer', status: 200, body: 'content' } },
    ]);
    const read = store.read(FILE);
    assert.equal(await clock.fire(1, 9_000), 7_000);
    assert.equal((await collect(await read)).toString(), 'content');
  });

  test('never repeat a change', async () => {
    const { proxy, store } = await rigWith([{ action: throttled('1') }]);
    const calls = [
      () => put(store, FILE, 'x'),
      () => store.makeDirectory(DIR),
      () => store.remove(FILE, { directory: false }),
      () => store.move(FILE, DIR, { overwrite: true, directory: false }),
      () => store.copy(FILE, DIR, { overwrite: true, directory: false }),
    ];
    for (const call of calls) {
      const error = await rejectsWith(call(), 'throttled');
      assert.deepEqual([error.retryAfterMs, error.outcome], [1_000, 'none']);
    }
    assert.deepEqual(
      proxy.seen.map(({ method }) => method),
      ['PUT', 'MKCOL', 'DELETE', 'MOVE', 'COPY'],
    );
  });

  test('repeat a listing only while nothing of it was handed out', async () => {
    const { proxy, store, clock } = await rigWith([
      {
        nth: 1,
        action: { kind: 'answer', status: 500, body: multistatus(fileXml('/dav/dir/a')) },
      },
      { action: found(collectionXml('/dav/dir/'), fileXml('/dav/dir/a')) },
    ]);
    const listing = listAll(store, DIR);
    await clock.fire(1, 2_000);
    assert.deepEqual(
      (await listing).map(({ name }) => name),
      ['a'],
    );
    assert.equal(proxy.seen.length, 2);
  });
});

describe('reads', () => {
  const answer = (status: number, headers: Record<string, string>, body = ''): FaultRule['action'] => ({
    kind: 'answer',
    status,
    headers,
    body,
  });
  const cases = [
    ['the part asked for', 206, { 'content-range': 'bytes 2-4/10' }, '234', undefined],
    ['another part', 206, { 'content-range': 'bytes 0-2/10' }, '012', 'protocol'],
    ['a longer part', 206, { 'content-range': 'bytes 2-8/10' }, '2345678', 'protocol'],
    ['a shorter part', 206, { 'content-range': 'bytes 2-3/10' }, '23', 'protocol'],
    ['a part that says not which', 206, {}, '234', 'protocol'],
    ['a part whose length does not fit', 206, { 'content-range': 'bytes 2-4/10' }, '2345', 'protocol'],
    [
      'a part of another version',
      206,
      { 'content-range': 'bytes 2-4/10', etag: '"other"' },
      '234',
      'changed',
    ],
    [
      'a part of the same version, weak now',
      206,
      { 'content-range': 'bytes 2-4/10', etag: 'W/"mine"' },
      '234',
      undefined,
    ],
    ['a compressed body', 200, { 'content-encoding': 'gzip' }, 'xx', 'protocol'],
    ['no such range', 416, { 'content-range': 'bytes */2' }, '', 'changed'],
  ] as const;
  for (const [what, status, headers, body, code] of cases) {
    test(`${what}: ${code ?? 'taken'}`, async () => {
      const { store } = await rigWith([{ action: answer(status, headers, body) }]);
      const read = store.read(FILE, { start: 2, end: 5, etag: '"mine"' as never });
      if (code !== undefined) await rejectsWith(read, code);
      else assert.equal((await collect(await read)).toString(), body);
    });
  }

  test('where ranges are ignored begin at 0, and are asked for whole from then on', async () => {
    const { proxy, store } = await rigWith([{ action: answer(200, {}, '0123456789') }]);
    const body = await store.read(FILE, { start: 2, end: 5 });
    assert.equal(body.start, 0);
    assert.equal((await collect(body)).toString(), '0123456789');
    assert.equal(store.capabilities.ranges, false);
    await collect(await store.read(FILE, { start: 2, end: 5 }));
    assert.deepEqual(
      proxy.seen.map(({ headers }) => headers.range),
      ['bytes=2-4', undefined],
    );
  });

  test('of a range beyond the end of the same version are empty', async () => {
    const { store } = await rigWith([
      { action: answer(416, { 'content-range': 'bytes */2', etag: '"mine"' }) },
    ]);
    const body = await store.read(FILE, { start: 2, end: 5, etag: '"mine"' as never });
    assert.deepEqual([body.start, body.totalSize], [2, 2]);
    assert.equal((await collect(body)).length, 0);
  });
});

describe('changes', () => {
  test('that were made in part say so', async () => {
    const locked =
      '<D:response><D:href>/dav/dir/a</D:href><D:status>HTTP/1.1 423 Locked</D:status></D:response>';
    const { store } = await rigWith([{ action: found(locked) }]);
    const error = await rejectsWith(store.remove(DIR, { directory: true }), 'locked');
    assert.equal(error.outcome, 'unknown');
  });

  test('name the target on the origin of the request, encoded', async () => {
    const { proxy, store } = await rigWith([{ action: { kind: 'answer', status: 201 } }]);
    await store.move('/a b' as RemotePath, "/c#'d" as RemotePath, { overwrite: false, directory: true });
    const [request] = proxy.seen;
    assert.equal(request?.path, '/dav/a%20b/');
    assert.equal(request?.headers.destination, `${proxy.url}c%23%27d/`);
    assert.deepEqual([request?.headers.overwrite, request?.headers.depth], ['F', 'infinity']);
  });

  test('of which the answer is odd have an open outcome', async () => {
    const { store } = await rigWith([{ action: { kind: 'answer', status: 202 } }]);
    assert.equal((await rejectsWith(put(store, FILE, 'x'), 'protocol')).outcome, 'unknown');
  });

  test('a full server is no-space', async () => {
    const { store } = await rigWith([{ action: faults.insufficientStorage }]);
    assert.equal((await rejectsWith(put(store, FILE, 'x'), 'no-space')).outcome, 'none');
  });

  test('that are refused before their body is read are refused for that reason', async () => {
    const { store } = await rigWith([{ action: { ...faults.insufficientStorage, early: true } }]);
    for (let round = 0; round < 5; round += 1) {
      const error = await rejectsWith(
        store.write(FILE, bodyOf(Buffer.alloc(4_000_000)), { condition: { kind: 'any' } }),
        'no-space',
      );
      assert.equal(error.outcome, 'none');
    }
  });

  test('always carry a length', async () => {
    const { proxy, store } = await rigWith([{ action: { kind: 'answer', status: 201 } }]);
    await put(store, FILE, '');
    async function* chunks() {
      yield Buffer.from('ab');
      yield Buffer.from('c');
    }
    await store.write(FILE, { size: 3, open: chunks }, { condition: { kind: 'any' } });
    await store.write(FILE, bodyOf(Buffer.alloc(600_000)), { condition: { kind: 'any' } });
    assert.deepEqual(
      proxy.seen.map(({ headers, bodyBytes }) => [
        headers['content-length'],
        headers['transfer-encoding'],
        bodyBytes,
      ]),
      [
        ['0', undefined, 0],
        ['3', undefined, 3],
        ['600000', undefined, 600_000],
      ],
    );
  });
});

describe('a read-only server', () => {
  test('is probed without an error and without a trace', async () => {
    const { proxy, store } = await rigWith([
      { method: 'OPTIONS', action: { kind: 'answer', status: 200, headers: { dav: '1, 2' } } },
      { action: { kind: 'answer', status: 403 } },
    ]);
    const found = await store.probe();
    assert.deepEqual(
      [found.lock, found.ifMatch, found.ifNoneMatch, found.ranges],
      [true, undefined, undefined, undefined],
    );
    assert.deepEqual(proxy.seen.map(({ method }) => method).sort(), ['MKCOL', 'OPTIONS']);
  });
});

test('what is remembered of a server is taken over, and news are reported', async () => {
  const proxy = await startFaultProxy({
    rules: [{ action: { kind: 'answer', status: 201, headers: { etag: '"a"' } } }],
  });
  after(() => proxy.stop());
  const reported: unknown[] = [];
  const { store } = makeRig(proxy.url, {
    capabilities: { ifNoneMatch: true, ranges: false },
    onCapabilities: (found) => void reported.push(found),
  });
  await put(store, FILE, 'x', { kind: 'absent' });
  assert.deepEqual(requestsTo(proxy), ['PUT /dav/file']);
  assert.deepEqual(reported, [store.capabilities]);
  assert.deepEqual([store.capabilities.etagOnPut, store.capabilities.ranges], [true, false]);
});

test('plain http to another host is refused before anything is sent', () => {
  assert.throws(() => makeRig('http://host.example/dav/'), TypeError);
  makeRig('http://host.example/dav/', { insecureHttp: true });
  makeRig('http://localhost:1/');
  makeRig('http://[::1]:1/');
});
