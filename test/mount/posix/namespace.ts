/** mkdir(2), rmdir(2), unlink(2), mknod(2): what names allow and what becomes of open files. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { mkfifo } from '../../support/mount/syscalls.js';
import { fails, file, folder, names, type PosixTable, pread, read, withOpen } from './context.js';

const LONGEST = 'n'.repeat(255);
const TOO_LONG = 'n'.repeat(256);

export const namespaceCases: PosixTable = {
  'mkdir: makes an empty directory': (c) => {
    folder(c.at('d'));
    assert.ok(fs.statSync(c.at('d')).isDirectory());
    assert.deepEqual(names(c.at('d')), []);
  },
  'mkdir: on an existing directory is EEXIST': (c) => {
    folder(c.at('d'));
    fails('EEXIST', () => fs.mkdirSync(c.at('d')));
  },
  'mkdir: on an existing file is EEXIST': (c) => {
    file(c.at('f'));
    fails('EEXIST', () => fs.mkdirSync(c.at('f')));
  },
  'mkdir: on a dangling symlink is EEXIST': (c) => {
    fs.symlinkSync('nowhere', c.at('l'));
    fails('EEXIST', () => fs.mkdirSync(c.at('l')));
  },
  'mkdir: in a missing directory is ENOENT': (c) => fails('ENOENT', () => fs.mkdirSync(c.at('a', 'b'))),
  'mkdir: below a file is ENOTDIR': (c) => {
    file(c.at('f'));
    fails('ENOTDIR', () => fs.mkdirSync(c.at('f', 'd')));
  },
  'mkdir: a name of 255 bytes is allowed, 256 are ENAMETOOLONG': (c) => {
    folder(c.at(LONGEST));
    assert.deepEqual(names(c.dir), [LONGEST]);
    fails('ENAMETOOLONG', () => fs.mkdirSync(c.at(TOO_LONG)));
  },
  'mkdir: forty levels deep': (c) => {
    const deep = c.at(...Array.from({ length: 40 }, (_, level) => `level${level}`));
    fs.mkdirSync(deep, { recursive: true });
    file(`${deep}/f`, 'deep');
    assert.equal(read(`${deep}/f`), 'deep');
  },
  'mkdir: "." and ".." are EEXIST': (c) => {
    fails('EEXIST', () => fs.mkdirSync(`${c.dir}/.`));
    fails('EEXIST', () => fs.mkdirSync(`${c.dir}/..`));
  },
  'rmdir: removes an empty directory': (c) => {
    fs.rmdirSync(folder(c.at('d')));
    fails('ENOENT', () => fs.statSync(c.at('d')));
  },
  'rmdir: of a full directory is ENOTEMPTY': (c) => {
    folder(c.at('d'));
    file(c.at('d', 'f'));
    fails('ENOTEMPTY', () => fs.rmdirSync(c.at('d')));
    assert.equal(read(c.at('d', 'f')), 'content');
  },
  'rmdir: of a file is ENOTDIR': (c) => fails('ENOTDIR', () => fs.rmdirSync(file(c.at('f')))),
  'rmdir: of nothing is ENOENT': (c) => fails('ENOENT', () => fs.rmdirSync(c.at('d'))),
  'rmdir: of "." is EINVAL': (c) => {
    folder(c.at('d'));
    fails('EINVAL', () => fs.rmdirSync(`${c.at('d')}/.`));
  },
  'rmdir: of ".." is ENOTEMPTY': (c) => {
    folder(c.at('d'));
    fails('ENOTEMPTY', () => fs.rmdirSync(`${c.at('d')}/..`));
  },
  'rmdir: of a symlink to a directory is ENOTDIR': (c) => {
    folder(c.at('d'));
    fs.symlinkSync('d', c.at('l'));
    fails('ENOTDIR', () => fs.rmdirSync(c.at('l')));
  },
  'rmdir: works after the last entry is gone': (c) => {
    folder(c.at('d'));
    file(c.at('d', 'f'));
    fs.unlinkSync(c.at('d', 'f'));
    fs.rmdirSync(c.at('d'));
    assert.deepEqual(names(c.dir), []);
  },
  'rmdir: nothing can be created in a removed directory that is still open': (c) => {
    folder(c.at('d'));
    withOpen(c.at('d'), 'r', (fd) => {
      fs.rmdirSync(c.at('d'));
      fails('ENOENT', () => fs.writeFileSync(`/proc/self/fd/${fd}/f`, 'x'));
    });
  },
  'rmdir: a name can be used again at once': (c) => {
    for (let i = 0; i < 5; i++) {
      folder(c.at('d'));
      assert.deepEqual(names(c.at('d')), []);
      file(c.at('d', `f${i}`));
      fs.unlinkSync(c.at('d', `f${i}`));
      fs.rmdirSync(c.at('d'));
    }
  },
  'unlink: removes a file': (c) => {
    fs.unlinkSync(file(c.at('f')));
    assert.deepEqual(names(c.dir), []);
    fails('ENOENT', () => fs.statSync(c.at('f')));
  },
  'unlink: of nothing is ENOENT': (c) => fails('ENOENT', () => fs.unlinkSync(c.at('f'))),
  'unlink: of a directory is EISDIR': (c) => fails('EISDIR', () => fs.unlinkSync(folder(c.at('d')))),
  'unlink: below a file is ENOTDIR': (c) => {
    file(c.at('f'));
    fails('ENOTDIR', () => fs.unlinkSync(c.at('f', 'x')));
  },
  'unlink: a name of 256 bytes is ENAMETOOLONG': (c) =>
    fails('ENAMETOOLONG', () => fs.unlinkSync(c.at(TOO_LONG))),
  'unlink: removes a symlink, not its target': (c) => {
    file(c.at('f'));
    fs.symlinkSync('f', c.at('l'));
    fs.unlinkSync(c.at('l'));
    assert.deepEqual(names(c.dir), ['f']);
  },
  'unlink: a file removed and made again has its new content': (c) => {
    for (let i = 0; i < 5; i++) {
      file(c.at('f'), `content ${i}`);
      assert.equal(read(c.at('f')), `content ${i}`);
      fs.unlinkSync(c.at('f'));
    }
  },
  'unlink: an open file can still be read': (c) => {
    file(c.at('f'), 'still here');
    withOpen(c.at('f'), 'r', (fd) => {
      fs.unlinkSync(c.at('f'));
      assert.deepEqual(names(c.dir), []);
      assert.equal(pread(fd, 20, 0).toString(), 'still here');
    });
  },
  'unlink: an open file can still be written, grown and cut': (c) => {
    file(c.at('f'), 'still here');
    withOpen(c.at('f'), 'r+', (fd) => {
      fs.unlinkSync(c.at('f'));
      fs.writeSync(fd, 'STILL', 0);
      fs.writeSync(fd, ' and more', 10);
      assert.equal(pread(fd, 50, 0).toString(), 'STILL here and more');
      fs.ftruncateSync(fd, 5);
      assert.equal(fs.fstatSync(fd).size, 5);
      fs.fsyncSync(fd);
    });
  },
  'unlink: fstat of an open, removed file shows no link': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r', (fd) => {
      assert.equal(fs.fstatSync(fd).nlink, 1);
      fs.unlinkSync(c.at('f'));
      assert.equal(fs.fstatSync(fd).nlink, 0);
    });
  },
  'unlink: an open, removed file is apart from a new one of its name': (c) => {
    file(c.at('f'), 'old');
    withOpen(c.at('f'), 'r+', (fd) => {
      fs.unlinkSync(c.at('f'));
      file(c.at('f'), 'new');
      fs.writeSync(fd, 'OLD', 0);
      assert.equal(pread(fd, 10, 0).toString(), 'OLD');
      assert.equal(read(c.at('f')), 'new');
    });
    assert.equal(read(c.at('f')), 'new');
  },
  'unlink: two handles of a removed file share it': (c) => {
    file(c.at('f'), 'shared');
    withOpen(c.at('f'), 'r+', (first) =>
      withOpen(c.at('f'), 'r', (second) => {
        fs.unlinkSync(c.at('f'));
        fs.writeSync(first, 'SHARED', 0);
        assert.equal(pread(second, 10, 0).toString(), 'SHARED');
      }),
    );
  },
  'unlink: fchmod of an open, removed file': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r+', (fd) => {
      fs.unlinkSync(c.at('f'));
      fs.fchmodSync(fd, 0o600);
      assert.equal(fs.fstatSync(fd).mode & 0o777, 0o600);
    });
  },
  'unlink: a file created, written and removed before its close': (c) => {
    withOpen(c.at('f'), 'w+', (fd) => {
      fs.unlinkSync(c.at('f'));
      fs.writeSync(fd, 'temporary');
      assert.equal(pread(fd, 20, 0).toString(), 'temporary');
    });
    assert.deepEqual(names(c.dir), []);
  },
  'create: a name of 255 bytes is allowed, 256 are ENAMETOOLONG': (c) => {
    file(c.at(LONGEST));
    assert.equal(read(c.at(LONGEST)), 'content');
    fails('ENAMETOOLONG', () => fs.writeFileSync(c.at(TOO_LONG), ''));
    fails('ENAMETOOLONG', () => fs.statSync(c.at(TOO_LONG)));
  },
  'create: a path of more than 4,096 bytes is ENAMETOOLONG': (c) => {
    fails('ENAMETOOLONG', () => fs.statSync(c.at(...Array.from({ length: 50 }, () => 'p'.repeat(100)))));
  },
  'create: an empty path is ENOENT': () => fails('ENOENT', () => fs.openSync('', 'r')),
  'mknod: a FIFO works between two handles or is refused': (c) => {
    try {
      mkfifo(c.at('p'), 0o600);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      assert.ok(['EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS'].includes(code), `refused with ${error}`);
      assert.deepEqual(names(c.dir), []);
      return;
    }
    assert.ok(fs.statSync(c.at('p')).isFIFO());
    withOpen(c.at('p'), 'r+', (fd) => {
      fs.writeSync(fd, 'piped');
      const buffer = Buffer.alloc(5);
      fs.readSync(fd, buffer);
      assert.equal(buffer.toString(), 'piped');
    });
  },
  'stat: inode numbers are stable and distinct': (c) => {
    file(c.at('a'));
    file(c.at('b'));
    const first = fs.statSync(c.at('a')).ino;
    assert.notEqual(first, fs.statSync(c.at('b')).ino);
    fs.renameSync(c.at('a'), c.at('c'));
    assert.equal(fs.statSync(c.at('c')).ino, first);
  },
  'stat: "." and ".." lead where they should': (c) => {
    folder(c.at('d'));
    assert.equal(fs.statSync(c.at('d/.')).ino, fs.statSync(c.at('d')).ino);
    assert.equal(fs.statSync(`${c.at('d')}/..`).ino, fs.statSync(c.dir).ino);
  },
  'stat: blocks follow the content': (c) => {
    file(c.at('f'), Buffer.alloc(100_000, 1));
    withOpen(c.at('f'), 'r', (fd) => fs.fsyncSync(fd));
    assert.ok(fs.statSync(c.at('f')).blocks * 512 >= 100_000);
  },
};
