/** What holds before and after the bytes of a file change. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Ino, ROOT_INO } from '../../../src/base/index.js';
import type { FileRecord } from '../../../src/state/index.js';
import { quiesce } from '../../support/manual-clock.js';
import { Parts } from './parts.js';
import { makeWorld } from './world.js';

const TIMES = { mtime: 5n, ctime: 5n };

/** Parts with a file of the server that a program opens for writing. */
function makeFile(content = 'content'): { parts: Parts; ino: Ino; file: () => FileRecord } {
  const parts = new Parts();
  const { ino, base, size } = parts.serverFile('f', content);
  parts.content.acquireClean(ino, { etag: base?.etag, size });
  return { parts, ino, file: () => parts.file('f') };
}

/** As {@link makeFile}, written to for the first time. */
async function makeWritten() {
  const made = makeFile();
  await made.parts.sessions.beginWrite(made.ino, 7);
  return made;
}

describe('beginWrite', () => {
  test('fetches the whole of what is to be kept, then stages it as a new generation', async () => {
    const { parts, ino, file } = makeFile();
    const { gen } = file();
    const preparing = parts.sessions.beginWrite(ino, 1);
    assert.ok(preparing !== undefined);
    assert.equal(file().content, 'clean');
    await preparing;
    assert.deepEqual(
      { content: file().content, writing: file().writing, gen: file().gen },
      { content: 'staged', writing: true, gen: gen + 1 },
    );
    const target = Buffer.alloc(7);
    parts.content.peek(ino)?.readSync(target, 0, 7, 0);
    assert.equal(target.toString(), 'content');
  });

  test('asks for nothing where nothing is kept', () => {
    const { parts, ino, file } = makeFile();
    assert.equal(parts.sessions.beginWrite(ino, 0), undefined);
    assert.equal(parts.content.peek(ino)?.size, 0);
    assert.equal(file().content, 'staged');
    assert.equal(parts.server.counts().read, 0);
  });

  test('of a file that was just made to be written commits nothing', async () => {
    const world = await makeWorld();
    const open = { writable: true, append: false, truncate: false };
    const { fh, attributes } = await world.vfs.names.create(ROOT_INO, 'f', {
      mode: 0o644,
      caller: { uid: 0, gid: 0 },
      open,
      exclusive: true,
    });
    const before = world.state.get(attributes.ino);
    await world.vfs.files.write(fh, Buffer.from('abc'), 0);
    assert.equal(world.state.get(attributes.ino), before);
    assert.ok(before?.kind === 'file' && before.writing);
    await world.vfs.files.flush(fh);
    world.vfs.files.release(fh);
    await world.clock.advance(1_000);
    assert.deepEqual(world.server.textTree(), { '/f': 'abc' });
  });

  test('is free of commits while the program goes on', async () => {
    const { parts, ino } = await makeWritten();
    let commits = 0;
    parts.state.onCommit(() => {
      commits += 1;
    });
    for (let write = 0; write < 10; write += 1) assert.equal(parts.sessions.beginWrite(ino, 7), undefined);
    assert.equal(commits, 0);
  });

  test('counts as one generation until an upload begins, then as the next', async () => {
    const { parts, ino, file } = await makeWritten();
    const { gen } = file();
    parts.sessions.commitWrite(ino, { size: 7, ...TIMES }, true);
    await parts.sessions.beginWrite(ino, 7);
    assert.equal(file().gen, gen);
    parts.sessions.seal(ino, gen);
    await parts.sessions.beginWrite(ino, 7);
    assert.equal(file().gen, gen + 1);
  });

  test('counts as the next generation after a close', async () => {
    const { parts, ino, file } = await makeWritten();
    const { gen } = file();
    parts.sessions.commitWrite(ino, { size: 7, ...TIMES }, false);
    assert.equal(file().writing, false);
    await parts.sessions.beginWrite(ino, 7);
    assert.equal(file().gen, gen + 1);
  });

  test('stops all who read the body for uploads, and waits for them', async () => {
    const { parts, ino } = await makeWritten();
    const stopped: string[] = [];
    const ends: (() => void)[] = [];
    for (const reader of ['file', 'further name']) {
      const done = new Promise<void>((resolve) => ends.push(resolve));
      parts.sessions.readWhile(ino, done, () => stopped.push(reader));
    }
    let begun = false;
    const waiting = parts.sessions.beginWrite(ino, 7)?.then(() => {
      begun = true;
    });
    assert.deepEqual(stopped, ['file', 'further name']);
    ends[1]?.();
    await quiesce();
    assert.equal(begun, false);
    ends[0]?.();
    await waiting;
    assert.equal(begun, true);
    assert.equal(parts.sessions.beginWrite(ino, 7), undefined);
  });

  test('waits for a copy that is being made, also one that fails', async () => {
    const { parts, ino } = await makeWritten();
    const copying = Promise.reject(new Error('the disk is full'));
    copying.catch(() => undefined);
    parts.sessions.readWhile(ino, copying, undefined);
    await parts.sessions.beginWrite(ino, 7);
    assert.equal(parts.sessions.beginWrite(ino, 7), undefined);
  });

  test('a killed program waits no longer for a reader', async () => {
    const { parts, ino } = await makeWritten();
    parts.sessions.readWhile(ino, new Promise(() => undefined), undefined);
    const controller = new AbortController();
    const waiting = assert.rejects(async () => parts.sessions.beginWrite(ino, 7, controller), /killed/);
    controller.abort(new Error('killed'));
    await waiting;
  });
});

describe('commitWrite', () => {
  test('takes size and times', async () => {
    const { parts, ino, file } = await makeWritten();
    parts.sessions.commitWrite(ino, { size: 99, mtime: 8n, ctime: 9n }, true);
    const { size, mtime, ctime, writing } = file();
    assert.deepEqual({ size, mtime, ctime, writing }, { size: 99, mtime: 8n, ctime: 9n, writing: true });
  });

  test('lets go what a copy has brought to the server already', async () => {
    const { parts, ino, file } = await makeWritten();
    const before = file();
    parts.editor.confirm((confirm) => {
      assert(before.base !== undefined);
      confirm.wrote(
        before,
        before.base,
        { gen: before.gen, size: 7, sha256: undefined },
        { etag: undefined, mtimeMs: undefined },
        undefined,
      );
    });
    assert.equal(file().content, 'staged');
    parts.sessions.commitWrite(ino, { size: 7, ...TIMES }, false);
    assert.equal(file().content, 'clean');
    assert.equal(parts.content.peek(ino)?.kind, 'clean');
    assert.deepEqual([...parts.state.dirty()], []);
  });

  test('a whole write ends the doubt about a file whose writer died', async () => {
    const { parts, ino, file } = await makeWritten();
    assert.deepEqual(parts.sessions.recover(false), [ino]);
    // A new process knows nothing of the old one's sessions.
    parts.sessions.forget(ino);
    await parts.sessions.beginWrite(ino, 7);
    parts.sessions.commitWrite(ino, { size: 7, ...TIMES }, true);
    assert.equal(file().interrupted, true);
    parts.sessions.commitWrite(ino, { size: 7, ...TIMES }, false);
    assert.equal(file().interrupted, false);
  });

  test('of a close that is in doubt when the engine closes is decided then, and touches the state no more', async () => {
    const { parts, ino, file } = await makeWritten();
    parts.writers.add(ino);
    parts.sessions.commitWrite(ino, { size: 7, ...TIMES }, false);
    parts.sessions.close();
    assert.equal(file().writing, true);
    await parts.state.close();
    await parts.clock.advance(60_000);
  });

  test('a close while another handle stays counts as being written again after a moment', async () => {
    const { parts, ino, file } = await makeWritten();
    parts.writers.add(ino);
    parts.sessions.commitWrite(ino, { size: 7, ...TIMES }, false);
    assert.equal(file().writing, false);
    await parts.clock.advance(1_000);
    assert.equal(file().writing, true);
    parts.writers.delete(ino);
    parts.sessions.writersGone(ino);
    assert.equal(file().writing, false);
  });
});

describe('recover', () => {
  test('holds back what was being written, as the disk has it', async () => {
    const { parts, ino, file } = await makeWritten();
    parts.content.peek(ino)?.writeSync(Buffer.from('longer than before'), 0);
    assert.deepEqual(parts.sessions.recover(false), [ino]);
    const { size, writing, interrupted } = file();
    assert.deepEqual({ size, writing, interrupted }, { size: 18, writing: false, interrupted: true });
  });

  test('leaves alone what a program goes on writing, because the mount was taken over', async () => {
    const { parts, ino, file } = await makeWritten();
    parts.writers.add(ino);
    assert.deepEqual(parts.sessions.recover(false), []);
    assert.deepEqual([file().writing, file().interrupted], [true, false]);
  });

  test('leaves alone what was closed, unless the power went and the disk has less', async () => {
    const { parts, ino, file } = await makeWritten();
    parts.sessions.commitWrite(ino, { size: 7, ...TIMES }, false);
    assert.deepEqual(parts.sessions.recover(false), []);
    assert.deepEqual(parts.sessions.recover(true), []);
    parts.content.peek(ino)?.truncateSync(3);
    assert.deepEqual(parts.sessions.recover(false), []);
    assert.deepEqual(parts.sessions.recover(true), [ino]);
    assert.equal(file().size, 3);
    assert.equal(file().interrupted, true);
  });
});
