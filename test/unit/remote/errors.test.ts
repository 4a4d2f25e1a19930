import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRemoteError, REMOTE_ROOT, RemoteError, type RemoteErrorCode } from '../../../src/remote/index.js';

function errorOf(code: RemoteErrorCode): RemoteError {
  return new RemoteError(code, code, { method: 'GET', path: REMOTE_ROOT, outcome: 'none' });
}

test('passing trouble may be retried, a verdict may not', () => {
  for (const code of ['throttled', 'server', 'unreachable', 'interrupted', 'timeout', 'locked'] as const) {
    assert.equal(errorOf(code).mayRetry, true, code);
  }
  for (const code of ['not-found', 'exists', 'changed', 'unauthorized', 'no-space', 'aborted'] as const) {
    assert.equal(errorOf(code).mayRetry, false, code);
  }
});

test('offline is what keeps every request from getting through', () => {
  assert.equal(errorOf('unreachable').isOffline, true);
  assert.equal(errorOf('server').isOffline, false);
});

test('isRemoteError tells by code', () => {
  assert.ok(isRemoteError(errorOf('changed'), 'exists', 'changed'));
  assert.ok(!isRemoteError(errorOf('changed'), 'exists'));
  assert.ok(isRemoteError(errorOf('changed')));
  assert.ok(!isRemoteError(new Error('changed'), 'changed'));
});
