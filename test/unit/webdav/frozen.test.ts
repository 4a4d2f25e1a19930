/** A server that takes connections and says nothing, as a machine does that was put to sleep: no request waits for ever. */

import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { isRemoteError, type RemotePath, type RemoteStore } from '../../../src/remote/index.js';
import { ManualClock } from '../../support/manual-clock.js';
import { makeRig } from './support.js';

const FILE = '/file' as RemotePath;
const TEN_MINUTES_MS = 10 * 60_000;
const STEP_MS = 5_000;

const REQUESTS: Readonly<Record<string, (store: RemoteStore) => Promise<unknown>>> = {
  stat: (store) => store.stat(FILE),
  list: (store) => store.list(FILE)[Symbol.asyncIterator]().next(),
  read: (store) => store.read(FILE),
  write: (store) =>
    store.write(FILE, { size: 3, open: () => Buffer.from('abc') }, { condition: { kind: 'any' } }),
  remove: (store) => store.remove(FILE),
  makeDirectory: (store) => store.makeDirectory(FILE),
};

describe('a frozen server', () => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.resume();
  });
  let url = '';
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    url = `http://127.0.0.1:${address.port}/dav/`;
  });
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  for (const [name, request] of Object.entries(REQUESTS)) {
    test(`${name} ends within ten minutes`, async () => {
      const clock = new ManualClock();
      const { store } = makeRig(url, { clock });
      let ended: unknown;
      const pending = request(store).then(
        () => {
          ended = 'answered';
        },
        (error: unknown) => {
          ended = error;
        },
      );
      for (let waited = 0; waited < TEN_MINUTES_MS && ended === undefined; waited += STEP_MS) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        await clock.advance(STEP_MS);
      }
      assert.ok(isRemoteError(ended, 'timeout', 'interrupted', 'unreachable'), String(ended));
      await pending;
    });
  }

  test('who no longer wants an answer does not wait for it', async () => {
    const { store } = makeRig(url);
    const abort = new AbortController();
    const pending = store.read(FILE, { signal: abort.signal });
    abort.abort();
    await assert.rejects(pending, (error) => isRemoteError(error) || error === abort.signal.reason);
  });
});
