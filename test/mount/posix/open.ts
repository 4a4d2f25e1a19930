/** open(2), creat(2), close(2): flags, errno, and what the descriptor can do afterwards. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { constants, fails, file, folder, names, type PosixTable, read, withOpen } from './context.js';

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW } = constants;

/** What may be at the path that the matrix opens. */
const STATES: Readonly<Record<string, (dir: string) => void>> = {
  nothing: () => undefined,
  'a file': (dir) => fs.writeFileSync(join(dir, 'x'), 'old content'),
  'an empty file': (dir) => fs.writeFileSync(join(dir, 'x'), ''),
  'a directory': (dir) => fs.mkdirSync(join(dir, 'x')),
  'a symlink to a file': (dir) => {
    fs.writeFileSync(join(dir, 'target'), 'old content');
    fs.symlinkSync('target', join(dir, 'x'));
  },
  'a symlink to a directory': (dir) => {
    fs.mkdirSync(join(dir, 'target'));
    fs.symlinkSync('target', join(dir, 'x'));
  },
  'a dangling symlink': (dir) => fs.symlinkSync('target', join(dir, 'x')),
};

function flagSets(): Map<string, number> {
  const bits = { O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW };
  const sets = new Map<string, number>();
  for (const [mode, base] of Object.entries({ O_RDONLY, O_WRONLY, O_RDWR })) {
    for (let mask = 0; mask < 1 << Object.keys(bits).length; mask++) {
      const chosen = Object.entries(bits).filter((_, index) => (mask & (1 << index)) !== 0);
      // Linux leaves O_CREAT with O_DIRECTORY undefined, and its answer changed between versions.
      if ((mask & 1) !== 0 && chosen.some(([name]) => name === 'O_DIRECTORY')) continue;
      const flags = chosen.reduce((sum, [, bit]) => sum | bit, base);
      sets.set([mode, ...chosen.map(([name]) => name)].join('|'), flags);
    }
  }
  return sets;
}

function attempt(action: () => unknown): string {
  try {
    return String(action());
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

/** All that can be seen of opening `x` in `dir`: the result, what reads and writes do, what is there afterwards. */
function observeOpen(dir: string, flags: number): string {
  const seen: string[] = [];
  let fd: number | undefined;
  seen.push(
    attempt(() => {
      fd = fs.openSync(join(dir, 'x'), flags, 0o640);
      return 'opened';
    }),
  );
  if (fd !== undefined) {
    const open = fd;
    seen.push(attempt(() => fs.readSync(open, Buffer.alloc(3), 0, 3, null)));
    seen.push(attempt(() => fs.writeSync(open, 'NEW')));
    seen.push(attempt(() => fs.fstatSync(open).size > 100 || fs.fstatSync(open).size));
    fs.closeSync(open);
  }
  for (const name of names(dir)) {
    const stat = fs.lstatSync(join(dir, name));
    const content = stat.isFile() ? read(join(dir, name)) : '-';
    seen.push(`${name} ${(stat.mode & 0o170000).toString(8)} ${content}`);
  }
  return seen.join(', ');
}

/** Every combination of flags must look the same here as on a local directory. */
function matrix(dir: string, prepare: (dir: string) => void): void {
  const local = fs.mkdtempSync(join(tmpdir(), 'infinimount-oracle-'));
  try {
    const observed: string[] = [];
    const expected: string[] = [];
    let count = 0;
    for (const [name, flags] of flagSets()) {
      for (const [base, list] of [
        [dir, observed],
        [local, expected],
      ] as const) {
        const home = join(base, `${count}`);
        fs.mkdirSync(home);
        prepare(home);
        list.push(`${name}: ${observeOpen(home, flags)}`);
      }
      count++;
    }
    assert.deepEqual(observed, expected);
  } finally {
    fs.rmSync(local, { recursive: true });
  }
}

const matrixCases: PosixTable = Object.fromEntries(
  Object.entries(STATES).map(([name, prepare]) => [
    `open: every combination of flags on ${name}`,
    (c) => matrix(c.dir, prepare),
  ]),
);

export const openCases: PosixTable = {
  ...matrixCases,
  'open: a missing file is ENOENT': (c) => fails('ENOENT', () => fs.openSync(c.at('x'), 'r')),
  'open: creating in a missing directory is ENOENT': (c) =>
    fails('ENOENT', () => fs.openSync(c.at('d', 'x'), 'w')),
  'open: below a file is ENOTDIR': (c) => {
    file(c.at('f'));
    fails('ENOTDIR', () => fs.openSync(c.at('f', 'x'), 'r'));
    fails('ENOTDIR', () => fs.openSync(c.at('f', 'x'), 'w'));
  },
  'open: a directory for writing is EISDIR': (c) => {
    folder(c.at('d'));
    fails('EISDIR', () => fs.openSync(c.at('d'), 'r+'));
    fails('EISDIR', () => fs.openSync(c.at('d'), 'w'));
  },
  'open: O_EXCL on an existing file is EEXIST': (c) => {
    file(c.at('f'));
    fails('EEXIST', () => fs.openSync(c.at('f'), 'wx'));
    assert.equal(read(c.at('f')), 'content');
  },
  'open: O_EXCL on a dangling symlink is EEXIST': (c) => {
    fs.symlinkSync('nowhere', c.at('l'));
    fails('EEXIST', () => fs.openSync(c.at('l'), 'wx'));
    assert.deepEqual(names(c.dir), ['l']);
  },
  'open: O_CREAT through a dangling symlink creates the target': (c) => {
    fs.symlinkSync('target', c.at('l'));
    file(c.at('l'), 'through');
    assert.equal(read(c.at('target')), 'through');
  },
  'open: O_DIRECTORY on a file is ENOTDIR': (c) => {
    file(c.at('f'));
    fails('ENOTDIR', () => fs.openSync(c.at('f'), O_RDONLY | O_DIRECTORY));
  },
  'open: O_NOFOLLOW on a symlink is ELOOP': (c) => {
    file(c.at('f'));
    fs.symlinkSync('f', c.at('l'));
    fails('ELOOP', () => fs.openSync(c.at('l'), O_RDONLY | O_NOFOLLOW));
  },
  'open: a trailing slash after a file is ENOTDIR': (c) => {
    file(c.at('f'));
    fails('ENOTDIR', () => fs.openSync(`${c.at('f')}/`, 'r'));
  },
  'open: creating with a trailing slash is EISDIR': (c) =>
    fails('EISDIR', () => fs.openSync(`${c.at('f')}/`, 'w')),
  'open: O_TRUNC empties the file at once': (c) => {
    file(c.at('f'), 'something');
    withOpen(c.at('f'), 'w', () => assert.equal(fs.statSync(c.at('f')).size, 0));
    assert.equal(read(c.at('f')), '');
  },
  'open: O_TRUNC is seen by another handle': (c) => {
    file(c.at('f'), 'something');
    withOpen(c.at('f'), 'r', (fd) => {
      withOpen(c.at('f'), 'w', () => undefined);
      assert.equal(fs.fstatSync(fd).size, 0);
      assert.equal(fs.readSync(fd, Buffer.alloc(10), 0, 10, 0), 0);
    });
  },
  'open: writing to a read-only handle is EBADF': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r', (fd) => fails('EBADF', () => fs.writeSync(fd, 'x')));
  },
  'open: reading from a write-only handle is EBADF': (c) => {
    withOpen(c.at('f'), O_WRONLY | O_CREAT, (fd) => fails('EBADF', () => fs.readSync(fd, Buffer.alloc(1))));
  },
  'open: O_CREAT with a read-only mode still writes through its own handle': (c) => {
    withOpen(c.at('f'), O_RDWR | O_CREAT | O_EXCL, (fd) => fs.writeSync(fd, 'mine'), 0o400);
    assert.equal(read(c.at('f')), 'mine');
    assert.equal(fs.statSync(c.at('f')).mode & 0o777, 0o400);
  },
  'open: a handle keeps its access after chmod 0': (c) => {
    file(c.at('f'), 'kept');
    withOpen(c.at('f'), 'r+', (fd) => {
      fs.chmodSync(c.at('f'), 0);
      assert.equal(fs.readSync(fd, Buffer.alloc(4), 0, 4, 0), 4);
      fs.writeSync(fd, 'more', 0);
    });
    fs.chmodSync(c.at('f'), 0o600);
    assert.equal(read(c.at('f')), 'more');
  },
  'open: a hundred handles of one file at once': (c) => {
    file(c.at('f'), 'shared');
    const fds = Array.from({ length: 100 }, () => fs.openSync(c.at('f'), 'r'));
    for (const fd of fds) assert.equal(fs.readSync(fd, Buffer.alloc(10)), 6);
    for (const fd of fds) fs.closeSync(fd);
  },
  'open: /proc/self/fd opens the same file again': (c) => {
    file(c.at('f'), 'again');
    withOpen(c.at('f'), 'r', (fd) => assert.equal(read(`/proc/self/fd/${fd}`), 'again'));
  },
};
