/** The messages to the service manager, over real sockets. */

import assert from 'node:assert/strict';
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { NotifySocketError, openNotifySocket, type SdNotify } from '../../../src/daemon/service/sd-notify.js';
import { NotifyReceiver } from '../../support/systemd-notify-socket.js';

class Pair {
  readonly dir = mkdtempSync(join(tmpdir(), 'infinimount-notify-'));
  readonly receiver: NotifyReceiver;
  readonly notify: SdNotify;

  constructor(address = join(this.dir, 'notify')) {
    this.receiver = new NotifyReceiver(address);
    const notify = openNotifySocket({ NOTIFY_SOCKET: address });
    assert.ok(notify);
    this.notify = notify;
  }

  said(): Readonly<Record<string, string>> | undefined {
    const message = this.receiver.take();
    if (message === undefined) return undefined;
    assert.equal(message.pid, process.pid);
    return Object.fromEntries(message.fields);
  }

  [Symbol.dispose](): void {
    this.notify.close();
    this.receiver.close();
    rmSync(this.dir, { recursive: true });
  }
}

describe('the notify socket', () => {
  test('takes each message in the words of the protocol', () => {
    using pair = new Pair();
    const { notify } = pair;
    assert.equal(notify.ready(), true);
    assert.deepEqual(pair.said(), { READY: '1' });
    notify.status('3 changes wait\nREADY=1');
    assert.deepEqual(pair.said(), { STATUS: '3 changes wait READY=1' });
    notify.watchdog();
    assert.deepEqual(pair.said(), { WATCHDOG: '1' });
    notify.extendTimeout(1_500_000.4);
    assert.deepEqual(pair.said(), { EXTEND_TIMEOUT_USEC: '1500000' });
    assert.equal(notify.stopping(), true);
    assert.deepEqual(pair.said(), { STOPPING: '1' });
    assert.equal(pair.said(), undefined);
  });

  test('a reload carries the time of the clock that the manager compares with', () => {
    using pair = new Pair();
    const beforeUs = process.hrtime.bigint() / 1000n;
    pair.notify.reloading();
    const said = pair.said();
    assert.equal(said?.RELOADING, '1');
    const sentUs = BigInt(said.MONOTONIC_USEC ?? '');
    assert.ok(sentUs >= beforeUs && sentUs <= process.hrtime.bigint() / 1000n);
  });

  test('an abstract address', () => {
    using pair = new Pair(`@infinimount-test-${process.pid}`);
    pair.notify.ready();
    assert.deepEqual(pair.said(), { READY: '1' });
  });

  test('a stored descriptor arrives as a duplicate of the same open file', () => {
    using pair = new Pair();
    const path = join(pair.dir, 'file');
    writeFileSync(path, 'content');
    const fd = openSync(path, 'r');
    assert.equal(pair.notify.storeFd('fuse', fd), true);
    const inode = fstatSync(fd).ino;
    closeSync(fd);
    const message = pair.receiver.take();
    assert.deepEqual(Object.fromEntries(message?.fields ?? []), { FDSTORE: '1', FDNAME: 'fuse' });
    assert.equal(message?.fds.length, 1);
    const stored = message.fds[0] ?? -1;
    assert.equal(fstatSync(stored).ino, inode);
    closeSync(stored);
    pair.notify.removeFd('fuse');
    assert.deepEqual(pair.said(), { FDSTOREREMOVE: '1', FDNAME: 'fuse' });
    for (const name of ['', 'a:b', 'a b', 'a\nREADY=1', 'x'.repeat(256)]) {
      assert.throws(() => pair.notify.storeFd(name, 0), RangeError);
    }
  });

  test('a manager that takes nothing delays what must arrive by a bound, and the rest not at all', () => {
    using pair = new Pair();
    // net.unix.max_dgram_qlen bounds the queue, at 512 in systemd's own namespace.
    let taken = 0;
    while (taken < 100_000 && pair.notify.stopping()) taken++;
    assert.ok(taken < 100_000);
    pair.notify.watchdog();
    pair.notify.status('busy');
    assert.deepEqual(pair.said(), { STOPPING: '1' });
    assert.equal(pair.notify.ready(), true);
  });

  test('a manager that is gone is an error', () => {
    const receiver = new NotifyReceiver(`@infinimount-test-gone-${process.pid}`);
    const notify = openNotifySocket({ NOTIFY_SOCKET: receiver.address });
    receiver.close();
    assert.throws(() => notify?.ready(), { code: 'ECONNREFUSED', syscall: 'sendmsg' });
    notify?.close();
  });

  test('without a manager there is none; an address that cannot be used is an error', () => {
    assert.equal(openNotifySocket({}), undefined);
    assert.equal(openNotifySocket({ NOTIFY_SOCKET: '' }), undefined);
    const unusable = ['vsock:2:1', '/', join(tmpdir(), 'no-such-socket'), `/${'x'.repeat(108)}`];
    for (const NOTIFY_SOCKET of unusable) {
      assert.throws(() => openNotifySocket({ NOTIFY_SOCKET }), NotifySocketError, NOTIFY_SOCKET);
    }
  });

  test('the watchdog is fed at half its interval, by the process that is watched', () => {
    using receiver = new NotifyReceiver(`@infinimount-test-watchdog-${process.pid}`);
    const everyMs = (environment: Readonly<Record<string, string>>) => {
      const notify = openNotifySocket({ NOTIFY_SOCKET: receiver.address, ...environment }, 42);
      notify?.close();
      return notify?.watchdogEveryMs;
    };
    assert.equal(everyMs({ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '42' }), 30_000);
    assert.equal(everyMs({ WATCHDOG_USEC: '60000000' }), 30_000);
    assert.equal(everyMs({ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '43' }), undefined);
    for (const WATCHDOG_USEC of ['0', '', '-1', 'soon']) assert.equal(everyMs({ WATCHDOG_USEC }), undefined);
    assert.equal(everyMs({}), undefined);
  });
});
