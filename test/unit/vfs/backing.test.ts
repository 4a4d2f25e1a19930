/** Files that the kernel reads and writes by itself: which they are, and what is known of what it wrote. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Ino, ROOT_INO, silentLog } from '../../../src/base/index.js';
import type { FileRecord } from '../../../src/state/index.js';
import { type BackingId, type Fh, openHandleLog } from '../../../src/vfs/index.js';
import { CALLER, makeWorld, now, put, READ, readFile, type World, WRITE } from './support.js';

const LEAST_READ_BYTES = 8;
const TRUNCATE = { writable: true, append: false, truncate: true } as const;

/** A world whose kernel takes every file; `registered`: what it has. */
function backedWorld(from?: World, parts: Parameters<typeof makeWorld>[1] = {}) {
  const world = makeWorld({}, { ...parts, ...(from === undefined ? {} : { from }) });
  const registered = new Set<number>();
  let last = 100;
  world.vfs.kernel = {
    keepsSizes: false,
    backing: {
      leastReadBytes: LEAST_READ_BYTES,
      open: () => {
        last += 1;
        registered.add(last);
        return last as BackingId;
      },
      close: (id) => assert(registered.delete(id)),
    },
  };
  return { world, registered };
}

function fileOf({ state }: World, ino: Ino): FileRecord {
  const record = state.get(ino);
  assert(record?.kind === 'file');
  return record;
}

/** What the kernel does. */
function kernelWrites({ content }: World, ino: Ino, text: string): void {
  content.peek(ino)?.writeSync(Buffer.from(text), 0);
}

const isBacked = ({ vfs }: World, fh: Fh) => vfs.backingOf(fh) !== undefined;

function close(world: World, fh: Fh): void {
  now(world.vfs.files.flush(fh));
  world.vfs.files.release(fh);
  world.check();
}

describe('the kernel serves', () => {
  test('new files that are written, and takes them back at the last close', () => {
    const { world, registered } = backedWorld();
    const request = { mode: 0o644, caller: CALLER, open: WRITE, exclusive: true };
    const { attributes, fh } = now(world.vfs.names.create(ROOT_INO, 'f', request));
    assert.ok(isBacked(world, fh));
    kernelWrites(world, attributes.ino, 'by the kernel');
    assert.equal(world.vfs.attributes.get(attributes.ino).size, 13);
    close(world, fh);
    assert.deepEqual({ ...fileOf(world, attributes.ino), ino: 0 }.size, 13);
    assert.equal(fileOf(world, attributes.ino).writing, false);
    assert.equal(registered.size, 0);
  });

  test('all handles of a file in one way: that of the first', () => {
    const { world, registered } = backedWorld();
    const ino = put(world, ROOT_INO, 'f', 'long enough to be read');
    const first = now(world.vfs.files.open(ino, READ));
    const second = now(world.vfs.files.open(ino, WRITE));
    assert.equal(world.vfs.backingOf(first), world.vfs.backingOf(second));
    assert.equal(registered.size, 1);
    close(world, first);
    assert.equal(registered.size, 1);
    close(world, second);
    assert.equal(registered.size, 0);
  });

  test('no file of which bytes are missing, nor what is opened after it', async () => {
    const { world } = backedWorld();
    const ino = world.serverFile(ROOT_INO, 'far', 'on the server only');
    const first = now(world.vfs.files.open(ino, READ));
    await world.vfs.files.read(first, Buffer.alloc(18), 0, 18, 0);
    const second = now(world.vfs.files.open(ino, WRITE));
    assert.deepEqual([isBacked(world, first), isBacked(world, second)], [false, false]);
    close(world, first);
    close(world, second);
    const third = now(world.vfs.files.open(ino, READ));
    assert.ok(isBacked(world, third));
    close(world, third);
  });

  test('a small file only to write it', () => {
    const { world } = backedWorld();
    const ino = put(world, ROOT_INO, 'f', 'small');
    const read = now(world.vfs.files.open(ino, READ));
    assert.ok(!isBacked(world, read));
    close(world, read);
    const write = now(world.vfs.files.open(ino, WRITE));
    assert.ok(isBacked(world, write));
    close(world, write);
  });

  test('a file that is emptied, of which nothing was here', () => {
    const { world } = backedWorld();
    const ino = world.serverFile(ROOT_INO, 'far', 'on the server only');
    const fh = now(world.vfs.files.open(ino, TRUNCATE));
    assert.ok(isBacked(world, fh));
    assert.equal(world.vfs.attributes.get(ino).size, 0);
    kernelWrites(world, ino, 'new');
    close(world, fh);
    assert.equal(fileOf(world, ino).size, 3);
    assert.notEqual(fileOf(world, ino).gen, fileOf(world, ino).base?.gen);
  });

  test('no file to write that an upload reads', () => {
    const { world } = backedWorld();
    const ino = put(world, ROOT_INO, 'f', 'being uploaded');
    world.sync.read.add(ino);
    const fh = now(world.vfs.files.open(ino, WRITE));
    assert.ok(!isBacked(world, fh));
    close(world, fh);
  });

  test('nothing once it has refused', () => {
    const { world } = backedWorld();
    world.vfs.kernel = {
      keepsSizes: false,
      backing: {
        leastReadBytes: 1,
        open: () => undefined,
        close: () => assert.fail('nothing was registered'),
      },
    };
    const ino = put(world, ROOT_INO, 'f', 'text');
    const fh = now(world.vfs.files.open(ino, WRITE));
    now(world.vfs.files.write(fh, Buffer.from('TEXT'), 0));
    close(world, fh);
    assert.equal(readFile(world, ROOT_INO, 'f'), 'TEXT');
  });
});

describe('what it wrote', () => {
  test('nothing: the file is as it was', () => {
    const { world } = backedWorld();
    const ino = put(world, ROOT_INO, 'f', 'text that stays');
    const before = fileOf(world, ino);
    const fh = now(world.vfs.files.open(ino, WRITE));
    assert.equal(world.vfs.attributes.get(ino).mtime, before.mtime);
    close(world, fh);
    assert.deepEqual(world.sync.take('unwritten').length, 1);
    const { gen, size, mtime } = fileOf(world, ino);
    assert.deepEqual({ gen, size, mtime }, { gen: before.gen, size: before.size, mtime: before.mtime });
  });

  test('shows in stat(2) at once, and counts as a change', () => {
    const { world } = backedWorld();
    const ino = put(world, ROOT_INO, 'f', 'text');
    const before = world.vfs.attributes.get(ino);
    const fh = now(world.vfs.files.open(ino, WRITE));
    world.sync.take('unseen');
    kernelWrites(world, ino, 'longer text');
    const { size, mtime } = world.vfs.attributes.get(ino);
    assert.equal(size, 11);
    assert.ok(mtime > before.mtime);
    assert.deepEqual(world.sync.take('unseen'), [{ what: 'unseen', ino }]);
    assert.equal(world.vfs.attributes.get(ino).size, 11);
    assert.deepEqual(world.sync.take('unseen'), [], 'counts once');
    close(world, fh);
  });

  test('after a close by a duplicate is found at the release', () => {
    const { world } = backedWorld();
    const ino = put(world, ROOT_INO, 'f', 'text');
    const fh = now(world.vfs.files.open(ino, WRITE));
    kernelWrites(world, ino, 'one');
    now(world.vfs.files.flush(fh));
    kernelWrites(world, ino, 'one and two');
    world.vfs.files.release(fh);
    world.check();
    assert.equal(fileOf(world, ino).size, 11);
  });

  test('makes the kernel drop what it had read of the file before', () => {
    const { world } = backedWorld();
    const ino = put(world, ROOT_INO, 'f', 'text');
    world.vfs.inodes.reference(ino);
    world.vfs.inodes.takeCacheDoubt(ino);
    assert.equal(world.vfs.inodes.takeCacheDoubt(ino), false);
    close(world, now(world.vfs.files.open(ino, WRITE)));
    assert.deepEqual(
      [world.vfs.inodes.takeCacheDoubt(ino), world.vfs.inodes.takeCacheDoubt(ino)],
      [true, false],
    );
  });

  test('goes with times that a program sets afterwards', () => {
    const { world } = backedWorld();
    const ino = put(world, ROOT_INO, 'f', 'text');
    const fh = now(world.vfs.files.open(ino, WRITE));
    kernelWrites(world, ino, 'longer text');
    now(world.vfs.attributes.set(ino, { mtime: 7n }, fh));
    close(world, fh);
    assert.deepEqual([fileOf(world, ino).mtime, fileOf(world, ino).size], [7n, 11]);
  });

  test('is kept by a mount that ends while a program has it open', () => {
    const { world, registered } = backedWorld();
    const ino = put(world, ROOT_INO, 'f', 'text');
    now(world.vfs.files.open(ino, WRITE));
    kernelWrites(world, ino, 'longer text');
    world.vfs.close();
    assert.equal(fileOf(world, ino).size, 11);
    assert.equal(registered.size, 0);
  });

  test('is found by a process that takes over, under the same registration', (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'infinimount-backing-'));
    t.after(() => rmSync(dir, { recursive: true }));
    const handleLog = () => openHandleLog({ path: join(dir, 'handles'), connection: 'one', log: silentLog });
    const { world: first } = backedWorld(undefined, { handleLog: handleLog() });
    // Its process is gone, but for its timer.
    t.after(() => first.vfs.handOver());
    const written = put(first, ROOT_INO, 'written', 'text');
    const opened = put(first, ROOT_INO, 'opened', 'text');
    const fh = now(first.vfs.files.open(written, WRITE));
    const idle = now(first.vfs.files.open(opened, WRITE));
    const id = first.vfs.backingOf(fh);
    kernelWrites(first, written, 'longer text');

    const { world: second, registered } = backedWorld(first, { handleLog: handleLog() });
    assert.deepEqual(second.vfs.adopt().lost, []);
    second.check();
    assert.equal(second.vfs.backingOf(fh), id);
    assert.equal(second.vfs.attributes.get(written).size, 11);
    registered.add(Number(id)).add(Number(second.vfs.backingOf(idle)));
    close(second, idle);
    assert.equal(second.sync.take('unwritten').length, 1);
    close(second, fh);
    assert.equal(fileOf(second, written).size, 11);
    assert.equal(registered.size, 0);
  });
});
