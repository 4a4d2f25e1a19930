/** readdir(3), telldir(3), seekdir(3), and the names that a directory may hold. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { DirStream } from '../../support/mount/syscalls.js';
import { fails, file, folder, names, type PosixTable, read } from './context.js';

/** Names that break programs which quote, encode or split carelessly. */
export const ODD_NAMES: readonly string[] = [
  'a space',
  ' leading space',
  'trailing space ',
  'trailing dot.',
  '...',
  '.hidden',
  '-dash',
  '%',
  '%20',
  '%2F',
  '100% sure',
  'hash#tag',
  'query?x=1&y=2',
  'semi;colon',
  'plus+plus',
  'at@sign',
  'comma,equals=',
  'tilde~',
  '~',
  'back\\slash',
  'double"quote',
  "single'quote",
  'back`tick',
  'dollar$HOME',
  'star*',
  '[brackets]',
  '{braces}',
  '(parens)',
  '<angle>&amp;',
  'pipe|',
  'caret^',
  'colon:name',
  'exclamation!',
  'new\nline',
  'tab\tname',
  'bell\u0007',
  'delete\u007f',
  'café',
  'cafe\u0301',
  'ümläut ß',
  '日本語のファイル名',
  'ﾊﾝｶｸ',
  '한국어',
  'русский',
  'עברית',
  '😀 emoji 👩‍👩‍👧‍👦',
  '\u{20000}',
  'zero\u200bwidth',
  'CON',
  'aux.txt',
  'Thumbs.db',
  'あ'.repeat(85),
  'x'.repeat(255),
];

function streamNames(path: string): string[] {
  const dir = new DirStream(path);
  try {
    return dir.rest().sort();
  } finally {
    dir.close();
  }
}

const oddNameCases: PosixTable = Object.fromEntries(
  ODD_NAMES.map((name) => [
    `names: ${JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}...` : name)}`,
    (c) => {
      file(c.at(name), name);
      assert.deepEqual(names(c.dir), [name]);
      assert.equal(read(c.at(name)), name);
      fs.renameSync(c.at(name), c.at('plain'));
      fs.renameSync(c.at('plain'), c.at(name));
      assert.equal(fs.statSync(c.at(name)).size, Buffer.byteLength(name));
      fs.unlinkSync(c.at(name));
      folder(c.at(name));
      file(c.at(name, name), 'inside');
      assert.equal(read(c.at(name, name)), 'inside');
      fs.symlinkSync(name, c.at('link'));
      assert.equal(fs.readlinkSync(c.at('link')), name);
    },
  ]),
);

export const directoryCases: PosixTable = {
  'readdir: lists files, directories and symlinks with their kinds': (c) => {
    file(c.at('f'));
    folder(c.at('d'));
    fs.symlinkSync('f', c.at('l'));
    const kinds = fs.readdirSync(c.dir, { withFileTypes: true }).map((entry) => {
      const kind = entry.isDirectory() ? 'directory' : entry.isSymbolicLink() ? 'symlink' : 'file';
      return `${entry.name} ${kind}`;
    });
    assert.deepEqual(kinds.sort(), ['d directory', 'f file', 'l symlink']);
  },
  'readdir: has "." and ".."': (c) => {
    const dir = new DirStream(c.dir);
    const seen: (string | undefined)[] = [dir.read(), dir.read(), dir.read()];
    dir.close();
    assert.deepEqual(seen.slice(0, 2).sort(), ['.', '..']);
    assert.equal(seen[2], undefined);
  },
  'readdir: of a file is ENOTDIR': (c) => fails('ENOTDIR', () => fs.readdirSync(file(c.at('f')))),
  'readdir: of nothing is ENOENT': (c) => fails('ENOENT', () => fs.readdirSync(c.at('d'))),
  'readdir: 1,500 entries, each once': (c) => {
    const wanted = Array.from({ length: 1_500 }, (_, i) => `entry number ${i} with a longer name`).sort();
    for (const name of wanted) file(c.at(name), '');
    assert.deepEqual(names(c.dir), wanted);
    assert.deepEqual(streamNames(c.dir), wanted);
  },
  'readdir: removing each entry while reading empties the directory': (c) => {
    for (let i = 0; i < 500; i++) file(c.at(`f${i}`), '');
    const dir = new DirStream(c.dir);
    for (let name = dir.read(); name !== undefined; name = dir.read()) {
      if (name !== '.' && name !== '..') fs.unlinkSync(c.at(name));
    }
    dir.close();
    assert.deepEqual(names(c.dir), []);
  },
  'readdir: entries that stay are seen once while others come and go': (c) => {
    const staying = Array.from({ length: 400 }, (_, i) => `stay${i}`).sort();
    for (const name of staying) file(c.at(name), '');
    for (let i = 0; i < 200; i++) file(c.at(`go${i}`), '');
    const dir = new DirStream(c.dir);
    const seen: string[] = [];
    let step = 0;
    for (let name = dir.read(); name !== undefined; name = dir.read()) {
      seen.push(name);
      if (step < 200) {
        fs.unlinkSync(c.at(`go${step}`));
        file(c.at(`come${step}`), '');
      }
      step++;
    }
    dir.close();
    assert.deepEqual(seen.filter((name) => name.startsWith('stay')).sort(), staying);
    assert.equal(new Set(seen).size, seen.length);
  },
  'readdir: after rewinddir shows what is there then': (c) => {
    file(c.at('a'), '');
    const dir = new DirStream(c.dir);
    assert.deepEqual(dir.rest(), ['a']);
    file(c.at('b'), '');
    dir.rewind();
    assert.deepEqual(dir.rest().sort(), ['a', 'b']);
    dir.close();
  },
  'readdir: seekdir returns to where telldir was': (c) => {
    for (let i = 0; i < 300; i++) file(c.at(`f${i}`), '');
    const dir = new DirStream(c.dir);
    for (let i = 0; i < 100; i++) dir.read();
    const position = dir.tell();
    const after = dir.rest();
    dir.seek(position);
    assert.deepEqual(dir.rest(), after);
    dir.close();
  },
  'readdir: two streams of one directory do not disturb each other': (c) => {
    for (let i = 0; i < 100; i++) file(c.at(`f${i}`), '');
    const one = new DirStream(c.dir);
    const two = new DirStream(c.dir);
    one.read();
    one.read();
    assert.equal(two.rest().length, 100);
    assert.ok(one.rest().length >= 98);
    one.close();
    two.close();
  },
  'readdir: a directory removed while it is open ends': (c) => {
    folder(c.at('d'));
    file(c.at('d', 'f'));
    const dir = new DirStream(c.at('d'));
    fs.unlinkSync(c.at('d', 'f'));
    fs.rmdirSync(c.at('d'));
    dir.rewind();
    assert.deepEqual(dir.rest(), []);
    dir.close();
  },
  'readdir: recursive removal of a tree': (c) => {
    for (let d = 0; d < 10; d++) {
      fs.mkdirSync(c.at('t', `d${d}`, 'sub'), { recursive: true });
      for (let f = 0; f < 10; f++) file(c.at('t', `d${d}`, 'sub', `f${f}`), '');
    }
    fs.rmSync(c.at('t'), { recursive: true });
    assert.deepEqual(names(c.dir), []);
  },
  'readdir: inode numbers agree with stat': (c) => {
    file(c.at('f'));
    const seen = fs.readdirSync(c.dir, { withFileTypes: true });
    assert.equal(seen.length, 1);
    assert.equal(fs.statSync(c.at('f')).ino, fs.lstatSync(c.at('f')).ino);
  },
  ...oddNameCases,
  'names: composed and decomposed accents are two names': (c) => {
    file(c.at('caf\u00e9'), 'composed');
    file(c.at('cafe\u0301'), 'decomposed');
    assert.equal(names(c.dir).length, 2);
    assert.equal(read(c.at('caf\u00e9')), 'composed');
  },
  'names: 86 letters of three bytes are ENAMETOOLONG': (c) => {
    fails('ENAMETOOLONG', () => fs.writeFileSync(c.at('あ'.repeat(86)), ''));
  },
  'names: bytes that are not UTF-8': (c) => {
    const path = Buffer.concat([Buffer.from(`${c.dir}/`), Buffer.from([0x66, 0xff, 0xfe])]);
    fs.writeFileSync(path, 'bytes');
    assert.equal(fs.readFileSync(path, 'utf8'), 'bytes');
  },
  'names: ".DAV" and ".davfs.tmp" files': (c) => {
    file(c.at('.DAV'), '');
    file(c.at('.davfs.tmp123'), '');
  },
};
