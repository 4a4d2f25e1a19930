import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Ino, type Log, silentLog } from '../../../src/base/index.js';
import { connectInvalidation, type KernelInvalidation } from '../../../src/bridge/index.js';
import type { NotifyOutcome } from '../../../src/fuse/index.js';
import type { Invalidation } from '../../../src/sync/index.js';
import { nameOf } from '../vfs/support.js';

const DIR = 10 as Ino;
const FILE = 11 as Ino;
const UNKNOWN = 99 as Ino;

/** A kernel that takes notifications when it is told to, or at once. */
class FakeKernel {
  readonly told: string[] = [];
  readonly warnings: string[] = [];
  outcome: NotifyOutcome = 'done';
  held = false;
  readonly #waiting: (() => void)[] = [];
  #listener: (event: Invalidation) => void = () => undefined;
  readonly queue: KernelInvalidation;

  constructor() {
    const log: Log = { ...silentLog, warn: (_fields, message) => this.warnings.push(message) };
    this.queue = connectInvalidation({
      sync: {
        onInvalidate: (listener) => {
          this.#listener = listener;
        },
      },
      notify: {
        invalInode: (node) => this.#tell(`inode ${node}`),
        invalEntry: (parent, name) => this.#tell(`entry ${parent} ${name}`),
        deleted: (parent, child, name) => this.#tell(`delete ${parent} ${child} ${name}`),
      },
      isKnown: (ino) => ino !== UNKNOWN,
      log,
    });
  }

  say(event: Invalidation): void {
    this.#listener(event);
  }

  letGo(): void {
    this.held = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #tell(what: string): Promise<NotifyOutcome> {
    this.told.push(what);
    if (this.held) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.outcome;
  }
}

describe('invalidation', () => {
  test('is never handed over while the one who tells it is still at work', async () => {
    const kernel = new FakeKernel();
    kernel.say({ kind: 'inode', ino: FILE });
    await Promise.resolve();
    assert.deepEqual(kernel.told, []);
    assert.equal(kernel.queue.isPending(FILE), true);
    await kernel.queue.idle();
    assert.deepEqual(kernel.told, [`inode ${FILE}`]);
    assert.equal(kernel.queue.isPending(FILE), false);
  });

  test('waits until the kernel has taken it', async () => {
    const kernel = new FakeKernel();
    kernel.held = true;
    kernel.say({ kind: 'inode', ino: FILE });
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(kernel.told, [`inode ${FILE}`]);
    assert.equal(kernel.queue.isPending(FILE), true);
    // Said again while the first is under way: the kernel may have read in between.
    kernel.say({ kind: 'inode', ino: FILE });
    kernel.letGo();
    await kernel.queue.idle();
    assert.deepEqual(kernel.told, [`inode ${FILE}`, `inode ${FILE}`]);
    assert.equal(kernel.queue.isPending(FILE), false);
  });

  test('says the same thing once', async () => {
    const kernel = new FakeKernel();
    for (let i = 0; i < 5; i += 1) kernel.say({ kind: 'inode', ino: FILE });
    await kernel.queue.idle();
    assert.deepEqual(kernel.told, [`inode ${FILE}`]);
  });

  test('of a name takes the cached listing of its directory along', async () => {
    const kernel = new FakeKernel();
    kernel.say({ kind: 'entry', parent: DIR, name: nameOf('a') });
    kernel.say({ kind: 'delete', parent: DIR, name: nameOf('b'), child: FILE });
    await kernel.queue.idle();
    assert.deepEqual([...kernel.told].sort(), [`delete ${DIR} ${FILE} b`, `entry ${DIR} a`, `inode ${DIR}`]);
  });

  test('of what the kernel does not know is not sent', async () => {
    const kernel = new FakeKernel();
    kernel.say({ kind: 'inode', ino: UNKNOWN });
    kernel.say({ kind: 'entry', parent: UNKNOWN, name: nameOf('a') });
    await kernel.queue.idle();
    assert.deepEqual(kernel.told, []);
  });

  test('of a deleted name that is in use takes the entry away at least', async () => {
    const kernel = new FakeKernel();
    kernel.outcome = 'busy';
    kernel.say({ kind: 'delete', parent: DIR, name: nameOf('b'), child: FILE });
    await kernel.queue.idle();
    assert.equal(kernel.told.filter((line) => line === `entry ${DIR} b`).length, 1);
  });

  test('gets through a flood, a part at a time, and reports what the driver refuses', async () => {
    const kernel = new FakeKernel();
    kernel.held = true;
    for (let i = 0; i < 1000; i += 1) kernel.say({ kind: 'inode', ino: (1000 + i) as Ino });
    await new Promise((resolve) => setImmediate(resolve));
    assert(kernel.told.length < 1000);
    kernel.letGo();
    await kernel.queue.idle();
    assert.equal(new Set(kernel.told).size, 1000);
    kernel.outcome = 'overflow';
    kernel.say({ kind: 'inode', ino: FILE });
    await kernel.queue.idle();
    assert.equal(kernel.warnings.length, 1);
  });

  test('after closing nothing is handed over', async () => {
    const kernel = new FakeKernel();
    kernel.say({ kind: 'inode', ino: FILE });
    kernel.queue.close();
    kernel.say({ kind: 'inode', ino: FILE });
    await kernel.queue.idle();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(kernel.told, []);
  });
});
