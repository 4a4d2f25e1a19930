/**
 * A program that works on a mount for as long as it may, and checks every byte that it gets:
 *
 *     node --import tsx test/mount/outlive-program.ts DIRECTORY SEED
 *
 * Files stay open all the time (one written at random places, one appended to), others are made, renamed, read and
 * deleted, and `big`, which the server had before, is read at random. It ends when its stdin does, but not before it has
 * done enough, however slow the machine is, and then prints what must be there. The first error ends it with code 1.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '../support/random.js';
import { bigByte } from './outlive-content.js';

const [dir = '', seed = '1'] = process.argv.slice(2);
const random = seededRandom(Number(seed)).next;
const DATA_BYTES = 512 * 1024;
const PIECE_BYTES = 64 * 1024;
const KEPT_FILES = 20;
const LEAST_ROUNDS = 30;

const at = (name: string) => join(dir, name);
const files = new Map<string, Buffer>();
const data = Buffer.alloc(DATA_BYTES);
let appended = '';
let rounds = 0;
let bytesRead = 0;

function randomBytes(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, () => Math.floor(random() * 256)));
}

function writeAll(fd: number, bytes: Buffer, position: number | null): void {
  for (let done = 0; done < bytes.length; ) {
    done += fs.writeSync(fd, bytes, done, bytes.length - done, position === null ? null : position + done);
  }
}

function readAll(fd: number, length: number, position: number): Buffer {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const count = fs.readSync(fd, bytes, done, length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  bytesRead += done;
  return bytes.subarray(0, done);
}

const steps: Readonly<Record<string, () => void>> = {
  writeData() {
    const length = 1 + Math.floor(random() * 20_000);
    const position = Math.floor(random() * (DATA_BYTES - length));
    const bytes = randomBytes(length);
    writeAll(dataFd, bytes, position);
    bytes.copy(data, position);
  },
  readData() {
    const position = Math.floor(random() * (DATA_BYTES - PIECE_BYTES));
    const wanted = data.subarray(position, position + PIECE_BYTES);
    assert.ok(readAll(dataFd, PIECE_BYTES, position).equals(wanted), `data at ${position}`);
  },
  append() {
    const line = `round ${rounds}: ${random()}\n`;
    writeAll(logFd, Buffer.from(line), null);
    appended += line;
    assert.equal(fs.fstatSync(logFd).size, appended.length, 'size of what is appended to');
  },
  readBig() {
    const { size } = fs.fstatSync(bigFd);
    const position = Math.floor(random() * (size - PIECE_BYTES));
    const found = readAll(bigFd, PIECE_BYTES, position);
    assert.equal(found.length, PIECE_BYTES, 'length of a read of big');
    for (const [index, byte] of found.entries()) {
      if (byte !== bigByte(position + index)) assert.fail(`big at ${position + index}`);
    }
  },
  create() {
    const name = `made-${rounds}`;
    const bytes = randomBytes(Math.floor(random() ** 3 * 200_000));
    const fd = fs.openSync(at(name), 'wx+');
    writeAll(fd, bytes, 0);
    assert.ok(readAll(fd, bytes.length + 1, 0).equals(bytes), `${name} through its own descriptor`);
    fs.closeSync(fd);
    fs.renameSync(at(name), at(`kept-${rounds}`));
    files.set(`kept-${rounds}`, bytes);
  },
  exclusive() {
    const name = `once-${rounds}`;
    fs.closeSync(fs.openSync(at(name), 'wx'));
    assert.throws(() => fs.openSync(at(name), 'wx'), { code: 'EEXIST' });
    fs.unlinkSync(at(name));
    assert.equal(fs.existsSync(at(name)), false);
  },
  directory() {
    const name = `dir-${rounds}`;
    fs.mkdirSync(at(name));
    assert.throws(() => fs.mkdirSync(at(name)), { code: 'EEXIST' });
    assert.deepEqual(fs.readdirSync(at(name)), []);
    fs.rmdirSync(at(name));
  },
  readKept() {
    for (const [name, bytes] of [...files].slice(-3)) {
      assert.ok(fs.readFileSync(at(name)).equals(bytes), `${name} read again`);
    }
  },
  remove() {
    while (files.size > KEPT_FILES) {
      const [name = ''] = files.keys();
      fs.unlinkSync(at(name));
      files.delete(name);
    }
  },
  list() {
    const found = fs.readdirSync(dir).filter((name) => name.startsWith('kept-'));
    assert.deepEqual(found.toSorted(), [...files.keys()].toSorted(), 'names of the directory');
  },
};

function work(): void {
  for (const [name, step] of Object.entries(steps)) {
    try {
      step();
    } catch (error) {
      process.stdout.write(
        `FAILED round ${rounds}, ${name}: ${error instanceof Error ? error.stack : error}\n`,
      );
      process.stdout.write(
        `there is: ${fs.readdirSync(dir).toSorted().join(' ')}\nwanted: ${[...files.keys()].join(' ')}\n`,
      );
      process.exit(1);
    }
  }
  rounds++;
  if (!isOver || rounds < LEAST_ROUNDS) setImmediate(work);
  else finish();
}

function finish(): void {
  for (const fd of [dataFd, logFd]) {
    fs.fsyncSync(fd);
    fs.closeSync(fd);
  }
  fs.closeSync(bigFd);
  files.set('data', data);
  files.set('log', Buffer.from(appended));
  const sums = [...files].map(([name, bytes]) => [name, createHash('sha256').update(bytes).digest('hex')]);
  process.stdout.write(`${JSON.stringify({ rounds, bytesRead, sums: Object.fromEntries(sums) })}\n`);
}

let isOver = false;
process.stdin.on('end', () => {
  isOver = true;
});
process.stdin.resume();
const dataFd = fs.openSync(at('data'), 'wx+');
writeAll(dataFd, data, 0);
const logFd = fs.openSync(at('log'), 'ax');
const bigFd = fs.openSync(at('big'), 'r');
work();
