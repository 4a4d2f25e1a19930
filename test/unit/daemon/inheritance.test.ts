import assert from 'node:assert/strict';
import { closeSync, fstatSync } from 'node:fs';
import { describe, test } from 'node:test';
import { memoryFile, Secret } from '../../../src/base/index.js';
import {
  encodeTold,
  INHERIT_VARIABLE,
  storeName,
  takeInheritance,
} from '../../../src/daemon/mounting/inheritance.js';

describe('what a process inherits', () => {
  test('nothing', () => {
    assert.equal(takeInheritance({ PATH: '/bin' }), undefined);
    assert.equal(takeInheritance({ [INHERIT_VARIABLE]: 'nonsense' }), undefined);
    assert.equal(takeInheritance({ [INHERIT_VARIABLE]: 'keeper=1 deaths=2' }), undefined, 'no descriptor');
  });

  test('from a keeper, and no child takes it for its own', async () => {
    const told = await memoryFile('test', encodeTold(new Secret('pass "word"\n')));
    const environment = { [INHERIT_VARIABLE]: `keeper=12 mount=3 told=${told} deaths=4`, PATH: '/bin' };
    const found = takeInheritance(environment);
    assert.ok(found?.from === 'keeper');
    assert.deepEqual([found.keeperPid, found.fd, found.deaths], [12, 3, 4]);
    assert.equal(found.password?.reveal(), 'pass "word"\n');
    assert.deepEqual(environment, { PATH: '/bin' });
    assert.throws(() => fstatSync(told), { code: 'EBADF' });
  });

  test('from a keeper that was told nothing', async () => {
    const told = await memoryFile('test', encodeTold(undefined));
    const found = takeInheritance({ [INHERIT_VARIABLE]: `mount=7 told=${told}` });
    assert.deepEqual(found, { from: 'keeper', keeperPid: undefined, fd: 7, deaths: 0, password: undefined });
  });

  test('from the store of systemd, by name', () => {
    const mine = storeName('/mnt/a');
    const environment = {
      LISTEN_FDS: '3',
      LISTEN_PID: String(process.pid),
      LISTEN_FDNAMES: `other:${mine}:${storeName('/mnt/b')}`,
    };
    const found = takeInheritance(environment);
    assert.ok(found?.from === 'systemd');
    assert.deepEqual(
      [...found.fds],
      [
        [mine, 4],
        [storeName('/mnt/b'), 5],
      ],
    );
    assert.deepEqual(environment, {});
  });

  test('not what was meant for another process, or has no names', () => {
    const fds = { LISTEN_FDS: '1', LISTEN_FDNAMES: storeName('/mnt/a') };
    assert.equal(takeInheritance({ ...fds, LISTEN_PID: '1' }), undefined);
    assert.equal(takeInheritance({ LISTEN_FDS: '1', LISTEN_PID: String(process.pid) }), undefined);
    assert.equal(takeInheritance({ ...fds, LISTEN_FDS: '-1', LISTEN_PID: String(process.pid) }), undefined);
  });

  test('a name in the store has no colon and no more than 255 characters', () => {
    assert.match(storeName(`/mnt/${'x:'.repeat(500)}`), /^fuse-[0-9a-f]{12}$/);
    assert.notEqual(storeName('/mnt/a'), storeName('/mnt/b'));
  });
});

test('a file in memory is closed on exec', async () => {
  const fd = await memoryFile('test', 'text');
  assert.equal(fstatSync(fd).size, 4);
  closeSync(fd);
});
