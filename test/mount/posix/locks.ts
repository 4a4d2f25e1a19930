/** flock(2) and record locks of fcntl(2), within a process and between two. */

import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { flock, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, recordLock } from '../../support/mount/syscalls.js';
import { fails, file, type PosixTable, withOpen } from './context.js';

const PROBE_TIMEOUT_MS = 10_000;

/** Whether another process can take the lock right now (see lock-probe.ts). */
function otherProcessGets(kind: 'flock' | 'fcntl', path: string): boolean {
  const probe = new URL('./lock-probe.ts', import.meta.url).pathname;
  const argv = ['--import', 'tsx', probe, kind, path];
  const result: SpawnSyncReturns<string> = spawnSync(process.execPath, argv, {
    timeout: PROBE_TIMEOUT_MS,
    encoding: 'utf8',
  });
  const answer = result.stdout.trim();
  assert.ok(answer === 'locked' || answer === 'refused', `the probe said ${answer} ${result.stderr}`);
  return answer === 'locked';
}

export const lockCases: PosixTable = {
  'flock: exclusive excludes another handle': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r', (one) =>
      withOpen(c.at('f'), 'r', (two) => {
        flock(one, LOCK_EX);
        fails('EAGAIN', () => flock(two, LOCK_EX | LOCK_NB));
        fails('EAGAIN', () => flock(two, LOCK_SH | LOCK_NB));
        flock(one, LOCK_UN);
        flock(two, LOCK_EX | LOCK_NB);
      }),
    );
  },
  'flock: shared locks go together, an exclusive one does not': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r', (one) =>
      withOpen(c.at('f'), 'r', (two) => {
        flock(one, LOCK_SH);
        flock(two, LOCK_SH | LOCK_NB);
        fails('EAGAIN', () => flock(two, LOCK_EX | LOCK_NB));
      }),
    );
  },
  'flock: close gives the lock back': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r', (one) => flock(one, LOCK_EX));
    withOpen(c.at('f'), 'r', (two) => flock(two, LOCK_EX | LOCK_NB));
  },
  'flock: excludes another process': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r+', (fd) => {
      flock(fd, LOCK_EX);
      assert.equal(otherProcessGets('flock', c.at('f')), false);
      flock(fd, LOCK_UN);
      assert.equal(otherProcessGets('flock', c.at('f')), true);
    });
  },
  'fcntl: a write lock excludes another process': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r+', (fd) => {
      recordLock(fd, 'process', 'write');
      assert.equal(otherProcessGets('fcntl', c.at('f')), false);
      recordLock(fd, 'process', 'none');
      assert.equal(otherProcessGets('fcntl', c.at('f')), true);
    });
  },
  'fcntl: ranges that do not overlap do not exclude each other': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r+', (one) =>
      withOpen(c.at('f'), 'r+', (two) => {
        recordLock(one, 'description', 'write', 0, 10);
        recordLock(two, 'description', 'write', 10, 10);
        fails(['EAGAIN', 'EACCES'], () => recordLock(two, 'description', 'write', 5, 10));
      }),
    );
  },
  'fcntl: read locks go together': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r+', (one) =>
      withOpen(c.at('f'), 'r+', (two) => {
        recordLock(one, 'description', 'read');
        recordLock(two, 'description', 'read');
        fails(['EAGAIN', 'EACCES'], () => recordLock(two, 'description', 'write'));
      }),
    );
  },
  'fcntl: close gives the lock back': (c) => {
    file(c.at('f'));
    withOpen(c.at('f'), 'r+', (one) => recordLock(one, 'description', 'write'));
    withOpen(c.at('f'), 'r+', (two) => recordLock(two, 'description', 'write'));
  },
};
