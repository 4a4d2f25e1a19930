/** rename(2) and renameat2(2). */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2 } from '../../support/mount/syscalls.js';
import { fails, file, folder, names, type PosixTable, pread, read, withOpen } from './context.js';

export const renameCases: PosixTable = {
  'rename: a file to a new name': (c) => {
    fs.renameSync(file(c.at('a')), c.at('b'));
    assert.deepEqual(names(c.dir), ['b']);
    assert.equal(read(c.at('b')), 'content');
  },
  'rename: over an existing file replaces it': (c) => {
    file(c.at('a'), 'new');
    file(c.at('b'), 'old and longer');
    fs.renameSync(c.at('a'), c.at('b'));
    assert.deepEqual(names(c.dir), ['b']);
    assert.equal(read(c.at('b')), 'new');
  },
  'rename: of nothing is ENOENT': (c) => fails('ENOENT', () => fs.renameSync(c.at('a'), c.at('b'))),
  'rename: into a missing directory is ENOENT': (c) => {
    file(c.at('a'));
    fails('ENOENT', () => fs.renameSync(c.at('a'), c.at('d', 'a')));
    assert.deepEqual(names(c.dir), ['a']);
  },
  'rename: below a file is ENOTDIR': (c) => {
    file(c.at('a'));
    file(c.at('b'));
    fails('ENOTDIR', () => fs.renameSync(c.at('a'), c.at('b', 'a')));
  },
  'rename: a file over a directory is EISDIR': (c) => {
    file(c.at('a'));
    folder(c.at('d'));
    fails('EISDIR', () => fs.renameSync(c.at('a'), c.at('d')));
    assert.deepEqual(names(c.dir), ['a', 'd']);
  },
  'rename: a directory over a file is ENOTDIR': (c) => {
    folder(c.at('d'));
    file(c.at('a'));
    fails('ENOTDIR', () => fs.renameSync(c.at('d'), c.at('a')));
    assert.deepEqual(names(c.dir), ['a', 'd']);
  },
  'rename: a directory over an empty one replaces it': (c) => {
    folder(c.at('d'));
    file(c.at('d', 'f'));
    folder(c.at('e'));
    fs.renameSync(c.at('d'), c.at('e'));
    assert.deepEqual(names(c.dir), ['e']);
    assert.deepEqual(names(c.at('e')), ['f']);
  },
  'rename: a directory over a full one is ENOTEMPTY': (c) => {
    folder(c.at('d'));
    folder(c.at('e'));
    file(c.at('e', 'kept'));
    fails(['ENOTEMPTY', 'EEXIST'], () => fs.renameSync(c.at('d'), c.at('e')));
    assert.equal(read(c.at('e', 'kept')), 'content');
    assert.deepEqual(names(c.dir), ['d', 'e']);
  },
  'rename: a directory into itself is EINVAL': (c) => {
    folder(c.at('d'));
    fails('EINVAL', () => fs.renameSync(c.at('d'), c.at('d', 'e')));
  },
  'rename: a directory deep into itself is EINVAL': (c) => {
    fs.mkdirSync(c.at('d', 'a', 'b'), { recursive: true });
    fails('EINVAL', () => fs.renameSync(c.at('d'), c.at('d', 'a', 'b', 'c')));
    assert.deepEqual(names(c.dir), ['d']);
  },
  'rename: a directory over its own parent is ENOTEMPTY': (c) => {
    fs.mkdirSync(c.at('d', 'e'), { recursive: true });
    fails(['ENOTEMPTY', 'EEXIST'], () => fs.renameSync(c.at('d', 'e'), c.at('d')));
  },
  'rename: a file onto itself does nothing': (c) => {
    file(c.at('a'));
    fs.renameSync(c.at('a'), c.at('a'));
    assert.equal(read(c.at('a')), 'content');
  },
  'rename: a directory onto itself does nothing': (c) => {
    folder(c.at('d'));
    file(c.at('d', 'f'));
    fs.renameSync(c.at('d'), c.at('d'));
    assert.deepEqual(names(c.at('d')), ['f']);
  },
  'rename: between two links of one file does nothing': (c) => {
    file(c.at('a'));
    fs.linkSync(c.at('a'), c.at('b'));
    fs.renameSync(c.at('a'), c.at('b'));
    assert.deepEqual(names(c.dir), ['a', 'b']);
  },
  'rename: a file between directories': (c) => {
    folder(c.at('d'));
    folder(c.at('e'));
    file(c.at('d', 'f'));
    fs.renameSync(c.at('d', 'f'), c.at('e', 'g'));
    assert.deepEqual(names(c.at('d')), []);
    assert.equal(read(c.at('e', 'g')), 'content');
  },
  'rename: a full directory between directories': (c) => {
    fs.mkdirSync(c.at('d', 'sub', 'deep'), { recursive: true });
    file(c.at('d', 'sub', 'deep', 'f'));
    folder(c.at('e'));
    fs.renameSync(c.at('d', 'sub'), c.at('e', 'moved'));
    assert.equal(read(c.at('e', 'moved', 'deep', 'f')), 'content');
    fails('ENOENT', () => fs.statSync(c.at('d', 'sub')));
  },
  'rename: ".." of a moved directory is its new parent': (c) => {
    fs.mkdirSync(c.at('d', 'sub'), { recursive: true });
    folder(c.at('e'));
    fs.renameSync(c.at('d', 'sub'), c.at('e', 'sub'));
    assert.equal(fs.statSync(`${c.at('e', 'sub')}/..`).ino, fs.statSync(c.at('e')).ino);
  },
  'rename: back and forth': (c) => {
    file(c.at('a'));
    for (let i = 0; i < 10; i++) {
      fs.renameSync(c.at('a'), c.at('b'));
      fs.renameSync(c.at('b'), c.at('a'));
    }
    assert.deepEqual(names(c.dir), ['a']);
  },
  'rename: swaps two files through a third name': (c) => {
    file(c.at('a'), 'A');
    file(c.at('b'), 'B');
    fs.renameSync(c.at('a'), c.at('t'));
    fs.renameSync(c.at('b'), c.at('a'));
    fs.renameSync(c.at('t'), c.at('b'));
    assert.equal(read(c.at('a')) + read(c.at('b')), 'BA');
  },
  'rename: swaps two full directories through a third name': (c) => {
    for (const name of ['a', 'b']) {
      folder(c.at(name));
      file(c.at(name, 'f'), name);
    }
    fs.renameSync(c.at('a'), c.at('t'));
    fs.renameSync(c.at('b'), c.at('a'));
    fs.renameSync(c.at('t'), c.at('b'));
    assert.equal(read(c.at('a', 'f')) + read(c.at('b', 'f')), 'ba');
  },
  'rename: a symlink moves, not its target': (c) => {
    file(c.at('f'));
    fs.symlinkSync('f', c.at('l'));
    fs.renameSync(c.at('l'), c.at('m'));
    assert.equal(fs.readlinkSync(c.at('m')), 'f');
    assert.deepEqual(names(c.dir), ['f', 'm']);
  },
  'rename: over a symlink replaces the symlink': (c) => {
    file(c.at('f'), 'target');
    fs.symlinkSync('f', c.at('l'));
    fs.renameSync(file(c.at('n'), 'new'), c.at('l'));
    assert.ok(fs.lstatSync(c.at('l')).isFile());
    assert.equal(read(c.at('f')), 'target');
  },
  'rename: a name of 256 bytes is ENAMETOOLONG': (c) => {
    file(c.at('a'));
    fails('ENAMETOOLONG', () => fs.renameSync(c.at('a'), c.at('n'.repeat(256))));
  },
  'rename: a file to a name with a trailing slash is ENOTDIR': (c) => {
    file(c.at('a'));
    fails('ENOTDIR', () => fs.renameSync(c.at('a'), `${c.at('b')}/`));
  },
  'rename: "." is EBUSY or EINVAL': (c) => {
    folder(c.at('d'));
    fails(['EBUSY', 'EINVAL'], () => fs.renameSync(`${c.at('d')}/.`, c.at('e')));
  },
  'rename: an open file keeps working under its new name': (c) => {
    withOpen(c.at('a'), 'w+', (fd) => {
      fs.writeSync(fd, 'before ');
      fs.renameSync(c.at('a'), c.at('b'));
      fs.writeSync(fd, 'after');
      assert.equal(pread(fd, 30, 0).toString(), 'before after');
    });
    assert.equal(read(c.at('b')), 'before after');
    assert.deepEqual(names(c.dir), ['b']);
  },
  'rename: an open file in a moved directory keeps working': (c) => {
    folder(c.at('d'));
    withOpen(c.at('d', 'f'), 'w', (fd) => {
      fs.writeSync(fd, 'one ');
      fs.renameSync(c.at('d'), c.at('e'));
      fs.writeSync(fd, 'two');
    });
    assert.equal(read(c.at('e', 'f')), 'one two');
  },
  'rename: a replaced file that is open can still be read and written': (c) => {
    file(c.at('a'), 'new');
    file(c.at('b'), 'old');
    withOpen(c.at('b'), 'r+', (fd) => {
      fs.renameSync(c.at('a'), c.at('b'));
      assert.equal(pread(fd, 10, 0).toString(), 'old');
      fs.writeSync(fd, 'OLD!', 0);
      assert.equal(pread(fd, 10, 0).toString(), 'OLD!');
      assert.equal(fs.fstatSync(fd).nlink, 0);
    });
    assert.equal(read(c.at('b')), 'new');
  },
  'rename: saving by temporary file, many times': (c) => {
    for (let i = 0; i < 20; i++) {
      file(c.at('doc.tmp'), `version ${i}`);
      fs.renameSync(c.at('doc.tmp'), c.at('doc'));
      assert.equal(read(c.at('doc')), `version ${i}`);
    }
    assert.deepEqual(names(c.dir), ['doc']);
  },
  'rename: saving with a backup of the old version': (c) => {
    file(c.at('doc'), 'one');
    fs.renameSync(c.at('doc'), c.at('doc~'));
    file(c.at('doc'), 'two');
    assert.equal(read(c.at('doc')) + read(c.at('doc~')), 'twoone');
  },
  'rename: changes only the case of a name': (c) => {
    file(c.at('Name'));
    fs.renameSync(c.at('Name'), c.at('name'));
    assert.deepEqual(names(c.dir), ['name']);
  },
  'rename: names that differ only in case are two files': (c) => {
    file(c.at('Name'), 'upper');
    file(c.at('name'), 'lower');
    assert.equal(read(c.at('Name')) + read(c.at('name')), 'upperlower');
  },
  'renameat2: NOREPLACE to a free name': (c) => {
    renameat2(file(c.at('a')), c.at('b'), RENAME_NOREPLACE);
    assert.deepEqual(names(c.dir), ['b']);
  },
  'renameat2: NOREPLACE to a taken name is EEXIST': (c) => {
    file(c.at('a'), 'A');
    file(c.at('b'), 'B');
    fails('EEXIST', () => renameat2(c.at('a'), c.at('b'), RENAME_NOREPLACE));
    assert.equal(read(c.at('a')) + read(c.at('b')), 'AB');
  },
  'renameat2: EXCHANGE of two files': (c) => {
    file(c.at('a'), 'A');
    file(c.at('b'), 'B');
    renameat2(c.at('a'), c.at('b'), RENAME_EXCHANGE);
    assert.equal(read(c.at('a')) + read(c.at('b')), 'BA');
  },
  'renameat2: EXCHANGE of a file and a full directory': (c) => {
    file(c.at('a'), 'A');
    folder(c.at('d'));
    file(c.at('d', 'f'), 'F');
    renameat2(c.at('a'), c.at('d'), RENAME_EXCHANGE);
    assert.equal(read(c.at('d')), 'A');
    assert.equal(read(c.at('a', 'f')), 'F');
  },
  'renameat2: EXCHANGE across directories': (c) => {
    folder(c.at('d'));
    file(c.at('d', 'f'), 'F');
    file(c.at('g'), 'G');
    renameat2(c.at('d', 'f'), c.at('g'), RENAME_EXCHANGE);
    assert.equal(read(c.at('d', 'f')) + read(c.at('g')), 'GF');
  },
  'renameat2: EXCHANGE with nothing is ENOENT': (c) => {
    file(c.at('a'));
    fails('ENOENT', () => renameat2(c.at('a'), c.at('b'), RENAME_EXCHANGE));
    assert.deepEqual(names(c.dir), ['a']);
  },
  'renameat2: EXCHANGE with a directory above is EINVAL': (c) => {
    fs.mkdirSync(c.at('d', 'e'), { recursive: true });
    fails('EINVAL', () => renameat2(c.at('d'), c.at('d', 'e'), RENAME_EXCHANGE));
  },
  'renameat2: NOREPLACE with EXCHANGE is EINVAL': (c) => {
    file(c.at('a'));
    file(c.at('b'));
    fails('EINVAL', () => renameat2(c.at('a'), c.at('b'), RENAME_NOREPLACE | RENAME_EXCHANGE));
  },
};
