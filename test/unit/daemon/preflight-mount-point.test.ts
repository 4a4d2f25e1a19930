import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { checkMountPoint, parseMountInfo } from '../../../src/daemon/preflight/preflight-mount-point.js';
import { run, skipUnless } from '../../support/exec.js';

let home: string;
beforeEach(() => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'infinimount-point-')));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const rules = { nonempty: false, privileged: true };
const isRoot = process.getuid?.() === 0;

function folder(name: string): string {
  const path = join(home, name);
  mkdirSync(path);
  return path;
}

test('an empty directory will do, and is named without links', async () => {
  const drive = folder('drive');
  symlinkSync(drive, join(home, 'link'));
  assert.equal(await checkMountPoint(drive, rules), drive);
  assert.equal(await checkMountPoint(join(home, 'link'), rules), drive);
});

test('a missing one, with the command that makes it', async () => {
  const path = join(home, "it's missing");
  await assert.rejects(checkMountPoint(path, rules), {
    code: 'mount-point-missing',
    message: `Cannot mount on "${path}": there is no such directory. Run: mkdir -p '${home}/it'\\''s missing'`,
  });
});

test('a file, or something below a file', async () => {
  writeFileSync(join(home, 'file'), '');
  await assert.rejects(checkMountPoint(join(home, 'file'), rules), { code: 'mount-point-not-directory' });
  await assert.rejects(checkMountPoint(join(home, 'file', 'x'), rules), {
    code: 'mount-point-not-directory',
  });
});

test('files are hidden only on request', async () => {
  const drive = folder('drive');
  writeFileSync(join(drive, 'file'), '');
  await assert.rejects(checkMountPoint(drive, rules), {
    code: 'mount-point-not-empty',
    message: /--nonempty/,
  });
  assert.equal(await checkMountPoint(drive, { ...rules, nonempty: true }), drive);
});

test('a mount in use, also through a link', { skip: skipUnless(isRoot, 'root') }, async () => {
  const drive = folder('a drive');
  symlinkSync(drive, join(home, 'link'));
  const mounted = await run(['mount', '-t', 'tmpfs', 'my disk', drive]);
  assert.equal(mounted.code, 0, mounted.stderr);
  try {
    const message = (path: string) =>
      `Cannot mount on "${path}": "my disk" is mounted there already (tmpfs). Choose another directory, or run: umount`;
    for (const path of [drive, join(home, 'link')]) {
      await assert.rejects(
        checkMountPoint(path, { ...rules, nonempty: true }),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, 'mount-point-occupied');
          assert.ok(error.message.startsWith(message(path)), error.message);
          return true;
        },
      );
    }
  } finally {
    await run(['umount', drive]);
  }
});

/** Mounts FUSE on $1 and lets go of the device at once: what a killed program leaves behind. */
const DEAD_MOUNT =
  'exec 9<>/dev/fuse; mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 dead "$1"';

test('a dead mount, with the command that takes it away', { skip: skipUnless(isRoot, 'root') }, async () => {
  const drive = folder('drive');
  const mounted = await run(['bash', '-c', DEAD_MOUNT, 'bash', drive]);
  assert.equal(mounted.code, 0, mounted.stderr);
  try {
    const found = `Cannot mount on "${drive}": a mount is there whose program has ended ("Transport endpoint is not connected")`;
    await assert.rejects(checkMountPoint(drive, rules), {
      code: 'mount-point-dead',
      message: `${found}. Run: umount -l ${drive}`,
    });
    await assert.rejects(checkMountPoint(drive, { ...rules, privileged: false }), {
      message: `${found}. Run: fusermount3 -uz ${drive}`,
    });
  } finally {
    await run(['umount', '-l', drive]);
  }
});

test('the list of mounts', () => {
  const text = [
    '22 1 0:21 / /proc rw,relatime shared:12 - proc proc rw',
    '90 22 0:50 / /mnt/a\\040b\\134c rw - fuse.infinimount https://h/dav\\040x rw,user_id=0',
    'nonsense',
    '',
  ].join('\n');
  assert.deepEqual(parseMountInfo(text), [
    { mountPoint: '/proc', type: 'proc', source: 'proc' },
    { mountPoint: '/mnt/a b\\c', type: 'fuse.infinimount', source: 'https://h/dav x' },
  ]);
});
