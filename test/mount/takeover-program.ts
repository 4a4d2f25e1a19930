/**
 * The program that works on the mount for takeover.test.ts, in a process of its own. It knows nothing of daemons: every
 * call must do what it says, whoever answers it.
 */

import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import {
  DirStream,
  FALLOC_FL_KEEP_SIZE,
  fallocate,
  flock,
  LOCK_EX,
  LOCK_NB,
  RENAME_EXCHANGE,
  renameat2,
  xattr,
} from '../support/mount/syscalls.js';
import { SERVER_FILE, SERVER_FILE_BYTES, serverBytes } from '../support/mount/takeover-files.js';
import { type Random, seededRandom } from '../support/random.js';

const VALUE = Buffer.from('value');
/** More than one reply holds. */
const LISTED_NAMES = 2500;

interface Case {
  readonly prepare?: (dir: string) => void;
  readonly act: (dir: string) => void;
  readonly check: (dir: string) => void;
}

const contentOf = (path: string) => fs.readFileSync(path, 'utf8');
const only = (dir: string, ...names: string[]) => assert.deepEqual(fs.readdirSync(dir).sort(), names);

let kept = -1;

/** What is done in a directory of its own, by the operation that the daemon dies at. */
const CASES: Readonly<Record<string, Case>> = {
  CREATE: {
    act: (dir) => {
      const fd = fs.openSync(join(dir, 'new'), 'wx');
      fs.writeSync(fd, 'first');
      fs.closeSync(fd);
    },
    check: (dir) => {
      only(dir, 'new');
      assert.equal(contentOf(join(dir, 'new')), 'first');
    },
  },
  MKDIR: {
    act: (dir) => fs.mkdirSync(join(dir, 'd')),
    check: (dir) => only(dir, 'd'),
  },
  SYMLINK: {
    act: (dir) => fs.symlinkSync('there', join(dir, 'link')),
    check: (dir) => assert.equal(fs.readlinkSync(join(dir, 'link')), 'there'),
  },
  LINK: {
    prepare: (dir) => fs.writeFileSync(join(dir, 'a'), 'one'),
    act: (dir) => fs.linkSync(join(dir, 'a'), join(dir, 'b')),
    check: (dir) => {
      only(dir, 'a', 'b');
      assert.equal(fs.statSync(join(dir, 'b')).nlink, 2);
    },
  },
  UNLINK: {
    prepare: (dir) => fs.writeFileSync(join(dir, 'a'), 'one'),
    act: (dir) => fs.unlinkSync(join(dir, 'a')),
    check: (dir) => only(dir),
  },
  RMDIR: {
    prepare: (dir) => fs.mkdirSync(join(dir, 'd')),
    act: (dir) => fs.rmdirSync(join(dir, 'd')),
    check: (dir) => only(dir),
  },
  RENAME: {
    prepare: (dir) => fs.writeFileSync(join(dir, 'a'), 'one'),
    act: (dir) => fs.renameSync(join(dir, 'a'), join(dir, 'b')),
    check: (dir) => {
      only(dir, 'b');
      assert.equal(contentOf(join(dir, 'b')), 'one');
    },
  },
  RENAME2: {
    prepare: (dir) => {
      fs.writeFileSync(join(dir, 'a'), 'one');
      fs.writeFileSync(join(dir, 'b'), 'two');
    },
    act: (dir) => renameat2(join(dir, 'a'), join(dir, 'b'), RENAME_EXCHANGE),
    check: (dir) => {
      assert.equal(contentOf(join(dir, 'a')), 'two');
      assert.equal(contentOf(join(dir, 'b')), 'one');
    },
  },
  SETXATTR: {
    prepare: (dir) => fs.writeFileSync(join(dir, 'a'), ''),
    act: (dir) => xattr.set(join(dir, 'a'), 'user.k', VALUE, 'create'),
    check: (dir) => assert.deepEqual(xattr.get(join(dir, 'a'), 'user.k'), VALUE),
  },
  REMOVEXATTR: {
    prepare: (dir) => {
      fs.writeFileSync(join(dir, 'a'), '');
      xattr.set(join(dir, 'a'), 'user.k', VALUE);
    },
    act: (dir) => xattr.remove(join(dir, 'a'), 'user.k'),
    check: (dir) => assert.deepEqual(xattr.list(join(dir, 'a')), []),
  },
  WRITE: {
    prepare: (dir) => {
      fs.writeFileSync(join(dir, 'log'), 'before ');
      kept = fs.openSync(join(dir, 'log'), 'a');
    },
    act: () => void fs.writeSync(kept, 'appended once '),
    check: (dir) => {
      fs.writeSync(kept, 'and again');
      fs.closeSync(kept);
      assert.equal(contentOf(join(dir, 'log')), 'before appended once and again');
    },
  },
  SETATTR: {
    prepare: (dir) => fs.writeFileSync(join(dir, 'a'), 'abcdef'),
    act: (dir) => fs.truncateSync(join(dir, 'a'), 3),
    check: (dir) => assert.equal(contentOf(join(dir, 'a')), 'abc'),
  },
  FALLOCATE: {
    prepare: (dir) => {
      kept = fs.openSync(join(dir, 'a'), 'w+');
      fs.writeSync(kept, 'abcdef');
    },
    act: () => fallocate(kept, FALLOC_FL_KEEP_SIZE, 0, 65_536),
    check: (dir) => {
      fs.closeSync(kept);
      assert.equal(contentOf(join(dir, 'a')), 'abcdef');
    },
  },
  OPEN: {
    prepare: (dir) => fs.writeFileSync(join(dir, 'a'), 'abcdef'),
    act: (dir) => {
      kept = fs.openSync(join(dir, 'a'), 'r+');
    },
    check: (dir) => {
      fs.writeSync(kept, 'XY', 0);
      fs.closeSync(kept);
      assert.equal(contentOf(join(dir, 'a')), 'XYcdef');
    },
  },
  FLUSH: {
    prepare: (dir) => {
      kept = fs.openSync(join(dir, 'a'), 'w');
      fs.writeSync(kept, 'flushed');
    },
    act: () => fs.closeSync(kept),
    check: (dir) => assert.equal(contentOf(join(dir, 'a')), 'flushed'),
  },
  RELEASE: {
    prepare: (dir) => {
      kept = fs.openSync(join(dir, 'a'), 'w');
      fs.writeSync(kept, 'released');
    },
    act: () => fs.closeSync(kept),
    check: (dir) => {
      assert.equal(contentOf(join(dir, 'a')), 'released');
      fs.unlinkSync(join(dir, 'a'));
      only(dir);
    },
  },
  FSYNC: {
    prepare: (dir) => {
      kept = fs.openSync(join(dir, 'a'), 'w');
      fs.writeSync(kept, 'synced');
    },
    act: () => fs.fsyncSync(kept),
    check: (dir) => {
      fs.closeSync(kept);
      assert.equal(contentOf(join(dir, 'a')), 'synced');
    },
  },
  LOOKUP: {
    act: (dir) => assert.equal(fs.existsSync(join(dir, 'nothing')), false),
    check: (dir) => only(dir),
  },
  OPENDIR: {
    prepare: fill,
    act: (dir) => assert.equal(fs.readdirSync(dir).length, LISTED_NAMES),
    check: (dir) => assert.equal(fs.readdirSync(dir).length, LISTED_NAMES),
  },
};

function fill(dir: string): void {
  for (let n = 0; n < LISTED_NAMES; n++) fs.writeFileSync(join(dir, `name-${n}`), '');
}

/** Operations that {@link act} leads to. */
export function caseNames(): string[] {
  return Object.keys(CASES);
}

export function prepare(dir: string, name: string): void {
  fs.mkdirSync(dir);
  // So that the operation itself is the first request that matters.
  fs.readdirSync(dir);
  CASES[name]?.prepare?.(dir);
}

export function act(dir: string, name: string): void {
  CASES[name]?.act(dir);
}

export function check(dir: string, name: string): void {
  CASES[name]?.check(dir);
}

/** Holds on to things in every way that a program can, for {@link useHeld}. */
const held = { unlinked: -1, locked: -1, big: -1, reader: undefined as DirStream | undefined };
const readNames: string[] = [];

export function hold(path: string): void {
  fs.writeFileSync(join(path, 'unlinked'), 'still here');
  held.unlinked = fs.openSync(join(path, 'unlinked'), 'r+');
  fs.unlinkSync(join(path, 'unlinked'));
  held.locked = fs.openSync(join(path, 'locked'), 'w');
  flock(held.locked, LOCK_EX);
  held.big = fs.openSync(join(path, SERVER_FILE), 'r');
  readBig(0, 100_000);
  fs.mkdirSync(join(path, 'listed'));
  fill(join(path, 'listed'));
  held.reader = new DirStream(join(path, 'listed'));
  readSome(300);
  fs.mkdirSync(join(path, 'gone'));
  process.chdir(join(path, 'gone'));
  fs.rmdirSync(join(path, 'gone'));
}

/** After the daemon was killed: all that was held is as it was. */
export function useHeld(path: string): void {
  const bytes = Buffer.alloc(10);
  fs.readSync(held.unlinked, bytes, 0, 10, 0);
  assert.equal(bytes.toString(), 'still here');
  fs.writeSync(held.unlinked, 'STILL', 0);
  fs.readSync(held.unlinked, bytes, 0, 10, 0);
  assert.equal(bytes.toString(), 'STILL here');
  assert.equal(fs.fstatSync(held.unlinked).nlink, 0);
  fs.closeSync(held.unlinked);
  const other = fs.openSync(join(path, 'locked'), 'w');
  assert.throws(() => flock(other, LOCK_EX | LOCK_NB), { code: 'EAGAIN' });
  fs.closeSync(held.locked);
  flock(other, LOCK_EX | LOCK_NB);
  fs.closeSync(other);
  readBig(SERVER_FILE_BYTES - 3_000_000, SERVER_FILE_BYTES);
  fs.closeSync(held.big);
  // Names that go while the directory is read do not move the others.
  for (const name of readNames.slice(0, 100)) fs.unlinkSync(join(path, 'listed', name));
  readSome(Number.POSITIVE_INFINITY);
  held.reader?.close();
  assert.equal(readNames.length, LISTED_NAMES);
  assert.equal(new Set(readNames).size, LISTED_NAMES);
  assert.ok(fs.statSync('.').isDirectory());
  assert.throws(() => fs.writeFileSync('x', ''), { code: 'ENOENT' });
  process.chdir('/');
}

function readSome(count: number): void {
  for (let n = 0; n < count; n++) {
    const name = held.reader?.read();
    if (name === undefined) return;
    if (name !== '.' && name !== '..') readNames.push(name);
  }
}

function readBig(start: number, end: number): void {
  const bytes = Buffer.alloc(end - start);
  for (let done = 0; done < bytes.length; ) {
    const count = fs.readSync(held.big, bytes, done, Math.min(200_000, bytes.length - done), start + done);
    assert.notEqual(count, 0, 'the file ended early');
    done += count;
  }
  assert.ok(bytes.equals(serverBytes(start, end)), `wrong bytes in ${start}-${end}`);
}

/** What the tree should hold: content of files, `null` for directories, `-> x` for links. */
type Model = Map<string, string | null>;

/** Random calls for `forMs`, each of which must succeed; afterwards the tree is what they make. */
export function work(path: string, seed: number, forMs: number): { readonly calls: number } {
  const random = seededRandom(seed);
  const model: Model = new Map();
  const root = join(path, `work-${seed}`);
  fs.mkdirSync(root);
  const at = (name: string) => join(root, name);
  held.big = fs.openSync(join(path, SERVER_FILE), 'r');
  const appender = fs.openSync(at('log'), 'ax');
  let logged = '';
  const end = Date.now() + forMs;
  let calls = 0;
  for (; Date.now() < end; calls++) {
    const names = [...model.keys()];
    const fresh = `n${calls}`;
    const some = random.pick(names);
    const files = names.filter((name) => model.get(name)?.startsWith('f'));
    const file = random.pick(files);
    switch (random.below(12)) {
      case 0:
      case 1: {
        const text = `f${calls} ${'x'.repeat(random.below(20_000))}`;
        fs.writeFileSync(at(fresh), text, { flag: 'wx' });
        model.set(fresh, text);
        break;
      }
      case 2:
        fs.mkdirSync(at(fresh));
        model.set(fresh, null);
        break;
      case 3:
        fs.symlinkSync(fresh, at(fresh));
        model.set(fresh, `-> ${fresh}`);
        break;
      case 4:
        if (file === undefined) break;
        fs.linkSync(at(file), at(fresh));
        model.set(fresh, model.get(file) ?? null);
        break;
      case 5:
        if (some === undefined || names.length < 20) break;
        if (model.get(some) === null) fs.rmdirSync(at(some));
        else fs.unlinkSync(at(some));
        model.delete(some);
        break;
      case 6:
        if (some === undefined) break;
        fs.renameSync(at(some), at(fresh));
        model.set(fresh, model.get(some) ?? null);
        model.delete(some);
        break;
      case 7:
        renameOver(random, at, model, files);
        break;
      case 8: {
        const text = `line ${calls}\n`;
        fs.writeSync(appender, text);
        logged += text;
        break;
      }
      case 9: {
        const start = random.below(SERVER_FILE_BYTES - 600_000);
        readBig(start, start + random.below(600_000));
        break;
      }
      case 10:
        if (file !== undefined) assert.equal(contentOf(at(file)), model.get(file));
        break;
      default:
        assert.deepEqual(fs.readdirSync(root).sort(), ['log', ...model.keys()].sort());
    }
  }
  fs.closeSync(appender);
  fs.closeSync(held.big);
  assert.equal(contentOf(at('log')), logged);
  compare(root, model);
  return { calls };
}

function renameOver(random: Random, at: (name: string) => string, model: Model, files: string[]): void {
  const from = random.pick(files);
  const to = random.pick(files);
  // Two names of one file: nothing happens.
  if (from === undefined || to === undefined || fs.statSync(at(from)).ino === fs.statSync(at(to)).ino) return;
  fs.renameSync(at(from), at(to));
  model.set(to, model.get(from) ?? null);
  model.delete(from);
}

function compare(root: string, model: Model): void {
  assert.deepEqual(fs.readdirSync(root).sort(), ['log', ...model.keys()].sort());
  for (const [name, expected] of model) {
    const path = join(root, name);
    const stat = fs.lstatSync(path);
    const found = stat.isDirectory()
      ? null
      : stat.isSymbolicLink()
        ? `-> ${fs.readlinkSync(path)}`
        : contentOf(path);
    assert.equal(found, expected, name);
  }
}
