/** A program of its own: tries for an exclusive lock without waiting and prints `locked` or `refused`. */

import { openSync } from 'node:fs';
import { flock, LOCK_EX, LOCK_NB, recordLock } from '../../support/mount/syscalls.js';

const [kind, path = ''] = process.argv.slice(2);
const fd = openSync(path, 'r+');
try {
  if (kind === 'flock') flock(fd, LOCK_EX | LOCK_NB);
  else recordLock(fd, 'process', 'write');
  process.stdout.write('locked\n');
} catch (error) {
  const code = (error as NodeJS.ErrnoException).code;
  if (code !== 'EAGAIN' && code !== 'EACCES') throw error;
  process.stdout.write('refused\n');
}
