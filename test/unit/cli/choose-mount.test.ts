/** From a name or a path to a running mount, with real sockets and a mount table of the test's own. */

import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { mountOfPath } from '../../../src/cli/choose-mount.js';
import { COMMAND_GROUPS } from '../../../src/cli/command.js';
import { COMMANDS } from '../../../src/cli/command-table.js';
import { overviewLines } from '../../../src/cli/overview.js';
import { fuseMountPointsOf, innermost, mountPointsOf, placeOf } from '../../../src/cli/place.js';
import { type ControlPlaces, controlPlaces, runningMounts } from '../../../src/cli/running-mounts.js';
import { FakeMounts } from '../../cli/fake-mount.js';

const MOUNTINFO = `22 1 8:1 / / rw - ext4 /dev/sda1 rw
40 22 0:50 / /home/u/my\\040cloud rw,nosuid - fuse.infinimount https://host/ rw
41 22 0:51 / /mnt/old rw - fuse x rw
42 40 0:52 / /home/u/my\\040cloud/inner rw - tmpfs tmpfs rw
garbage
`;

describe('the mount table', () => {
  test('is read with its escapes', () => {
    assert.deepEqual(
      [...mountPointsOf(MOUNTINFO)],
      ['/', '/home/u/my cloud', '/mnt/old', '/home/u/my cloud/inner'],
    );
    assert.deepEqual([...fuseMountPointsOf(MOUNTINFO)], ['/home/u/my cloud', '/mnt/old']);
  });

  test('the innermost mount counts', () => {
    const points = mountPointsOf(MOUNTINFO);
    const cloud = '/home/u/my cloud';
    assert.deepEqual(innermost({ mountPoint: cloud, path: '/a/b' }, points), {
      mountPoint: cloud,
      path: '/a/b',
    });
    assert.deepEqual(innermost({ mountPoint: cloud, path: '/inner/b' }, points), {
      mountPoint: `${cloud}/inner`,
      path: '/b',
    });
    assert.deepEqual(innermost({ mountPoint: cloud, path: '/inner' }, points), {
      mountPoint: `${cloud}/inner`,
      path: '/',
    });
    assert.deepEqual(innermost({ mountPoint: cloud, path: '/inner2' }, points), {
      mountPoint: cloud,
      path: '/inner2',
    });
  });
});

describe('a path', () => {
  const stops = (at: string) => at === '/mnt/x';

  test('is split at the mount, and nothing below it is looked at', async () => {
    const split = (path: string) => placeOf(path, '/mnt', stops);
    assert.deepEqual(await split('x/a/b'), { mountPoint: '/mnt/x', path: '/a/b' });
    assert.deepEqual(await split('/mnt/x'), { mountPoint: '/mnt/x', path: '/' });
    assert.deepEqual(await split('/mnt/x/a/../b'), { mountPoint: '/mnt/x', path: '/b' });
    assert.equal(await split('/mnt/xy'), undefined);
    assert.equal(await split('/mnt'), undefined);
  });
});

describe('a running mount by path', () => {
  function placesOf(mounts: FakeMounts, ...points: readonly string[]): ControlPlaces {
    const table = points.map((point, at) => `${at} 1 0:${at} / ${point} rw - fuse.infinimount s rw`);
    return {
      ...controlPlaces(mounts.directory, {}, mounts.home),
      mountinfo: () => Promise.resolve(['1 0 8:1 / / rw - ext4 d rw', ...table].join('\n')),
    };
  }

  test('relative, absolute, and over symbolic links', async () => {
    await using mounts = new FakeMounts();
    const mountPoint = join(mounts.home, 'cloud');
    mkdirSync(mountPoint);
    symlinkSync('cloud', join(mounts.home, 'link'));
    symlinkSync(join(mounts.home, 'link/sub'), join(mounts.home, 'deep'));
    await mounts.add({ mountPoint });
    const places = placesOf(mounts, mountPoint);
    for (const [path, expected] of [
      ['cloud/a b', '/a b'],
      ['link/a', '/a'],
      ['deep/a', '/sub/a'],
      [mountPoint, '/'],
      [`${mountPoint}/x/../y/`, '/y'],
    ]) {
      const { mount, inside } = await mountOfPath(path ?? '', places);
      assert.deepEqual([mount.status.mountPoint, inside], [mountPoint, expected], path);
    }
    await assert.rejects(mountOfPath('elsewhere', places), { code: 'no-mount' });
  });

  test('a mount whose daemon was killed: the next one is waited for, as long as the mount is there', async () => {
    await using mounts = new FakeMounts();
    await mounts.addDead('/m');
    const next = delay(500).then(() => mounts.add({ mountPoint: '/m' }));
    const { mount } = await mountOfPath('/m/a', placesOf(mounts, '/m'));
    assert.equal(mount.status.mountPoint, '/m');
    await next;

    await mounts.addDead('/gone');
    const { running } = await runningMounts(placesOf(mounts, '/m'));
    assert.deepEqual(
      running.map(({ status }) => status.mountPoint),
      ['/m'],
    );
    await assert.rejects(mountOfPath('/gone/a', placesOf(mounts, '/m')), { code: 'no-mount' });
  });

  test('a circle of links', async () => {
    await using mounts = new FakeMounts();
    symlinkSync('b', join(mounts.home, 'a'));
    symlinkSync('a', join(mounts.home, 'b'));
    await assert.rejects(mountOfPath('a/x', placesOf(mounts)), {
      code: 'usage',
      message: /too many symbolic links/,
    });
  });

  test('a mount within a mount, and one that is not ours', async () => {
    await using mounts = new FakeMounts();
    await mounts.add({ mountPoint: '/m' });
    await mounts.add({ mountPoint: '/m/n/o' });
    const places = placesOf(mounts, '/m', '/m/n/o', '/m/foreign');
    const inner = await mountOfPath('/m/n/o/p', places);
    assert.deepEqual([inner.mount.status.mountPoint, inner.inside], ['/m/n/o', '/p']);
    const outer = await mountOfPath('/m/n/q', places);
    assert.deepEqual([outer.mount.status.mountPoint, outer.inside], ['/m', '/n/q']);
    await assert.rejects(mountOfPath('/m/foreign/x', places), { code: 'no-mount' });
  });

  test('a socket without its mount is not taken for one', async () => {
    await using mounts = new FakeMounts();
    await mounts.add({ mountPoint: '/m' });
    await assert.rejects(mountOfPath('/m/x', placesOf(mounts)), { code: 'no-mount' });
  });

  test('a daemon that hangs is given up', async () => {
    await using mounts = new FakeMounts();
    await mounts.addSilent('/m');
    await assert.rejects(mountOfPath('/m/x', placesOf(mounts, '/m')), { code: 'not-answering' });
  });
});

describe('the table of commands', () => {
  test('names each once, in a group that there is, with one line that fits', () => {
    const names = COMMANDS.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    for (const { name, group, summary, words, options, tableOptions = [] } of COMMANDS) {
      assert.ok(COMMAND_GROUPS.includes(group), name);
      assert.doesNotMatch(summary, /\.$/, name);
      const all = [...words.map((word) => word.name), ...Object.keys(options), ...tableOptions];
      assert.equal(new Set(all).size, all.length, `${name}: a word or option twice`);
    }
  });

  test('the overview has them all, at any width', () => {
    for (const width of [40, 80, 100]) {
      const lines = overviewLines(COMMANDS, width);
      for (const { name } of COMMANDS)
        assert.ok(
          lines.some((line) => line.startsWith(`  ${name} `)),
          name,
        );
    }
  });
});
