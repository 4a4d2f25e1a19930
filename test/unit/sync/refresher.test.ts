/** How listings come, what they are believed, and what they leave alone. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ROOT_INO } from '../../../src/base/index.js';
import { PROBE_PREFIX, type RemoteEntry } from '../../../src/remote/index.js';
import { encodeXSym } from '../../../src/sync/xsym.js';
import { quiesce } from '../../support/manual-clock.js';
import { Gate } from './gate.js';
import { inoOf, makeWorld, remote, World } from './world.js';

const FRESHNESS_MS = 5_000;
const MINUTE_MS = 60_000;

const listed = (world: World) =>
  world.server.log.filter(({ verb }) => verb === 'list').map(({ path }) => path as string);
const names = (world: World) => world.localPaths().map(({ path }) => path);

/** Lets listings pass through `change` on their way from the server, each batch as it was when it was sent. */
function onListings(
  world: World,
  change: (batch: readonly RemoteEntry[]) => Promise<readonly RemoteEntry[]>,
): void {
  const { server } = world;
  const list = server.list.bind(server);
  server.list = async function* (dir, options) {
    for await (const batch of list(dir, options)) yield await change(batch);
  };
}

function holdListings(world: World): Gate {
  const gate = new Gate('list');
  gate.close();
  onListings(world, async (batch) => {
    await gate.pause('list');
    return batch;
  });
  return gate;
}

describe('looking into a directory', () => {
  test('waits for a directory never seen, once for all who ask, and knows it then', async () => {
    const world = new World();
    world.server.writeDirect(remote('/d/f'), '1');
    await world.engine.listed(ROOT_INO);
    world.server.clearLog();
    const dir = inoOf(world, '/d');
    const waiting = [world.engine.listed(dir), world.engine.listed(dir)];
    assert.ok(waiting[0] !== undefined);
    await Promise.all(waiting);
    assert.deepEqual(listed(world), ['/d']);
    assert.equal(world.engine.listed(dir), undefined);
    assert.deepEqual(names(world), ['/d', '/d/f']);
  });

  test('one that is foreseen is listed once, and not watched for that', async () => {
    const world = new World();
    world.server.writeDirect(remote('/f'), '1');
    world.engine.foresee(ROOT_INO);
    await quiesce();
    assert.deepEqual(names(world), ['/f']);
    world.engine.foresee(ROOT_INO);
    await world.clock.advance(10 * MINUTE_MS);
    assert.deepEqual(listed(world), ['/']);
    world.engine.foresee(ROOT_INO);
    await quiesce();
    assert.deepEqual(listed(world), ['/', '/']);
  });

  test('one that is foreseen without a connection is left alone', async () => {
    const world = new World();
    world.server.online = false;
    world.engine.foresee(ROOT_INO);
    await quiesce();
    world.engine.foresee(ROOT_INO);
    await quiesce();
    assert.equal(listed(world).length, 1);
  });

  test('a stale one is served at once and refreshed behind', async () => {
    const world = await makeWorld({ '/a': '1' });
    await world.engine.listed(ROOT_INO);
    world.server.writeDirect(remote('/b'), '2');
    await quiesce();
    assert.deepEqual(names(world), ['/a']);
    await world.engine.close();
    await world.clock.advance(FRESHNESS_MS);
    world.restart();
    assert.equal(world.engine.listed(ROOT_INO), undefined);
    await quiesce();
    assert.deepEqual(names(world), ['/a', '/b']);
  });

  test('offline, one never seen is refused and a stale one is served without a question', async () => {
    const world = await makeWorld({ '/a': '1' });
    world.server.writeDirect(remote('/d/f'), '1');
    await world.engine.refresh(ROOT_INO);
    const dir = inoOf(world, '/d');
    world.server.online = false;
    await assert.rejects(async () => world.engine.listed(dir), { code: 'unreachable' });
    await assert.rejects(async () => world.engine.listed(dir), { code: 'unreachable' });
    const asked = listed(world).length;
    assert.equal(world.engine.listed(ROOT_INO), undefined);
    await quiesce();
    assert.equal(listed(world).length, asked);
  });

  test('a reader who is killed waits no longer', async () => {
    const world = new World();
    world.server.writeDirect(remote('/a'), '1');
    const gate = holdListings(world);
    const controller = new AbortController();
    const waiting = assert.rejects(async () => world.engine.listed(ROOT_INO, controller), /killed/);
    controller.abort(new Error('killed'));
    await waiting;
    await gate.open();
    assert.deepEqual(names(world), ['/a']);
  });

  test('a directory that is gone goes here; a root that is gone is an error', async () => {
    const world = await makeWorld({ '/d/f': '1', '/a': '2' });
    world.server.removeDirect(remote('/d'));
    await world.engine.refresh(inoOf(world, '/d'));
    assert.deepEqual(names(world), ['/a']);
    world.remote.setPlan(({ verb }) => (verb === 'list' ? { kind: 'before', code: 'not-found' } : undefined));
    await assert.rejects(world.engine.refresh(ROOT_INO), { code: 'not-found' });
    assert.deepEqual(names(world), ['/a']);
  });

  test('what went from among many goes here, however many steps it takes to look through them', async () => {
    const all = Array.from({ length: 400 }, (_, index) => `/f${String(index).padStart(3, '0')}`);
    const world = await makeWorld(Object.fromEntries(all.map((path) => [path, '1'])));
    const gone = all.filter((_, index) => index % 3 === 0 || index >= 390);
    for (const path of gone) world.server.removeDirect(remote(path));
    await world.engine.refresh(ROOT_INO);
    assert.deepEqual(
      names(world),
      all.filter((path) => !gone.includes(path)),
    );
  });

  test('what a listing no longer has goes in small pieces', async () => {
    const files = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`/d/f${index}`, 'x']));
    const world = await makeWorld({ ...files, '/d/kept': 'x' });
    for (const path of Object.keys(files)) world.server.removeDirect(remote(path));
    const sizes: number[] = [];
    world.state.onCommit((changed) => sizes.push(changed.length));
    await world.engine.refresh(inoOf(world, '/d'));
    assert.deepEqual(names(world), ['/d', '/d/kept']);
    assert.ok(Math.max(...sizes) <= 64, `${Math.max(...sizes)} nodes in one commit`);
  });

  test('a listing that is cut takes nothing away', async () => {
    const world = await makeWorld({ '/a': '1', '/b': '2', '/c': '3' }, { batchSize: 1 });
    world.server.writeDirect(remote('/d'), '4');
    world.remote.setPlan(({ verb }) => (verb === 'list' ? { kind: 'cut', afterBytes: 1 } : undefined));
    await assert.rejects(world.engine.refresh(ROOT_INO), { code: 'interrupted' });
    assert.deepEqual(names(world), ['/a', '/b', '/c']);
  });

  test('the directory of a probe is never shown', async () => {
    const world = await makeWorld({ [`/${PROBE_PREFIX}x/f`]: '1', '/a': '2' });
    assert.deepEqual(names(world), ['/a']);
  });

  test('after the end nothing is asked any more', async () => {
    const world = await makeWorld({ '/a': '1' });
    const gate = holdListings(world);
    const refreshing = world.engine.refresh(ROOT_INO).catch(() => undefined);
    await quiesce();
    await world.engine.close();
    await gate.open();
    await world.clock.advance(MINUTE_MS);
    await refreshing;
    assert.deepEqual(listed(world), ['/']);
  });
});

describe('operations of ours during a listing', () => {
  test('what was uploaded, deleted and renamed meanwhile is left as it is', async () => {
    const world = await makeWorld({ '/gone': '1', '/old': '2', '/stays': '3' });
    const gate = holdListings(world);
    await world.write('/new', '4');
    await world.unlink('/gone');
    await world.rename('/old', '/renamed');
    const refreshing = world.engine.refresh(ROOT_INO);
    await world.clock.advance(2_000);
    assert.equal(world.engine.pendingCount(), 0);
    await gate.open();
    await refreshing;
    assert.deepEqual(names(world), ['/new', '/renamed', '/stays']);
    assert.equal(world.engine.pendingCount(), 0);
    assert.equal(await world.read('/renamed'), '2');
  });

  test('what another client did beside them is taken', async () => {
    const world = await makeWorld({ '/a': '1', '/b': '2' });
    world.server.writeDirect(remote('/theirs'), '3');
    world.server.removeDirect(remote('/b'));
    const gate = holdListings(world);
    await world.write('/new', '4');
    const refreshing = world.engine.refresh(ROOT_INO);
    await world.clock.advance(2_000);
    await gate.open();
    await refreshing;
    assert.deepEqual(names(world), ['/a', '/new', '/theirs']);
  });

  test('the listing of a directory that moves is made anew at its new place', async () => {
    const world = await makeWorld({ '/d/e/f': '1', '/x': '2' });
    const gate = holdListings(world);
    const refreshing = world.engine.refresh(inoOf(world, '/d/e'));
    await quiesce();
    await world.rename('/d', '/moved');
    await world.clock.advance(2_000);
    await gate.open();
    await world.clock.advance(1_000);
    await refreshing;
    assert.deepEqual(
      listed(world).filter((path) => path !== '/'),
      ['/d/e', '/moved/e'],
    );
    assert.deepEqual(names(world), ['/moved', '/moved/e', '/moved/e/f', '/x']);
  });

  test('who looks into a directory never seen while it moves gets the whole of it, however long that takes', async () => {
    const gate = new Gate('move');
    const world = new World(() => 0.5, { pause: gate.pause });
    world.server.writeDirect(remote('/d/e/f'), '1');
    await world.engine.listed(ROOT_INO);
    await world.engine.listed(inoOf(world, '/d'));
    gate.close();
    await world.rename('/d', '/moved');
    await world.clock.advance(1_000);
    const dir = inoOf(world, '/moved/e');
    let seen = false;
    const waiting = world.engine.listed(dir)?.then(() => {
      seen = true;
    });
    await world.clock.advance(MINUTE_MS);
    assert.equal(seen, false);
    await gate.open();
    await world.clock.advance(1_000);
    await waiting;
    assert.equal(await world.read('/moved/e/f'), '1');
  });
});

describe('doubts', () => {
  test('names with a dot that the server does not list are looked for one by one', async () => {
    const world = await makeWorld({ '/.kept': '1', '/.lost': '2', '/a': '3' });
    onListings(world, async (batch) => batch.filter(({ name }) => name?.startsWith('.') !== true));
    world.server.removeDirect(remote('/.lost'));
    await world.engine.refresh(ROOT_INO);
    assert.deepEqual(names(world), ['/.kept', '/a']);
    assert.equal(world.server.counts().stat, 2);
  });

  test('a listing that lost all it had is not believed while something is there', async () => {
    const world = await makeWorld({ '/a': '1', '/b': '2' });
    onListings(world, async () => []);
    await assert.rejects(world.engine.refresh(ROOT_INO), { code: 'protocol' });
    assert.deepEqual(names(world), ['/a', '/b']);
  });

  test('a directory that was really emptied is empty here, with a few questions only', async () => {
    const files = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`/f${index}`, 'x']));
    const world = await makeWorld(files);
    for (const path of Object.keys(files)) world.server.removeDirect(remote(path));
    await world.engine.refresh(ROOT_INO);
    assert.deepEqual(names(world), []);
    assert.ok(world.server.counts().stat <= 4);
  });
});

describe('symbolic links', () => {
  test('are read when they are new, not at every listing; so are files of that size', async () => {
    const link = encodeXSym('target');
    assert(link !== undefined);
    const world = await makeWorld({ '/l': link, '/ordinary': 'x'.repeat(link.length), '/other': 'y' });
    assert.equal(world.state.get(inoOf(world, '/l'))?.kind, 'symlink');
    assert.equal(world.state.get(inoOf(world, '/ordinary'))?.kind, 'file');
    await world.engine.refresh(ROOT_INO);
    assert.equal(world.server.counts().read, 0);
    world.server.writeDirect(remote('/l'), encodeXSym('elsewhere') ?? '');
    await world.engine.refresh(ROOT_INO);
    assert.equal(world.server.counts().read, 1);
    assert.equal(world.vfs.names.readlink(inoOf(world, '/l')), 'elsewhere');
  });
});

describe('before an open', () => {
  test('a file in a stale directory is asked for by one request, in a fresh one by none', async () => {
    const world = await makeWorld({ '/a': '1' });
    await world.engine.refresh(ROOT_INO);
    world.server.clearLog();
    const ino = inoOf(world, '/a');
    assert.equal(world.engine.fresh(ino), undefined);
    await world.clock.advance(FRESHNESS_MS - 1);
    world.server.clearLog();
    world.server.writeDirect(remote('/a'), 'changed');
    await world.clock.advance(1);
    world.server.clearLog();
    await world.engine.fresh(ino);
    assert.equal(world.server.counts().list + world.server.counts().stat <= 1, true);
    assert.equal(await world.read('/a'), 'changed');
  });

  test('who opens one file of a stale directory after another waits for two answers, not for one each', async () => {
    const world = await makeWorld({ '/a': '1', '/b': '2', '/c': '3' });
    await world.clock.advance(10 * MINUTE_MS);
    world.server.clearLog();
    await world.engine.fresh(inoOf(world, '/a'));
    assert.deepEqual(listed(world), []);
    await world.engine.fresh(inoOf(world, '/b'));
    await quiesce();
    assert.deepEqual(listed(world), ['/']);
    assert.equal(world.engine.fresh(inoOf(world, '/c')), undefined);
    assert.equal(world.server.counts().stat, 2);
  });

  test('one that is gone goes', async () => {
    const world = await makeWorld({ '/a': '1', '/b': '2' });
    const ino = inoOf(world, '/a');
    await world.clock.advance(10 * MINUTE_MS);
    world.server.removeDirect(remote('/a'));
    await world.engine.fresh(ino);
    assert.deepEqual(names(world), ['/b']);
  });

  test('trouble with the line leaves what is known, and offline nothing is asked', async () => {
    const world = await makeWorld({ '/a': '1' });
    const ino = inoOf(world, '/a');
    await world.clock.advance(10 * MINUTE_MS);
    world.server.online = false;
    world.server.clearLog();
    await world.engine.fresh(ino);
    assert.equal(world.server.counts().stat, 1);
    assert.equal(world.engine.fresh(ino), undefined);
    assert.deepEqual(names(world), ['/a']);
  });
});

describe('polling', () => {
  test('goes on while a directory is used, and ends some minutes after its last use', async () => {
    const world = await makeWorld({ '/d/f': '1' });
    const dir = inoOf(world, '/d');
    assert.equal(world.engine.listed(dir), undefined);
    world.server.clearLog();
    await world.clock.advance(MINUTE_MS);
    const polls = listed(world).filter((path) => path === '/d').length;
    assert.ok(polls >= 5 && polls <= 12, `${polls} listings in a minute`);
    await world.clock.advance(10 * MINUTE_MS);
    world.server.clearLog();
    await world.clock.advance(10 * MINUTE_MS);
    assert.deepEqual(listed(world), []);
  });

  test('a listing that takes long comes less often, whatever is opened meanwhile', async () => {
    const TOOK_MS = 30_000;
    const world = await makeWorld({ '/d/f': '1' });
    const dir = inoOf(world, '/d');
    const gate = holdListings(world);
    const listing = world.engine.refresh(dir);
    await world.clock.advance(TOOK_MS);
    await gate.open();
    await listing;
    world.server.clearLog();
    for (let minute = 0; minute < 9; minute += 1) {
      assert.equal(world.engine.listed(dir), undefined);
      await world.clock.advance(MINUTE_MS);
    }
    assert.deepEqual(
      listed(world).filter((path) => path === '/d'),
      [],
    );
    // The file itself is asked for as ever.
    world.server.writeDirect(remote('/d/f'), '2');
    await assert.rejects(world.read('/d/f'), { code: 'ESTALE' });
    assert.equal(await world.read('/d/f'), '2');
    await world.clock.advance(2 * MINUTE_MS);
    assert.ok(listed(world).includes('/d'));
  });

  test('offline it asks no more often than the line is tried', async () => {
    const world = await makeWorld({ '/f': '1' });
    assert.equal(world.engine.listed(ROOT_INO), undefined);
    world.server.online = false;
    await world.clock.advance(MINUTE_MS);
    world.server.clearLog();
    await world.clock.advance(3 * MINUTE_MS);
    assert.ok(listed(world).length <= 8, `${listed(world).length} listings`);
  });
});

describe('walks', () => {
  const DIRS = 200;

  async function makeTree(): Promise<World> {
    const world = new World();
    for (let dir = 0; dir < DIRS; dir += 1) {
      world.server.writeDirect(remote(`/d${String(dir).padStart(3, '0')}/f`), 'x');
    }
    await world.engine.listed(ROOT_INO, undefined, true);
    world.server.clearLog();
    return world;
  }

  test('reading one directory fetches nothing of its subdirectories', async () => {
    const world = await makeTree();
    await quiesce();
    assert.deepEqual(listed(world), []);
  });

  test('who goes on into a subdirectory gets a few of its siblings ahead, not all', async () => {
    const world = await makeTree();
    await world.engine.listed(inoOf(world, '/d000'), undefined, true);
    await world.clock.advance(1_000);
    const ahead = listed(world);
    assert.ok(ahead.length > 3 && ahead.length <= 10, `${ahead.length} listings`);
    assert.deepEqual(
      [...ahead].sort(),
      ahead.map((_, index) => `/d${String(index).padStart(3, '0')}`),
    );
  });

  test('who only looks a name up in a subdirectory gets that one alone', async () => {
    const world = await makeTree();
    await world.engine.listed(inoOf(world, '/d000'));
    await world.clock.advance(1_000);
    assert.deepEqual(listed(world), ['/d000']);
  });

  test('who walks the whole tree has each directory listed once, most of them before he comes', async () => {
    const world = await makeTree();
    let waited = 0;
    for (let dir = 0; dir < DIRS; dir += 1) {
      const pending = world.engine.listed(inoOf(world, `/d${String(dir).padStart(3, '0')}`), undefined, true);
      if (pending !== undefined) waited += 1;
      await pending;
      await quiesce();
    }
    assert.equal(new Set(listed(world)).size, DIRS);
    assert.equal(listed(world).length, DIRS);
    assert.ok(waited < DIRS / 10, `waited ${waited} times`);
  });
});

describe('uploads whose answer tells no tag', () => {
  test('are confirmed by one listing for a burst, and the next write is conditional', async () => {
    const world = await makeWorld({ '/x': '1' }, { capabilities: { etagOnPut: false } });
    for (let file = 0; file < 6; file += 1) await world.write(`/f${file}`, 'one');
    await world.clock.advance(400);
    assert.equal(world.engine.pendingCount(), 0);
    assert.deepEqual(listed(world), []);
    await world.clock.advance(1_000);
    assert.deepEqual(listed(world), ['/']);
    for (let file = 0; file < 6; file += 1) {
      const node = world.state.get(inoOf(world, `/f${file}`));
      assert.equal(node?.base?.etag, world.server.entryOf(remote(`/f${file}`))?.etag);
    }
    world.server.clearLog();
    await world.write('/f0', 'two');
    await world.clock.advance(400);
    assert.match(world.server.log.find(({ verb }) => verb === 'write')?.condition ?? '', /^"/);
  });

  test('a stream of them is listed at a bounded pace', async () => {
    const world = await makeWorld({ '/x': '1' }, { capabilities: { etagOnPut: false } });
    for (let file = 0; file < 60; file += 1) {
      await world.write(`/f${file}`, 'one');
      await world.clock.advance(300);
    }
    const during = listed(world).length;
    // Three of them may be those of a directory in use.
    assert.ok(during >= 1 && during <= 5, `${during} listings in 18 s`);
  });
});
