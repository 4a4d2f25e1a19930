/** chmod(2), chown(2), umask(2), utimensat(2), access(2), statfs(2), xattr(7), and which operation moves which time. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { UTIME_NOW, UTIME_OMIT, umask, utimens, xattr } from '../../support/mount/syscalls.js';
import {
  age,
  changes,
  constants,
  ctime,
  fails,
  file,
  folder,
  leavesTime,
  mtime,
  type PosixTable,
  pread,
  pwrite,
  touches,
  withOpen,
} from './context.js';

const NOBODY = 65_534;

function mode(path: string): number {
  return fs.lstatSync(path).mode & 0o7777;
}

function withUmask(mask: number, action: () => void): void {
  const old = umask(mask);
  try {
    action();
  } finally {
    umask(old);
  }
}

/** Only root may give files away. */
const isRoot = process.getuid?.() === 0;

export const attributeCases: PosixTable = {
  'chmod: of a file': (c) => {
    file(c.at('f'));
    for (const bits of [0o600, 0o755, 0o000, 0o444, 0o777]) {
      fs.chmodSync(c.at('f'), bits);
      assert.equal(mode(c.at('f')), bits);
    }
  },
  'chmod: of a directory': (c) => {
    folder(c.at('d'));
    fs.chmodSync(c.at('d'), 0o700);
    assert.equal(mode(c.at('d')), 0o700);
    assert.ok(fs.statSync(c.at('d')).isDirectory());
  },
  'chmod: set-user-id, set-group-id and sticky bits': (c) => {
    file(c.at('f'));
    fs.chmodSync(c.at('f'), 0o6755);
    assert.equal(mode(c.at('f')), 0o6755);
    folder(c.at('d'));
    fs.chmodSync(c.at('d'), 0o1777);
    assert.equal(mode(c.at('d')), 0o1777);
  },
  'chmod: through a symlink changes the target': (c) => {
    file(c.at('f'));
    fs.symlinkSync('f', c.at('l'));
    fs.chmodSync(c.at('l'), 0o600);
    assert.equal(mode(c.at('f')), 0o600);
  },
  'chmod: by descriptor': (c) => {
    withOpen(c.at('f'), 'w', (fd) => fs.fchmodSync(fd, 0o640));
    assert.equal(mode(c.at('f')), 0o640);
  },
  'chmod: of nothing is ENOENT': (c) => fails('ENOENT', () => fs.chmodSync(c.at('f'), 0o600)),
  'chmod: the execute bit makes a script runnable': (c) => {
    file(c.at('s'), '#!/bin/sh\necho ran\n');
    fs.chmodSync(c.at('s'), 0o755);
    assert.equal(spawnSync(c.at('s'), { encoding: 'utf8', timeout: 5_000 }).stdout, 'ran\n');
  },
  'umask: applies to new files and directories': (c) => {
    withUmask(0o027, () => {
      fs.closeSync(fs.openSync(c.at('f'), 'w', 0o666));
      fs.mkdirSync(c.at('d'), 0o777);
    });
    assert.equal(mode(c.at('f')), 0o640);
    assert.equal(mode(c.at('d')), 0o750);
  },
  'umask: 0 leaves the mode as asked': (c) => {
    withUmask(0, () => fs.closeSync(fs.openSync(c.at('f'), 'w', 0o666)));
    assert.equal(mode(c.at('f')), 0o666);
  },
  'chown: a new file belongs to its maker': (c) => {
    const stat = fs.statSync(file(c.at('f')));
    assert.deepEqual([stat.uid, stat.gid], [process.geteuid?.(), process.getegid?.()]);
  },
  'chown: by root to another user and group': (c) => {
    if (!isRoot) return;
    file(c.at('f'));
    fs.chownSync(c.at('f'), NOBODY, NOBODY);
    const stat = fs.statSync(c.at('f'));
    assert.deepEqual([stat.uid, stat.gid], [NOBODY, NOBODY]);
  },
  'chown: -1 leaves user or group alone': (c) => {
    if (!isRoot) return;
    file(c.at('f'));
    const keep = 0xffff_ffff;
    fs.chownSync(c.at('f'), NOBODY, keep);
    assert.equal(fs.statSync(c.at('f')).gid, process.getegid?.());
    fs.chownSync(c.at('f'), keep, NOBODY);
    assert.deepEqual([fs.statSync(c.at('f')).uid, fs.statSync(c.at('f')).gid], [NOBODY, NOBODY]);
  },
  'chown: of a directory and of a symlink': (c) => {
    if (!isRoot) return;
    folder(c.at('d'));
    fs.symlinkSync('d', c.at('l'));
    fs.lchownSync(c.at('l'), NOBODY, NOBODY);
    assert.equal(fs.lstatSync(c.at('l')).uid, NOBODY);
    assert.equal(fs.statSync(c.at('d')).uid, 0);
    fs.chownSync(c.at('d'), NOBODY, NOBODY);
    assert.equal(fs.statSync(c.at('d')).uid, NOBODY);
  },
  'chown: takes the set-user-id bit from an executable': (c) => {
    if (!isRoot) return;
    file(c.at('f'));
    fs.chmodSync(c.at('f'), 0o6755);
    fs.chownSync(c.at('f'), NOBODY, NOBODY);
    assert.equal(mode(c.at('f')), 0o755);
  },
  'access: of what is there and what is not': (c) => {
    file(c.at('f'));
    fs.accessSync(c.at('f'), constants.F_OK | constants.R_OK | constants.W_OK);
    fails('ENOENT', () => fs.accessSync(c.at('x')));
  },
  'access: X_OK needs an execute bit, also for root': (c) => {
    file(c.at('f'));
    fails('EACCES', () => fs.accessSync(c.at('f'), constants.X_OK));
    fs.chmodSync(c.at('f'), 0o755);
    fs.accessSync(c.at('f'), constants.X_OK);
  },
  'access: another user cannot read a private file': (c) => {
    if (!isRoot) return;
    file(c.at('f'), 'private');
    fs.chmodSync(c.at('f'), 0o600);
    const other = spawnSync('cat', [c.at('f')], {
      uid: NOBODY,
      gid: NOBODY,
      timeout: 5_000,
      encoding: 'utf8',
    });
    assert.notEqual(other.status, 0);
    assert.equal(other.stdout, '');
  },
  'utimes: nanoseconds are kept': (c) => {
    file(c.at('f'));
    utimens(c.at('f'), 1_600_000_000_123_456_789n, 1_700_000_000_987_654_321n);
    assert.equal(mtime(c.at('f')), 1_700_000_000_987_654_321n);
    assert.equal(fs.statSync(c.at('f'), { bigint: true }).atimeNs, 1_600_000_000_123_456_789n);
  },
  'utimes: of a directory': (c) => {
    folder(c.at('d'));
    utimens(c.at('d'), 1_000_000_001n, 1_234_567_890_000_000_005n);
    assert.equal(mtime(c.at('d')), 1_234_567_890_000_000_005n);
  },
  'utimes: of a symlink itself': (c) => {
    file(c.at('f'));
    fs.symlinkSync('f', c.at('l'));
    const before = mtime(c.at('f'));
    utimens(c.at('l'), 0n, 1_000_000_000_000_000_001n, false);
    assert.equal(mtime(c.at('l')), 1_000_000_000_000_000_001n);
    assert.equal(mtime(c.at('f')), before);
  },
  'utimes: UTIME_OMIT leaves a time, UTIME_NOW sets it': (c) => {
    file(c.at('f'));
    utimens(c.at('f'), 1_000_000_000n, 2_000_000_000n);
    utimens(c.at('f'), UTIME_OMIT, UTIME_OMIT);
    assert.equal(mtime(c.at('f')), 2_000_000_000n);
    utimens(c.at('f'), UTIME_OMIT, UTIME_NOW);
    assert.ok(mtime(c.at('f')) > 1_600_000_000_000_000_000n, 'mtime is not now');
    assert.equal(fs.statSync(c.at('f'), { bigint: true }).atimeNs, 1_000_000_000n);
  },
  'utimes: before 1970 and after 2038': (c) => {
    file(c.at('f'));
    for (const seconds of [-86_400n, 0n, 2n ** 31n + 1n, 2n ** 33n]) {
      const time = seconds * 1_000_000_000n;
      utimens(c.at('f'), time, time);
      assert.equal(mtime(c.at('f')), time, `${seconds} s`);
    }
  },
  'utimes: of a file that is open for writing, kept by its close': (c) => {
    withOpen(c.at('f'), 'w', (fd) => {
      fs.writeSync(fd, 'data');
      fs.futimesSync(fd, 1_000_000_000, 1_000_000_000);
    });
    assert.equal(mtime(c.at('f')), 1_000_000_000_000_000_000n);
  },
  'times: a new file has the time of now': (c) => {
    file(c.at('f'));
    const differenceMs = Math.abs(fs.statSync(c.at('f')).mtimeMs - Date.now());
    assert.ok(differenceMs < 60_000, `${differenceMs} ms off`);
  },
  'times: a write moves mtime and ctime': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r+', (fd) => {
      changes(c.at('f'), () => touches(c.at('f'), () => pwrite(fd, 'x', 0)));
    });
  },
  'times: a write moves mtime as fstat sees it, before close': (c) => {
    file(c.at('f'));
    age(c.at('f'));
    withOpen(c.at('f'), 'r+', (fd) => {
      const before = fs.fstatSync(fd, { bigint: true }).mtimeNs;
      pwrite(fd, 'x', 0);
      assert.ok(fs.fstatSync(fd, { bigint: true }).mtimeNs > before);
    });
  },
  'times: a truncate moves mtime': (c) => {
    file(c.at('f'));
    touches(c.at('f'), () => fs.truncateSync(c.at('f'), 2));
  },
  'times: O_TRUNC moves mtime': (c) => {
    file(c.at('f'));
    touches(c.at('f'), () => fs.closeSync(fs.openSync(c.at('f'), 'w')));
  },
  'times: a read leaves mtime and ctime': (c) => {
    file(c.at('f'));
    leavesTime(c.at('f'), () => {
      const before = ctime(c.at('f'));
      withOpen(c.at('f'), 'r', (fd) => pread(fd, 10, 0));
      assert.equal(ctime(c.at('f')), before);
    });
  },
  'times: open and close for writing without a write leave mtime': (c) => {
    file(c.at('f'));
    leavesTime(c.at('f'), () => withOpen(c.at('f'), 'r+', () => undefined));
  },
  'times: chmod moves ctime, not mtime': (c) => {
    file(c.at('f'));
    changes(c.at('f'), () => leavesTime(c.at('f'), () => fs.chmodSync(c.at('f'), 0o600)));
  },
  'times: utimes moves ctime': (c) => {
    file(c.at('f'));
    changes(c.at('f'), () => fs.utimesSync(c.at('f'), 1, 1));
  },
  'times: link and unlink move ctime of the file': (c) => {
    file(c.at('f'));
    changes(c.at('f'), () => fs.linkSync(c.at('f'), c.at('g')));
    changes(c.at('f'), () => fs.unlinkSync(c.at('g')));
  },
  'times: a rename leaves mtime of the file': (c) => {
    file(c.at('f'));
    const before = age(c.at('f'));
    fs.renameSync(c.at('f'), c.at('g'));
    assert.equal(mtime(c.at('g')), before);
  },
  'times: a rename moves mtime of both directories': (c) => {
    folder(c.at('d'));
    folder(c.at('e'));
    file(c.at('d', 'f'));
    touches(c.at('d'), () => touches(c.at('e'), () => fs.renameSync(c.at('d', 'f'), c.at('e', 'f'))));
  },
  'times: create, link, symlink, mkdir move mtime of the directory': (c) => {
    folder(c.at('d'));
    touches(c.at('d'), () => file(c.at('d', 'f')));
    touches(c.at('d'), () => fs.linkSync(c.at('d', 'f'), c.at('d', 'g')));
    touches(c.at('d'), () => fs.symlinkSync('f', c.at('d', 'l')));
    touches(c.at('d'), () => folder(c.at('d', 's')));
  },
  'times: unlink and rmdir move mtime of the directory': (c) => {
    folder(c.at('d'));
    file(c.at('d', 'f'));
    folder(c.at('d', 's'));
    touches(c.at('d'), () => fs.unlinkSync(c.at('d', 'f')));
    touches(c.at('d'), () => fs.rmdirSync(c.at('d', 's')));
  },
  'times: a write in a file leaves mtime of the directory': (c) => {
    folder(c.at('d'));
    file(c.at('d', 'f'));
    leavesTime(c.at('d'), () => fs.appendFileSync(c.at('d', 'f'), 'more'));
  },
  'times: a change below leaves mtime of the directory above': (c) => {
    folder(c.at('d'));
    folder(c.at('d', 's'));
    leavesTime(c.at('d'), () => file(c.at('d', 's', 'f')));
  },
  'statfs: shows a size, free space and long names': (c) => {
    const stat = fs.statfsSync(c.dir);
    assert.ok(stat.bsize > 0);
    assert.ok(stat.blocks > 0 && stat.bfree > 0 && stat.bavail > 0, JSON.stringify(stat));
    assert.ok(stat.bfree <= stat.blocks && stat.bavail <= stat.blocks);
  },
  'xattr: set, get, replace, list, remove': (c) => {
    file(c.at('f'));
    xattr.set(c.at('f'), 'user.one', Buffer.from('first'));
    xattr.set(c.at('f'), 'user.two', Buffer.from([0, 1, 255]));
    xattr.set(c.at('f'), 'user.one', Buffer.from('other'));
    assert.equal(xattr.get(c.at('f'), 'user.one').toString(), 'other');
    assert.deepEqual([...xattr.get(c.at('f'), 'user.two')], [0, 1, 255]);
    assert.deepEqual(
      xattr
        .list(c.at('f'))
        .filter((name) => name.startsWith('user.'))
        .sort(),
      ['user.one', 'user.two'],
    );
    xattr.remove(c.at('f'), 'user.one');
    fails('ENODATA', () => xattr.get(c.at('f'), 'user.one'));
  },
  'xattr: what is not there is ENODATA': (c) => {
    file(c.at('f'));
    fails('ENODATA', () => xattr.get(c.at('f'), 'user.none'));
    fails('ENODATA', () => xattr.remove(c.at('f'), 'user.none'));
  },
  'xattr: CREATE of one that is there is EEXIST, REPLACE of none is ENODATA': (c) => {
    file(c.at('f'));
    xattr.set(c.at('f'), 'user.a', Buffer.from('1'), 'create');
    fails('EEXIST', () => xattr.set(c.at('f'), 'user.a', Buffer.from('2'), 'create'));
    fails('ENODATA', () => xattr.set(c.at('f'), 'user.b', Buffer.from('2'), 'replace'));
    assert.equal(xattr.get(c.at('f'), 'user.a').toString(), '1');
  },
  'xattr: size without a buffer, ERANGE for a small one': (c) => {
    file(c.at('f'));
    xattr.set(c.at('f'), 'user.a', Buffer.from('twelve bytes'));
    assert.equal(xattr.size(c.at('f'), 'user.a'), 12);
    fails('ERANGE', () => xattr.get(c.at('f'), 'user.a', 5));
  },
  'xattr: an empty value': (c) => {
    file(c.at('f'));
    xattr.set(c.at('f'), 'user.empty', Buffer.alloc(0));
    assert.equal(xattr.get(c.at('f'), 'user.empty').length, 0);
  },
  'xattr: of a directory': (c) => {
    folder(c.at('d'));
    xattr.set(c.at('d'), 'user.a', Buffer.from('dir'));
    assert.equal(xattr.get(c.at('d'), 'user.a').toString(), 'dir');
  },
  'xattr: stays with a renamed file': (c) => {
    file(c.at('f'));
    xattr.set(c.at('f'), 'user.a', Buffer.from('kept'));
    fs.renameSync(c.at('f'), c.at('g'));
    assert.equal(xattr.get(c.at('g'), 'user.a').toString(), 'kept');
  },
  'xattr: a name space that does not exist is EOPNOTSUPP': (c) => {
    file(c.at('f'));
    fails(['EOPNOTSUPP', 'ENOTSUP'], () => xattr.set(c.at('f'), 'nonsense.a', Buffer.from('1')));
  },
};
