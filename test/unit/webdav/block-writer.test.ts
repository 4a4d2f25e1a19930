/** Bodies in aligned blocks: what is written when, and what a gate or the file's end makes of it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockWriter } from '../../../src/webdav/block-writer.js';
import { TargetFile } from '../../support/target-file.js';

const BLOCK = 128 * 1024;
const SIZE = 3 * BLOCK + 100;
const CONTENT = Buffer.from(Array.from({ length: SIZE }, (_, index) => (index * 7 + (index >> 9)) % 256));

test('writes only whole blocks of the file until it is flushed', () => {
  using file = new TargetFile(SIZE);
  const start = BLOCK - 10;
  const writer = new BlockWriter(file, start);
  const ends: number[] = [];
  for (let at = start; at < SIZE; at += 60_000) {
    assert.equal(writer.push(CONTENT.subarray(at, Math.min(at + 60_000, SIZE))), 'written');
    ends.push(writer.end);
  }
  assert.deepEqual([...new Set(ends)], [BLOCK, 2 * BLOCK, 3 * BLOCK]);
  assert.ok(writer.holds);
  assert.equal(writer.flush(), 'written');
  assert.equal(writer.end, SIZE);
  assert.ok(!writer.holds);
  assert.deepEqual(file.content().subarray(start), CONTENT.subarray(start));
  assert.ok(
    file
      .content()
      .subarray(0, start)
      .every((byte) => byte === 0),
  );
});

test('a flush in the middle of a block does not move the blocks', () => {
  using file = new TargetFile(SIZE);
  const writer = new BlockWriter(file, 0);
  writer.push(CONTENT.subarray(0, 1_000));
  writer.flush();
  assert.equal(writer.end, 1_000);
  writer.push(CONTENT.subarray(1_000, BLOCK + 1_000));
  assert.equal(writer.end, BLOCK);
  writer.flush();
  assert.deepEqual(file.content().subarray(0, BLOCK + 1_000), CONTENT.subarray(0, BLOCK + 1_000));
});

test('takes no more than the file has', () => {
  using file = new TargetFile(SIZE);
  const writer = new BlockWriter(file, SIZE - 5);
  assert.equal(writer.push(CONTENT.subarray(0, 3)), 'written');
  assert.equal(writer.push(CONTENT.subarray(0, 3)), 'beyond');
});

test('writes nothing once the gate is shut', () => {
  using file = new TargetFile(SIZE);
  const writer = new BlockWriter(file, 0);
  writer.push(CONTENT.subarray(0, 1_000));
  file.shut();
  assert.equal(writer.flush(), 'shut');
  assert.equal(writer.push(CONTENT.subarray(0, BLOCK)), 'shut');
  assert.ok(file.content().every((byte) => byte === 0));
});
