import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judge } from '../../../src/bridge/index.js';
import { ContentError } from '../../../src/content/index.js';
import { FuseError } from '../../../src/fuse/index.js';
import { RemoteError, type RemoteErrorCode, type RemotePath } from '../../../src/remote/index.js';
import { StateError } from '../../../src/state/index.js';
import { SyncError } from '../../../src/sync/index.js';
import { VfsError } from '../../../src/vfs/index.js';

const LIVE = new AbortController();

function remote(code: RemoteErrorCode): RemoteError {
  return new RemoteError(code, 'x', { method: 'GET', path: '/a' as RemotePath, outcome: 'none' });
}

/** As Node throws it for a failed system call. */
function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: write`), { code, syscall: 'write', errno: -1 });
}

describe('errno', () => {
  test('of every code of the server', () => {
    const table: Readonly<Record<RemoteErrorCode, string>> = {
      'not-found': 'ENOENT',
      exists: 'EEXIST',
      changed: 'EIO',
      'parent-missing': 'ENOENT',
      unauthorized: 'EACCES',
      forbidden: 'EACCES',
      locked: 'EBUSY',
      'no-space': 'ENOSPC',
      'too-large': 'EFBIG',
      'bad-name': 'EINVAL',
      throttled: 'EAGAIN',
      server: 'EIO',
      'not-supported': 'EOPNOTSUPP',
      'not-webdav': 'EIO',
      'redirect-refused': 'EIO',
      tls: 'EIO',
      unreachable: 'EHOSTUNREACH',
      interrupted: 'EIO',
      timeout: 'ETIMEDOUT',
      protocol: 'EIO',
      aborted: 'EINTR',
    };
    for (const [code, errno] of Object.entries(table)) {
      assert.deepEqual(judge(remote(code as RemoteErrorCode), LIVE), { errno, severity: 'answer' }, code);
    }
  });

  test('of a wait for the server while uploads are paused, or when the daemon ends', () => {
    assert.deepEqual(judge(new SyncError('paused', 'x'), LIVE), { errno: 'EAGAIN', severity: 'answer' });
    assert.deepEqual(judge(new SyncError('stopping', 'x'), LIVE), { errno: 'EIO', severity: 'answer' });
  });

  test('of the file system is its own code', () => {
    assert.deepEqual(judge(new VfsError('ENOTEMPTY', 'x'), LIVE), { errno: 'ENOTEMPTY', severity: 'answer' });
    assert.deepEqual(judge(new VfsError('EIO', 'x'), LIVE), { errno: 'EIO', severity: 'trouble' });
    assert.deepEqual(judge(new FuseError('EINVAL'), LIVE), { errno: 'EINVAL', severity: 'answer' });
  });

  test('of the disk below passes only where it means the same above', () => {
    for (const [code, errno] of [
      ['ENOSPC', 'ENOSPC'],
      ['EDQUOT', 'EDQUOT'],
      ['ENOTSUP', 'EOPNOTSUPP'],
      ['ENOENT', 'EIO'],
      ['EACCES', 'EIO'],
      ['EMFILE', 'EIO'],
    ] as const) {
      const expected = { errno, severity: 'trouble' };
      assert.deepEqual(judge(systemError(code), LIVE), expected);
      assert.deepEqual(judge(new StateError('disk', 'x', { cause: systemError(code) }), LIVE), expected);
      assert.deepEqual(
        judge(new ContentError('disk', 'x', undefined, { cause: systemError(code) }), LIVE),
        expected,
      );
    }
    assert.deepEqual(judge(new ContentError('lost', 'x', undefined), LIVE), {
      errno: 'EIO',
      severity: 'trouble',
    });
    assert.deepEqual(judge(new StateError('invariant', 'x'), LIVE), { errno: 'EIO', severity: 'trouble' });
  });

  test('of what nobody expects is EIO and a defect', () => {
    for (const error of [
      new TypeError('x'),
      'text',
      undefined,
      Object.assign(new Error('x'), { code: 'ENOSPC' }),
    ]) {
      assert.deepEqual(judge(error, LIVE), { errno: 'EIO', severity: 'defect' });
    }
  });

  test('of an interrupted wait is EINTR, but a decision stays what it is', () => {
    const aborted = { signal: AbortSignal.abort() };
    assert.equal(judge(remote('timeout'), aborted).errno, 'EINTR');
    assert.equal(judge(aborted.signal.reason, aborted).errno, 'EINTR');
    assert.equal(judge(new VfsError('ENOENT', 'x'), aborted).errno, 'ENOENT');
  });
});
