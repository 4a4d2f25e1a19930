import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { connect, createServer as createRawServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ControlClient, ControlError, type ControlEvent, ROUTE_NAMES } from '../../../src/control/index.js';
import { waitUntil } from '../../support/exec.js';
import { GOOD_REQUESTS, Served, STATUS } from './parts.js';

/** Something else that listens on a socket. */
async function withServer(
  listener: RequestListener,
  use: (client: ControlClient) => Promise<void>,
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'infinimount-client-'));
  const server: Server = createServer(listener);
  const socketPath = join(dir, 'x.sock');
  try {
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    await use(new ControlClient({ socketPath, timeoutMs: 5_000 }));
  } finally {
    server.closeAllConnections();
    server.close();
    rmSync(dir, { recursive: true });
  }
}

const code =
  (wanted: ControlError['code']) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof ControlError, String(error));
    assert.equal(error.code, wanted, error.message);
    return true;
  };

test('every route gives what the service answered', async () => {
  await using served = await Served.start();
  const client = served.client();
  for (const name of ROUTE_NAMES) {
    if (name === 'events') continue;
    const answer = await client.call(name, GOOD_REQUESTS[name] as never);
    assert.equal(served.service.calls.at(-1)?.name, name);
    if (name === 'metrics') assert.equal(answer, 'a_total 1\n');
    if (name === 'status') assert.deepEqual(answer, STATUS);
    if (name === 'unmount') assert.deepEqual(answer, { pending: 2 });
  }
  const requests = new Map(served.service.calls.map(({ name, request }) => [name, request]));
  assert.deepEqual(requests.get('queue'), { limit: 5 });
  assert.deepEqual(requests.get('rotate'), { password: 'n3w-pass', force: true });
  assert.deepEqual(requests.get('remount'), {
    options: { 'read-only': 'true' },
    reestablish: false,
    force: false,
  });
});

test('where nobody listens there is no daemon', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'infinimount-client-'));
  try {
    const socketPath = join(dir, 'x.sock');
    const client = new ControlClient({ socketPath });
    await assert.rejects(client.call('status', {}), code('no-daemon'));
    await assert.rejects(client.events().next(), code('no-daemon'));
    await assert.rejects(
      new ControlClient({ socketPath: join(dir, 'none', 'x.sock') }).call('status', {}),
      code('no-daemon'),
    );
    // A socket whose daemon died.
    const dead = createRawServer();
    await new Promise<void>((resolve) => dead.listen(`${socketPath}.new`, resolve));
    // Closing removes the socket under its first name.
    renameSync(`${socketPath}.new`, socketPath);
    await new Promise((resolve) => dead.close(resolve));
    assert.ok(lstatSync(socketPath).isSocket());
    await assert.rejects(client.call('status', {}), code('no-daemon'));
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('a problem is told with its code and advice', async () => {
  await using served = await Served.start();
  await assert.rejects(
    served.client().call('queue', { limit: -1 }),
    (error) => error instanceof ControlError && error.code === 'refused' && error.problem?.status === 400,
  );
});

test('a daemon that does not answer', async () => {
  await using served = await Served.start();
  served.service.status = (_, { signal }) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  await assert.rejects(served.client(50).call('status', {}), code('timeout'));
});

test('a daemon that goes away', async () => {
  await withServer(
    (request) => request.socket.destroy(),
    ({ socketPath }) =>
      assert.rejects(
        new ControlClient({ socketPath, timeoutMs: 300 }).call('status', {}),
        code('disconnected'),
      ),
  );
  await withServer(
    (_, response) => {
      response.writeHead(200, { 'content-length': 1000 });
      response.write('{');
      setImmediate(() => response.socket?.destroy());
    },
    (client) => assert.rejects(client.call('status', {}), code('disconnected')),
  );
  await withServer(
    (_, response) => {
      response.writeHead(200);
      response.write('event: uploaded\n');
      setImmediate(() => response.socket?.destroy());
    },
    (client) => assert.rejects(client.events().next(), code('disconnected')),
  );
});

test('what only asks is asked again after a connection that was cut; what changes something is not', async () => {
  const seen: string[] = [];
  await withServer(
    (request, response) => {
      seen.push(request.url ?? '');
      if (seen.length % 3 !== 0) request.socket.destroy();
      else response.end(JSON.stringify(STATUS));
    },
    async (client) => {
      assert.deepEqual(await client.call('status', {}), STATUS);
      assert.deepEqual(seen, ['/v1/status', '/v1/status', '/v1/status']);
      await assert.rejects(client.call('pause', {}), code('disconnected'));
      assert.deepEqual(seen.slice(3), ['/v1/pause']);
    },
  );
});

test('a caller that is turned away for the crowd comes back, whatever it wants', async () => {
  await using served = await Served.start({ limits: { maxConnections: 1 } });
  let done: () => void = () => undefined;
  served.service.onFlush = () =>
    new Promise((resolve) => {
      done = () => resolve({ pending: 0 });
    });
  const flush = served.client().call('flush', {});
  await waitUntil('the flush', () => served.service.calls.length === 1);
  await assert.rejects(served.client(100).call('pause', {}), code('busy'));
  assert.equal(served.service.calls.length, 1);
  const pause = served.client().call('pause', {});
  const events = served.client().events();
  const first = events.next();
  done();
  assert.deepEqual(await flush, { pending: 0 });
  assert.deepEqual(await pause, { paused: true });
  assert.equal((await first).value?.type, 'status');
  await events.return();
});

/** A daemon in a process of its own, with one connection that may wait to be accepted. */
const DAEMON = `
require('node:http').createServer((_, response) => response.end(process.argv[2]))
  .listen({ path: process.argv[1], backlog: 1 }, () => console.log('ready'));
`;

test('a queue of connections that is full is waited for, and told as what it is', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'infinimount-client-'));
  const socketPath = join(dir, 'x.sock');
  const daemon = spawn(process.execPath, ['-e', DAEMON, socketPath, JSON.stringify(STATUS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const waiting: Socket[] = [];
  try {
    await once(daemon.stdout, 'data');
    daemon.kill('SIGSTOP');
    let refused: string | undefined;
    while (refused === undefined) {
      const socket = connect(socketPath);
      waiting.push(socket);
      refused = await once(socket, 'connect').then(
        () => undefined,
        (error: NodeJS.ErrnoException) => error.code,
      );
    }
    assert.equal(refused, 'EAGAIN');
    await assert.rejects(new ControlClient({ socketPath, timeoutMs: 200 }).call('status', {}), code('busy'));
    await assert.rejects(new ControlClient({ socketPath, timeoutMs: 200 }).call('pause', {}), code('busy'));
    await assert.rejects(new ControlClient({ socketPath, timeoutMs: 200 }).events().next(), code('busy'));
    const late = new ControlClient({ socketPath }).call('status', {});
    daemon.kill('SIGCONT');
    assert.deepEqual(await late, STATUS);
  } finally {
    for (const socket of waiting) socket.destroy();
    daemon.kill('SIGKILL');
    rmSync(dir, { recursive: true });
  }
});

test('something else that answers', async () => {
  const answers: readonly RequestListener[] = [
    (_, response) => response.end('<html>'),
    (_, response) => response.end('{}'),
    (_, response) => response.writeHead(500).end('oops'),
    (_, response) => response.writeHead(302, { location: '/' }).end(),
    (_, response) => response.writeHead(400, { 'content-type': 'application/problem+json' }).end('{}'),
    (request) => request.socket.end('SSH-2.0-OpenSSH_9\r\n'),
  ];
  for (const answer of answers) {
    await withServer(answer, (client) => assert.rejects(client.call('status', {}), code('bad-answer')));
  }
});

test('a newer daemon may tell more, in answers and in events', async () => {
  await withServer(
    (request, response) => {
      if (request.url === '/v1/status') {
        response.end(JSON.stringify({ ...STATUS, flavour: 'new', queue: { ...STATUS.queue, more: 1 } }));
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('event: weather\ndata: {"type":"weather","sun":true}\n\n');
      response.end('event: uploaded\ndata: {"type":"uploaded","path":"/a","bytes":1,"extra":2}\n\n');
    },
    async (client) => {
      assert.deepEqual(await client.call('status', {}), STATUS);
      const events: ControlEvent[] = [];
      for await (const event of client.events()) events.push(event);
      assert.deepEqual(events, [{ type: 'uploaded', path: '/a', bytes: 1 }]);
    },
  );
});

test('events in pieces', async () => {
  await withServer(
    (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const text = Buffer.from('event: uploaded\ndata: {"type":"uploaded","path":"/é","bytes":1}\n\n');
      let at = 0;
      const next = () => {
        if (at === text.length) response.end();
        else response.write(text.subarray(at, ++at), () => setImmediate(next));
      };
      next();
    },
    async (client) => {
      assert.deepEqual((await client.events().next()).value, { type: 'uploaded', path: '/é', bytes: 1 });
    },
  );
});
