import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Concurrency } from '../../../src/sync/concurrency.js';

/** Requests that take `tookMs` each, one after the other, beginning at `fromMs`; returns when the last one ended. */
function succeed(
  concurrency: Concurrency,
  times: number,
  { fromMs = 0, tookMs = 20, isBrief = true } = {},
): number {
  let nowMs = fromMs;
  for (let time = 0; time < times; time += 1) {
    concurrency.succeeded(nowMs, nowMs + tookMs, isBrief);
    nowMs += tookMs;
  }
  return nowMs;
}

describe('Concurrency', () => {
  test('begins with four, or fewer where fewer are allowed', () => {
    assert.equal(new Concurrency(16).limit, 4);
    assert.equal(new Concurrency(2).limit, 2);
  });

  test('grows by one for each round of successes, up to its bound', () => {
    const concurrency = new Concurrency(6);
    succeed(concurrency, 3);
    assert.equal(concurrency.limit, 4);
    succeed(concurrency, 1);
    assert.equal(concurrency.limit, 5);
    succeed(concurrency, 5);
    assert.equal(concurrency.limit, 6);
    succeed(concurrency, 100);
    assert.equal(concurrency.limit, 6);
  });

  test('halves at each complaint, never below one, and the round begins anew', () => {
    const concurrency = new Concurrency(16);
    let nowMs = succeed(concurrency, 3);
    concurrency.complained(nowMs, nowMs);
    assert.equal(concurrency.limit, 2);
    nowMs = succeed(concurrency, 1, { fromMs: nowMs });
    assert.equal(concurrency.limit, 2);
    for (let time = 0; time < 10; time += 1) concurrency.complained(nowMs + time, nowMs + time);
    assert.equal(concurrency.limit, 1);
    succeed(concurrency, 1, { fromMs: nowMs + 10 });
    assert.equal(concurrency.limit, 2);
  });

  test('one trouble counts once, however many requests it meets', () => {
    const concurrency = new Concurrency(16);
    for (let request = 0; request < 4; request += 1) concurrency.complained(100 + request, 1_000 + request);
    assert.equal(concurrency.limit, 2);
    concurrency.complained(2_000, 2_500);
    assert.equal(concurrency.limit, 1);
  });

  test('gives way to a server that becomes slow, and comes back when it is fast again', () => {
    const concurrency = new Concurrency(16);
    let nowMs = succeed(concurrency, 100);
    const before = concurrency.limit;
    nowMs = succeed(concurrency, 20, { fromMs: nowMs, tookMs: 1_000 });
    const slow = concurrency.limit;
    assert.ok(slow < before / 2, `${before} before, ${slow} now`);
    succeed(concurrency, 200, { fromMs: nowMs });
    assert.ok(concurrency.limit >= before, `only ${concurrency.limit} afterwards`);
  });

  test('neither a far server nor a single slow answer nor large bodies count as slow', () => {
    for (const slow of [{ tookMs: 300 }, { tookMs: 1_000, isBrief: false }, { tookMs: 80 }]) {
      const concurrency = new Concurrency(16);
      const nowMs = succeed(concurrency, 10, slow.tookMs === 300 ? slow : {});
      const before = concurrency.limit;
      succeed(concurrency, 50, { fromMs: nowMs, ...slow });
      assert.ok(concurrency.limit > before, JSON.stringify(slow));
    }
    const concurrency = new Concurrency(16);
    const nowMs = succeed(concurrency, 10);
    const before = concurrency.limit;
    succeed(concurrency, 1, { fromMs: nowMs, tookMs: 900 });
    assert.equal(concurrency.limit, before);
  });

  test('a server that is slower for good is the measure after a while', () => {
    const concurrency = new Concurrency(16);
    let nowMs = succeed(concurrency, 50);
    nowMs = succeed(concurrency, 40, { fromMs: nowMs, tookMs: 400 });
    assert.ok(concurrency.limit < 4);
    succeed(concurrency, 100, { fromMs: nowMs + 11 * 60_000, tookMs: 400 });
    assert.ok(concurrency.limit > 4, `${concurrency.limit}`);
  });
});
