/** link(2), symlink(2), readlink(2), link counts. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { fails, file, folder, names, type PosixTable, pread, read, withOpen } from './context.js';

function nlink(path: string): number {
  return fs.lstatSync(path).nlink;
}

export const linkCases: PosixTable = {
  'nlink: a new file has 1': (c) => assert.equal(nlink(file(c.at('f'))), 1),
  'nlink: an empty directory has 2': (c) => assert.equal(nlink(folder(c.at('d'))), 2),
  'nlink: subdirectories count, files do not': (c) => {
    folder(c.at('d'));
    folder(c.at('d', 'a'));
    folder(c.at('d', 'b'));
    file(c.at('d', 'f'));
    assert.equal(nlink(c.at('d')), 4);
    fs.rmdirSync(c.at('d', 'a'));
    assert.equal(nlink(c.at('d')), 3);
  },
  'nlink: moves with a moved directory': (c) => {
    folder(c.at('d'));
    folder(c.at('e'));
    folder(c.at('d', 'a'));
    fs.renameSync(c.at('d', 'a'), c.at('e', 'a'));
    assert.deepEqual([nlink(c.at('d')), nlink(c.at('e'))], [2, 3]);
  },
  'nlink: a directory replaced by rename counts no more': (c) => {
    folder(c.at('d'));
    folder(c.at('d', 'a'));
    folder(c.at('d', 'b'));
    fs.renameSync(c.at('d', 'a'), c.at('d', 'b'));
    assert.equal(nlink(c.at('d')), 3);
  },
  'link: both names are one file': (c) => {
    file(c.at('a'));
    fs.linkSync(c.at('a'), c.at('b'));
    assert.equal(fs.statSync(c.at('a')).ino, fs.statSync(c.at('b')).ino);
    assert.deepEqual([nlink(c.at('a')), nlink(c.at('b'))], [2, 2]);
  },
  'link: what is written through one name is read through the other': (c) => {
    file(c.at('a'), 'one');
    fs.linkSync(c.at('a'), c.at('b'));
    fs.appendFileSync(c.at('b'), ' two');
    assert.equal(read(c.at('a')), 'one two');
    fs.truncateSync(c.at('a'), 3);
    assert.equal(read(c.at('b')), 'one');
  },
  'link: attributes are shared': (c) => {
    file(c.at('a'));
    fs.linkSync(c.at('a'), c.at('b'));
    fs.chmodSync(c.at('b'), 0o600);
    assert.equal(fs.statSync(c.at('a')).mode & 0o777, 0o600);
  },
  'link: removing one name leaves the other': (c) => {
    file(c.at('a'));
    fs.linkSync(c.at('a'), c.at('b'));
    fs.unlinkSync(c.at('a'));
    assert.equal(read(c.at('b')), 'content');
    assert.equal(nlink(c.at('b')), 1);
  },
  'link: into another directory, then the first is removed': (c) => {
    folder(c.at('d'));
    folder(c.at('e'));
    file(c.at('d', 'f'));
    fs.linkSync(c.at('d', 'f'), c.at('e', 'g'));
    fs.rmSync(c.at('d'), { recursive: true });
    assert.equal(read(c.at('e', 'g')), 'content');
  },
  'link: a rename of one name leaves the other': (c) => {
    file(c.at('a'));
    fs.linkSync(c.at('a'), c.at('b'));
    fs.renameSync(c.at('b'), c.at('c'));
    fs.appendFileSync(c.at('c'), '!');
    assert.deepEqual(names(c.dir), ['a', 'c']);
    assert.equal(read(c.at('a')), 'content!');
  },
  'link: replacing one name leaves the other': (c) => {
    file(c.at('a'), 'old');
    fs.linkSync(c.at('a'), c.at('b'));
    fs.renameSync(file(c.at('n'), 'new'), c.at('a'));
    assert.equal(read(c.at('a')) + read(c.at('b')), 'newold');
    assert.equal(nlink(c.at('b')), 1);
  },
  'link: to an existing name is EEXIST': (c) => {
    file(c.at('a'));
    file(c.at('b'));
    fails('EEXIST', () => fs.linkSync(c.at('a'), c.at('b')));
  },
  'link: of nothing is ENOENT': (c) => fails('ENOENT', () => fs.linkSync(c.at('a'), c.at('b'))),
  'link: of a directory is EPERM': (c) => {
    folder(c.at('d'));
    fails('EPERM', () => fs.linkSync(c.at('d'), c.at('e')));
  },
  'link: into a missing directory is ENOENT': (c) => {
    file(c.at('a'));
    fails('ENOENT', () => fs.linkSync(c.at('a'), c.at('d', 'b')));
  },
  'link: of an open file that is written later': (c) => {
    withOpen(c.at('a'), 'w', (fd) => {
      fs.linkSync(c.at('a'), c.at('b'));
      fs.writeSync(fd, 'late');
    });
    assert.equal(read(c.at('b')), 'late');
  },
  'link: ten names of one file': (c) => {
    file(c.at('f0'));
    for (let i = 1; i < 10; i++) fs.linkSync(c.at('f0'), c.at(`f${i}`));
    assert.equal(nlink(c.at('f5')), 10);
    for (let i = 0; i < 9; i++) fs.unlinkSync(c.at(`f${i}`));
    assert.equal(nlink(c.at('f9')), 1);
  },
  'symlink: readlink gives the target as it was given': (c) => {
    for (const [index, target] of ['f', './a/../b', '/absolute/path', 'ü 日本', 'trailing/'].entries()) {
      fs.symlinkSync(target, c.at(`l${index}`));
      assert.equal(fs.readlinkSync(c.at(`l${index}`)), target);
    }
  },
  'symlink: lstat shows a link of the target’s length': (c) => {
    fs.symlinkSync('twelve bytes', c.at('l'));
    const stat = fs.lstatSync(c.at('l'));
    assert.ok(stat.isSymbolicLink());
    assert.equal(stat.size, 12);
  },
  'symlink: a dangling one is ENOENT, but is there': (c) => {
    fs.symlinkSync('nowhere', c.at('l'));
    fails('ENOENT', () => fs.statSync(c.at('l')));
    fails('ENOENT', () => fs.openSync(c.at('l'), 'r'));
    assert.deepEqual(names(c.dir), ['l']);
  },
  'symlink: a loop is ELOOP': (c) => {
    fs.symlinkSync('b', c.at('a'));
    fs.symlinkSync('a', c.at('b'));
    fails('ELOOP', () => fs.statSync(c.at('a')));
    fails('ELOOP', () => fs.openSync(c.at('a'), 'r'));
    fails('ELOOP', () => fs.readdirSync(c.at('a', 'x')));
  },
  'symlink: to a directory is followed in paths': (c) => {
    folder(c.at('d'));
    fs.symlinkSync('d', c.at('l'));
    file(c.at('l', 'f'), 'inside');
    assert.equal(read(c.at('d', 'f')), 'inside');
  },
  'symlink: relative targets start at the link': (c) => {
    fs.mkdirSync(c.at('a', 'b'), { recursive: true });
    file(c.at('a', 'f'), 'up');
    fs.symlinkSync('../f', c.at('a', 'b', 'l'));
    assert.equal(read(c.at('a', 'b', 'l')), 'up');
  },
  'symlink: a target of 1,000 bytes': (c) => {
    fs.symlinkSync('t'.repeat(1_000), c.at('l'));
    assert.equal(fs.readlinkSync(c.at('l')).length, 1_000);
    assert.equal(fs.lstatSync(c.at('l')).size, 1_000);
  },
  'symlink: a target of 4,095 bytes works, 4,096 are ENAMETOOLONG': (c) => {
    fs.symlinkSync('t'.repeat(4095), c.at('l'));
    assert.equal(fs.readlinkSync(c.at('l')).length, 4095);
    fails('ENAMETOOLONG', () => fs.symlinkSync('t'.repeat(4096), c.at('m')));
  },
  'symlink: to an existing name is EEXIST': (c) => {
    file(c.at('f'));
    fails('EEXIST', () => fs.symlinkSync('x', c.at('f')));
  },
  'symlink: an empty target is ENOENT': (c) => fails('ENOENT', () => fs.symlinkSync('', c.at('l'))),
  'symlink: readlink of a file is EINVAL': (c) => fails('EINVAL', () => fs.readlinkSync(file(c.at('f')))),
  'symlink: readlink of a directory is EINVAL': (c) =>
    fails('EINVAL', () => fs.readlinkSync(folder(c.at('d')))),
  'symlink: replaced atomically by rename': (c) => {
    fs.symlinkSync('one', c.at('l'));
    fs.symlinkSync('two', c.at('n'));
    fs.renameSync(c.at('n'), c.at('l'));
    assert.equal(fs.readlinkSync(c.at('l')), 'two');
  },
  'symlink: a hard link of a symlink': (c) => {
    fs.symlinkSync('target', c.at('l'));
    fs.linkSync(c.at('l'), c.at('m'));
    assert.equal(fs.readlinkSync(c.at('m')), 'target');
    assert.equal(nlink(c.at('l')), 2);
  },
  'symlink: lchown leaves the target alone': (c) => {
    file(c.at('f'));
    fs.symlinkSync('f', c.at('l'));
    const { uid, gid } = fs.statSync(c.at('f'));
    fs.lchownSync(c.at('l'), uid, gid);
    assert.equal(fs.statSync(c.at('f')).uid, uid);
  },
  'link: an unlinked, open file cannot be linked back': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r', (fd) => {
      fs.unlinkSync(c.at('f'));
      fails(['ENOENT', 'EXDEV', 'EPERM'], () => fs.linkSync(`/proc/self/fd/${fd}`, c.at('g')));
      assert.equal(pread(fd, 7, 0).toString(), 'content');
    });
  },
};
