import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  NOTIFY_DELETE_OUT,
  NOTIFY_INVAL_ENTRY_OUT,
  NOTIFY_INVAL_INODE_OUT,
} from '../../../src/fuse/layouts.js';
import { Notifier } from '../../../src/fuse/notify.js';
import { ManualClock } from '../../support/manual-clock.js';
import { FakeKernel, strings, until, withSession } from './fake-kernel.js';

function bench(busy: Set<number>, maxQueued = 10) {
  const kernel = new FakeKernel();
  const clock = new ManualClock();
  const isBusy = (nodeId: number): boolean => busy.has(nodeId);
  const notifier = new Notifier({ fd: kernel.deviceFd, clock, isBusy, maxQueued, trace: undefined });
  return { kernel, clock, notifier };
}

describe('notifications', () => {
  test('on the wire', async () => {
    const { kernel, notifier } = bench(new Set());
    assert.equal(await notifier.invalData(7, 4096, 10), 'done');
    const inode = await kernel.receive();
    assert.deepEqual([inode?.unique, inode?.errno], [0, -2]);
    assert.ok(inode);
    assert.deepEqual(NOTIFY_INVAL_INODE_OUT.decode(inode.view, 0), { ino: 7n, off: 4096n, len: 10n });
    assert.equal(await notifier.invalAttr(7), 'done');
    const attr = await kernel.receive();
    assert.ok(attr);
    assert.deepEqual(NOTIFY_INVAL_INODE_OUT.decode(attr.view, 0), { ino: 7n, off: -1n, len: 0n });
    await notifier.invalEntry(1, 'ä', { expireOnly: true });
    const entry = await kernel.receive();
    assert.ok(entry?.errno === -3);
    assert.deepEqual(NOTIFY_INVAL_ENTRY_OUT.decode(entry.view, 0), { parent: 1n, namelen: 2, flags: 1 });
    assert.deepEqual(entry.body.subarray(NOTIFY_INVAL_ENTRY_OUT.size), strings('ä'));
    await notifier.deleted(1, 9, 'gone');
    const gone = await kernel.receive();
    assert.ok(gone?.errno === -6);
    assert.deepEqual(NOTIFY_DELETE_OUT.decode(gone.view, 0), { parent: 1n, child: 9n, namelen: 4 });
    await notifier.resend();
    const resend = await kernel.receive();
    assert.deepEqual([resend?.errno, resend?.body.length], [-7, 0]);
    await notifier.store(3, 0, Buffer.from('data'));
    assert.equal((await kernel.receive())?.body.subarray(24).toString(), 'data');
    await notifier.close();
  });

  test('wait while their node is in work, others pass them, order within a node stays', async () => {
    const busy = new Set([1]);
    const { kernel, notifier } = bench(busy);
    const seen: string[] = [];
    const note = (name: string) => (outcome: string) => void seen.push(`${name} ${outcome}`);
    const first = notifier.invalEntry(1, 'a').then(note('a'));
    const second = notifier.invalEntry(2, 'b').then(note('b'));
    await second;
    assert.deepEqual(seen, ['b done']);
    const third = notifier.invalEntry(1, 'c').then(note('c'));
    busy.clear();
    notifier.settled();
    await Promise.all([first, third]);
    assert.deepEqual(seen, ['b done', 'a done', 'c done']);
    kernel.close();
    await notifier.close();
  });

  test('are held for two seconds at most', async () => {
    const { clock, notifier } = bench(new Set([1]));
    const sent = notifier.invalEntry(1, 'a');
    await clock.advance(1999);
    assert.equal(notifier.queued, 1);
    await clock.advance(1);
    assert.equal(await sent, 'done');
  });

  test('have a bounded queue, and are let go at the end', async () => {
    const { notifier } = bench(new Set([1]), 2);
    const held = [notifier.invalEntry(1, 'a'), notifier.invalEntry(1, 'b')];
    assert.equal(await notifier.invalEntry(1, 'c'), 'overflow');
    await notifier.close();
    assert.deepEqual(await Promise.all(held), ['closed', 'closed']);
    assert.equal(await notifier.invalInode(1), 'closed');
  });

  test('of a handler for its own directory wait until it has answered', async () => {
    let outcome: Promise<string> | undefined;
    let answer: () => void = () => {};
    const handlers = {
      unlink: (): Promise<void> => {
        outcome = holder.session?.notify.invalEntry(5, 'x');
        return new Promise((resolve) => {
          answer = resolve;
        });
      },
    };
    const holder: { session?: { notify: Notifier } } = {};
    await withSession(handlers, async ({ kernel, session }) => {
      holder.session = session;
      const unique = kernel.send('UNLINK', 5, strings('x'));
      await until(() => session.inFlight === 1);
      assert.equal(session.notify.queued, 1);
      answer();
      assert.equal((await kernel.receive())?.unique, unique);
      assert.equal(await outcome, 'done');
      assert.equal((await kernel.receive())?.errno, -3);
    });
  });
});
