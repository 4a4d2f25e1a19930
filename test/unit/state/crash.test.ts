import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Log, ROOT_INO, silentLog } from '../../../src/base/index.js';
import { openState, StateError } from '../../../src/state/index.js';
import { bundled } from '../../support/bundled.js';
import { waitUntil } from '../../support/exec.js';
import { file, name, place, randomOf } from './support/records.js';
import { HandClock, temporaryDir } from './support/stores.js';

const WRITER = fileURLToPath(new URL('./support/writer-main.ts', import.meta.url));

function isError(code: StateError['code']): (error: unknown) => boolean {
  return (error) => error instanceof StateError && error.code === code;
}

/** Collects the writer's output; resolves at its end with the lines that are whole. */
async function linesOf(child: ChildProcess, killAfterLines: number): Promise<string[]> {
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (output.split('\n').length > killAfterLines) child.kill('SIGKILL');
  });
  await once(child, 'close');
  return output.split('\n').slice(0, -1);
}

function journals(dir: string): string[] {
  const numbers = readdirSync(dir).filter((entry) => entry.startsWith('journal-'));
  return numbers.sort((a, b) => Number(a.slice(8)) - Number(b.slice(8))).map((entry) => join(dir, entry));
}

describe('state after a crash', () => {
  let dir: string;
  beforeEach(() => {
    dir = temporaryDir();
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  test('SIGKILL at any moment loses nothing that was committed', { timeout: 120_000 }, async () => {
    const random = randomOf(21);
    let next = 0;
    let replayed = 0;
    for (let round = 0; round < 8; round++) {
      const args = [bundled(WRITER), dir, String(next), round % 2 === 0 ? 'durable' : ''];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const lines = await linesOf(child, 200 + random(9000));
      assert.equal(
        child.signalCode,
        'SIGKILL',
        `round ${round}, ${lines.length} lines, the last ${lines.at(-1)}`,
      );
      const last = Number(lines.at(-1));
      assert.ok(last > next);
      const log: Log = { ...silentLog, info: () => void replayed++ };
      const store = openState({ dir, log });
      store.checkInvariants();
      // The one behind the last acknowledged may be there too.
      const newest = store.localChild(ROOT_INO, name(`new ${last + 1}`)) === undefined ? last : last + 1;
      const names = [...store.entries(ROOT_INO)].map((entry) => entry.name);
      const expected = [`new ${newest}`];
      for (let number = Math.max(0, newest - 49); number < newest; number++) expected.push(`moved ${number}`);
      assert.deepEqual(names.sort(), expected.sort());
      assert.deepEqual([...store.dirty()], [store.localChild(ROOT_INO, name(`new ${newest}`))]);
      // The change and the mark of the request that asked for it are there together.
      assert.equal(store.origins.doneBy(2 * (newest + 1)), store.localChild(ROOT_INO, name(`new ${newest}`)));
      assert.equal(store.origins.doneBy(2 * (newest - 3)), undefined);
      await store.close();
      next = newest + 1;
    }
    assert.ok(replayed > 0, 'no kill left anything in the journal');
  });

  test('a disk that refuses stops the transaction and nothing else', { timeout: 60_000 }, async () => {
    // Without the signal, writing beyond the limit fails with EFBIG. Unit of ulimit -f: 1,024 bytes.
    const command = `trap '' XFSZ; ulimit -f 400; exec "$@"`;
    const args = ['-c', command, 'bash', process.execPath, bundled(WRITER), dir, '0'];
    const child = spawn('bash', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = await linesOf(child, 200_000);
    assert.equal(lines.at(-1), 'refused disk');
    const last = Number(lines.at(-2));
    assert.ok(last > 100);
    const store = openState({ dir });
    store.checkInvariants();
    assert.notEqual(store.localChild(ROOT_INO, name(`new ${last}`)), undefined);
    assert.equal(store.localChild(ROOT_INO, name(`new ${last + 1}`)), undefined);
    await store.close();
  });

  test('a journal cut at any byte of its last record gives what was before it', async () => {
    const original = openState({ dir, clock: new HandClock() });
    original.transact((tx) => tx.put(file(tx.allocate(), place('first'))));
    const [journal = ''] = journals(dir);
    const before = readFileSync(journal).length;
    original.transact((tx) => tx.put(file(tx.allocate(), place('second'))));
    const after = readFileSync(journal).length;
    assert.ok(after > before);
    for (let length = before; length <= after; length += 3) {
      const copy = temporaryDir();
      cpSync(dir, copy, { recursive: true });
      truncateSync(journals(copy)[0] as string, length);
      const warnings: string[] = [];
      const log: Log = { ...silentLog, warn: (_fields, message) => void warnings.push(message) };
      const store = openState({ dir: copy, log });
      store.checkInvariants();
      assert.notEqual(store.localChild(ROOT_INO, name('first')), undefined);
      assert.equal(store.localChild(ROOT_INO, name('second')) !== undefined, length === after);
      assert.equal(warnings.length, length === before || length === after ? 0 : 1);
      await store.close();
      rmSync(copy, { recursive: true });
    }
    await original.close();
  });

  test('kills of processes that had nothing left to bring into the database lose nothing later', async () => {
    const killed: string[] = [];
    /** What a process leaves that is killed now. */
    const kill = (from: string): string => {
      const copy = temporaryDir();
      killed.push(copy);
      cpSync(from, copy, { recursive: true });
      return copy;
    };
    const clock = new HandClock();
    const first = openState({ dir, clock });
    const [segment] = journals(dir);
    first.transact((tx) => tx.put(file(tx.allocate(), place('first'))));
    clock.fireAll();
    await waitUntil('the flush', () => !journals(dir).includes(segment ?? ''), { intervalMs: 1 });
    const second = openState({ dir: kill(dir), clock: new HandClock() });
    second.transact((tx) => tx.put(file(tx.allocate(), place('second'))));
    const third = openState({ dir: kill(killed[0] ?? ''), clock: new HandClock() });
    for (const each of ['first', 'second']) {
      assert.notEqual(third.localChild(ROOT_INO, name(each)), undefined, each);
    }
    for (const store of [third, second, first]) await store.close();
    for (const copy of killed) rmSync(copy, { recursive: true });
  });

  test('a flipped bit anywhere in the last record is noticed', async () => {
    const original = openState({ dir, clock: new HandClock() });
    const [journal = ''] = journals(dir);
    const before = readFileSync(journal).length;
    original.transact((tx) => tx.put(file(tx.allocate(), place('second'))));
    const bytes = readFileSync(journal);
    for (let at = before; at < bytes.length; at += 5) {
      const copy = temporaryDir();
      cpSync(dir, copy, { recursive: true });
      const broken = Buffer.from(bytes);
      broken[at] = (broken[at] ?? 0) ^ 0x10;
      writeFileSync(journals(copy)[0] as string, broken);
      const store = openState({ dir: copy });
      assert.equal(store.localChild(ROOT_INO, name('second')), undefined);
      await store.close();
      rmSync(copy, { recursive: true });
    }
    await original.close();
  });

  test('a file that is no journal is refused and kept', async () => {
    await openState({ dir }).close();
    const path = join(dir, 'journal-7');
    writeFileSync(path, 'something else altogether');
    assert.throws(() => openState({ dir }), isError('damaged'));
    assert.equal(readFileSync(path, 'latin1'), 'something else altogether');
    assert.ok(readdirSync(dir).includes('state.mdb'));
  });

  test('a file that is no database, or is cut, is refused and kept', async () => {
    const path = join(dir, 'state.mdb');
    await openState({ dir }).close();
    const good = readFileSync(path);
    const cut = good.subarray(0, 8192);
    const zeroed = Buffer.from(good).fill(0, 0, 8192);
    for (const bytes of [Buffer.alloc(16_384, 0x5a), Buffer.from('short'), cut, zeroed]) {
      writeFileSync(path, bytes);
      assert.throws(() => openState({ dir }), isError('damaged'));
      assert.deepEqual(readFileSync(path), bytes);
    }
    writeFileSync(path, good);
    await openState({ dir }).close();
  });
});
