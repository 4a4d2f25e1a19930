/** What every RemoteStore promises, on the fake and over HTTP on three servers. */

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { REMOTE_ROOT, type RemotePath, type RemoteStore } from '../../src/remote/index.js';
import { requireComponent } from '../support/servers/index.js';
import { TargetFile } from '../support/target-file.js';
import { bodyOf, child, collect, listAll, namesIn, put, rejectsWith, tagOf, textOf } from './helpers.js';
import { SUBJECTS, type Subject, type SubjectKind } from './subject.js';

const MIB = 1024 * 1024;

setFlagsFromString('--expose-gc');
const collectGarbage: unknown = runInNewContext('gc');

/** Bytes of buffers that something still refers to. */
function heldBytes(): number {
  if (typeof collectGarbage === 'function') collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

const ODD_NAMES = [
  'with space',
  ' leading and trailing ',
  'percent%20%',
  '100%',
  'hash#tag',
  'question?mark&and=equals',
  'plus+semicolon;comma,',
  `quote's "double" \`back\``,
  'back\\slash\\\\twice',
  '(round)[square]{curly}<angle>',
  '!exclaim*star~tilde|pipe^caret',
  '日本語のファイル名',
  'emoji 🎉👩‍👩‍👧',
  'combining e\u0301 and é',
  '-dash',
  '.hidden',
  '...',
  'a:b@c$d',
  'x'.repeat(255),
  '語'.repeat(85),
];

for (const kind of SUBJECTS) describe(`RemoteStore: ${kind.name}`, () => suite(kind));

function suite({ traits, component, open }: SubjectKind): void {
  let subject: Subject | undefined;
  let serial = 0;

  before(async () => {
    subject = await open();
  });
  after(() => subject?.close());

  /** A test in a directory of its own. */
  const check = (name: string, work: (store: RemoteStore, dir: RemotePath, at: Subject) => Promise<void>) => {
    test(name, async (t) => {
      if (component !== undefined && !requireComponent(t, component)) return;
      assert.ok(subject !== undefined);
      serial += 1;
      const dir = child(REMOTE_ROOT, `test ${serial}`);
      await subject.store.makeDirectory(dir);
      await work(subject.store, dir, subject);
    });
  };

  check('probe reports what the server honours, and leaves nothing behind', async (store) => {
    const before = await namesIn(store, REMOTE_ROOT);
    assert.deepEqual(await store.probe(), traits.capabilities);
    assert.deepEqual(store.capabilities, traits.capabilities);
    assert.deepEqual(await namesIn(store, REMOTE_ROOT), before);
  });

  check('the root is a directory without a name', async (store) => {
    const root = await store.stat(REMOTE_ROOT);
    assert.deepEqual([root.kind, root.name, root.path], ['dir', undefined, REMOTE_ROOT]);
  });

  check('a listing has the entries, not the directory itself', async (store, dir) => {
    assert.deepEqual(await listAll(store, dir), []);
    await put(store, child(dir, 'file'), 'four');
    await store.makeDirectory(child(dir, 'sub'));
    await put(store, child(child(dir, 'sub'), 'below'), 'x');
    const entries = new Map((await listAll(store, dir)).map((entry) => [entry.name as string, entry]));
    assert.deepEqual([...entries.keys()].sort(), ['file', 'sub']);
    assert.equal(entries.get('file')?.kind, 'file');
    assert.equal(entries.get('file')?.size, 4);
    assert.equal(entries.get('file')?.path, child(dir, 'file'));
    assert.equal(entries.get('sub')?.kind, 'dir');
    assert.equal(entries.get('sub')?.size, 0);
    assert.equal(entries.get('sub')?.etag, undefined);
  });

  check('stat and list say the same of a file, with a time near now', async (store, dir) => {
    const path = child(dir, 'file');
    await put(store, path, 'content');
    const [listed] = await listAll(store, dir);
    const stated = await store.stat(path);
    assert.deepEqual({ ...listed, weak: false }, { ...stated, weak: false });
    assert.ok(stated.etag !== undefined);
    assert.ok(stated.mtimeMs !== undefined && Math.abs(stated.mtimeMs - Date.now()) < 60_000);
  });

  check('content comes back as it was written, empty files too', async (store, dir) => {
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 7) % 256));
    await store.write(child(dir, 'bytes'), bodyOf(bytes), { condition: { kind: 'any' } });
    const body = await store.read(child(dir, 'bytes'));
    assert.equal(body.start, 0);
    assert.equal(body.totalSize, bytes.length);
    assert.ok((await collect(body)).equals(bytes));
    await put(store, child(dir, 'empty'), '');
    assert.equal((await store.stat(child(dir, 'empty'))).size, 0);
    assert.equal(await textOf(store, child(dir, 'empty')), '');
  });

  check('a write replaces the whole file', async (store, dir) => {
    const path = child(dir, 'file');
    await put(store, path, 'a long first version');
    await put(store, path, 'short');
    assert.equal(await textOf(store, path), 'short');
  });

  check('odd names are written, listed, read, renamed and removed', async (store, dir) => {
    const moved = child(dir, 'moved');
    await store.makeDirectory(moved);
    for (const name of ODD_NAMES) await put(store, child(dir, name), name);
    const listed = ODD_NAMES.filter((name) => !(traits.hidesDotNames && name.startsWith('.')));
    assert.deepEqual(await namesIn(store, dir), [...listed, 'moved'].sort());
    for (const name of ODD_NAMES) {
      const path = child(dir, name);
      assert.equal((await store.stat(path)).name, name);
      assert.equal(await textOf(store, path), name);
      await store.move(path, child(moved, name), { overwrite: false, directory: false });
    }
    assert.deepEqual(await namesIn(store, moved), [...listed].sort());
    for (const name of ODD_NAMES) await store.remove(child(moved, name), { directory: false });
    assert.deepEqual(await namesIn(store, moved), []);
  });

  check('odd names are fine for directories', async (store, dir) => {
    for (const name of ODD_NAMES) {
      const path = child(dir, name);
      await store.makeDirectory(path);
      await put(store, child(path, 'inner %'), name);
      assert.deepEqual(await namesIn(store, path), ['inner %']);
      const target = child(dir, `${name.slice(0, 40)}~2`);
      await store.move(path, target, { overwrite: false, directory: true });
      assert.equal(await textOf(store, child(target, 'inner %')), name);
      await store.remove(target, { directory: true });
    }
    assert.deepEqual(await namesIn(store, dir), []);
  });

  check('what is not there is not-found', async (store, dir) => {
    const gone = child(dir, 'gone');
    const elsewhere = child(dir, 'elsewhere');
    await rejectsWith(store.stat(gone), 'not-found');
    await rejectsWith(store.read(gone), 'not-found');
    await rejectsWith(listAll(store, gone), 'not-found');
    await rejectsWith(store.remove(gone, { directory: false }), 'not-found');
    await rejectsWith(store.remove(gone), 'not-found');
    await rejectsWith(store.move(gone, elsewhere, { overwrite: true, directory: false }), 'not-found');
    await rejectsWith(store.copy(gone, elsewhere, { overwrite: true, directory: false }), 'not-found');
  });

  check('a file is no directory, and a directory no file', async (store, dir) => {
    const file = child(dir, 'file');
    const sub = child(dir, 'sub');
    await put(store, file, 'x');
    await store.makeDirectory(sub);
    await rejectsWith(listAll(store, file), 'not-found');
    await rejectsWith(
      store.read(sub).then((body) => collect(body)),
      'not-found',
    );
    await rejectsWith(put(store, sub, 'x'), 'exists');
    assert.equal((await store.stat(sub)).kind, 'dir');
  });

  check('ranges are read exactly', async (store, dir) => {
    const path = child(dir, 'digits');
    await put(store, path, '0123456789');
    const part = async (start: number, end?: number) => {
      const body = await store.read(path, end === undefined ? { start } : { start, end });
      return { text: (await collect(body)).toString(), start: body.start, totalSize: body.totalSize };
    };
    assert.deepEqual(await part(2, 5), { text: '234', start: 2, totalSize: 10 });
    assert.deepEqual(await part(0, 1), { text: '0', start: 0, totalSize: 10 });
    assert.deepEqual(await part(7), { text: '789', start: 7, totalSize: 10 });
    assert.deepEqual(await part(8, 100), { text: '89', start: 8, totalSize: 10 });
    assert.equal((await part(3, 3)).text, '');
  });

  check('a read of one version refuses another', async (store, dir, { writeDirect }) => {
    const path = child(dir, 'file');
    await put(store, path, 'first');
    const etag = await tagOf(store, path);
    const whole = await store.read(path, { etag });
    assert.equal((await collect(whole)).toString(), 'first');
    assert.equal(whole.etag, etag);
    const part = await store.read(path, { etag, start: 1, end: 3 });
    assert.equal((await collect(part)).toString(), 'ir');
    writeDirect(path, 'a second version');
    await rejectsWith(store.read(path, { etag }), 'changed');
    await rejectsWith(store.read(path, { etag, start: 1, end: 3 }), 'changed');
  });

  check('a body is delivered into a file, whole or by range', async (store, dir) => {
    const path = child(dir, 'large');
    const bytes = Buffer.from(
      Array.from({ length: 3 * MIB }, (_, index) => (index * 7 + (index >> 9)) % 256),
    );
    await store.write(path, bodyOf(bytes), { condition: { kind: 'any' } });
    const etag = await tagOf(store, path);
    for (const [start, end] of [
      [0, undefined],
      [MIB - 5, 2 * MIB + 7],
      [bytes.length - 1, bytes.length + MIB],
    ] as const) {
      using file = new TargetFile(bytes.length);
      const delivery = await store.deliver(path, { start, etag, ...(end === undefined ? {} : { end }) });
      assert.deepEqual([delivery.start, delivery.totalSize, delivery.etag], [start, bytes.length, etag]);
      const told: Array<readonly [number, number]> = [];
      await delivery.saveTo(file, (from, to) => void told.push([from, to]));
      const stop = Math.min(end ?? bytes.length, bytes.length);
      assert.deepEqual([told[0]?.[0], told.at(-1)?.[1]], [start, stop]);
      assert.ok(told.every(([from], index) => index === 0 || from === told[index - 1]?.[1]));
      const expected = Buffer.alloc(bytes.length);
      bytes.copy(expected, start, start, stop);
      assert.ok(file.content().equals(expected));
      assert.equal(file.isShut, true);
    }
  });

  check('a delivery of nothing writes nothing', async (store, dir) => {
    const path = child(dir, 'empty');
    await put(store, path, '');
    using file = new TargetFile(10);
    const nothing = await store.deliver(path, { start: 0, end: 0 });
    await nothing.saveTo(file, () => assert.fail('told of bytes'));
    assert.equal(file.isShut, true);
    using second = new TargetFile(10);
    await (await store.deliver(path)).saveTo(second, () => assert.fail('told of bytes'));
    assert.ok(second.content().equals(Buffer.alloc(10)));
  });

  check('a delivery of one version refuses another, and what is not there', async (store, dir, at) => {
    const path = child(dir, 'file');
    await put(store, path, 'first');
    const etag = await tagOf(store, path);
    at.writeDirect(path, 'a second version');
    await rejectsWith(store.deliver(path, { etag }), 'changed');
    await rejectsWith(store.deliver(path, { etag, start: 1, end: 3 }), 'changed');
    await rejectsWith(store.deliver(child(dir, 'gone')), 'not-found');
    await rejectsWith(store.deliver(path, { signal: AbortSignal.abort() }), 'aborted');
  });

  check('a delivery that is called off writes no byte after its end', async (store, dir) => {
    const path = child(dir, 'large');
    await store.write(path, bodyOf(Buffer.alloc(16 * MIB, 1)), { condition: { kind: 'any' } });
    for (const by of ['signal', 'gate'] as const) {
      const controller = new AbortController();
      using file = new TargetFile(16 * MIB);
      const delivery = await store.deliver(path, { signal: controller.signal });
      const saving = delivery.saveTo(file, () => (by === 'signal' ? controller.abort() : file.shut()));
      await rejectsWith(saving, 'aborted');
      assert.equal(file.isShut, true);
      file.empty();
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(file.content().length, 0);
    }
    assert.equal((await store.stat(path)).size, 16 * MIB);
  });

  check('a delivery ends where the file does', async (store, dir) => {
    const path = child(dir, 'file');
    await put(store, path, 'x'.repeat(MIB));
    using file = new TargetFile(MIB / 2);
    const delivery = await store.deliver(path);
    await rejectsWith(
      delivery.saveTo(file, () => undefined),
      'protocol',
    );
    assert.equal(file.content().length, MIB / 2);
  });

  check('a delivery into a full disk fails with the error of the disk', async (store, dir) => {
    const path = child(dir, 'file');
    await put(store, path, 'x'.repeat(MIB));
    using file = new TargetFile(MIB, '/dev/full');
    const delivery = await store.deliver(path);
    await assert.rejects(
      delivery.saveTo(file, () => undefined),
      { code: 'ENOSPC', syscall: 'write' },
    );
    assert.equal(file.isShut, true);
  });

  check('deliveries that are not wanted hold nothing', async (store, dir) => {
    const path = child(dir, 'large');
    await store.write(path, bodyOf(Buffer.alloc(4 * MIB)), { condition: { kind: 'any' } });
    for (let round = 0; round < 20; round += 1) (await store.deliver(path)).abandon();
    assert.equal((await store.stat(path)).size, 4 * MIB);
  });

  check('write if absent: refused when the name is taken', async (store, dir) => {
    const path = child(dir, 'file');
    await put(store, path, 'mine', { kind: 'absent' });
    const error = await rejectsWith(put(store, path, 'yours', { kind: 'absent' }), 'exists');
    assert.equal(error.outcome, 'none');
    assert.equal(await textOf(store, path), 'mine');
  });

  check('write of one version: refused for another, right after a write too', async (store, dir, at) => {
    const path = child(dir, 'file');
    await put(store, path, 'one');
    const first = await tagOf(store, path);
    await put(store, path, 'second', { kind: 'match', etag: first });
    assert.equal(await textOf(store, path), 'second');
    const error = await rejectsWith(put(store, path, 'third', { kind: 'match', etag: first }), 'changed');
    assert.equal(error.outcome, 'none');
    const second = await tagOf(store, path);
    assert.notEqual(second, first);
    at.writeDirect(path, 'by another client');
    await rejectsWith(put(store, path, 'third', { kind: 'match', etag: second }), 'changed');
    assert.equal(await textOf(store, path), 'by another client');
    at.removeDirect(path);
    await rejectsWith(put(store, path, 'third', { kind: 'match', etag: second }), 'changed');
    assert.deepEqual(await namesIn(store, dir), []);
  });

  check('the tag of a write is that of its version, where there is one', async (store, dir) => {
    const path = child(dir, 'file');
    const { etag } = await put(store, path, 'content');
    if (traits.capabilities.etagOnPut === true) assert.equal(etag, await tagOf(store, path));
    else assert.equal(etag, undefined);
    const isMade = (await tagOf(store, path)).startsWith('"~');
    assert.equal(isMade, traits.tags === 'made');
  });

  check('write and mkdir need a parent', async (store, dir) => {
    const orphan = child(child(dir, 'nowhere'), 'orphan');
    await rejectsWith(put(store, orphan, 'x'), 'parent-missing');
    await rejectsWith(put(store, orphan, 'x', { kind: 'absent' }), 'parent-missing');
    await rejectsWith(store.makeDirectory(orphan), 'parent-missing');
    await put(store, child(dir, 'file'), 'x');
    await rejectsWith(put(store, child(child(dir, 'file'), 'below'), 'x'), 'parent-missing');
  });

  check('mkdir refuses a name that is taken', async (store, dir) => {
    await put(store, child(dir, 'file'), 'x');
    await rejectsWith(store.makeDirectory(child(dir, 'file')), 'exists');
    await store.makeDirectory(child(dir, 'sub'));
    await put(store, child(child(dir, 'sub'), 'kept'), 'x');
    if (traits.remakesDirectories) await store.makeDirectory(child(dir, 'sub'));
    else await rejectsWith(store.makeDirectory(child(dir, 'sub')), 'exists');
    assert.deepEqual(await namesIn(store, child(dir, 'sub')), ['kept']);
  });

  check('move renames files and trees', async (store, dir) => {
    await put(store, child(dir, 'a'), 'content');
    await store.move(child(dir, 'a'), child(dir, 'b'), { overwrite: false, directory: false });
    assert.equal(await textOf(store, child(dir, 'b')), 'content');
    const tree = child(dir, 'tree');
    await store.makeDirectory(tree);
    await store.makeDirectory(child(tree, 'sub'));
    await put(store, child(child(tree, 'sub'), 'leaf'), 'deep');
    await store.move(tree, child(dir, 'wood'), { overwrite: false, directory: true });
    assert.deepEqual(await namesIn(store, dir), ['b', 'wood']);
    assert.equal(await textOf(store, child(child(child(dir, 'wood'), 'sub'), 'leaf')), 'deep');
  });

  check('move and copy overwrite only when told to', async (store, dir) => {
    const [from, to] = [child(dir, 'from'), child(dir, 'to')];
    await put(store, from, 'new');
    await put(store, to, 'old');
    await rejectsWith(store.move(from, to, { overwrite: false, directory: false }), 'exists');
    await rejectsWith(store.copy(from, to, { overwrite: false, directory: false }), 'exists');
    assert.equal(await textOf(store, to), 'old');
    await store.copy(from, to, { overwrite: true, directory: false });
    assert.equal(await textOf(store, to), 'new');
    await put(store, from, 'newest');
    await store.move(from, to, { overwrite: true, directory: false });
    assert.equal(await textOf(store, to), 'newest');
    assert.deepEqual(await namesIn(store, dir), ['to']);
  });

  check('move to a missing parent', async (store, dir) => {
    const from = child(dir, 'from');
    await put(store, from, 'x');
    const move = store.move(from, child(child(dir, 'nowhere'), 'to'), { overwrite: true, directory: false });
    if (traits.makesParents) return move;
    await rejectsWith(move, 'parent-missing');
    assert.equal(await textOf(store, from), 'x');
  });

  check('a directory cannot go into itself', async (store, dir) => {
    const tree = child(dir, 'tree');
    await store.makeDirectory(tree);
    await put(store, child(tree, 'leaf'), 'kept');
    const inside = child(tree, 'inside');
    await rejectsWith(store.move(tree, inside, { overwrite: false, directory: true }), 'forbidden');
    await rejectsWith(store.copy(tree, inside, { overwrite: false, directory: true }), 'forbidden');
    assert.deepEqual(await namesIn(store, tree), ['leaf']);
  });

  check('copy leaves the source, and copies trees whole', async (store, dir) => {
    const tree = child(dir, 'tree');
    await store.makeDirectory(tree);
    await store.makeDirectory(child(tree, 'sub'));
    await put(store, child(child(tree, 'sub'), 'leaf'), 'deep');
    await store.copy(tree, child(dir, 'twin'), { overwrite: false, directory: true });
    for (const name of ['tree', 'twin']) {
      assert.equal(await textOf(store, child(child(child(dir, name), 'sub'), 'leaf')), 'deep');
    }
  });

  check(
    'copy of a file leaves the version of its source, and makes one of the same bytes',
    async (store, dir) => {
      const [from, to] = [child(dir, 'source'), child(dir, "copy of 'it' & more %20")];
      const bytes = randomBytes(3 * 1024 * 1024 + 17);
      await put(store, from, bytes);
      const before = await store.stat(from);
      await store.copy(from, to, { overwrite: false, directory: false });
      const [after, made] = [await store.stat(from), await store.stat(to)];
      assert.deepEqual([after.size, after.etag], [before.size, before.etag]);
      assert.deepEqual([made.kind, made.size], ['file', bytes.length]);
      assert.notEqual(made.etag, undefined);
      const body = await store.read(to, made.etag === undefined ? {} : { etag: made.etag });
      assert.ok((await collect(body)).equals(bytes));
    },
  );

  check('copy of what is not there, and into a directory that is not there', async (store, dir) => {
    const from = child(dir, 'source');
    await rejectsWith(
      store.copy(from, child(dir, 'copy'), { overwrite: false, directory: false }),
      'not-found',
    );
    await put(store, from, 'x');
    const copy = store.copy(from, child(child(dir, 'nowhere'), 'copy'), {
      overwrite: false,
      directory: false,
    });
    await rejectsWith(copy, 'parent-missing');
    assert.deepEqual(await namesIn(store, dir), ['source']);
  });

  check('remove takes a file, or a directory with all in it', async (store, dir) => {
    await put(store, child(dir, 'file'), 'x');
    await store.remove(child(dir, 'file'), { directory: false });
    const tree = child(dir, 'tree');
    await store.makeDirectory(tree);
    await store.makeDirectory(child(tree, 'sub'));
    await put(store, child(child(tree, 'sub'), 'leaf'), 'x');
    await store.remove(tree, { directory: true });
    assert.deepEqual(await namesIn(store, dir), []);
  });

  check('remove without a word on the kind works for both', async (store, dir) => {
    await put(store, child(dir, 'file'), 'x');
    await store.makeDirectory(child(dir, 'sub'));
    await store.remove(child(dir, 'file'));
    await store.remove(child(dir, 'sub'));
    assert.deepEqual(await namesIn(store, dir), []);
  });

  check('remove of one version refuses another', async (store, dir, { writeDirect }) => {
    const path = child(dir, 'file');
    await put(store, path, 'one');
    const etag = await tagOf(store, path);
    writeDirect(path, 'by another client');
    const error = await rejectsWith(store.remove(path, { etag, directory: false }), 'changed');
    assert.equal(error.outcome, 'none');
    assert.equal(await textOf(store, path), 'by another client');
    await store.remove(path, { etag: await tagOf(store, path), directory: false });
    await rejectsWith(store.stat(path), 'not-found');
  });

  check('a large listing is whole', async (store, dir, { writeDirect }) => {
    const names = Array.from(
      { length: traits.listableEntries },
      (_, index) => `entry ${String(index).padStart(5, '0')}`,
    );
    for (const name of names) writeDirect(child(dir, name), name);
    assert.deepEqual(await namesIn(store, dir), names);
  });

  check('a listing may be left early', async (store, dir, { writeDirect }) => {
    const count = Math.min(traits.listableEntries, 2_000);
    for (let index = 0; index < count; index += 1) writeDirect(child(dir, `entry ${index}`), '');
    for await (const batch of store.list(dir)) {
      assert.ok(batch.length > 0);
      break;
    }
    assert.equal((await listAll(store, dir)).length, count);
  });

  check('64 MiB go up and come down as streams', async (store, dir) => {
    const path = child(dir, 'large');
    const size = 64 * MIB;
    const sums = { up: createHash('sha256'), down: createHash('sha256') };
    let peakBytes = 0;
    const idleBytes = heldBytes();
    async function* source(): AsyncIterable<Uint8Array> {
      for (let at = 0; at < size; at += MIB) {
        const chunk = Buffer.alloc(MIB, at / MIB);
        sums.up.update(chunk);
        if (at % (8 * MIB) === 0) peakBytes = Math.max(peakBytes, heldBytes() - idleBytes);
        yield chunk;
      }
    }
    const progress: number[] = [];
    let sent = 0;
    await store.write(
      path,
      { size, open: source },
      {
        condition: { kind: 'absent' },
        onProgress: (bytes) => void progress.push(bytes),
        onSent: () => {
          sent += 1;
        },
      },
    );
    assert.equal(progress.at(-1), size);
    assert.deepEqual(
      progress,
      [...progress].sort((a, b) => a - b),
    );
    assert.equal(sent, 1);
    assert.equal((await store.stat(path)).size, size);
    const body = await store.read(path);
    let read = 0;
    for await (const chunk of body.chunks) {
      read += chunk.length;
      sums.down.update(chunk);
    }
    assert.equal(read, size);
    assert.equal(sums.down.digest('hex'), sums.up.digest('hex'));
    // The fake keeps all of it; a store over HTTP holds what is on its way to the socket.
    if (component !== undefined) assert.ok(peakBytes < size / 4, `${peakBytes} bytes were held`);
  });

  check('an upload of nothing tells too when its outcome is open', async (store, dir) => {
    let sent = 0;
    await store.write(child(dir, 'empty'), bodyOf(''), {
      condition: { kind: 'absent' },
      onSent: () => {
        sent += 1;
      },
    });
    assert.equal(sent, 1);
  });

  check('an upload that is called off leaves the old version', async (store, dir) => {
    const path = child(dir, 'file');
    await put(store, path, 'old');
    const controller = new AbortController();
    async function* source(): AsyncIterable<Uint8Array> {
      for (let at = 0; at < 8; at += 1) {
        if (at === 4) controller.abort();
        yield Buffer.alloc(MIB);
      }
    }
    const { signal } = controller;
    const write = store.write(path, { size: 8 * MIB, open: source }, { condition: { kind: 'any' }, signal });
    assert.equal((await rejectsWith(write, 'aborted')).outcome, 'none');
    if (!traits.keepsPartialUploads) assert.equal(await textOf(store, path), 'old');
    // The store goes on; at another name, since rclone holds the first one locked until it has noticed.
    await put(store, child(dir, 'next'), 'new');
    assert.equal(await textOf(store, child(dir, 'next')), 'new');
  });

  check('an upload whose source is too short or breaks leaves the old version', async (store, dir) => {
    const path = child(dir, 'file');
    await put(store, path, 'old');
    const short = { size: 10, open: () => Buffer.from('four') };
    const long = { size: 2, open: () => Buffer.from('four') };
    for (const body of [short, long]) {
      const error = await rejectsWith(store.write(path, body, { condition: { kind: 'any' } }), 'aborted');
      assert.equal(error.outcome, 'none');
    }
    if (!traits.keepsPartialUploads) assert.equal(await textOf(store, path), 'old');
  });

  check('a read that is called off ends, and the store goes on', async (store, dir) => {
    const path = child(dir, 'large');
    await store.write(path, bodyOf(Buffer.alloc(16 * MIB)), { condition: { kind: 'any' } });
    const controller = new AbortController();
    const { chunks } = await store.read(path, { signal: controller.signal });
    const readOn = async () => {
      for await (const chunk of chunks) {
        assert.ok(chunk.length > 0);
        controller.abort();
      }
    };
    await rejectsWith(readOn(), 'aborted');
    const aborted = AbortSignal.abort();
    await rejectsWith(store.stat(path, { signal: aborted }), 'aborted');
    await rejectsWith(store.read(path, { signal: aborted }), 'aborted');
    assert.equal((await store.stat(path)).size, 16 * MIB);
  });

  check('a read may be left early', async (store, dir) => {
    const path = child(dir, 'large');
    await store.write(path, bodyOf(Buffer.alloc(16 * MIB)), { condition: { kind: 'any' } });
    for (let round = 0; round < 20; round += 1) {
      const { chunks } = await store.read(path);
      for await (const chunk of chunks) {
        assert.ok(chunk.length > 0);
        break;
      }
    }
    assert.equal((await store.stat(path)).size, 16 * MIB);
  });

  check('many requests at once are all answered', async (store, dir) => {
    const names = Array.from({ length: 60 }, (_, index) => `file ${index}`);
    await Promise.all(names.map((name) => put(store, child(dir, name), name, { kind: 'absent' })));
    const texts = await Promise.all(names.map((name) => textOf(store, child(dir, name))));
    assert.deepEqual(texts, names);
  });

  check('quota is a pair of numbers or nothing', async (store) => {
    const quota = await store.quota();
    if (quota === undefined) return;
    assert.ok(Number.isSafeInteger(quota.used) && Number.isSafeInteger(quota.available));
  });
}
