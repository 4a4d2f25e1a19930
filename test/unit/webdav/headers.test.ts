import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  parseContentRange,
  parseHttpDate,
  parseLength,
  parseRetryAfter,
} from '../../../src/webdav/headers.js';

const NOW_MS = Date.UTC(2026, 10, 23, 20, 0, 0);

describe('headers', () => {
  test('Retry-After is seconds or a date, never negative, at most an hour', () => {
    assert.equal(parseRetryAfter('120', NOW_MS), 120_000);
    assert.equal(parseRetryAfter('0', NOW_MS), 0);
    assert.equal(parseRetryAfter('Mon, 23 Nov 2026 20:00:30 GMT', NOW_MS), 30_000);
    assert.equal(parseRetryAfter('Mon, 23 Nov 2026 19:00:00 GMT', NOW_MS), 0);
    assert.equal(parseRetryAfter('999999', NOW_MS), 3_600_000);
    assert.equal(parseRetryAfter('soon', NOW_MS), undefined);
    assert.equal(parseRetryAfter(undefined, NOW_MS), undefined);
  });

  test('Content-Range', () => {
    assert.deepEqual(parseContentRange('bytes 2-4/10'), { range: { start: 2, end: 5 }, total: 10 });
    assert.deepEqual(parseContentRange('bytes 0-0/*'), { range: { start: 0, end: 1 }, total: undefined });
    assert.deepEqual(parseContentRange('bytes */10'), { range: undefined, total: 10 });
    for (const bad of ['bytes 4-2/10', 'bytes 2-10/10', 'items 1-2/3', 'bytes 1-2', '', undefined]) {
      assert.equal(parseContentRange(bad), undefined);
    }
  });

  test('lengths and dates that are none are undefined', () => {
    assert.equal(parseLength('17'), 17);
    for (const bad of ['', '-1', '1.5', '1e3', '12345678901234567', undefined]) {
      assert.equal(parseLength(bad), undefined);
    }
    assert.equal(parseHttpDate('Mon, 23 Nov 2026 20:00:00 GMT'), NOW_MS);
    assert.equal(parseHttpDate('yesterday'), undefined);
  });
});
