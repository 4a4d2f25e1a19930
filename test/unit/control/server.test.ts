import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { describe, test } from 'node:test';
import { UserError } from '../../../src/base/index.js';
import { ControlError, makeProblem, ROUTE_NAMES, routeOf } from '../../../src/control/index.js';
import { waitUntil } from '../../support/exec.js';
import { GOOD_REQUESTS, RawConnection, Served, STATUS } from './parts.js';

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/** One plain HTTP exchange, as curl would do it. */
async function ask(
  served: Served,
  method: string,
  path: string,
  options: { readonly body?: string | Buffer; readonly headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { body, headers } = options;
  const sent = httpRequest({
    socketPath: served.path,
    method,
    path,
    agent: false,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
  });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

function problemOf(answer: Answer): Record<string, unknown> {
  assert.equal(answer.headers['content-type'], 'application/problem+json');
  const problem: Record<string, unknown> = JSON.parse(answer.text);
  assert.equal(problem.status, answer.status);
  assert.equal(problem.type, 'about:blank');
  return problem;
}

describe('every route', () => {
  for (const name of ROUTE_NAMES.filter((name) => routeOf(name).kind !== 'stream')) {
    const { method, path, alias, status } = routeOf(name);
    const good = GOOD_REQUESTS[name];
    const query = method === 'GET' ? `?${new URLSearchParams(good as Record<string, string>)}` : '';
    const body = method === 'GET' ? {} : { body: JSON.stringify(good) };

    test(`${name}: answers what is asked rightly, and nothing else`, async () => {
      await using served = await Served.start();
      for (const at of alias === undefined ? [path] : [path, alias]) {
        const answer = await ask(served, method, `${at}${query}`, body);
        assert.equal(answer.status, status ?? 200, answer.text);
        assert.equal(answer.headers['cache-control'], 'no-store');
      }
      assert.equal(served.service.calls[0]?.name, name);
      served.service.calls.length = 0;

      const strange = { ...(good as object), 'no-such-field': '1' };
      const refused =
        method === 'GET'
          ? await ask(served, method, `${path}?${new URLSearchParams(strange)}`)
          : await ask(served, method, path, { body: JSON.stringify(strange) });
      assert.equal(problemOf(refused).code, 'bad-request');
      assert.match(refused.text, /no-such-field/);

      const wrong = await ask(served, 'PATCH', path);
      assert.equal(problemOf(wrong).code, 'wrong-method');
      assert.ok(wrong.headers.allow?.split(', ').includes(method));

      const fromPage = await ask(served, method, path, {
        ...body,
        headers: { origin: 'https://evil.example' },
      });
      assert.equal(problemOf(fromPage).code, 'browser');
      assert.deepEqual(served.service.calls, []);
    });
  }

  test('those that need something refuse nothing', async () => {
    await using served = await Served.start();
    for (const name of ['refresh', 'pin', 'unpin', 'resolve', 'setLogLevel'] as const) {
      const { method, path } = routeOf(name);
      assert.equal((await ask(served, method, path)).status, 400, name);
    }
    assert.deepEqual(served.service.calls, []);
  });

  test('paths and summaries are each one of a kind', () => {
    const targets = ROUTE_NAMES.map((name) => `${routeOf(name).method} ${routeOf(name).path}`);
    assert.equal(new Set(targets).size, targets.length);
    for (const name of ROUTE_NAMES) {
      assert.match(routeOf(name).path, /^\/v1\/[a-z/-]+$/);
      assert.match(routeOf(name).summary, /^[A-Z].*[^.]$/);
    }
  });
});

describe('requests that are refused', () => {
  test('unknown routes, and versions that this daemon does not speak', async () => {
    await using served = await Served.start();
    assert.equal(problemOf(await ask(served, 'GET', '/v1/nothing')).code, 'unknown-route');
    assert.equal(problemOf(await ask(served, 'GET', '/')).code, 'unknown-route');
    const newer = problemOf(await ask(served, 'GET', '/v2/status'));
    assert.equal(newer.code, 'unsupported-version');
    assert.match(String(newer.detail), /speaks v1 and not v2/);
  });

  test('bodies that are too large, with and without a length', async () => {
    await using served = await Served.start({ limits: { maxBodyBytes: 1000 } });
    const body = JSON.stringify({ password: 's3cret-'.repeat(1000) });
    const known = await ask(served, 'POST', '/v1/rotate', { body });
    assert.equal(problemOf(known).code, 'too-large');
    assert.equal(known.headers.connection, 'close');
    const chunked = await ask(served, 'POST', '/v1/rotate', {
      body,
      headers: { 'transfer-encoding': 'chunked' },
    });
    assert.equal(problemOf(chunked).code, 'too-large');
    assert.deepEqual(served.service.calls, []);
  });

  test('bodies that are no JSON, of another type, or of a GET; nothing of them is told', async () => {
    await using served = await Served.start();
    const rotate = (body: string | Buffer, headers: Record<string, string> = {}) =>
      ask(served, 'POST', '/v1/rotate', { body, headers });
    const answers = [
      await rotate('{"password": "s3cret'),
      await rotate('{"password": "s3cret"} s3cret'),
      await rotate('["s3cret"]'),
      await rotate('"s3cret"'),
      await rotate('null'),
      await rotate(JSON.stringify({ password: { text: 's3cret' } })),
      await rotate(JSON.stringify({ password: 's3cret'.repeat(1000) })),
      await rotate(JSON.stringify({ passwort: 's3cret' })),
      await rotate(Buffer.from('{"password": "s3cret\xff"}', 'latin1')),
      await ask(served, 'GET', '/v1/status', { body: '{}', headers: { 'content-length': '2' } }),
      await ask(served, 'POST', '/v1/rotate?password=s3cret'),
      await ask(served, 'GET', '/v1/queue?limit=1&limit=2'),
      await ask(served, 'GET', '/v1/queue?limit=many'),
      await ask(served, 'GET', '/v1/queue?limit=-1'),
    ];
    for (const answer of answers) {
      assert.equal(problemOf(answer).code, 'bad-request', answer.text);
      assert.ok(!answer.text.includes('s3cret'), answer.text);
    }
    const form = await rotate('password=s3cret', { 'content-type': 'application/x-www-form-urlencoded' });
    assert.equal(problemOf(form).code, 'wrong-media-type');
    assert.deepEqual(served.service.calls, []);
    assert.deepEqual(served.lines, []);
    assert.equal((await rotate('{}', { 'content-type': 'application/json; charset=utf-8' })).status, 200);
  });

  test('a field named __proto__ is a field like any other', async () => {
    await using served = await Served.start();
    const answer = await ask(served, 'POST', '/v1/pause', { body: '{"__proto__": {"a": 1}}' });
    assert.equal(answer.status, 400);
    assert.equal((await ask(served, 'GET', '/v1/status?__proto__=1')).status, 400);
  });
});

describe('answers that are no success', () => {
  test('what the service knows is told as a problem', async () => {
    await using served = await Served.start({
      problemOf: (error) =>
        error instanceof UserError
          ? makeProblem({ status: 409, code: error.code, detail: error.problem, advice: error.hint })
          : undefined,
    });
    served.service.failure = new UserError('cache-full', 'Cannot pin: the disk is full', 'Make room.');
    const problem = problemOf(await ask(served, 'GET', '/v1/status'));
    assert.deepEqual(problem, {
      type: 'about:blank',
      title: 'Conflict',
      status: 409,
      detail: 'Cannot pin: the disk is full',
      code: 'cache-full',
      advice: 'Make room.',
    });
  });

  test('what nobody foresaw is logged with its stack, and not told', async () => {
    await using served = await Served.start();
    served.service.failure = new TypeError('s3cret went wrong');
    const answer = await ask(served, 'GET', '/v1/status');
    assert.equal(problemOf(answer).code, 'unexpected');
    assert.ok(!answer.text.includes('s3cret'));
    assert.equal(served.lines.length, 1);
    const [line] = served.lines;
    assert.equal(
      Object.entries(line?.fields ?? {}).find(([key]) => key === 'err')?.[1],
      served.service.failure,
    );
  });

  test('an answer that is not as the schema says goes nowhere', async () => {
    await using served = await Served.start();
    served.service.status = () => ({ ...STATUS, pid: -1 });
    assert.equal((await ask(served, 'GET', '/v1/status')).status, 500);
    served.service.status = () => ({ ...STATUS, extra: 's3cret' }) as typeof STATUS;
    const answer = await ask(served, 'GET', '/v1/status');
    assert.equal(answer.status, 200);
    assert.ok(!answer.text.includes('s3cret'));
  });
});

describe('bad connections', () => {
  const GOOD = 'GET /v1/log-level HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';

  test('garbage is answered and closed', async () => {
    await using served = await Served.start();
    for (const bytes of [
      'garbage\r\n\r\n',
      Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]),
      `GET /v1/status HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`,
      'POST /v1/pause HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n{}',
      'POST /v1/pause HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
    ]) {
      using connection = new RawConnection(served.path);
      assert.match(await connection.exchange(bytes), /^HTTP\/1\.1 4\d\d .*application\/problem\+json/s);
    }
    assert.deepEqual(served.service.calls, []);
    assert.equal((await ask(served, 'GET', '/v1/status')).status, 200);
  });

  test('those that send slowly, or nothing, are closed in time and keep nobody out', async () => {
    await using served = await Served.start({
      limits: { headersTimeoutMs: 100, requestTimeoutMs: 200, maxConnections: 8 },
    });
    const slow = ['', 'GET /v1/st', 'POST /v1/pause HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{'].map(
      (bytes) => {
        const connection = new RawConnection(served.path);
        connection.socket.write(bytes);
        return connection;
      },
    );
    assert.equal((await ask(served, 'GET', '/v1/status')).status, 200);
    for (const connection of slow) {
      await connection.closed;
      assert.match(connection.received, /^HTTP\/1\.1 408 /);
      connection.socket.destroy();
    }
  });

  test('more connections than there may be are told so, and places are free again afterwards', async () => {
    await using served = await Served.start({ limits: { maxConnections: 4 } });
    const idle = Array.from({ length: 4 }, () => new RawConnection(served.path));
    await Promise.all(idle.map(({ socket }) => once(socket, 'connect')));
    using extra = new RawConnection(served.path);
    assert.match(await extra.exchange(GOOD), /^HTTP\/1\.1 503 .*"code":"too-many-connections"/s);
    for (const { socket } of idle) socket.destroy();
    await waitUntil('a place to be free', async () => {
      using again = new RawConnection(served.path);
      return (await again.exchange(GOOD)).startsWith('HTTP/1.1 200');
    });
  });

  test('connections that ask for nothing, or for half of something, make room for one that does', async () => {
    await using served = await Served.start({ limits: { maxConnections: 4 } });
    const silent = [
      '',
      'GET /v1/st',
      'POST /v1/pause HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{',
      '',
    ].map((bytes) => {
      const connection = new RawConnection(served.path);
      connection.socket.write(bytes);
      return connection;
    });
    await Promise.all(silent.map(({ socket }) => once(socket, 'connect')));
    // All four would stay for the ten seconds that headers may take.
    assert.deepEqual(await served.client(5_000).call('status', {}), STATUS);
    assert.deepEqual(
      silent.map(({ socket }) => socket.readableEnded || socket.destroyed),
      [true, false, false, false],
    );
    for (const { socket } of silent) socket.destroy();
  });

  test('a connection may ask once, and no work is done for what it sends beyond', async () => {
    await using served = await Served.start();
    using connection = new RawConnection(served.path);
    const answers = await connection.exchange('GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(20));
    assert.match(answers, /^HTTP\/1\.1 200 /);
    assert.equal(served.service.calls.length, 1);
  });

  test('a thousand that connect at the same moment all get through to the daemon', async () => {
    await using served = await Served.start({ limits: { maxConnections: 2_000 } });
    // Nothing is accepted before this turn of the event loop is over.
    const crowd = Array.from({ length: 1_000 }, () => new RawConnection(served.path));
    const answers = await Promise.all(crowd.map((connection) => connection.exchange(GOOD)));
    assert.equal(answers.filter((answer) => answer.startsWith('HTTP/1.1 200 ')).length, 1_000);
  });

  test('a connection closed on one side is closed on the other, whatever was under way', async () => {
    await using served = await Served.start();
    for (const bytes of [
      '',
      'GET /v1/status HT',
      'POST /v1/pause HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{',
    ]) {
      using connection = new RawConnection(served.path);
      connection.socket.end(bytes);
      await connection.closed;
    }
    assert.deepEqual(
      served.service.calls.map(({ name }) => name),
      [],
    );
    assert.deepEqual(served.lines, []);
  });

  test('twenty clients at once', async () => {
    await using served = await Served.start();
    const client = served.client();
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        for (let round = 0; round < 10; round++) await client.call('refresh', { path: `/${index}` });
        return client.call('status', {});
      }),
    );
    assert.equal(answers.length, 20);
    assert.equal(served.service.calls.length, 20 * 11);
  });
});

describe('work that waits', () => {
  test('ends when its client goes away', async () => {
    await using served = await Served.start();
    let aborted: unknown;
    served.service.onFlush = ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          aborted = signal.reason;
          reject(signal.reason);
        });
      });
    const going = new AbortController();
    const call = served.client().call('flush', {}, { signal: going.signal });
    await waitUntil('the flush to begin', () => served.service.calls.length === 1);
    going.abort(new Error('enough'));
    await assert.rejects(call, /enough/);
    await waitUntil('the flush to end', () => aborted !== undefined);
    assert.deepEqual(served.lines, []);
  });

  test('ends with the server, which says so', async () => {
    const served = await Served.start();
    served.service.onFlush = ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    const call = served.client().call('flush', {});
    const failed = assert.rejects(
      call,
      (error) => error instanceof ControlError && error.problem?.code === 'closing',
    );
    await waitUntil('the flush to begin', () => served.service.calls.length === 1);
    await served[Symbol.asyncDispose]();
    await failed;
  });

  test('what comes after the answer does not take it away, even where it ends everything', async () => {
    await using served = await Served.start();
    let ended = false;
    served.service.unmount = (_, context) => {
      context.afterAnswer(() => {
        ended = true;
        void served.server?.close();
      });
      assert.equal(ended, false);
      return { pending: 3 };
    };
    assert.deepEqual(await served.client().call('unmount', {}), { pending: 3 });
    await waitUntil('the end', () => ended);
  });
});
