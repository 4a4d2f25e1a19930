import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  checkKernel,
  type KernelSurroundings,
  mayMount,
} from '../../../src/daemon/preflight/preflight-kernel.js';

let home: string;
let around: KernelSurroundings;
before(() => {
  home = mkdtempSync(join(tmpdir(), 'infinimount-kernel-'));
  mkdirSync(join(home, 'bin'));
  writeFileSync(join(home, 'bin', 'fusermount3'), '');
  chmodSync(join(home, 'bin', 'fusermount3'), 0o755);
  writeFileSync(join(home, 'fuse.conf'), '# user_allow_other\n');
  around = {
    device: '/dev/null',
    searchPath: ['/nowhere', join(home, 'bin')],
    fuseConf: join(home, 'fuse.conf'),
  };
});
after(() => rmSync(home, { recursive: true }));

const ordinary = { privileged: false, allowOther: false };

test('all is there', async () => {
  await checkKernel({ privileged: true, allowOther: true }, around);
  await checkKernel(ordinary, around);
});

test('no device', async () => {
  for (const privileged of [true, false]) {
    await assert.rejects(checkKernel({ ...ordinary, privileged }, { ...around, device: '/dev/no-fuse' }), {
      code: 'no-fuse-device',
      message:
        /^Cannot use the kernel's FUSE device "\/dev\/no-fuse": it is not there \(ENOENT\)\. Run "modprobe fuse"/,
    });
  }
});

test('no fusermount3: ordinary users only', async () => {
  const without = { ...around, searchPath: ['/nowhere'] };
  await checkKernel({ privileged: true, allowOther: false }, without);
  await assert.rejects(checkKernel(ordinary, without), {
    code: 'no-fusermount',
    message:
      'Cannot mount as an ordinary user: the program fusermount3 is not installed. Run: sudo apt-get install fuse3',
  });
});

test('--allow-other is for the administrator to allow', async () => {
  const open = { privileged: false, allowOther: true };
  await assert.rejects(checkKernel(open, around), { code: 'mount-refused', message: /user_allow_other/ });
  await assert.rejects(checkKernel(open, { ...around, fuseConf: '/nowhere' }), { code: 'mount-refused' });
  writeFileSync(join(home, 'allowing.conf'), 'mount_max = 9\nuser_allow_other\n');
  await checkKernel(open, { ...around, fuseConf: join(home, 'allowing.conf') });
});

test('whether this process may mount is told by the kernel', async () => {
  assert.equal(typeof (await mayMount()), 'boolean');
});
