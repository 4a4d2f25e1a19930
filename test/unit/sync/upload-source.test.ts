/** Where the bytes of an upload come from, and what they are while programs go on writing. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import type { Ino } from '../../../src/base/index.js';
import type { NodeRecord } from '../../../src/state/index.js';
import { Superseded } from '../../../src/sync/superseded.js';
import { nodeSource, type UploadSource } from '../../../src/sync/upload-source.js';
import { decodeXSym } from '../../../src/sync/xsym.js';
import { openTemporary, temporaryDir } from '../content/support.js';
import { alias, place, symlink } from '../state/support/records.js';
import { Parts } from './parts.js';

const MIB = 1024 * 1024;
const TIMES = { mtime: 5n, ctime: 5n };

/** Parts over a real disk, with a written and closed file of `size` bytes. */
async function makeFile(t: TestContext, size: number) {
  const dir = temporaryDir();
  const { store } = openTemporary(dir);
  await store.reconcile({ of: () => ({ kind: 'unknown' }), staged: () => [] });
  t.after(async () => {
    await store.close();
    rmSync(dir, { recursive: true });
  });
  const parts = new Parts(store);
  const { ino, base } = parts.serverFile('f', 'old');
  const body = parts.content.acquireClean(ino, { etag: base?.etag, size: 3 });
  await parts.sessions.beginWrite(ino, 0);
  const bytes = Buffer.alloc(size, 'abcdefg');
  body.writeSync(bytes, 0);
  parts.sessions.commitWrite(ino, { size, ...TIMES }, false);
  return { parts, ino, body, bytes };
}

function sourceOf(parts: Parts, ino: Ino, stop: () => void = () => undefined): Promise<UploadSource> {
  const node: NodeRecord | undefined = parts.state.get(ino);
  assert(node !== undefined);
  return nodeSource(node, parts, stop);
}

async function collect(source: UploadSource): Promise<Buffer> {
  const opened = source.body.open();
  if (opened instanceof Uint8Array) return Buffer.from(opened);
  const chunks: Uint8Array[] = [];
  for await (const chunk of opened) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('small files', () => {
  test('are read at once: later writes neither wait nor change what is sent', async (t) => {
    const { parts, ino, body, bytes } = await makeFile(t, 1000);
    const source = await sourceOf(parts, ino);
    assert.equal(source.gen, parts.file('f').gen);
    assert.equal(source.sha256(), sha256(bytes));
    assert.equal(parts.sessions.beginWrite(ino, 1000), undefined);
    body.writeSync(Buffer.from('changed'), 0);
    assert.ok((await collect(source)).equals(bytes));
    assert.equal(source.body.size, 1000);
    assert.equal(parts.file('f').gen, source.gen + 1);
    source.close();
  });

  test('an empty one is empty', async (t) => {
    const { parts, ino } = await makeFile(t, 0);
    const source = await sourceOf(parts, ino);
    assert.equal(source.body.size, 0);
    assert.equal((await collect(source)).length, 0);
    source.close();
  });
});

describe('large files', () => {
  test('are streamed in place, with the checksum known at the end, and can be opened again', async (t) => {
    const { parts, ino, bytes } = await makeFile(t, 3 * MIB + 1);
    const source = await sourceOf(parts, ino);
    assert.equal(source.sha256(), undefined);
    assert.ok((await collect(source)).equals(bytes));
    assert.equal(source.sha256(), sha256(bytes));
    assert.ok((await collect(source)).equals(bytes));
    source.close();
  });

  test('a program that writes again stops them and waits until they are let go', async (t) => {
    const { parts, ino } = await makeFile(t, 2 * MIB);
    let stopped = false;
    const source = await sourceOf(parts, ino, () => {
      stopped = true;
    });
    const waiting = parts.sessions.beginWrite(ino, 2 * MIB);
    assert.ok(waiting !== undefined && stopped);
    source.close();
    await waiting;
    assert.equal(parts.file('f').gen, source.gen + 1);
  });

  test('of which every byte was read are not stopped: the server may have them all, and act on them late', async (t) => {
    const { parts, ino, bytes } = await makeFile(t, 2 * MIB);
    const source = await sourceOf(parts, ino, () => assert.fail('stopped'));
    assert.ok((await collect(source)).equals(bytes));
    assert.equal(parts.sessions.beginWrite(ino, 2 * MIB), undefined, 'nor does the writer wait');
    await assert.rejects(collect(source), Superseded);
    source.close();
  });

  test('of which a program still writes are copied first', async (t) => {
    const { parts, ino, body, bytes } = await makeFile(t, 2 * MIB);
    parts.writers.add(ino);
    const source = await sourceOf(parts, ino, () => assert.fail('a copy need not be stopped'));
    assert.equal(parts.sessions.beginWrite(ino, 2 * MIB), undefined);
    body.writeSync(Buffer.from('changed'), 0);
    assert.ok((await collect(source)).equals(bytes));
    source.close();
  });
});

describe('other kinds', () => {
  test('a link is the file that stands for it', async () => {
    const parts = new Parts();
    const node = symlink(50 as Ino, place('l'), { target: '../there' });
    parts.state.transact((tx) => tx.put(node));
    const source = await sourceOf(parts, node.ino);
    assert.equal(decodeXSym(await collect(source)), '../there');
    assert.equal(source.gen, node.gen);
  });

  test('a further name is the file that it stands for, fetched where it is not here', async () => {
    const parts = new Parts();
    const file = parts.serverFile('f', 'on the server');
    parts.state.transact((tx) => {
      tx.put(alias(50 as Ino, file.ino, place('g')));
      tx.put({ ...file, aliases: [50 as Ino] });
    });
    const source = await sourceOf(parts, 50 as Ino);
    assert.equal((await collect(source)).toString(), 'on the server');
    assert.equal(source.gen, file.gen);
    source.close();
    assert.equal(parts.content.peek(file.ino), undefined);
  });
});
