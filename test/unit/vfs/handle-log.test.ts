import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type Ino, type Name, silentLog } from '../../../src/base/index.js';
import { type Fh, type HandleLog, type LoggedHandle, openHandleLog } from '../../../src/vfs/index.js';

const names = (...texts: string[]) => texts as Name[];
const fh = (number: number) => number as Fh;

function file(number: number, fields: Partial<LoggedHandle & { readonly kind: 'file' }> = {}): LoggedHandle {
  const ino = (100 + number) as Ino;
  const unique = 2 * number;
  const given = { backing: undefined, ...fields };
  return { kind: 'file', fh: fh(number), ino, writable: false, append: false, unique, ...given };
}

function directory(number: number, ...read: string[]): LoggedHandle {
  return { kind: 'dir', fh: fh(number), ino: 7 as Ino, unique: undefined, names: names(...read) };
}

describe('the handle log', () => {
  let dir: string;
  let path: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'infinimount-handles-'));
    path = join(dir, 'handles');
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const open = (connection = 'one'): HandleLog => openHandleLog({ path, connection, log: silentLog });

  test('tells the next process what was open, and the last number given out', () => {
    const log = open();
    assert.deepEqual([log.lastFh, log.found], [0, []]);
    log.opened(file(1));
    log.opened(file(2, { writable: true, append: true, unique: undefined }));
    log.opened(directory(3));
    log.opened(file(4));
    log.closed(fh(1));
    log.closed(fh(4));
    const next = open();
    assert.equal(next.lastFh, 4);
    assert.deepEqual(next.found, [
      file(2, { writable: true, append: true, unique: undefined }),
      directory(3),
    ]);
  });

  test('tells what the reader of a directory has seen, also anew from the beginning', () => {
    const log = open();
    log.opened(directory(1));
    log.named(fh(1), 0, names('a', 'b'));
    log.named(fh(1), 2, names('line\nfeed', 'ünï'));
    assert.deepEqual(open().found, [directory(1, 'a', 'b', 'line\nfeed', 'ünï')]);
    const next = open();
    next.named(fh(1), 0, names('z'));
    assert.deepEqual(open().found, [directory(1, 'z')]);
  });

  test('a line that is cut short is as if it were not there', () => {
    const log = open();
    log.opened(file(1));
    log.opened(file(2));
    const whole = readFileSync(path);
    for (let bytes = whole.length - 1; bytes > whole.lastIndexOf('\n', whole.length - 2); bytes--) {
      writeFileSync(path, whole.subarray(0, bytes));
      assert.deepEqual(open().found, [file(1)], `${bytes} bytes`);
    }
  });

  test('of another connection, of another kind, or of no sense begins empty', () => {
    open().opened(file(5));
    const other = open('two');
    assert.deepEqual([other.lastFh, other.found], [0, []]);
    for (const text of ['', 'no log\n', '[1,2]\n["f",1,1,0,0]\n']) {
      writeFileSync(path, text);
      assert.deepEqual(open().found, [], text);
    }
    open().opened(file(5));
    appendFileSync(path, 'garbage\n["x"]\n');
    assert.deepEqual(open().found, [file(5)]);
  });

  test('is begun anew when most of it is over, and keeps what is open', () => {
    const log = open();
    log.opened(file(1));
    let last = 1;
    while (!log.isWasteful) {
      last += 1;
      log.opened(file(last));
      log.closed(fh(last));
    }
    const before = statSync(path).size;
    log.rewrite(last, [file(1)]);
    assert.ok(statSync(path).size < before / 100);
    assert.equal(log.isWasteful, false);
    log.opened(directory(last + 1));
    const next = open();
    assert.deepEqual([next.lastFh, next.found], [last + 1, [file(1), directory(last + 1)]]);
  });

  test('a closed one keeps what it has', () => {
    const log = open();
    log.opened(file(1));
    log.close();
    log.closed(fh(1));
    log.rewrite(1, []);
    assert.deepEqual(open().found, [file(1)]);
  });

  test('where the disk refuses, programs go on, and it is told once and made whole later', () => {
    const told: string[] = [];
    const log = openHandleLog({
      path,
      connection: 'one',
      log: { ...silentLog, error: (_, message) => told.push(message) },
    });
    log.opened(file(1));
    // Its directory is gone: beginning anew fails.
    rmSync(dir, { recursive: true });
    log.rewrite(1, [file(1)]);
    log.opened(file(2));
    log.rewrite(2, [file(1), file(2)]);
    assert.equal(log.isWasteful, true);
    assert.equal(told.length, 1);
    mkdirSync(dir);
    log.rewrite(3, [file(3)]);
    assert.equal(log.isWasteful, false);
    assert.deepEqual(open().found, [file(3)]);
  });
});
