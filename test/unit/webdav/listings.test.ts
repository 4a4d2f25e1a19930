/** Listings, read by this thread and by the one for bodies. */

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import type { RemotePath } from '../../../src/remote/index.js';
import { BATCHES_AHEAD } from '../../../src/webdav/body-thread-messages.js';
import { listAll, rejectsWith } from '../../contract/helpers.js';
import { startSourceThread } from '../../support/body-thread.js';
import { type FaultProxy, type FaultRule, startFaultProxy } from '../../support/proxy/index.js';
import { type DavServer, requireComponent, startApache } from '../../support/servers/index.js';
import { collectionXml, fileXml, makeRig, multistatus, type Rig } from './support.js';

const DIR = '/dir' as RemotePath;
/** A listing of 1.2 MB. */
const FILES = 3_000;

let server: DavServer | undefined;
let proxy: FaultProxy;

before(async () => {
  server = await startApache().catch(() => undefined);
  proxy = await startFaultProxy(server === undefined ? {} : { targetPort: server.port });
  if (server === undefined) return;
  const dir = join(server.root, 'dir');
  mkdirSync(dir);
  for (let file = 0; file < FILES; file += 1) writeFileSync(join(dir, `file ${file}`), `${file}`);
});
after(async () => {
  await proxy.stop();
  await server?.stop();
});

/** A 207 with this text. */
function answered(body: string): FaultRule {
  const headers = { 'content-type': 'application/xml; charset=utf-8' };
  return { action: { kind: 'answer', status: 207, headers, body } };
}

for (const lane of ['here', 'in the thread'] as const) {
  describe(`a listing read ${lane}`, () => {
    async function rigWith(...rules: readonly FaultRule[]): Promise<Rig & { readonly threads: Worker[] }> {
      proxy.setRules(rules);
      const threads: Worker[] = [];
      const rig = makeRig(proxy.url, {
        startThread: (data) => {
          const thread = startSourceThread(data);
          threads.push(thread);
          return thread;
        },
      });
      if (lane === 'in the thread') await rig.store.startThread();
      return { ...rig, threads };
    }

    test('skips what cannot be shown, and says so', async () => {
      const { store, skipped, threads } = await rigWith(
        answered(
          multistatus(
            collectionXml('/dav/dir/'),
            fileXml('/dav/dir/good'),
            fileXml('/dav/dir/bad%2Fname'),
            fileXml('/dav/dir/100%'),
            fileXml('/dav/elsewhere/x'),
            fileXml('/dav/dir/sizeless', { size: '' }),
            collectionXml('http://internal.example/dav/dir/sub/'),
          ),
        ),
      );
      const entries = await listAll(store, DIR);
      assert.deepEqual(
        entries.map(({ name, kind }) => [name, kind]),
        [
          ['good', 'file'],
          ['sub', 'dir'],
        ],
      );
      assert.deepEqual(
        skipped.map(({ reason }) => reason),
        ['bad-name', 'bad-encoding', 'elsewhere', 'no-size'],
      );
      assert.ok(skipped.every(({ directory }) => directory === DIR));
      assert.equal(threads.length, lane === 'here' ? 0 : 1, 'a listing starts no thread');
    });

    test('without a response element is empty', async () => {
      const { store } = await rigWith(answered(multistatus()));
      assert.deepEqual(await listAll(store, DIR), []);
    });

    test('of a file is not-found', async () => {
      const { store } = await rigWith(answered(multistatus(fileXml('/dav/dir'))));
      await rejectsWith(listAll(store, DIR), 'not-found');
    });

    test('that breaks off is an error, not a shorter listing', async () => {
      const whole = multistatus(collectionXml('/dav/dir/'), fileXml('/dav/dir/a'));
      for (const text of [whole.slice(0, -10), '', '<html><body>Log in</body></html>', 'no XML']) {
        const { store } = await rigWith(answered(text));
        await rejectsWith(listAll(store, DIR), 'protocol');
        assert.equal(store.running, 0);
      }
    });

    test('that is no XML, whatever it says, is none of WebDAV', async () => {
      const { store } = await rigWith({
        action: {
          kind: 'answer',
          status: 207,
          headers: { 'content-type': 'text/plain' },
          body: 'x'.repeat(200_000),
        },
      });
      await rejectsWith(listAll(store, DIR), 'not-webdav');
      assert.equal(store.running, 0);
    });

    test('of many files has each of them, and is counted once, with its bytes', async (t) => {
      if (!requireComponent(t, 'apache')) return;
      const { store, responses } = await rigWith();
      const entries = await listAll(store, DIR);
      assert.equal(new Set(entries.map(({ name }) => name)).size, FILES);
      assert.ok(entries.every(({ name, size }) => size === name?.slice('file '.length).length));
      const { method, status, sentBytes, receivedBytes } =
        responses.at(-1) ?? assert.fail('nothing was told');
      assert.deepEqual([method, status], ['PROPFIND', 207]);
      assert.ok(sentBytes > 100 && receivedBytes > FILES * 300, `${sentBytes}, ${receivedBytes}`);
      assert.equal(responses.length, 1);
      assert.equal(store.running, 0);
    });

    test('on a line that is cut in the middle is interrupted', async (t) => {
      if (!requireComponent(t, 'apache')) return;
      const { store } = await rigWith({ action: { kind: 'cut-response', afterBytes: 300_000 } });
      let seen = 0;
      const reading = async () => {
        for await (const batch of store.list(DIR)) seen += batch.length;
      };
      await rejectsWith(reading(), 'interrupted');
      assert.ok(seen > 100);
      assert.equal(store.running, 0);
    });

    test('on a line that goes dead in the middle is a time-out', async (t) => {
      if (!requireComponent(t, 'apache')) return;
      const { store, clock } = await rigWith({ action: { kind: 'stall-response', afterBytes: 300_000 } });
      let seen = 0;
      let noteHalf: () => void = () => undefined;
      const half = new Promise<void>((resolve) => {
        noteHalf = resolve;
      });
      const reading = async () => {
        for await (const batch of store.list(DIR)) {
          seen += batch.length;
          if (seen > 500) noteHalf();
        }
      };
      const refused = rejectsWith(reading(), 'timeout');
      await half;
      await clock.fire(30_000, 30_000);
      await refused;
      assert.equal(store.running, 0);
    });

    test('that nobody reads on is left, and its place is free', async (t) => {
      if (!requireComponent(t, 'apache')) return;
      const { store } = await rigWith();
      for await (const batch of store.list(DIR)) {
        assert.ok(batch.length > 0);
        break;
      }
      assert.equal(store.running, 0);
    });
  });
}

test('the thread goes a few batches ahead of a slow reader, and on with him', async (t) => {
  if (!requireComponent(t, 'apache')) return;
  proxy.setRules([]);
  let told = 0;
  const { store } = makeRig(proxy.url, {
    startThread: (data) => {
      const thread = startSourceThread(data);
      thread.on('message', ({ kind }: { readonly kind: string }) => {
        if (kind === 'responses') told += 1;
      });
      return thread;
    },
  });
  await store.startThread();
  let seen = 0;
  for await (const batch of store.list(DIR)) {
    if (seen === 0) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.ok(told > 1 && told <= BATCHES_AHEAD + 1, `${told} batches`);
    }
    seen += batch.length;
  }
  assert.equal(seen, FILES);
  assert.ok(told > BATCHES_AHEAD + 1, `${told} batches in all`);
});
