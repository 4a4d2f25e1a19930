/** What an operation reads and writes in the database is the same in a small tree and in a large one. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Ino, type Name, ROOT_INO, SystemClock, silentLog } from '../../../src/base/index.js';
import { MemoryContentStore } from '../../../src/content/index.js';
import type { Backing, Changes } from '../../../src/state/backing.js';
import type { NameEntry, NodeRecord } from '../../../src/state/index.js';
import { LmdbBacking } from '../../../src/state/lmdb-backing.js';
import { SCHEMA } from '../../../src/state/migrations.js';
import type { NameSlot } from '../../../src/state/name-table.js';
import { TreeStore } from '../../../src/state/trees.js';
import { SyncEngine } from '../../../src/sync/index.js';
import { Vfs } from '../../../src/vfs/index.js';
import { FakeRemoteStore } from '../../support/fake-remote.js';
import { fillState } from '../../support/scale/fill.js';
import { now } from './support.js';

const CALLER = { uid: 0, gid: 0 };
const OPEN = { writable: true, append: false, truncate: true };
const HOUR_MS = 3_600_000;
const SMALL = 1_000;
const LARGE = 30_000;

/** Counts what is read and written, in records, names and rows. */
class CountingBacking implements Backing {
  count = 0;
  readonly #inner: LmdbBacking;

  constructor(inner: LmdbBacking) {
    this.#inner = inner;
  }

  node(ino: Ino): NodeRecord | undefined {
    this.count += 1;
    return this.#inner.node(ino);
  }

  name(parent: Ino, name: Name): NameEntry | undefined {
    this.count += 1;
    return this.#inner.name(parent, name);
  }

  names(parent: Ino, after: Name | undefined, limit: number): readonly NameSlot[] {
    const slots = this.#inner.names(parent, after, limit);
    this.count += 1 + slots.length;
    return slots;
  }

  meta(key: string): unknown {
    return this.#inner.meta(key);
  }

  commit(changes: Changes): void {
    this.count += changes.nodes.size + changes.names.size + changes.dirty.size + changes.meta.size;
    this.#inner.commit(changes);
  }

  *allDirty(): Generator<Ino> {
    for (const ino of this.#inner.allDirty()) {
      this.count += 1;
      yield ino;
    }
  }

  *allNodes(): Generator<NodeRecord> {
    for (const node of this.#inner.allNodes()) {
      this.count += 1;
      yield node;
    }
  }

  *allNames(): Generator<{ readonly parent: Ino; readonly entry: NameEntry }> {
    for (const item of this.#inner.allNames()) {
      this.count += 1;
      yield item;
    }
  }

  durable(): Promise<void> {
    return this.#inner.durable();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

interface Drive {
  readonly dir: string;
  readonly backing: CountingBacking;
  readonly state: TreeStore;
  readonly engine: SyncEngine;
  readonly vfs: Vfs;
  /** What opening the state and starting the synchronisation read. */
  readonly opened: number;
  readonly directory: Ino;
}

function openBacking(dir: string): CountingBacking {
  return new CountingBacking(
    new LmdbBacking({ dir, clock: new SystemClock(), log: silentLog, schema: SCHEMA }),
  );
}

async function makeDrive(nodes: number): Promise<Drive> {
  const dir = mkdtempSync(join(tmpdir(), 'infinimount-scale-'));
  const filling = new TreeStore(openBacking(dir));
  const { directories } = await fillState(filling, nodes);
  await filling.close();
  const backing = openBacking(dir);
  const state = new TreeStore(backing);
  const clock = new SystemClock();
  const content = new MemoryContentStore();
  const engine = new SyncEngine(
    { state, content, store: new FakeRemoteStore({ clock }), clock, random: () => 0.5, log: silentLog },
    {
      hostName: 'here',
      owner: { uid: 0, gid: 0, fileMode: 0o644, dirMode: 0o755 },
      freshnessMs: HOUR_MS,
      uploadDelayMs: HOUR_MS,
      copyIntervalMs: HOUR_MS,
      maxConnections: 4,
    },
  );
  const options = { readOnly: false, sync: 'write-back', volumeSizeBytes: undefined } as const;
  const vfs = new Vfs({ state, content, sync: engine, clock, options });
  engine.start();
  const directory = directories[0] ?? ROOT_INO;
  return { dir, backing, state, engine, vfs, opened: backing.count, directory };
}

/** What a person or a program does; each returns the name of what it did with the count that it took. */
function work({ vfs, engine, backing, directory }: Drive): Record<string, number> {
  const counts: Record<string, number> = {};
  const counted = <T>(name: string, act: () => T): T => {
    const before = backing.count;
    const result = act();
    counts[name] = backing.count - before;
    return result;
  };
  const found = counted('lookup', () => now(vfs.names.lookup(directory, 'file7.txt')));
  assert.ok(found !== undefined);
  counted('getattr', () => vfs.attributes.get(found.ino));
  const wanted = { mode: 0o644, caller: CALLER, open: OPEN, exclusive: true };
  const { fh } = counted('create', () => now(vfs.names.create(directory, 'new', wanted)));
  counted('write and close', () => {
    now(vfs.files.write(fh, Buffer.from('x'), 0));
    now(vfs.files.flush(fh));
    vfs.files.release(fh);
  });
  const to = { parent: directory, name: 'moved' };
  counted('rename', () => now(vfs.renames.run({ parent: directory, name: 'new' }, to, 'replace')));
  counted('a page of a directory', () => {
    const dir = now(vfs.directories.open(directory));
    let left = 50;
    vfs.directories.readPlus(dir, 0, () => --left > 0);
    vfs.directories.release(dir);
  });
  counted('unlink', () => now(vfs.names.unlink(directory, 'moved')));
  counted('unlink of what is on the server', () => now(vfs.names.unlink(directory, 'file7.txt')));
  counted('status', () => engine.summary());
  counted('queue', () => engine.entries(100));
  return counts;
}

describe('what an operation costs', () => {
  let small: Drive;
  let large: Drive;

  before(async () => {
    small = await makeDrive(SMALL);
    large = await makeDrive(LARGE);
  });
  after(async () => {
    for (const { engine, state, dir } of [small, large]) {
      await engine.close();
      await state.close();
      rmSync(dir, { recursive: true });
    }
  });

  test('opening the state reads no more of a large tree than of a small one', () => {
    assert.ok(small.opened <= 10, `${small.opened} reads`);
    assert.equal(large.opened, small.opened);
  });

  test('in a large tree it reads and writes as much as in a small one', () => {
    const counts = work(small);
    assert.deepEqual(work(large), counts);
    // Nothing that was to be counted went another way.
    for (const name of ['lookup', 'create', 'rename', 'unlink']) assert.ok((counts[name] ?? 0) > 0, name);
  });
});
