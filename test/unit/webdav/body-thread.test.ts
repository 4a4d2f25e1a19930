/** The thread for bodies where it is ended, or ends, in the middle of a write. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { silentLog } from '../../../src/base/index.js';
import { BodyThread } from '../../../src/webdav/body-thread.js';
import { TargetFile } from '../../support/target-file.js';

/** As in gated-file.ts: a write is running, and no write may begin. */
const WRITING = 1;
const SHUT = 3;

/** A thread that begins a write as soon as a body is to be saved, and does `then` before the write is over. */
const writerThat = (then: string) => () =>
  new Worker(
    `const { parentPort } = require('node:worker_threads');
    const tell = (message) => parentPort.postMessage(message);
    parentPort.on('message', (message) => {
      if (message.kind === 'open') tell({ kind: 'head', id: message.id, status: 200, headers: {}, isParsed: false });
      if (message.kind !== 'save') return;
      const { gate } = message.file;
      Atomics.store(gate, 0, ${WRITING});
      tell({ kind: 'progress', ends: [message.id, 1] });
      ${then}
      Atomics.store(gate, 0, ${SHUT});
      Atomics.notify(gate, 0);
    });
    tell({ kind: 'ready' });`,
    { eval: true },
  );

const pause = (ms: number) => `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${ms});`;

async function saveThrough(then: string, file: TargetFile) {
  const thread = new BodyThread(
    { origin: 'http://127.0.0.1:1', ca: undefined, connectMs: 1_000 },
    silentLog,
    writerThat(then),
  );
  await thread.started();
  const { signal } = new AbortController();
  const { body } = await thread.request({
    method: 'GET',
    path: '/',
    headers: {},
    signal,
    onStart: () => undefined,
  });
  let noteWriting: () => void = () => undefined;
  const writing = new Promise<void>((resolve) => {
    noteWriting = resolve;
  });
  assert.equal(thread.isFree, true);
  const saved = body.save(file, 0, () => noteWriting());
  return { thread, writing, saved };
}

const ended = { code: 'UND_ERR_DESTROYED' };

test('a write under way is over before the thread is ended', async () => {
  using file = new TargetFile(10);
  const { thread, writing, saved } = await saveThrough(pause(200), file);
  const refused = assert.rejects(saved, ended);
  await writing;
  await thread.close();
  await refused;
  assert.equal(file.isShut, true);
});

test('the thread is not free in the middle of a write', async () => {
  using file = new TargetFile(10);
  const { thread, writing, saved } = await saveThrough(pause(300), file);
  await writing;
  assert.equal(thread.isFree, false);
  const refused = assert.rejects(saved, ended);
  await thread.close();
  await refused;
  assert.equal(thread.isFree, false);
});

test('the thread that ends in the middle of a write is not waited for', async () => {
  using file = new TargetFile(10);
  const { thread, saved } = await saveThrough('process.exit();', file);
  await assert.rejects(saved, ended);
  assert.equal(file.isShut, true);
  await thread.close();
});

test('a thread that may not give way to the other serves all the same, and the log tells', async () => {
  const told: unknown[] = [];
  const thread = new BodyThread(
    { origin: 'http://127.0.0.1:1', ca: undefined, connectMs: 1_000 },
    { ...silentLog, debug: (fields) => told.push(fields) },
    () =>
      new Worker(
        `const { parentPort } = require('node:worker_threads');
        parentPort.on('message', () => undefined);
        parentPort.postMessage({ kind: 'ready', refusal: 'EPERM' });`,
        { eval: true },
      ),
  );
  await thread.started();
  assert.equal(thread.isFree, true);
  assert.deepEqual(told, [{ reason: 'EPERM' }]);
  await thread.close();
});
