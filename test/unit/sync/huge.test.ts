/** Files beyond what 32 bits can count, and more than memory: a server of one file of 64 GiB that is made up as it is read. */

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { SystemClock, silentLog } from '../../../src/base/index.js';
import { MemoryPresenceTable } from '../../../src/content/index.js';
import { type ETag, isRemoteError } from '../../../src/remote/index.js';
import { uploadBytes } from '../../../src/sync/backlog.js';
import { Connectivity } from '../../../src/sync/connectivity.js';
import { Fetcher } from '../../../src/sync/fetcher.js';
import { LineMeter } from '../../../src/sync/line-meter.js';
import { RateMeter } from '../../../src/sync/rates.js';
import { nodeSource } from '../../../src/sync/upload-source.js';
import { openTemporary, temporaryDir } from '../content/support.js';
import { makeRig } from '../webdav/support.js';
import { entryOf, Parts } from './parts.js';
import { remote } from './world.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const HUGE_BYTES = 64 * GIB + 5;
/** After this much of an upload its memory shows. */
const SENT_BYTES = 512 * MIB;
/** What is in flight at a time is a few units of 4 MiB at most, and what waits to be collected. */
const BOUND_BYTES = SENT_BYTES / 4;
const VERSION = { etag: '"huge"' as ETag, size: HUGE_BYTES };

/** The bytes from `start` on: each block of 4 KiB begins with its number. */
function contentAt(start: number, end: number): Buffer {
  const bytes = Buffer.alloc(end - start);
  for (let block = Math.ceil(start / 4096); block * 4096 + 8 <= end; block += 1)
    bytes.writeBigUInt64BE(BigInt(block), block * 4096 - start);
  return bytes;
}

describe('a file of 64 GiB', () => {
  let uploadedBytes = 0;
  let announcedBytes = 0;
  let url = '';
  const server = createServer((request, answer) => {
    if (request.method === 'PUT') {
      announcedBytes = Number(request.headers['content-length']);
      request.on('data', (chunk: Buffer) => {
        uploadedBytes += chunk.length;
      });
      request.on('error', () => undefined);
      return;
    }
    const [, from = '0', to = ''] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const [start, end] = [Number(from), Number(to) + 1];
    answer.writeHead(206, {
      etag: VERSION.etag,
      'content-length': end - start,
      'content-range': `bytes ${start}-${end - 1}/${HUGE_BYTES}`,
    });
    answer.end(contentAt(start, end));
  });
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    url = `http://127.0.0.1:${address.port}/dav/`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  /** The parts over a disk and that server, with the file as a listing told of it. */
  async function open(presence = new MemoryPresenceTable(), dir = temporaryDir()) {
    const { store: content } = openTemporary(dir, { presence });
    await content.reconcile({ of: () => ({ kind: 'clean', ...VERSION }), staged: () => [] });
    const parts = new Parts(content);
    parts.see('huge', entryOf('huge', VERSION));
    const { store } = makeRig(url);
    const clock = new SystemClock();
    const fetcher = new Fetcher({
      state: parts.state,
      content,
      store,
      connectivity: new Connectivity(clock, () => 0.5, silentLog),
      meter: new LineMeter(),
      rates: new RateMeter(clock),
      clock,
      log: silentLog,
    });
    return { parts, content, store, fetcher, presence, dir, ino: parts.file('huge').ino };
  }

  const PLACES = [
    ['across 4 GiB', 4 * GIB - MIB, 4 * GIB + MIB],
    ['across 32 GiB', 32 * GIB - 4 * KIB, 32 * GIB + 4 * KIB],
    ['at its end', HUGE_BYTES - MIB, HUGE_BYTES],
  ] as const;

  test('ranges of it come, are kept over a restart, and are where they belong', async () => {
    const { content, fetcher, presence, dir, ino } = await open();
    const body = content.acquireClean(ino, VERSION);
    for (const [where, start, end] of PLACES) {
      await fetcher.present(ino, start, end);
      const bytes = Buffer.alloc(end - start);
      assert.equal(body.readSync(bytes, 0, bytes.length, start), bytes.length);
      assert.ok(bytes.equals(contentAt(start, end)), where);
    }
    assert.equal(body.has(5 * GIB, 5 * GIB + 1), false);
    const { presentBytes } = body;
    assert.ok(presentBytes < 64 * MIB, `${presentBytes} bytes came`);
    fetcher.close();
    content.release(ino);
    await content.close();

    const again = await open(presence, dir);
    const kept = again.content.acquireClean(ino, VERSION);
    assert.equal(kept.presentBytes, presentBytes);
    for (const [where, start, end] of PLACES) {
      assert.ok(kept.has(start, end), where);
      const bytes = Buffer.alloc(end - start);
      kept.readSync(bytes, 0, bytes.length, start);
      assert.ok(bytes.equals(contentAt(start, end)), where);
    }
    again.content.release(ino);
    await again.content.close();
    rmSync(dir, { recursive: true });
  });

  test('it goes up in pieces of which few are in memory, with its whole length announced', async () => {
    const { parts, content, store, dir, ino } = await open();
    const body = content.createStaged(ino);
    body.truncateSync(HUGE_BYTES);
    parts.state.transact((tx) =>
      tx.put({ ...parts.file('huge'), content: 'staged', gen: 1, size: HUGE_BYTES }),
    );
    const source = await nodeSource(parts.file('huge'), parts, () => undefined);
    const heldBefore = process.memoryUsage().arrayBuffers;
    const enough = new AbortController();
    let mostHeld = 0;
    let told = 0;
    const upload = store.write(remote('/huge'), source.body, {
      condition: { kind: 'any' },
      signal: enough.signal,
      onProgress: (bytes) => {
        told = bytes;
        mostHeld = Math.max(mostHeld, process.memoryUsage().arrayBuffers - heldBefore);
        if (bytes >= SENT_BYTES) enough.abort();
      },
    });
    await assert.rejects(upload, (error) => isRemoteError(error, 'aborted') && error.outcome === 'none');
    source.close();
    assert.equal(announcedBytes, HUGE_BYTES);
    assert.ok(told >= SENT_BYTES && uploadedBytes > SENT_BYTES / 2, `${uploadedBytes} of ${told} bytes came`);
    assert.ok(mostHeld < BOUND_BYTES, `${mostHeld} bytes were held`);
    content.release(ino);
    await content.close();
    rmSync(dir, { recursive: true });
  });

  test('what is written near its end is there, and the queue counts all of it', async () => {
    const { parts, content, dir, ino } = await open();
    const body = content.createStaged(ino);
    body.writeSync(Buffer.from('the end'), HUGE_BYTES - 7);
    const bytes = Buffer.alloc(16);
    assert.equal(body.readSync(bytes, 0, 16, HUGE_BYTES - 7), 7);
    assert.equal(bytes.toString('latin1', 0, 7), 'the end');
    parts.state.transact((tx) =>
      tx.put({ ...parts.file('huge'), content: 'staged', gen: 1, size: body.size }),
    );
    assert.equal(uploadBytes(parts.state, ino), HUGE_BYTES);
    content.release(ino);
    await content.close();
    rmSync(dir, { recursive: true });
  });
});
