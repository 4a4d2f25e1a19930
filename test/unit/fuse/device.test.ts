import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, open, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { FuseHandlers } from '../../../src/fuse/index.js';
import { type Bench, strings, withSession } from './fake-kernel.js';

/** More than the pool of any test run has. */
const BLOCKERS = 64;

/** Runs `work` while every thread of the pool waits for a FIFO that nobody has open for writing. */
async function withoutPool(work: () => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'infinimount-device-'));
  const fifo = join(dir, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const blocked = Array.from(
    { length: BLOCKERS },
    () =>
      new Promise<void>((resolve) => {
        open(fifo, 'r', (error, fd) => {
          if (error === null) closeSync(fd);
          resolve();
        });
      }),
  );
  try {
    await work();
  } finally {
    const writer = openSync(fifo, constants.O_RDWR);
    await Promise.all(blocked);
    closeSync(writer);
    rmSync(dir, { recursive: true, force: true });
  }
}

describe('the reader of the device', () => {
  test('a busy event loop looks at the device itself, without word from the thread pool', async () => {
    const handlers: FuseHandlers = { lookup: () => ({ nodeId: 0, entryTimeoutMs: 0 }) };
    const run = async ({ kernel }: Bench) => {
      // Waiting for an answer goes round the loop without rest. A poll that runs already answers the first.
      await withoutPool(async () => {
        for (let count = 0; count < 10; count += 1) {
          assert.equal((await kernel.call('LOOKUP', 1, strings('name'))).errno, 0);
        }
      });
    };
    await withSession(handlers, run, { options: { lingerMicros: 0 } });
  });

  test('lingers for nobody while other work is about to need the thread', { timeout: 20_000 }, async () => {
    let asked = 0;
    const handlers: FuseHandlers = { lookup: () => ({ nodeId: 0, entryTimeoutMs: 0 }) };
    const isAwaited = () => {
      asked += 1;
      return true;
    };
    const run = async ({ kernel }: Bench) => {
      for (let count = 0; count < 20; count += 1) {
        assert.equal((await kernel.call('LOOKUP', 1, strings('name'))).errno, 0);
      }
    };
    // Two seconds for each of them else.
    await withSession(handlers, run, { options: { lingerMicros: 999_000 }, isAwaited });
    assert.ok(asked >= 20);
  });
});
