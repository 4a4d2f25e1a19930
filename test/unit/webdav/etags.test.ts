import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ETag } from '../../../src/remote/index.js';
import { isMadeTag, makeTag, parseTag, TagBook } from '../../../src/webdav/etags.js';
import { ManualClock } from '../../support/manual-clock.js';

describe('tags', () => {
  test('are compared without W/, with quotes', () => {
    assert.deepEqual(parseTag('"a-1"'), { etag: '"a-1"', weak: false });
    assert.deepEqual(parseTag('W/"a-1"'), { etag: '"a-1"', weak: true });
    assert.deepEqual(parseTag(' a-1 '), { etag: '"a-1"', weak: false });
    for (const none of ['', '""', 'W/""', undefined]) assert.equal(parseTag(none), undefined);
  });

  test('made of size and time are known again, and differ by both', () => {
    const tags = [makeTag(5, 1_000), makeTag(6, 1_000), makeTag(5, 2_000)];
    assert.equal(new Set(tags).size, 3);
    for (const tag of tags) assert.ok(tag !== undefined && isMadeTag(tag));
    assert.equal(isMadeTag('"5-3e8"' as ETag), false);
    assert.equal(makeTag(5, undefined), undefined);
  });

  test('a weak tag is young for a second, unless it is seen strong before', async () => {
    const clock = new ManualClock();
    const book = new TagBook(clock);
    const etag = '"a"' as ETag;
    book.note({ etag, weak: true });
    assert.ok(book.youngMs(etag) > 1_000);
    await clock.advance(500);
    assert.ok(book.youngMs(etag) > 500 && book.youngMs(etag) <= 600);
    await clock.advance(600);
    assert.equal(book.youngMs(etag), 0);
    book.note({ etag, weak: true });
    book.note({ etag, weak: false });
    assert.equal(book.youngMs(etag), 0);
  });
});
