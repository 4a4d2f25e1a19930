import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UserErrorCode } from '../../../src/base/index.js';
import { remoteUserError } from '../../../src/daemon/errors.js';
import { REMOTE_ROOT, RemoteError, type RemoteErrorCode } from '../../../src/remote/index.js';

const URL_TEXT = 'https://cloud.example/dav/';

function remote(code: RemoteErrorCode, status?: number, cause?: unknown): RemoteError {
  return new RemoteError(code, 'internal words', {
    method: 'PROPFIND',
    path: REMOTE_ROOT,
    outcome: 'none',
    ...(status === undefined ? {} : { status }),
    ...(cause === undefined ? {} : { cause }),
  });
}

const EXPECTED: Readonly<Record<RemoteErrorCode, UserErrorCode>> = {
  unreachable: 'unreachable',
  interrupted: 'unreachable',
  timeout: 'unreachable',
  tls: 'tls',
  unauthorized: 'unauthorized',
  forbidden: 'forbidden',
  'not-found': 'url-not-found',
  'parent-missing': 'url-not-found',
  'not-webdav': 'not-webdav',
  'not-supported': 'not-webdav',
  exists: 'not-webdav',
  changed: 'not-webdav',
  'bad-name': 'not-webdav',
  'too-large': 'not-webdav',
  protocol: 'not-webdav',
  'redirect-refused': 'redirect-refused',
  throttled: 'server-trouble',
  server: 'server-trouble',
  locked: 'server-trouble',
  'no-space': 'server-trouble',
  aborted: 'server-trouble',
};

for (const [code, expected] of Object.entries(EXPECTED) as [RemoteErrorCode, UserErrorCode][]) {
  test(`${code}: one line with the URL, what was found and what to do`, () => {
    const source = remote(code, 418);
    const error = remoteUserError(source, URL_TEXT);
    assert.equal(error.code, expected);
    assert.match(
      error.message,
      /^Cannot [^\n]*"https:\/\/cloud\.example\/dav\/"[^\n]*: [^\n]+\. [A-Z][^\n]+$/,
    );
    assert.ok(error.hint !== undefined);
    assert.ok(!error.message.includes('internal words'));
    assert.equal(error.cause, source);
  });
}

test('the reason comes from the code of the cause, however deep', () => {
  const cause = (code: string) => new Error('outer', { cause: Object.assign(new Error('inner'), { code }) });
  const message = (code: RemoteErrorCode, system: string) =>
    remoteUserError(remote(code, undefined, cause(system)), URL_TEXT).message;
  assert.match(message('unreachable', 'ENOTFOUND'), /there is no host of that name/);
  assert.match(message('unreachable', 'ECONNREFUSED'), /connection refused/);
  assert.match(message('unreachable', 'EWEIRD'), /\(EWEIRD\)/);
  assert.match(message('tls', 'CERT_HAS_EXPIRED'), /has expired/);
  assert.match(message('tls', 'DEPTH_ZERO_SELF_SIGNED_CERT'), /--ca-file FILE/);
  assert.match(message('tls', 'ERR_TLS_CERT_ALTNAME_INVALID'), /another name than cloud\.example/);
});

test('a connection tried at several addresses', () => {
  const both = new AggregateError([Object.assign(new Error('a'), { code: 'ECONNREFUSED' })], 'all failed');
  assert.match(
    remoteUserError(remote('unreachable', undefined, both), URL_TEXT).message,
    /connection refused/,
  );
});
