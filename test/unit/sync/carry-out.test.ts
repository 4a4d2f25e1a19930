/** How single changes are carried to servers of several kinds, and what is made of their answers. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type FakeVerb, scriptedFaults } from '../../support/fake-remote.js';
import { quiesce } from '../../support/manual-clock.js';
import { Gate } from './gate.js';
import { inoOf, makeWorld, remote, type World } from './world.js';

const MINUTE_MS = 60_000;
const READS: readonly FakeVerb[] = ['list', 'read', 'quota', 'probe'];

/** Changes and single looks, with the condition of writes: `write /a if any`. */
const requests = (world: World) =>
  world.server.log
    .filter(({ verb }) => !READS.includes(verb))
    .map(({ verb, path, condition }) => {
      const told = condition?.startsWith('"') === true ? 'match' : condition;
      return `${verb} ${path}${told === undefined ? '' : ` if ${told}`}`;
    });

const changes = (world: World) => requests(world).filter((request) => !request.startsWith('stat'));

const conflicts = (world: World) =>
  Object.entries(world.server.textTree()).filter(([path]) => path.includes('(conflict here'));

async function settle(world: World, ms = 10_000): Promise<void> {
  await world.clock.advance(ms);
  world.check();
}

describe('servers that honour no condition', () => {
  const capabilities = { ifMatch: false, ifNoneMatch: false };

  test('are looked at before a write, a new file and a removal', async () => {
    const world = await makeWorld({ '/a': '1', '/b': '2' }, { capabilities });
    await world.write('/a', 'changed');
    await world.write('/n', 'new');
    await world.unlink('/b');
    await settle(world, 400);
    assert.deepEqual(requests(world).sort(), [
      'remove /b',
      'stat /a',
      'stat /b',
      'stat /n',
      'write /a if any',
      'write /n if any',
    ]);
  });

  test('a version of another client is found by that look, and kept', async () => {
    const world = await makeWorld({ '/a': '1', '/b': '2' }, { capabilities });
    await world.write('/a', 'ours');
    await world.write('/n', 'ours too');
    await world.unlink('/b');
    world.server.writeDirect(remote('/a'), 'theirs');
    world.server.writeDirect(remote('/n'), 'theirs too');
    world.server.writeDirect(remote('/b'), 'came back');
    await world.converge();
    const tree = world.server.textTree();
    assert.equal(tree['/a'], 'theirs');
    assert.equal(tree['/n'], 'theirs too');
    assert.equal(tree['/b'], 'came back');
    assert.deepEqual(
      conflicts(world).map(([, text]) => text),
      ['ours', 'ours too'],
    );
  });

  test('an empty file that another client made a directory of is not removed with all that is in it', async () => {
    const world = await makeWorld({ '/e': '', '/x': '1' }, { capabilities });
    await world.unlink('/e');
    world.server.removeDirect(remote('/e'));
    world.server.writeDirect(remote('/e/precious'), 'theirs');
    await world.converge();
    assert.equal(world.server.textTree()['/e/precious'], 'theirs');
    assert.equal(await world.read('/e/precious'), 'theirs');
  });

  test('nor is it when a file is moved over it', async () => {
    const world = await makeWorld({ '/e': '', '/x': '1' }, { capabilities, tags: 'none' });
    await world.rename('/x', '/e');
    world.server.removeDirect(remote('/e'));
    world.server.writeDirect(remote('/e/precious'), 'theirs');
    await world.converge();
    assert.equal(world.server.textTree()['/e/precious'], 'theirs');
    assert.deepEqual(
      conflicts(world).map(([, text]) => text),
      ['1'],
    );
  });
});

describe('servers whose answers leave something open', () => {
  test('a file too young to match is written again a little later, and no conflict is made', async () => {
    const world = await makeWorld({}, { tags: 'young-weak' });
    await world.write('/a', 'one');
    await settle(world, 300);
    let refused = 0;
    world.remote.setPlan(({ verb }) => {
      if (verb !== 'write' || refused > 0) return undefined;
      refused += 1;
      return { kind: 'before', code: 'changed' };
    });
    await world.write('/a', 'two');
    await settle(world);
    assert.equal(refused, 1);
    assert.deepEqual(world.server.textTree(), { '/a': 'two' });
  });

  test('a new directory whose answer is lost is taken as made, and looked into', async () => {
    const world = await makeWorld();
    world.remote.setPlan(
      scriptedFaults([{ verb: 'makeDirectory', fault: { kind: 'after', code: 'timeout' } }]),
    );
    await world.mkdir('/d');
    await world.clock.advance(250);
    world.server.writeDirect(remote('/d/theirs'), '1');
    await settle(world, MINUTE_MS);
    assert.equal(world.engine.pendingCount(), 0);
    await world.engine.listed(inoOf(world, '/d'));
    assert.equal(await world.read('/d/theirs'), '1');
  });

  test('an upload whose answer is lost, and a version of another client after it: both are kept', async () => {
    const world = await makeWorld({ '/a': 'old' });
    world.remote.setPlan(scriptedFaults([{ verb: 'write', fault: { kind: 'after', code: 'interrupted' } }]));
    await world.write('/a', 'ours');
    await world.clock.advance(250);
    assert.equal(world.server.textTree()['/a'], 'ours');
    world.server.writeDirect(remote('/a'), 'theirs');
    await world.converge();
    assert.equal(world.server.textTree()['/a'], 'theirs');
    assert.deepEqual(
      conflicts(world).map(([, text]) => text),
      ['ours'],
    );
  });

  for (const [verb, code] of [
    ['makeDirectory', 'exists'],
    ['write', 'exists'],
    ['write', 'changed'],
    ['move', 'exists'],
  ] as const) {
    test(`a ${verb} that is refused as ${code}, where nothing is: tried again ever more seldom, and told`, async () => {
      const world = await makeWorld({ '/a': '1' });
      world.remote.setPlan((call) => (call.verb === verb ? { kind: 'before', code } : undefined));
      if (verb === 'makeDirectory') await world.mkdir('/new');
      else if (verb === 'write') await world.write('/new', 'x');
      else await world.rename('/a', '/new');
      await settle(world, 5 * MINUTE_MS);
      const tries = world.remote.played.length;
      assert.ok(tries > 2 && tries < 10, `${tries} tries`);
      const [item] = world.engine.entries(10);
      assert.match(item?.lastError ?? '', new RegExp(code));
      await world.converge();
      assert.ok(Object.keys(world.server.textTree()).some((path) => path.startsWith('/new')));
    });
  }

  test('an upload that is cut has not happened', async () => {
    const world = await makeWorld();
    world.remote.setPlan(scriptedFaults([{ verb: 'write', fault: { kind: 'cut', afterBytes: 1 } }]));
    await world.write('/a', 'whole');
    await settle(world, MINUTE_MS);
    assert.deepEqual(world.server.textTree(), { '/a': 'whole' });
    assert.equal(changes(world).length, 2);
  });
});

describe('directories that are gone', () => {
  test('are made again for what is new in them', async () => {
    const world = await makeWorld({ '/d/e/old': '1' });
    await world.write('/d/e/new', '2');
    world.server.removeDirect(remote('/d'));
    await world.converge();
    assert.deepEqual(world.server.textTree(), { '/d/': null, '/d/e/': null, '/d/e/new': '2' });
    assert.equal(await world.read('/d/e/new'), '2');
  });

  test('are made again for what moves into them', async () => {
    const world = await makeWorld({ '/d/x': '1', '/a': '2' });
    await world.rename('/a', '/d/a');
    world.server.removeDirect(remote('/d'));
    await world.converge();
    assert.deepEqual(world.server.textTree(), { '/d/': null, '/d/a': '2' });
  });

  test('a tree that another client deleted first is deleted', async () => {
    const world = await makeWorld({ '/d/x': '1', '/a': '2' });
    await world.unlink('/d/x');
    await world.rmdir('/d');
    world.server.removeDirect(remote('/d'));
    await settle(world);
    assert.equal(world.engine.pendingCount(), 0);
    assert.deepEqual(world.server.textTree(), { '/a': '2' });
  });
});

describe('further names', () => {
  test('of what the server has are copied there', async () => {
    const world = await makeWorld({ '/a': '1' });
    await world.link('/a', '/b');
    await settle(world);
    assert.deepEqual(changes(world), ['copy /a']);
    assert.deepEqual(world.server.textTree(), { '/a': '1', '/b': '1' });
    assert.equal(world.engine.pendingCount(), 0);
  });

  test('are uploaded where the server cannot copy', async () => {
    const world = await makeWorld({ '/a': '1' });
    world.remote.setPlan(({ verb }) =>
      verb === 'copy' ? { kind: 'before', code: 'not-supported' } : undefined,
    );
    await world.link('/a', '/b');
    await settle(world);
    assert.deepEqual(changes(world), ['write /b if absent']);
    assert.deepEqual(world.server.textTree(), { '/a': '1', '/b': '1' });
  });

  test('are found there when the answer to the copy is lost', async () => {
    const world = await makeWorld({ '/a': '1' });
    world.remote.setPlan(scriptedFaults([{ verb: 'copy', fault: { kind: 'after', code: 'timeout' } }]));
    await world.link('/a', '/b');
    await settle(world, MINUTE_MS);
    assert.deepEqual(world.server.textTree(), { '/a': '1', '/b': '1' });
    assert.equal(world.engine.pendingCount(), 0);
  });

  test('of a version that the server no longer has come to rest, though nobody lists the directory', async () => {
    const world = await makeWorld({ '/d/a': '1' });
    await world.clock.advance(20 * MINUTE_MS);
    await world.link('/d/a', '/b');
    world.server.writeDirect(remote('/d/a'), 'another version');
    await world.clock.advance(5 * MINUTE_MS);
    assert.equal(world.engine.pendingCount(), 0);
    assert.equal(world.server.textTree()['/d/a'], 'another version');
  });
});

describe('files that programs have open', () => {
  test('are fetched whole before their last copy on the server goes', async () => {
    const size = 2 * 1024 * 1024;
    const world = await makeWorld({ '/a': new Uint8Array(size).fill(7), '/b': '2' });
    const fh = await world.vfs.files.open(inoOf(world, '/a'), {
      writable: false,
      append: false,
      truncate: false,
    });
    await world.unlink('/a');
    await settle(world);
    assert.deepEqual(changes(world), ['remove /a']);
    const target = Buffer.alloc(4);
    assert.equal(await world.vfs.files.read(fh, target, 0, 4, size - 4), 4);
    assert.deepEqual([...target], [7, 7, 7, 7]);
    world.vfs.files.release(fh);
  });

  test('are not uploaded half written, though the decision was made while they were closed', async () => {
    const gate = new Gate('read');
    const world = await makeWorld({ '/a': new Uint8Array(2 * 1024 * 1024) }, { pause: gate.pause });
    // Somebody reads the file that is replaced: its rest has to come first, which takes its time.
    const reader = await world.vfs.files.open(inoOf(world, '/a'), {
      writable: false,
      append: false,
      truncate: false,
    });
    await world.write('/a.tmp', 'first');
    await world.rename('/a.tmp', '/a');
    gate.close();
    await world.clock.advance(300);
    const writer = await world.vfs.files.open(inoOf(world, '/a'), {
      writable: true,
      append: false,
      truncate: true,
    });
    await world.vfs.files.write(writer, Buffer.from('half of'), 0);
    await gate.open();
    await world.clock.advance(5_000);
    assert.notEqual(world.server.textTree()['/a'], 'half of');
    await world.vfs.files.write(writer, Buffer.from(' the second'), 7);
    await world.vfs.files.flush(writer);
    world.vfs.files.release(writer);
    world.vfs.files.release(reader);
    await settle(world);
    assert.equal(world.server.textTree()['/a'], 'half of the second');
    assert.equal(world.engine.pendingCount(), 0);
  });
});

describe('after a crash', () => {
  test('a file whose copy went up while it was open is uploaded again when it is changed again', async () => {
    const world = await makeWorld();
    const { parent, name } = world.split('/db');
    const open = { writable: true, append: false, truncate: false };
    const caller = { uid: 0, gid: 0 };
    const { fh } = await world.vfs.names.create(parent, name, { mode: 0o644, caller, open, exclusive: true });
    await world.vfs.files.write(fh, Buffer.from('first'), 0);
    await world.clock.advance(MINUTE_MS);
    assert.deepEqual(world.server.textTree(), { '/db': 'first' });
    world.restart();
    await world.write('/db', 'second');
    await settle(world, MINUTE_MS);
    assert.deepEqual(world.server.textTree(), { '/db': 'second' });
    assert.equal(await world.read('/db'), 'second');
  });
});

describe('replacing', () => {
  test('what another client changed under the new name is kept', async () => {
    const world = await makeWorld({ '/a': 'a', '/b': 'b' });
    await world.rename('/a', '/b');
    world.server.writeDirect(remote('/b'), 'theirs');
    await world.converge();
    assert.equal(world.server.textTree()['/b'], 'theirs');
    assert.deepEqual(
      conflicts(world).map(([, text]) => text),
      ['a'],
    );
    assert.equal(world.server.textTree()['/a'], undefined);
  });

  test('a file moved here and deleted there is gone; moved there, it is at its new place', async () => {
    const world = await makeWorld({ '/a': 'a', '/b': 'b', '/c': 'c' });
    await world.rename('/a', '/a2');
    world.server.removeDirect(remote('/a'));
    await world.rename('/b', '/b2');
    world.server.moveDirect(remote('/b'), remote('/b3'));
    await world.converge();
    await quiesce();
    assert.deepEqual(world.server.textTree(), { '/b3': 'b', '/c': 'c' });
    assert.deepEqual(await world.localTree(), world.server.textTree());
  });
});
