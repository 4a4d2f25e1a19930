/** The line that the benchmark measures by. */

import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { after, test } from 'node:test';
import { startLatencyProxy } from '../../support/proxy/index.js';

async function startEcho(): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

/** Sends bytes, ends, and gives what came back. */
function exchange(port: number, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('end', () => {
      socket.destroy();
      resolve(Buffer.concat(chunks));
    });
    socket.end(bytes);
  });
}

test('bytes arrive whole, in order, a round trip later, and are counted', async () => {
  await using proxy = await startLatencyProxy({ targetPort: await startEcho(), rttMs: 40 });
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
  const beganMs = performance.now();
  assert.ok((await exchange(proxy.port, bytes)).equals(bytes));
  // One round trip for the connection, one for the bytes; timers never fire early by more than a millisecond.
  assert.ok(performance.now() - beganMs >= 78);
  const { upBytes, downBytes, connections } = proxy.stats();
  assert.deepEqual([upBytes, downBytes, connections], [bytes.length, bytes.length, 1]);
});

test('a limited line takes as long as its bytes need', async () => {
  await using proxy = await startLatencyProxy({
    targetPort: await startEcho(),
    rttMs: 0,
    rateBytesPerS: 1_000_000,
  });
  const beganMs = performance.now();
  await exchange(proxy.port, Buffer.alloc(100_000));
  assert.ok(performance.now() - beganMs >= 98);
});

test('offline cuts what runs and refuses what comes, until it is online again', async () => {
  await using proxy = await startLatencyProxy({ targetPort: await startEcho(), rttMs: 0 });
  proxy.setHeld(true);
  const held = assert.rejects(exchange(proxy.port, Buffer.from('x')));
  while (proxy.stats().upBytes === 0) await new Promise((resolve) => setImmediate(resolve));
  proxy.setOnline(false);
  await held;
  await assert.rejects(exchange(proxy.port, Buffer.from('x')));
  proxy.setHeld(false);
  proxy.setOnline(true);
  assert.equal((await exchange(proxy.port, Buffer.from('again'))).toString(), 'again');
});
