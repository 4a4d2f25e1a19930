/** Bodies on their way into a file, through the thread for large bodies and without it, when the line plays tricks. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Secret } from '../../../src/base/index.js';
import type { RemotePath } from '../../../src/remote/index.js';
import type { WebdavOptions } from '../../../src/webdav/index.js';
import { bodyOf, rejectsWith, tagOf } from '../../contract/helpers.js';
import { startSourceThread } from '../../support/body-thread.js';
import { type FaultProxy, faults, startFaultProxy } from '../../support/proxy/index.js';
import {
  type DavServer,
  makeCertificate,
  requireComponent,
  startApache,
} from '../../support/servers/index.js';
import { TargetFile } from '../../support/target-file.js';
import { makeRig, type Rig } from './support.js';

type StartThread = NonNullable<WebdavOptions['startThread']>;

const FILE = '/file' as RemotePath;
const MIB = 1024 * 1024;
const CONTENT = Buffer.from(Array.from({ length: MIB }, (_, index) => (index * 7 + (index >> 9)) % 256));

/** The threads of this process, by field 19 of their stat (proc_pid_stat(5)). */
function threadsByNiceness(): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const thread of readdirSync('/proc/self/task')) {
    const fields = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    const niceness = Number(fields[16]);
    counts.set(niceness, (counts.get(niceness) ?? 0) + 1);
  }
  return counts;
}

const startNoThread: StartThread = () => new Worker('process.exit()', { eval: true });

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

interface Setting extends Rig {
  readonly proxy: FaultProxy;
  readonly file: TargetFile;
  /** Threads that were started. */
  readonly threads: readonly Worker[];
}

/** A store that has the file, and a target of its size. */
async function setUp(start: StartThread, content = CONTENT): Promise<Setting> {
  assert.ok(proxy !== undefined);
  const threads: Worker[] = [];
  const rig = makeRig(proxy.url, {
    startThread: (data) => {
      const thread = start(data);
      threads.push(thread);
      return thread;
    },
  });
  await rig.store.write(FILE, bodyOf(content), { condition: { kind: 'any' } });
  await rig.store.startThread();
  const file = new TargetFile(content.length);
  after(() => file[Symbol.dispose]());
  return { ...rig, proxy, file, threads };
}

const ignore = () => undefined;

for (const [lane, start] of [
  ['through the thread', startSourceThread],
  ['without a thread', startNoThread],
] as const) {
  describe(`a delivery ${lane}`, () => {
    const check = (name: string, work: (setting: Setting) => Promise<void>) => {
      test(name, async (t) => {
        if (requireComponent(t, 'apache')) await work(await setUp(start));
      });
    };

    check('is counted once, with its bytes', async ({ store, file, responses }) => {
      await (await store.deliver(FILE)).saveTo(file, ignore);
      assert.ok(file.content().equals(CONTENT));
      const { method, status, receivedBytes, error } = responses.at(-1) ?? assert.fail('nothing was told');
      assert.deepEqual([method, status, receivedBytes, error], ['GET', 200, MIB, undefined]);
      assert.equal(responses.filter((each) => each.method === 'GET').length, 1);
      assert.equal(store.running, 0);
    });

    check('over a line that goes dead before the headers is a time-out', async ({ store, clock, proxy }) => {
      proxy.setRules([{ method: 'GET', action: { kind: 'stall-response', afterBytes: 0 } }]);
      const delivery = store.deliver(FILE);
      const refused = rejectsWith(delivery, 'timeout');
      // Until the request is written, it is the connection that is waited for.
      await clock.fire(30_000, 30_000);
      await refused;
      assert.equal(store.running, 0);
    });

    check('over a line that goes dead in the middle is a time-out; what came is kept', async (at) => {
      at.proxy.setRules([{ method: 'GET', action: { kind: 'stall-response', afterBytes: 300_000 } }]);
      const delivery = await at.store.deliver(FILE);
      let reached = 0;
      let refused: Promise<unknown> = Promise.resolve();
      await new Promise<void>((resolve) => {
        const saving = delivery.saveTo(at.file, (_, end) => {
          reached = end;
          if (end === 300_000) resolve();
        });
        refused = rejectsWith(saving, 'timeout');
      });
      await at.clock.fire(30_000, 30_000);
      await refused;
      assert.equal(reached, 300_000);
      assert.ok(at.file.content().subarray(0, reached).equals(CONTENT.subarray(0, reached)));
      assert.equal(at.file.isShut, true);
      assert.equal(at.store.running, 0);
    });

    check('that is cut off, or shorter than announced, is interrupted', async ({ store, proxy }) => {
      for (const action of [
        { kind: 'cut-response', afterBytes: 300_000 },
        { kind: 'wrong-length', extraBytes: 10 },
      ] as const) {
        proxy.setRules([{ method: 'GET', action }]);
        using file = new TargetFile(MIB);
        await rejectsWith((await store.deliver(FILE)).saveTo(file, ignore), 'interrupted');
      }
      assert.equal(store.running, 0);
    });

    check('of a range that is answered by the whole begins at 0', async ({ store, proxy, file }) => {
      const body = 'x'.repeat(1_000);
      proxy.setRules([{ method: 'GET', action: { kind: 'answer', status: 200, body } }]);
      const delivery = await store.deliver(FILE, { start: 100, end: 200 });
      assert.deepEqual([delivery.start, delivery.totalSize], [0, 1_000]);
      await delivery.saveTo(file, ignore);
      assert.equal(file.content().subarray(0, 1_000).toString(), body);
    });

    check('of another version is refused by its head, and no byte is written', async (at) => {
      const etag = await tagOf(at.store, FILE);
      at.proxy.setRules([
        { method: 'GET', action: { kind: 'change-headers', headers: { etag: '"another"' } } },
      ]);
      await rejectsWith(at.store.deliver(FILE, { etag, start: 0, end: 1_000 }), 'changed');
      assert.ok(at.file.content().equals(Buffer.alloc(MIB)));
      assert.equal(at.store.running, 0);
    });

    check('goes on with the credentials that replaced refused ones', async ({ store, auth, proxy, file }) => {
      proxy.setRules([
        { method: 'GET', nth: 1, action: faults.unauthorized },
        { method: 'GET', action: { kind: 'answer', status: 200, body: 'content' } },
      ]);
      const before = auth.onUnauthorized.bind(auth);
      auth.onUnauthorized = (request, sent, challenge) => {
        auth.update({ user: 'tester', password: new Secret('new') });
        return before(request, sent, challenge);
      };
      await (await store.deliver(FILE)).saveTo(file, ignore);
      const sent = proxy.seen
        .filter(({ method }) => method === 'GET')
        .map(({ headers }) => headers.authorization);
      assert.equal(new Set(sent).size, 2);
      assert.equal(file.content().subarray(0, 7).toString(), 'content');
    });

    check('is tried again after passing trouble', async ({ store, clock, proxy, file }) => {
      proxy.setRules([{ method: 'GET', nth: 1, action: faults.unavailable }]);
      const delivery = store.deliver(FILE);
      await clock.fire(100, 400);
      await (await delivery).saveTo(file, ignore);
      assert.ok(file.content().equals(CONTENT));
    });

    check('ends with the store', async ({ store, proxy, file }) => {
      proxy.setRules([{ method: 'GET', action: { kind: 'stall-response', afterBytes: 300_000 } }]);
      const delivery = await store.deliver(FILE);
      const refused = rejectsWith(delivery.saveTo(file, ignore), 'interrupted');
      await store.close();
      await refused;
    });
  });
}

describe('the thread for large bodies', () => {
  const stall = { method: 'GET', action: { kind: 'stall-response', afterBytes: 300_000 } } as const;

  test('starts with the first delivery that has to do without it', async (t) => {
    if (!requireComponent(t, 'apache') || proxy === undefined) return;
    let started = 0;
    const { store } = makeRig(proxy.url, {
      startThread: (data) => {
        started += 1;
        return startSourceThread(data);
      },
    });
    await store.write(FILE, bodyOf(CONTENT), { condition: { kind: 'any' } });
    await store.stat(FILE);
    assert.equal(started, 0);
    using file = new TargetFile(MIB);
    await (await store.deliver(FILE)).saveTo(file, ignore);
    assert.ok(file.content().equals(CONTENT));
    assert.equal(started, 1);
  });

  test('gives way to the one that answers the kernel', async (t) => {
    if (!requireComponent(t, 'apache')) return;
    const before = threadsByNiceness();
    const own = getPriority();
    await setUp(startSourceThread);
    const after = threadsByNiceness();
    assert.equal(getPriority(), own);
    assert.equal((after.get(own + 4) ?? 0) - (before.get(own + 4) ?? 0), 1);
  });

  test('that dies interrupts what it was at, and another takes its place', async (t) => {
    if (!requireComponent(t, 'apache')) return;
    const at = await setUp(startSourceThread);
    at.proxy.setRules([stall]);
    const delivery = await at.store.deliver(FILE);
    const refused = rejectsWith(delivery.saveTo(at.file, ignore), 'interrupted');
    const unread = await at.store.deliver(FILE);
    await at.threads[0]?.terminate();
    await refused;
    await rejectsWith(unread.saveTo(at.file, ignore), 'interrupted');
    assert.equal(at.store.running, 0);
    at.proxy.setRules([]);
    await at.store.startThread();
    assert.equal(at.threads.length, 2);
    using second = new TargetFile(MIB);
    await (await at.store.deliver(FILE)).saveTo(second, ignore);
    assert.ok(second.content().equals(CONTENT));
  });

  test('that cannot be had is not asked for without end', async (t) => {
    if (!requireComponent(t, 'apache')) return;
    const at = await setUp(startNoThread);
    for (let round = 0; round < 6; round += 1) await at.store.startThread();
    assert.equal(at.threads.length, 3);
  });

  test('trusts the certificates that the store trusts', async (t) => {
    if (!requireComponent(t, 'apache') || !requireComponent(t, 'openssl')) return;
    const certificate = makeCertificate();
    await using tlsServer = await startApache({ tls: certificate });
    for (const [ca, code] of [
      [certificate.cert, undefined],
      [undefined, 'tls'],
    ] as const) {
      const { store } = makeRig(tlsServer.url, {
        startThread: startSourceThread,
        ...(ca === undefined ? {} : { ca }),
      });
      await store.startThread();
      if (code !== undefined) {
        await rejectsWith(store.deliver(FILE), code);
        continue;
      }
      await store.write(FILE, bodyOf(CONTENT), { condition: { kind: 'any' } });
      using file = new TargetFile(MIB);
      await (await store.deliver(FILE)).saveTo(file, ignore);
      assert.ok(file.content().equals(CONTENT));
    }
  });
});
