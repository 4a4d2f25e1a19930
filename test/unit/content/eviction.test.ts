/** When clean files go. */

import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import type { Ino } from '../../../src/base/index.js';
import { Evictor } from '../../../src/content/eviction.js';

test('what comes out of use while a run looks through the files is looked at by another one', async () => {
  const files = new Map([[1 as Ino, 10]]);
  let isLate = true;
  const evictor: Evictor = new Evictor(
    { maxCleanBytes: 15, minFreeBytes: 0 },
    tmpdir(),
    {
      cleanBytes: () => [...files.values()].reduce((sum, bytes) => sum + bytes, 0),
      *candidates() {
        const found = [...files].filter(([ino]) => ino !== 3);
        for (const [ino, presentBytes] of found) yield [ino, { lastUseMs: ino, presentBytes }] as const;
        if (!isLate) yield [3 as Ino, { lastUseMs: 3, presentBytes: files.get(3 as Ino) ?? 0 }] as const;
        if (isLate) {
          isLate = false;
          evictor.released();
        }
      },
      drop: (ino) => {
        const bytes = files.get(ino) ?? 0;
        files.delete(ino);
        return bytes;
      },
    },
    (cause) => assert.fail(String(cause)),
  );
  files.set(3 as Ino, 30);
  await evictor.run();
  await new Promise((resolve) => setImmediate(resolve));
  await evictor.close();
  assert.deepEqual([...files.keys()], []);
});
