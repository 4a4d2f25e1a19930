import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RemoteErrorCode, RemotePath } from '../../../src/remote/index.js';
import {
  CalledOffError,
  DeadlineError,
  exchangeError,
  type RequestSubject,
  SourceError,
  statusError,
} from '../../../src/webdav/error-map.js';

const path = '/a "b"' as RemotePath;
const subject = (method: string): RequestSubject => ({
  method,
  action: 'do it to',
  path,
  changes: !['PROPFIND', 'GET', 'OPTIONS'].includes(method),
});

function systemError(code: string): Error {
  return Object.assign(new Error('text that nobody reads'), { code });
}

describe('statusError', () => {
  const cases: ReadonlyArray<readonly [string, number, RemoteErrorCode, 'none' | 'unknown']> = [
    ['GET', 401, 'unauthorized', 'none'],
    ['PUT', 401, 'unauthorized', 'none'],
    ['GET', 403, 'forbidden', 'none'],
    ['GET', 404, 'not-found', 'none'],
    ['GET', 410, 'not-found', 'none'],
    ['PROPFIND', 405, 'not-webdav', 'none'],
    ['PROPFIND', 501, 'not-webdav', 'none'],
    ['MKCOL', 405, 'exists', 'none'],
    ['PUT', 405, 'not-supported', 'none'],
    ['PUT', 409, 'parent-missing', 'none'],
    ['PUT', 412, 'changed', 'none'],
    ['DELETE', 412, 'changed', 'none'],
    ['MOVE', 412, 'exists', 'none'],
    ['PUT', 413, 'too-large', 'none'],
    ['PUT', 414, 'bad-name', 'none'],
    ['PUT', 400, 'bad-name', 'none'],
    ['PROPFIND', 400, 'protocol', 'none'],
    ['GET', 416, 'changed', 'none'],
    ['PUT', 423, 'locked', 'none'],
    ['PUT', 425, 'throttled', 'none'],
    ['PUT', 429, 'throttled', 'none'],
    ['PUT', 500, 'server', 'unknown'],
    ['GET', 500, 'server', 'none'],
    ['PUT', 502, 'server', 'unknown'],
    ['PUT', 503, 'server', 'none'],
    ['PUT', 504, 'server', 'unknown'],
    ['PUT', 507, 'no-space', 'none'],
    ['PUT', 301, 'redirect-refused', 'none'],
    ['GET', 418, 'protocol', 'none'],
  ];
  for (const [method, status, code, outcome] of cases) {
    test(`${method} ${status} is ${code}, outcome ${outcome}`, () => {
      const error = statusError(subject(method), status, {}, 0);
      assert.deepEqual(
        [error.code, error.outcome, error.status, error.method, error.path],
        [code, outcome, status, method, path],
      );
    });
  }

  test('Retry-After makes 503 a throttle, and is passed on', () => {
    const error = statusError(subject('GET'), 503, { 'retry-after': '7' }, 0);
    assert.deepEqual([error.code, error.retryAfterMs], ['throttled', 7_000]);
  });

  test('says what could not be done, what was found, what to do', () => {
    const { message } = statusError(subject('GET'), 401, {}, 0);
    assert.equal(
      message,
      'Cannot do it to "/a \\"b\\"": the server answered 401; check the user name and the password',
    );
  });
});

describe('exchangeError', () => {
  const done = { started: true, sent: true };
  const cases: ReadonlyArray<readonly [string, boolean, RemoteErrorCode]> = [
    ['ENOTFOUND', false, 'unreachable'],
    ['EAI_AGAIN', false, 'unreachable'],
    ['ECONNREFUSED', false, 'unreachable'],
    ['EHOSTUNREACH', false, 'unreachable'],
    ['UND_ERR_CONNECT_TIMEOUT', false, 'unreachable'],
    ['ECONNRESET', false, 'unreachable'],
    ['ECONNRESET', true, 'interrupted'],
    ['EPIPE', true, 'interrupted'],
    ['UND_ERR_SOCKET', true, 'interrupted'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', false, 'tls'],
    ['SELF_SIGNED_CERT_IN_CHAIN', false, 'tls'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', false, 'tls'],
    ['CERT_HAS_EXPIRED', false, 'tls'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', false, 'tls'],
    ['ERR_SSL_UNSUPPORTED_PROTOCOL', false, 'tls'],
    ['EPROTO', false, 'tls'],
    ['HPE_INVALID_CONSTANT', true, 'protocol'],
    ['UND_ERR_HEADERS_OVERFLOW', true, 'protocol'],
  ];
  for (const [code, started, expected] of cases) {
    test(`${code} ${started ? 'after' : 'before'} the request went out is ${expected}`, () => {
      assert.equal(exchangeError(subject('GET'), systemError(code), { started, sent: true }).code, expected);
    });
  }

  test('looks into causes and lists of errors', () => {
    const wrapped = new Error('outer', { cause: new AggregateError([systemError('ECONNREFUSED')]) });
    assert.equal(exchangeError(subject('GET'), wrapped, done).code, 'unreachable');
  });

  test('the outcome of a change is open only when all of it was handed over', () => {
    const reset = systemError('ECONNRESET');
    const outcomeOf = (method: string, started: boolean, sent: boolean) =>
      exchangeError(subject(method), reset, { started, sent }).outcome;
    assert.equal(outcomeOf('PUT', true, true), 'unknown');
    assert.equal(outcomeOf('PUT', true, false), 'none');
    assert.equal(outcomeOf('PUT', false, true), 'none');
    assert.equal(outcomeOf('GET', true, true), 'none');
  });

  test('deadlines, broken sources and signals have codes of their own', () => {
    assert.equal(exchangeError(subject('GET'), new DeadlineError('connect', 10), done).code, 'unreachable');
    assert.equal(exchangeError(subject('GET'), new DeadlineError('headers', 10), done).code, 'timeout');
    assert.equal(exchangeError(subject('GET'), new DeadlineError('idle', 10), done).code, 'timeout');
    assert.equal(exchangeError(subject('PUT'), new SourceError('short'), done).code, 'aborted');
    const calledOff = new CalledOffError('off', { cause: systemError('ECONNRESET') });
    assert.equal(exchangeError(subject('PUT'), calledOff, done).code, 'aborted');
  });
});
