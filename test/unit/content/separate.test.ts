/** Staged files that others go on writing to when their mount is gone. */

import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { type Ino, type Log, silentLog } from '../../../src/base/index.js';
import type { FileContentStore } from '../../../src/content/index.js';
import { Layout } from '../../../src/content/layout.js';
import { openTemporary, temporaryDir } from './support.js';

const INO = 300 as Ino;

let dir: string;
let store: FileContentStore;
let path: string;
/** The program's. */
let fd: number;
const errors: unknown[] = [];
const log: Log = { ...silentLog, error: (fields: unknown) => errors.push(fields) } as Log;

beforeEach(() => {
  errors.length = 0;
  dir = temporaryDir();
  ({ store } = openTemporary(dir, { log }));
  store.createStaged(INO).writeSync(Buffer.from('saved'), 0);
  store.release(INO);
  path = new Layout(dir).staged(INO);
  fd = openSync(path, 'r+');
});
afterEach(async () => {
  closeSync(fd);
  await store.close();
  rmSync(dir, { recursive: true });
});

test('what they write is not in the file any more', () => {
  store.separate(INO);
  writeSync(fd, 'later', 0);
  assert.equal(readFileSync(path, 'utf8'), 'saved');
});

test('where no copy can be made, that is said, and the file stays', () => {
  rmSync(join(dir, 'tmp'), { recursive: true });
  store.separate(INO);
  assert.equal(errors.length, 1);
  assert.equal(readFileSync(path, 'utf8'), 'saved');
});
