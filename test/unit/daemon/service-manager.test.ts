/** What the service manager is told, and when, on a clock of the test's. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLog } from '../../../src/base/index.js';
import type { SdNotify } from '../../../src/daemon/service/sd-notify.js';
import {
  connectServiceManager,
  ServiceManager,
  statusLine,
} from '../../../src/daemon/service/service-manager.js';
import { ManualClock, quiesce } from '../../support/manual-clock.js';

const WATCHDOG_MS = 30_000;

class Heard implements SdNotify {
  readonly watchdogEveryMs = WATCHDOG_MS;
  readonly said: string[] = [];
  failure: Error | undefined;

  #hear(what: string): boolean {
    if (this.failure !== undefined) throw this.failure;
    this.said.push(what);
    return true;
  }

  ready = () => this.#hear('ready');
  status = (text: string) => void this.#hear(`status ${text}`);
  reloading = () => this.#hear('reloading');
  stopping = () => this.#hear('stopping');
  watchdog = () => void this.#hear('watchdog');
  extendTimeout = (microseconds: number) => void this.#hear(`extend ${microseconds}`);
  storeFd = (name: string, fd: number) => this.#hear(`store ${name} ${fd}`);
  removeFd = (name: string) => this.#hear(`remove ${name}`);
  close = () => void this.#hear('close');

  /** What was said since the last look. */
  take(): readonly string[] {
    return this.said.splice(0);
  }
}

function setUp() {
  const notify = new Heard();
  const clock = new ManualClock();
  const logged: string[] = [];
  const log = { ...silentLog, warn: (_: object, message: string) => void logged.push(message) };
  const manager = new ServiceManager({ notify, clock, log });
  const mount = { line: 'quiet', answers: true as boolean | Promise<boolean> };
  const serve = () =>
    manager.serving({ status: () => mount.line, answers: () => Promise.resolve(mount.answers) });
  return { notify, clock, logged, manager, mount, serve };
}

describe('the service manager', () => {
  test('is told of the start, and of each change of the status', async () => {
    const { notify, clock, manager, mount, serve } = setUp();
    manager.starting('Opening');
    serve();
    assert.deepEqual(notify.take(), ['status Opening', 'ready', 'status quiet']);
    await clock.advance(10_000);
    assert.deepEqual(notify.take(), []);
    mount.line = 'busy';
    await clock.advance(2_000);
    assert.deepEqual(notify.take(), ['status busy']);
  });

  test('the watchdog is fed while the mount answers, and only then', async () => {
    const { notify, clock, mount, serve } = setUp();
    serve();
    notify.take();
    await clock.advance(2 * WATCHDOG_MS);
    assert.deepEqual(notify.take(), ['watchdog', 'watchdog']);
    mount.answers = false;
    await clock.advance(2 * WATCHDOG_MS);
    assert.deepEqual(notify.take(), []);
    let answer: (answers: boolean) => void = () => undefined;
    mount.answers = new Promise((resolve) => {
      answer = resolve;
    });
    await clock.advance(3 * WATCHDOG_MS);
    assert.deepEqual(notify.take(), []);
    answer(true);
    await quiesce();
    assert.deepEqual(notify.take(), ['watchdog']);
  });

  test('a reload is said to be over also when it failed', async () => {
    const { notify, manager, serve } = setUp();
    serve();
    notify.take();
    await manager.reload(() => {
      notify.said.push('work');
      return Promise.resolve();
    });
    assert.deepEqual(notify.take(), ['reloading', 'work', 'ready']);
    await assert.rejects(manager.reload(() => Promise.reject(new Error('no'))));
    assert.deepEqual(notify.take(), ['reloading', 'ready']);
  });

  test('a stop asks for more time at each look at the queue, and is not ended by the watchdog', async () => {
    const { notify, clock, manager, mount, serve } = setUp();
    serve();
    notify.take();
    manager.stopping();
    assert.deepEqual(notify.take(), ['stopping', 'status Unmounting']);
    manager.draining({ pending: 12, bytes: 3_500_000, bytesDone: 0 }, 1_000);
    const line = 'status Unmounted; sending 12 changes (3.3 MiB) before the end';
    assert.deepEqual(notify.take(), [line, 'extend 21000000']);
    mount.answers = false;
    mount.line = 'not shown any more';
    await clock.advance(WATCHDOG_MS);
    assert.deepEqual(notify.take(), ['watchdog']);
    manager.drained(1);
    assert.deepEqual(notify.take(), ['status Stopped; 1 change left in the cache for the next start']);
    manager.close();
    await clock.advance(WATCHDOG_MS);
    assert.deepEqual(notify.take(), ['close']);
  });

  test('one that went away is logged once, and the mount goes on', async () => {
    const { notify, clock, logged, mount, serve } = setUp();
    serve();
    notify.failure = new Error('gone');
    for (const line of ['a', 'b', 'c']) {
      mount.line = line;
      await clock.advance(2_000);
    }
    assert.deepEqual(logged, ['the service manager cannot be reached']);
  });

  test('where none is, or none that can be used, nothing is said', async () => {
    const logged: string[] = [];
    const log = { ...silentLog, warn: (_: object, message: string) => void logged.push(message) };
    const clock = new ManualClock();
    for (const environment of [{}, { NOTIFY_SOCKET: '/no/such/socket' }]) {
      const manager = connectServiceManager(environment, { clock, log });
      assert.equal(manager.notify, undefined);
      manager.serving({ status: () => assert.fail(), answers: () => assert.fail() });
      await manager.reload(() => Promise.resolve());
      manager.stopping();
      manager.close();
    }
    assert.equal(logged.length, 1);
  });
});

test('the status line', () => {
  const mount = { url: 'https://host/dav/', mountPoint: '/mnt', paused: false };
  const line = (connection: 'online' | 'offline' | 'unauthorized', pending: number, paused = false) =>
    statusLine({ ...mount, connection, paused, queue: { pending, bytes: pending * 100, bytesDone: 0 } });
  assert.equal(line('online', 0), 'https://host/dav/ on /mnt; everything is on the server');
  assert.equal(line('online', 1), 'https://host/dav/ on /mnt; 1 change (100 B) to send');
  assert.equal(
    line('offline', 20, true),
    'https://host/dav/ on /mnt; 20 changes (2.0 KiB) to send, paused; the server cannot be reached',
  );
  assert.match(line('unauthorized', 0), /; the server refuses the credentials$/);
});
