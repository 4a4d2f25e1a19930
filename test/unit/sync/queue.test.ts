/** What is told of the changes that wait for the server, of bytes that move, and of what happened. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SyncEvent } from '../../../src/sync/index.js';
import { scriptedFaults } from '../../support/faulty-remote.js';
import { Gate } from './gate.js';
import { inoOf, makeWorld, remote } from './world.js';

const CALLER = { uid: 0, gid: 0 };

describe('entries', () => {
  test('tell path, operation, state and bytes, those that run first', async () => {
    const gate = new Gate('write');
    const world = await makeWorld({ '/d/old': '1', '/m': '2', '/gone': '3' }, { pause: gate.pause });
    gate.close();
    await world.write('/d/new', 'four');
    await world.clock.advance(1_000);
    await world.rename('/m', '/moved');
    await world.unlink('/gone');
    await world.mkdir('/n');
    await world.write('/n/in', 'content');
    await world.link('/d/old', '/d/again');
    const [first, ...others] = world.engine.entries(10);
    assert.deepEqual(first, {
      ino: inoOf(world, '/d/new'),
      path: '/d/new',
      operation: 'upload',
      state: 'running',
      bytesTotal: 4,
      bytesDone: 0,
      retries: 0,
    });
    const dueAtMs = world.clock.nowMs() + 200;
    assert.deepEqual(
      others.map(({ ino: _, ...entry }) => entry),
      [
        { path: '/moved', operation: 'move', state: 'due', retries: 0, dueAtMs },
        { path: '/gone', operation: 'delete', state: 'due', retries: 0, dueAtMs },
        { path: '/n', operation: 'create-directory', state: 'due', retries: 0, dueAtMs },
        { path: '/n/in', operation: 'upload', state: 'waiting', bytesTotal: 7, retries: 0, dueAtMs },
        { path: '/d/again', operation: 'copy', state: 'due', retries: 0, dueAtMs },
      ],
    );
    assert.deepEqual(world.engine.summary(), { pending: 6, running: 1, failing: 0, bytes: 12, bytesDone: 0 });
    assert.equal(world.engine.entries(3).length, 3);
    await gate.open();
    await world.clock.advance(2_000);
    assert.deepEqual(world.engine.entries(10), []);
    assert.deepEqual(world.engine.summary(), { pending: 0, running: 0, failing: 0, bytes: 0, bytesDone: 0 });
  });

  test('a file that a program has open is held; one that fails comes before those that wait', async () => {
    const world = await makeWorld();
    const { parent, name } = world.split('/open');
    const open = { writable: true, append: false, truncate: false };
    const { fh } = await world.vfs.names.create(parent, name, {
      mode: 0o644,
      caller: CALLER,
      open,
      exclusive: true,
    });
    await world.vfs.files.write(fh, Buffer.from('half'), 0);
    await world.write('/refused', '1');
    world.remote.setPlan(({ verb, path }) =>
      verb === 'write' && path === '/refused' ? { kind: 'before', code: 'forbidden' } : undefined,
    );
    await world.clock.advance(1_000);
    const [failing, held] = world.engine.entries(10);
    assert.equal(failing?.path, '/refused');
    assert.equal(failing?.retries, 1);
    assert.match(failing?.lastError ?? '', /forbidden/);
    assert.equal(held?.path, '/open');
    assert.equal(held?.state, 'held');
    assert.equal(world.engine.summary().failing, 1);
    world.vfs.files.release(fh);
  });

  test('an upload tells how far it is', async () => {
    const world = await makeWorld();
    let seen: number | undefined;
    const write = world.server.write.bind(world.server);
    world.server.write = (path, body, options) =>
      write(path, body, {
        ...options,
        onProgress: (sentBytes) => {
          options.onProgress?.(sentBytes);
          seen = world.engine.entries(1)[0]?.bytesDone;
        },
      });
    await world.write('/a', 'x'.repeat(1000));
    await world.clock.advance(300);
    assert.equal(seen, 1000);
  });

  test('100,000 changes are counted as quickly as one', async () => {
    const world = await makeWorld();
    world.server.online = false;
    await world.write('/first', '1');
    const root = inoOf(world, '/');
    world.state.transact((tx) => {
      const model = tx.get(inoOf(world, '/first'));
      if (model?.kind !== 'file') return;
      for (let file = 0; file < 100_000; file += 1) {
        const local = { parent: root, name: `f${file}` as never };
        tx.put({ ...model, ino: tx.allocate(), local, size: 10 });
      }
    });
    const get = world.state.get.bind(world.state);
    let reads = 0;
    world.state.get = (ino) => {
      reads += 1;
      return get(ino);
    };
    assert.equal(world.engine.entries(50).length, 50);
    assert.equal(world.engine.summary().pending, 100_001);
    assert.equal(world.engine.summary().bytes, 1_000_001);
    assert.ok(reads < 2_000, `${reads} records were read`);
    await world.engine.close();
  });
});

describe('rates', () => {
  test('are those of the last seconds, up and down', async () => {
    const world = await makeWorld({ '/far': 'f'.repeat(10_000) });
    assert.deepEqual(world.engine.rates(), { upBytesPerSecond: 0, downBytesPerSecond: 0 });
    await world.read('/far');
    await world.write('/near', 'n'.repeat(20_000));
    await world.clock.advance(1_000);
    const { upBytesPerSecond, downBytesPerSecond } = world.engine.rates();
    assert.ok(upBytesPerSecond >= 4_000 && upBytesPerSecond <= 5_000, `${upBytesPerSecond}`);
    assert.ok(downBytesPerSecond >= 2_000 && downBytesPerSecond <= 2_500, `${downBytesPerSecond}`);
    await world.clock.advance(6_000);
    assert.deepEqual(world.engine.rates(), { upBytesPerSecond: 0, downBytesPerSecond: 0 });
  });
});

describe('events', () => {
  test('of uploads, conflicts, trouble and the connection, until nobody listens', async () => {
    const world = await makeWorld({ '/c': '1' });
    const events: SyncEvent[] = [];
    const stop = world.engine.onEvent((event) => events.push(event));
    await world.write('/a', 'abc');
    await world.clock.advance(300);
    assert.deepEqual(events.splice(0), [{ type: 'uploaded', path: '/a', bytes: 3 }]);

    await world.write('/c', 'ours');
    world.server.writeDirect(remote('/c'), 'theirs');
    await world.clock.advance(300);
    const conflict = events.find(({ type }) => type === 'conflict');
    assert.ok(conflict?.type === 'conflict');
    assert.equal(conflict.path, '/c');
    assert.match(conflict.copy, /^\/c \(conflict here/);

    await world.clock.advance(10_000);
    events.length = 0;
    world.remote.setPlan(scriptedFaults([{ verb: 'write', fault: { kind: 'before', code: 'forbidden' } }]));
    await world.write('/f', '1');
    await world.clock.advance(300);
    const [trouble] = events.splice(0);
    assert.ok(trouble?.type === 'trouble');
    assert.equal(trouble.code, 'forbidden');
    assert.equal(trouble.path, '/f');

    await world.clock.advance(60_000);
    events.length = 0;
    world.server.online = false;
    await world.write('/g', '1');
    await world.clock.advance(300);
    assert.deepEqual(
      events.splice(0).map((event) => (event.type === 'connection' ? event.connection.kind : event.type)),
      ['offline', 'trouble'],
    );
    assert.equal(world.engine.connection.kind, 'offline');
    world.server.online = true;
    await world.clock.advance(120_000);
    assert.deepEqual(
      events
        .splice(0)
        .map((event) => (event.type === 'connection' ? event.connection.kind : event.type))
        .sort(),
      ['online', 'uploaded'],
    );
    stop();
    await world.write('/h', '1');
    await world.clock.advance(300);
    assert.deepEqual(events, []);
  });

  test('the latest troubles are kept, one of a kind and path, twenty at most', async () => {
    const world = await makeWorld();
    world.remote.setPlan(({ verb }) =>
      verb === 'write' ? { kind: 'before', code: 'forbidden' } : undefined,
    );
    for (let file = 0; file < 30; file += 1) await world.write(`/f${file}`, '1');
    await world.clock.advance(100_000);
    const { troubles } = world.engine;
    assert.equal(troubles.length, 20);
    assert.equal(new Set(troubles.map(({ path }) => path)).size, 20);
    const times = troubles.map(({ atMs }) => atMs);
    assert.deepEqual(times, [...times].sort());
  });
});
