import assert from 'node:assert/strict';
import { test } from 'node:test';
import { uploadChunks } from '../../../src/webdav/upload-source.js';

test('word of the last byte comes before it goes out: whoever takes it need not come back', async () => {
  const told: string[] = [];
  const chunks = uploadChunks(
    { size: 6, open: () => Buffer.from('abcdef') },
    { onProgress: (bytes) => told.push(`${bytes}`), onSent: () => told.push('sent') },
  );
  const first = await chunks.next();
  assert.equal(first.done, false);
  assert.deepEqual(told, ['sent']);
  await chunks.next();
  assert.deepEqual(told, ['sent', '6']);
});
