/** Content that the server has already: copies made by it, and saves that change nothing. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { VfsError } from '../../../src/vfs/index.js';
import { type FakeVerb, scriptedFaults } from '../../support/fake-remote.js';
import { Gate } from './gate.js';
import { inoOf, makeWorld, remote, type World } from './world.js';

const READS: readonly FakeVerb[] = ['list', 'stat', 'quota', 'probe'];

/** Changes of the server, and what was read of files. */
const requests = (world: World) =>
  world.server.log
    .filter(({ verb }) => !READS.includes(verb))
    .map(({ verb, path, to }) => `${verb} ${path}${to === undefined ? '' : ` -> ${to}`}`);

const conflicts = (world: World) =>
  Object.keys(world.server.textTree()).filter((path) => path.includes('conflict'));

async function settle(world: World, ms = 5_000): Promise<void> {
  await world.clock.advance(ms);
  world.check();
}

/** Runs a program's call to its end, while time goes on. */
async function call<T>(world: World, work: Promise<T>, ms = 30_000): Promise<T> {
  let ended = false;
  const running = work.finally(() => {
    ended = true;
  });
  running.catch(() => undefined);
  for (let passed = 0; passed < ms && !ended; passed += 250) await world.clock.advance(250);
  assert.ok(ended, 'it waits for ever');
  return running;
}

/** A server's file, of which all or nothing is here. */
async function world(here: boolean, options: Parameters<typeof makeWorld>[1] = {}): Promise<World> {
  const made = await makeWorld({ '/a': 'the content' }, options, { openedBytes: 0 });
  // Older than a second, so that its tag is strong.
  await made.clock.advance(2_000);
  if (here) await made.read('/a');
  made.server.clearLog();
  return made;
}

describe('a copy of a file that is here', () => {
  test('is one COPY, in the background', async () => {
    const made = await world(true);
    await made.copy('/a', '/b');
    assert.deepEqual(requests(made), []);
    await settle(made);
    assert.deepEqual(requests(made), ['copy /a -> /b']);
    assert.deepEqual(made.server.textTree(), { '/a': 'the content', '/b': 'the content' });
    assert.equal(made.engine.pendingCount(), 0);
    assert.equal(await made.read('/b'), 'the content');
  });

  test('also after a restart before it was carried there', async () => {
    const made = await world(true);
    await made.copy('/a', '/b');
    made.restart();
    await settle(made);
    assert.deepEqual(requests(made), ['copy /a -> /b']);
    assert.equal(await made.read('/b'), 'the content');
  });

  test('several copies of one file go side by side', async () => {
    const made = await world(true);
    for (const to of ['/b', '/c', '/d']) await made.copy('/a', to);
    await settle(made);
    assert.deepEqual(requests(made).sort(), ['copy /a -> /b', 'copy /a -> /c', 'copy /a -> /d']);
    assert.equal(made.engine.pendingCount(), 0);
  });

  const uploads: Record<string, (made: World) => Promise<void> | void> = {
    'that was written to since': (made) => made.write('/b', 'the content, and more'),
    'whose original another client changed': (made) => void made.server.writeDirect(remote('/a'), 'another'),
    'that a server has to make that cannot': (made) =>
      made.remote.setPlan(({ verb }) =>
        verb === 'copy' ? { kind: 'before', code: 'not-supported' } : undefined,
      ),
    'that a server has to make that fails at it': (made) =>
      made.remote.setPlan(({ verb }) => (verb === 'copy' ? { kind: 'before', code: 'server' } : undefined)),
  };
  for (const [what, happens] of Object.entries(uploads)) {
    test(`one ${what} is uploaded`, async () => {
      const made = await world(true);
      await made.copy('/a', '/b');
      const content = what.includes('written') ? 'the content, and more' : 'the content';
      await happens(made);
      await settle(made, 20_000);
      assert.ok(requests(made).includes('write /b'), requests(made).join('\n'));
      assert.equal(made.server.textTree()['/b'], content);
      assert.equal(await made.read('/b'), content);
      assert.equal(made.engine.pendingCount(), 0);
      assert.deepEqual(conflicts(made), []);
    });
  }

  for (const [what, happens] of Object.entries<(made: World) => Promise<void>>({
    changed: (made) => made.write('/a', 'changed'),
    deleted: (made) => made.unlink('/a'),
    moved: (made) => made.rename('/a', '/z'),
  })) {
    test(`one whose original was ${what} here is what it was`, async () => {
      const made = await world(true);
      await made.copy('/a', '/b');
      await happens(made);
      await settle(made, 20_000);
      assert.equal(made.server.textTree()['/b'], 'the content');
      assert.deepEqual(await made.localTree(), made.server.textTree());
      assert.equal(made.engine.pendingCount(), 0);
      assert.deepEqual(conflicts(made), []);
    });
  }

  test('over a version that the server has is a conditional upload: COPY knows no condition', async () => {
    const made = await world(true);
    await made.write('/b', 'what was there');
    await settle(made);
    made.server.clearLog();
    await made.copy('/a', '/b');
    await settle(made);
    assert.deepEqual(requests(made), ['write /b']);
    assert.equal(made.server.textTree()['/b'], 'the content');
  });

  test('of which the name was taken by another client is kept beside', async () => {
    const made = await world(true);
    await made.copy('/a', '/b');
    made.server.writeDirect(remote('/b'), 'theirs');
    await settle(made, 60_000);
    const tree = made.server.textTree();
    assert.equal(tree['/b'], 'theirs');
    assert.deepEqual(
      conflicts(made).map((path) => tree[path]),
      ['the content'],
    );
  });

  test('whose answer was lost is looked up', async () => {
    const made = await world(true);
    made.remote.setPlan(scriptedFaults([{ verb: 'copy', fault: { kind: 'after', code: 'timeout' } }]));
    await made.copy('/a', '/b');
    await settle(made, 20_000);
    assert.deepEqual(made.server.textTree(), { '/a': 'the content', '/b': 'the content' });
    assert.equal(made.server.counts().copy, 1);
    assert.equal(made.server.counts().write, 0);
    assert.equal(made.engine.pendingCount(), 0);
  });

  test('of an original that changes while it is copied: nothing is lost, and nobody’s bytes are taken for ours', async () => {
    const gate = new Gate('copy');
    const made = await world(true, { pause: gate.pause });
    await made.copy('/a', '/b');
    gate.close();
    await made.clock.advance(1_000);
    made.server.writeDirect(remote('/a'), 'ANOTHER ONE');
    await gate.open();
    await made.converge();
    const tree = made.server.textTree();
    assert.ok(Object.values(tree).includes('the content'), JSON.stringify(tree));
    assert.deepEqual(await made.localTree(), tree);
  });

  test('a part of it, or more than it, is no copy', async () => {
    const made = await world(true);
    const { files, names } = made.vfs;
    const source = await files.open(inoOf(made, '/a'), { writable: false, append: false, truncate: false });
    const open = { writable: true, append: false, truncate: true };
    const { parent } = made.split('/part');
    const caller = { uid: 0, gid: 0 };
    const { fh } = await names.create(parent, made.split('/part').name, {
      mode: 0o644,
      caller,
      open,
      exclusive: true,
    });
    assert.equal(await files.copyRange({ fh: source, position: 0 }, { fh, position: 0 }, 4), 4);
    await files.flush(fh);
    files.release(fh);
    const { fh: more } = await names.create(parent, made.split('/more').name, {
      mode: 0o644,
      caller,
      open,
      exclusive: true,
    });
    assert.equal(await files.copyRange({ fh: source, position: 0 }, { fh: more, position: 0 }, 100), 11);
    await files.write(more, Buffer.from('!'), 11);
    await files.flush(more);
    files.release(more);
    files.release(source);
    await settle(made);
    assert.deepEqual(requests(made).sort(), ['write /more', 'write /part']);
    assert.equal(made.server.textTree()['/part'], 'the ');
    assert.equal(made.server.textTree()['/more'], 'the content!');
  });

  test('in pieces it is one all the same', async () => {
    const made = await world(true);
    const { files, names } = made.vfs;
    const source = await files.open(inoOf(made, '/a'), { writable: false, append: false, truncate: false });
    const { parent, name } = made.split('/b');
    const open = { writable: true, append: false, truncate: true };
    const { fh } = await names.create(parent, name, {
      mode: 0o644,
      caller: { uid: 0, gid: 0 },
      open,
      exclusive: true,
    });
    for (const position of [0, 4, 8]) {
      const count = Math.min(4, 11 - position);
      assert.equal(await files.copyRange({ fh: source, position }, { fh, position }, 4), count);
    }
    await files.flush(fh);
    files.release(fh);
    files.release(source);
    await settle(made);
    assert.deepEqual(requests(made), ['copy /a -> /b']);
  });
});

describe('a copy of a file that is not here', () => {
  test('is made by the server alone, before the program goes on', async () => {
    const made = await world(false);
    await call(made, made.copy('/a', '/b'));
    assert.equal(made.server.textTree()['/b'], 'the content');
    assert.deepEqual(requests(made), ['copy /a -> /b']);
    const node = made.state.get(inoOf(made, '/b'));
    assert.ok(
      node?.kind === 'file' && node.content === 'clean' && node.size === 11 && node.copyOf === undefined,
    );
    assert.equal(node.base?.etag, made.server.entryOf(remote('/b'))?.etag);
    await settle(made);
    assert.equal(await call(made, made.read('/b')), 'the content');
    await made.write('/b', 'changed');
    await settle(made);
    assert.deepEqual(made.server.textTree(), { '/a': 'the content', '/b': 'changed' });
  });

  test('into a directory that the server does not have yet', async () => {
    const made = await world(false);
    await made.mkdir('/new');
    await call(made, made.copy('/a', '/new/b'));
    assert.deepEqual(requests(made), ['makeDirectory /new', 'copy /a -> /new/b']);
    await settle(made);
  });

  const fetched: Record<string, (made: World) => void> = {
    'the server cannot copy': (made) =>
      made.remote.setPlan(({ verb }) =>
        verb === 'copy' ? { kind: 'before', code: 'not-supported' } : undefined,
      ),
    'the server fails at it': (made) =>
      made.remote.setPlan(({ verb }) => (verb === 'copy' ? { kind: 'before', code: 'server' } : undefined)),
    'there is no room for it': (made) =>
      made.remote.setPlan(({ verb }) => (verb === 'copy' ? { kind: 'before', code: 'no-space' } : undefined)),
    'uploads are paused': (made) => made.engine.pause(),
  };
  for (const [what, happens] of Object.entries(fetched)) {
    test(`comes from here where ${what}`, async () => {
      const made = await world(false);
      happens(made);
      await call(made, made.copy('/a', '/b'));
      assert.equal(await call(made, made.read('/b')), 'the content');
      made.remote.setPlan(undefined);
      made.engine.resume();
      made.engine.retryNow();
      await settle(made, 20_000);
      assert.equal(made.server.textTree()['/b'], 'the content');
      assert.equal(made.engine.pendingCount(), 0);
      assert.deepEqual(conflicts(made), []);
    });
  }

  test('of a version that is gone meanwhile fails, and nothing is lost', async () => {
    const gate = new Gate('copy');
    const slow = await world(false, { pause: gate.pause });
    gate.close();
    const copying = slow.copy('/a', '/b').catch((error: unknown) => error);
    await slow.clock.advance(1_000);
    slow.server.writeDirect(remote('/a'), 'ANOTHER ONE');
    await gate.open();
    const outcome = await call(slow, copying);
    // The beginning of the source, all of it here, was fetched when it was opened; else the program is told.
    if (outcome !== undefined)
      assert.ok(outcome instanceof VfsError && outcome.code === 'EIO', String(outcome));
    await slow.converge();
    assert.deepEqual(await slow.localTree(), slow.server.textTree());
  });

  test('after SIGKILL in the middle of it goes on', async () => {
    const gate = new Gate('copy');
    const made = await world(false, { pause: gate.pause });
    gate.close();
    void made.copy('/a', '/b').catch(() => undefined);
    await made.clock.advance(1_000);
    made.restart();
    await gate.open();
    await settle(made, 60_000);
    assert.deepEqual(made.server.textTree(), { '/a': 'the content', '/b': 'the content' });
    assert.equal(made.engine.pendingCount(), 0);
    assert.deepEqual(conflicts(made), []);
    assert.equal(await call(made, made.read('/b')), 'the content');
  });

  test('after SIGKILL, of a version that is gone, is an empty file that is held back', async () => {
    const gate = new Gate('copy');
    const made = await world(false, { pause: gate.pause });
    gate.close();
    void made.copy('/a', '/b').catch(() => undefined);
    await made.clock.advance(1_000);
    made.restart(() => ({ kind: 'before', code: 'unreachable' }));
    made.server.removeDirect(remote('/a'));
    await gate.open();
    await made.clock.advance(1_000);
    made.remote.setPlan(undefined);
    await settle(made, 120_000);
    const node = made.state.get(inoOf(made, '/b'));
    assert.ok(node?.kind === 'file' && node.interrupted && node.size === 0);
    assert.equal(made.server.textTree()['/b'], undefined);
  });
});

describe('a save that changes nothing', () => {
  test('of what was uploaded before sends nothing', async () => {
    const made = await makeWorld();
    await made.write('/a', 'the same');
    await settle(made);
    made.server.clearLog();
    await made.write('/a', 'the same');
    await settle(made);
    assert.deepEqual(requests(made), []);
    assert.equal(made.engine.pendingCount(), 0);
    await made.write('/a', 'the SAME');
    await settle(made);
    assert.deepEqual(requests(made), ['write /a']);
  });

  test('of what was downloaded is none either', async () => {
    const made = await world(true);
    await made.write('/a', 'the content');
    await settle(made);
    assert.deepEqual(requests(made), []);
    assert.equal(made.engine.pendingCount(), 0);
    assert.equal(await made.read('/a'), 'the content');
  });

  test('by temporary file and rename neither', async () => {
    const made = await world(true);
    await made.write('/a.tmp', 'the content');
    await made.rename('/a.tmp', '/a');
    await settle(made);
    assert.deepEqual(requests(made), []);
    assert.equal(made.engine.pendingCount(), 0);
    made.restart();
    assert.equal(await made.read('/a'), 'the content');
    await made.refreshAll();
    assert.deepEqual(Object.keys(await made.localTree()), ['/a']);
  });

  test('is an upload where another client has removed the file', async () => {
    const made = await makeWorld();
    await made.write('/a', 'the content');
    await settle(made);
    await made.write('/a', 'the content');
    made.server.removeDirect(remote('/a'));
    await made.converge();
    assert.deepEqual(made.server.textTree(), { '/a': 'the content' });
    assert.equal(await made.read('/a'), 'the content');
  });

  test('what another client changed meanwhile is taken', async () => {
    const made = await world(true);
    await made.write('/a', 'the content');
    made.server.writeDirect(remote('/a'), 'theirs, new');
    await made.converge();
    assert.deepEqual(made.server.textTree(), { '/a': 'theirs, new' });
    assert.deepEqual(await made.localTree(), made.server.textTree());
  });

  test('of the same size is told by its bytes', async () => {
    const made = await world(true);
    await made.write('/a', 'the CONTENT');
    await settle(made);
    assert.deepEqual(requests(made), ['write /a']);
    assert.equal(made.server.textTree()['/a'], 'the CONTENT');
  });
});
