/** When changes are carried up: order, delays, retries, slots, fairness, and who waits for it. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Fh } from '../../../src/vfs/index.js';
import { type FakeVerb, scriptedFaults } from '../../support/fake-remote.js';
import { quiesce } from '../../support/manual-clock.js';
import { Gate } from './gate.js';
import { inoOf, makeWorld, type World } from './world.js';

const DELAY_MS = 200;
const MINUTE_MS = 60_000;
const CHANGES: readonly FakeVerb[] = ['write', 'makeDirectory', 'remove', 'move', 'copy'];

const changes = (world: World) =>
  world.server.log.filter(({ verb }) => CHANGES.includes(verb)).map(({ verb, path }) => `${verb} ${path}`);

/** Opens a new file for writing, as a program does that keeps it open. */
async function openNew(world: World, path: string): Promise<Fh> {
  const { parent, name } = world.split(path);
  const open = { writable: true, append: false, truncate: false };
  const caller = { uid: 0, gid: 0 };
  const { fh } = await world.vfs.names.create(parent, name, { mode: 0o644, caller, open, exclusive: true });
  return fh;
}

/** Notes when, in ms from now, each request of a kind is made; `fault` is played for each. */
function watch(
  world: World,
  verb: FakeVerb,
  code: 'server' | 'forbidden' | 'unreachable' | 'unauthorized' | undefined,
) {
  const startMs = world.clock.nowMs();
  const times: number[] = [];
  world.remote.setPlan((call) => {
    if (call.verb === verb) times.push(world.clock.nowMs() - startMs);
    return code !== undefined && CHANGES.includes(call.verb) ? { kind: 'before', code } : undefined;
  });
  return times;
}

const gaps = (times: readonly number[]) => times.slice(1).map((time, index) => time - (times[index] ?? 0));

describe('order', () => {
  test('a directory before what is in it, everything else side by side', async () => {
    const world = await makeWorld();
    await world.mkdir('/a');
    await world.mkdir('/a/b');
    await world.write('/a/b/f', '1');
    await world.write('/a/g', '2');
    await world.clock.advance(1_000);
    const order = changes(world);
    assert.deepEqual(order.slice(0, 1), ['makeDirectory /a']);
    assert.deepEqual([...order].sort(), [
      'makeDirectory /a',
      'makeDirectory /a/b',
      'write /a/b/f',
      'write /a/g',
    ]);
    assert.ok(order.indexOf('makeDirectory /a/b') < order.indexOf('write /a/b/f'));
  });

  test('a name is free before it is taken', async () => {
    const world = await makeWorld({ '/a/x': '1', '/b': '2' });
    await world.unlink('/a/x');
    await world.rmdir('/a');
    await world.write('/a', 'a file now');
    await world.rename('/b', '/c');
    await world.mkdir('/b');
    await world.clock.advance(1_000);
    const order = changes(world);
    assert.ok(order.indexOf('remove /a') < order.indexOf('write /a'));
    assert.ok(order.indexOf('move /b') < order.indexOf('makeDirectory /b'));
    assert.equal(world.engine.pendingCount(), 0);
  });
});

test('a small file is two commits: that it is sent, and that it is there', async () => {
  const world = await makeWorld();
  await world.write('/a', 'one');
  let commits = 0;
  world.state.onCommit(() => {
    commits += 1;
  });
  await world.clock.advance(DELAY_MS);
  assert.deepEqual(world.server.textTree(), { '/a': 'one' });
  assert.equal(commits, 2);
});

describe('delays', () => {
  test('a change waits until nothing more happens to the node', async () => {
    const world = await makeWorld();
    await world.write('/a', 'one');
    await world.clock.advance(DELAY_MS - 50);
    await world.write('/a', 'two');
    await world.clock.advance(DELAY_MS - 1);
    assert.deepEqual(changes(world), []);
    await world.clock.advance(1);
    assert.deepEqual(changes(world), ['write /a']);
    assert.deepEqual(world.server.textTree(), { '/a': 'two' });
  });

  test('but not for ever', async () => {
    const world = await makeWorld();
    for (let time = 0; time < 60; time += 1) {
      await world.write('/a', `${time}`);
      await world.clock.advance(100);
    }
    const count = changes(world).length;
    assert.ok(count >= 1 && count <= 2, `${count} uploads in six seconds`);
  });
});

describe('retries', () => {
  test('trouble of the server: after a second, then twice as long each time, up to five minutes', async () => {
    const world = await makeWorld();
    await world.write('/a', '1');
    const times = watch(world, 'write', 'server');
    await world.clock.advance(40 * MINUTE_MS);
    // Three quarters, since the random number is always a half.
    const expected = [750, 1_500, 3_000, 6_000, 12_000, 24_000, 48_000, 96_000, 192_000, 225_000, 225_000];
    assert.deepEqual(gaps(times).slice(0, expected.length), expected);
  });

  test('a refusal is tried again later, and others go on meanwhile', async () => {
    const world = await makeWorld();
    world.remote.setPlan(({ verb, path }) =>
      verb === 'write' && path === '/a' ? { kind: 'before', code: 'forbidden' } : undefined,
    );
    await world.write('/a', '1');
    await world.write('/b', '2');
    await world.clock.advance(5_000);
    assert.deepEqual(changes(world), ['write /b']);
    const [item] = world.engine.entries(10);
    assert.equal(item?.retries, 1);
    assert.match(item?.lastError ?? '', /forbidden/);
    world.remote.setPlan(undefined);
    await world.clock.advance(7_000);
    assert.deepEqual(world.server.textTree(), { '/a': '1', '/b': '2' });
    assert.deepEqual(world.engine.entries(10), []);
  });

  test('after a success the count begins anew', async () => {
    const world = await makeWorld();
    world.remote.setPlan(
      scriptedFaults(
        [1, 2, 3].map(() => ({
          verb: 'write' as const,
          fault: { kind: 'before' as const, code: 'server' as const },
        })),
      ),
    );
    await world.write('/a', '1');
    await world.clock.advance(20_000);
    assert.deepEqual(world.server.textTree(), { '/a': '1' });
    await world.write('/a', '2');
    const times = watch(world, 'write', 'server');
    await world.clock.advance(3_000);
    assert.deepEqual(gaps(times), [750, 1_500]);
  });
});

describe('a line that is down', () => {
  test('one request finds it out, and one at a time asks whether it is back', async () => {
    const world = await makeWorld();
    for (let file = 0; file < 12; file += 1) await world.write(`/f${file}`, 'x');
    world.server.online = false;
    await world.clock.advance(DELAY_MS);
    const first = changes(world).length;
    assert.ok(first <= 4, `${first} requests at once`);
    const times = watch(world, 'write', 'unreachable');
    await world.clock.advance(5 * MINUTE_MS);
    assert.equal(new Set(times).size, times.length, 'two at one time');
    assert.ok(times.length <= 15, `${times.length} requests in five minutes`);
    world.server.online = true;
    world.remote.setPlan(undefined);
    await world.clock.advance(2 * MINUTE_MS);
    assert.equal(world.engine.pendingCount(), 0);
    assert.equal(Object.keys(world.server.textTree()).length, 12);
  });

  test('refused credentials are tried slowly', async () => {
    const world = await makeWorld();
    await world.write('/a', '1');
    const times = watch(world, 'write', 'unauthorized');
    await world.clock.advance(30 * MINUTE_MS);
    const waits = gaps(times);
    assert.ok((waits[0] ?? 0) >= 3_000 && waits.length < 60, `${waits.length} tries in half an hour`);
    for (const [index, wait] of waits.slice(1).entries()) {
      assert.ok(wait === 2 * (waits[index] ?? 0) || wait >= 40_000, `${waits}`);
    }
    world.remote.setPlan(undefined);
    await world.clock.advance(5 * MINUTE_MS);
    assert.deepEqual(world.server.textTree(), { '/a': '1' });
  });
});

describe('slots and fairness', () => {
  test('so many requests at a time as the server is thought to bear, first come first served', async () => {
    const gate = new Gate('write');
    const world = await makeWorld({}, { pause: gate.pause });
    gate.close();
    for (let file = 0; file < 12; file += 1) await world.write(`/f${file}`, 'x');
    await world.clock.advance(1_000);
    assert.deepEqual(changes(world), ['write /f0', 'write /f1', 'write /f2', 'write /f3']);
    await gate.open();
    await world.clock.advance(1_000);
    assert.deepEqual(
      changes(world),
      Array.from({ length: 12 }, (_, file) => `write /f${file}`),
    );
  });

  test('the move of a directory is not overtaken by what comes after it', async () => {
    const gate = new Gate('write');
    const world = await makeWorld({ '/d/old': '1' }, { pause: gate.pause });
    gate.close();
    for (let file = 0; file < 6; file += 1) await world.write(`/d/f${file}`, 'x');
    await world.clock.advance(DELAY_MS);
    await world.rename('/d', '/e');
    await world.clock.advance(DELAY_MS);
    for (let file = 6; file < 40; file += 1) {
      await world.write(`/g${file}`, 'x');
      await world.write(`/e/f${file}`, 'x');
    }
    await world.clock.advance(DELAY_MS);
    for (let turn = 0; turn < 300; turn += 1) await gate.pass(1);
    await gate.open();
    await world.clock.advance(2_000);
    const order = changes(world);
    const moved = order.indexOf('move /d');
    assert.ok(moved >= 0 && moved <= 14, `the move came as number ${moved} of ${order.length}`);
    assert.equal(world.engine.pendingCount(), 0);
    assert.equal(Object.keys(world.server.textTree()).length, 42 + 34);
  });
});

describe('waiting for it', () => {
  test('settled hurries one node and what it waits for, however deep, and resolves when it is there', async () => {
    const world = await makeWorld();
    await world.mkdir('/a');
    await world.mkdir('/a/b');
    await world.mkdir('/a/b/c');
    await world.write('/a/b/c/f', '1');
    await world.write('/other', '2');
    const waiting = world.engine.settled(inoOf(world, '/a/b/c/f'));
    await world.clock.advance(0);
    await waiting;
    assert.equal(world.server.textTree()['/a/b/c/f'], '1');
    assert.equal(world.server.textTree()['/other'], undefined);
    await world.engine.settled(inoOf(world, '/a'));
  });

  test('settled rejects when the server refuses; the change stays and goes up later', async () => {
    const world = await makeWorld();
    await world.write('/a', '1');
    watch(world, 'write', 'forbidden');
    const waiting = assert.rejects(world.engine.settled(inoOf(world, '/a')), { code: 'forbidden' });
    await world.clock.advance(1_000);
    await waiting;
    assert.equal(world.engine.pendingCount(), 1);
    world.remote.setPlan(undefined);
    await world.clock.advance(MINUTE_MS);
    assert.deepEqual(world.server.textTree(), { '/a': '1' });
  });

  test('who is killed waits no longer', async () => {
    const world = await makeWorld();
    world.server.online = false;
    await world.write('/a', '1');
    const reason = new Error('killed');
    const controller = new AbortController();
    const both = [
      assert.rejects(world.engine.settled(inoOf(world, '/a'), controller), reason),
      assert.rejects(world.engine.drained(controller.signal), reason),
    ];
    await world.clock.advance(1_000);
    controller.abort(reason);
    await Promise.all(both);
  });

  test('drained hurries everything and resolves when it is there', async () => {
    const world = await makeWorld({ '/d/x': '1' });
    await world.write('/a', '1');
    await world.mkdir('/n');
    await world.rename('/d', '/n/d');
    const waiting = world.engine.drained();
    await world.clock.advance(50);
    await waiting;
    assert.deepEqual(world.server.textTree(), { '/a': '1', '/n/': null, '/n/d/': null, '/n/d/x': '1' });
    await world.engine.drained();
  });

  test('drained waits through trouble', async () => {
    const world = await makeWorld();
    await world.write('/a', '1');
    world.server.online = false;
    let done = false;
    const waiting = world.engine.drained().then(() => {
      done = true;
    });
    await world.clock.advance(MINUTE_MS);
    assert.equal(done, false);
    world.server.online = true;
    await world.clock.advance(2 * MINUTE_MS);
    await waiting;
    assert.deepEqual(world.server.textTree(), { '/a': '1' });
  });

  test('drained does not wait for a file whose writer died', async () => {
    const world = await makeWorld();
    const fh = await openNew(world, '/half');
    await world.vfs.files.write(fh, Buffer.from('half'), 0);
    world.restart();
    const waiting = world.engine.drained();
    await world.clock.advance(1_000);
    await waiting;
    assert.deepEqual(world.server.textTree(), {});
  });

  test('the end rejects whoever waits, then and afterwards, and starts nothing more', async () => {
    const world = await makeWorld();
    world.server.online = false;
    await world.write('/a', '1');
    const waiting = [
      assert.rejects(world.engine.settled(inoOf(world, '/a'))),
      assert.rejects(world.engine.drained()),
    ];
    await world.clock.advance(100);
    await world.engine.close();
    await Promise.all(waiting);
    const ended = [
      assert.rejects(world.engine.settled(inoOf(world, '/a'))),
      assert.rejects(world.engine.drained()),
    ];
    await quiesce();
    await Promise.all(ended);
    world.server.online = true;
    world.server.clearLog();
    await world.clock.advance(10 * MINUTE_MS);
    assert.deepEqual(changes(world), []);
  });

  test('an upload under way is stopped at the end', async () => {
    const gate = new Gate('write');
    const world = await makeWorld({}, { pause: gate.pause });
    gate.close();
    await world.write('/a', '1');
    await world.clock.advance(DELAY_MS);
    const closing = world.engine.close();
    await gate.open();
    await closing;
    assert.deepEqual(world.server.textTree(), {});
  });
});

describe('files that stay open', () => {
  test('a further name of one goes up as well', async () => {
    const world = await makeWorld();
    const fh = await openNew(world, '/log');
    await world.vfs.files.write(fh, Buffer.from('so far'), 0);
    await world.clock.advance(MINUTE_MS);
    await world.vfs.files.write(fh, Buffer.from('and on'), 0);
    await world.clock.advance(10_000);
    await world.link('/log', '/log2');
    await world.clock.advance(2 * MINUTE_MS);
    assert.deepEqual(world.server.textTree(), { '/log': 'and on', '/log2': 'and on' });
    world.vfs.files.release(fh);
    await world.clock.advance(MINUTE_MS);
    assert.equal(world.engine.pendingCount(), 0);
  });

  test('a program that asks for safety all the time gets one copy now and one an interval', async () => {
    const world = await makeWorld();
    const fh = await openNew(world, '/db');
    const after = world.clock.after.bind(world.clock);
    let timers = 0;
    world.clock.after = (delayMs, callback) => {
      timers += 1;
      return after(delayMs, callback);
    };
    for (let second = 0; second < 60; second += 1) {
      for (let time = 0; time < 20; time += 1) {
        await world.vfs.files.write(fh, Buffer.from(`${second}`), 0);
        await world.vfs.files.fsync(fh);
      }
      await world.clock.advance(1_000);
    }
    const uploads = changes(world).length;
    assert.ok(uploads >= 2 && uploads <= 4, `${uploads} uploads in a minute`);
    assert.ok(timers < 600, `${timers} timers`);
    world.vfs.files.release(fh);
  });
});
