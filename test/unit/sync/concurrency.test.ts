import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Concurrency } from '../../../src/sync/concurrency.js';

const succeed = (concurrency: Concurrency, times: number) => {
  for (let time = 0; time < times; time += 1) concurrency.succeeded();
};

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
    succeed(concurrency, 3);
    concurrency.complained();
    assert.equal(concurrency.limit, 2);
    succeed(concurrency, 1);
    assert.equal(concurrency.limit, 2);
    for (let time = 0; time < 10; time += 1) concurrency.complained();
    assert.equal(concurrency.limit, 1);
    succeed(concurrency, 1);
    assert.equal(concurrency.limit, 2);
  });
});
