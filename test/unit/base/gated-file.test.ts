import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { shutGate, writeGated } from '../../../src/base/index.js';
import { TargetFile } from '../../support/target-file.js';

const bytes = (text: string) => Buffer.from(text);

describe('a gated file', () => {
  test('is written to where it has room, until its gate is shut', () => {
    using file = new TargetFile(10);
    assert.equal(writeGated(file, bytes('four'), 2), 'written');
    assert.equal(writeGated(file, bytes('four'), 7), 'beyond');
    shutGate(file.gate);
    assert.equal(writeGated(file, bytes('late'), 0), 'shut');
    shutGate(file.gate);
    assert.equal(file.content().toString(), '\0\0four\0\0\0\0');
  });

  test('stays open after a write that failed', () => {
    using file = new TargetFile(10, '/dev/full');
    assert.throws(() => writeGated(file, bytes('x'), 0), { code: 'ENOSPC' });
    assert.equal(file.isShut, false);
    shutGate(file.gate);
  });

  test('takes no byte of another thread once the gate is shut, and the write under way is waited for', async () => {
    const source = new URL('../../../src/base/gated-file.ts', import.meta.url).href;
    // Writes without a pause, so that the gate is mostly shut in the middle of a write.
    const boot = `
      const { parentPort, workerData } = require('node:worker_threads');
      import('tsx/esm/api').then(async ({ register }) => {
        register();
        const { writeGated } = await import(${JSON.stringify(source)});
        const data = Buffer.alloc(workerData.size, 1);
        parentPort.postMessage('begins');
        while (writeGated(workerData, data, 0) === 'written');
        parentPort.postMessage('ended');
      });`;
    for (let round = 0; round < 5; round += 1) {
      using file = new TargetFile(8 * 1024 * 1024);
      const { fd, size, gate } = file;
      const worker = new Worker(boot, { eval: true, workerData: { fd, size, gate } });
      await once(worker, 'message');
      await new Promise((resolve) => setTimeout(resolve, 5 + round));
      shutGate(gate);
      file.empty();
      await once(worker, 'message');
      assert.equal(file.content().length, 0);
      await worker.terminate();
    }
  });
});
