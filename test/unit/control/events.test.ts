import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { ControlError, type ControlEvent } from '../../../src/control/index.js';
import { waitUntil } from '../../support/exec.js';
import { RawConnection, Served, STATUS } from './parts.js';

const LISTEN = 'GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n';

const uploaded = (path: string): ControlEvent => ({ type: 'uploaded', path, bytes: 5 });

/** The first `count` events, then no more. */
async function take(events: AsyncIterable<ControlEvent>, count: number): Promise<ControlEvent[]> {
  const taken: ControlEvent[] = [];
  for await (const event of events) {
    taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
}

test('begins with the status, tells of everything afterwards, and is let go with the loop', async () => {
  await using served = await Served.start();
  const { service } = served;
  const taking = take(served.client().events(), 4);
  await waitUntil('the listener', () => service.listeners.size === 1);
  const all: ControlEvent[] = [
    uploaded('/line\nbreak \u2028 "quoted" é'),
    { type: 'conflict', path: '/a', copy: '/a (conflict)' },
    { type: 'connection', connection: { kind: 'offline', reason: 'gone', retryAtMs: 1 } },
  ];
  for (const event of all) for (const listener of service.listeners) listener(event);
  assert.deepEqual(await taking, [{ type: 'status', status: STATUS }, ...all]);
  await waitUntil('the listener to be gone', () => service.listeners.size === 0);
});

test('is let go when its client dies', async () => {
  await using served = await Served.start();
  const raw = new RawConnection(served.path);
  raw.socket.write(LISTEN);
  await waitUntil('the first event', () => raw.received.includes('event: status'));
  assert.match(raw.received, /content-type: text\/event-stream/);
  raw.socket.destroy();
  await waitUntil('the listener to be gone', () => served.service.listeners.size === 0);
});

test('a listener that does not read is cut off; the others are not', async () => {
  await using served = await Served.start({ limits: { maxBufferedBytes: 64 * 1024 } });
  const { service } = served;
  const lazy = connect({ path: served.path, allowHalfOpen: true });
  lazy.on('error', () => undefined);
  lazy.pause();
  await once(lazy, 'connect');
  lazy.write(LISTEN);
  const count = 5000;
  const taking = take(served.client().events(), count + 1);
  await waitUntil('both listeners', () => service.listeners.size === 2);
  for (let at = 0; at < count; at++) {
    for (const listener of service.listeners) listener(uploaded(`/${at}/${'x'.repeat(200)}`));
    // Lets the one that reads do so.
    if (at % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const events = await taking;
  assert.equal(events.length, count + 1);
  assert.deepEqual(events.at(-1), uploaded(`/${count - 1}/${'x'.repeat(200)}`));
  await waitUntil('both to be gone', () => service.listeners.size === 0);
  let bytes = 0;
  lazy.on('data', (chunk) => {
    bytes += chunk.length;
  });
  lazy.resume();
  await once(lazy, 'end');
  assert.ok(bytes < count * 200, `${bytes} bytes`);
  lazy.destroy();
});

test('no more listeners than there may be', async () => {
  await using served = await Served.start({ limits: { maxListeners: 2 } });
  const stop = new AbortController();
  const client = served.client();
  const listening = [0, 1].map(() => take(client.events({ signal: stop.signal }), 99));
  const ended = Promise.all(listening.map((taking) => assert.rejects(taking, /enough/)));
  await waitUntil('two listeners', () => served.service.listeners.size === 2);
  await assert.rejects(
    take(client.events(), 1),
    (error) => error instanceof ControlError && error.problem?.code === 'too-many-listeners',
  );
  stop.abort(new Error('enough'));
  await ended;
  await waitUntil('both to be gone', () => served.service.listeners.size === 0);
  assert.equal((await take(client.events(), 1)).length, 1);
});

test('shows that it is alive while nothing happens', async () => {
  await using served = await Served.start({ limits: { heartbeatMs: 5 } });
  using raw = new RawConnection(served.path);
  raw.socket.write(LISTEN);
  await waitUntil('heartbeats', () => raw.received.split('\n:\n').length > 3);
});

test('ends with the daemon', async () => {
  const served = await Served.start();
  const taking = take(served.client().events(), 99);
  await waitUntil('the listener', () => served.service.listeners.size === 1);
  await served[Symbol.asyncDispose]();
  assert.deepEqual(await taking, [{ type: 'status', status: STATUS }]);
});

test('an event that is not as the schema says is logged, not sent', async () => {
  await using served = await Served.start();
  const taking = take(served.client().events(), 2);
  await waitUntil('the listener', () => served.service.listeners.size === 1);
  for (const listener of served.service.listeners) {
    listener({ type: 'uploaded', path: '/bad', bytes: -1 });
    listener(uploaded('/good'));
  }
  assert.deepEqual((await taking)[1], uploaded('/good'));
  assert.equal(served.lines.length, 1);
});
