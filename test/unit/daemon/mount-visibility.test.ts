/** Whether a mount is among those of everybody, from the kernel's list of them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasMount } from '../../../src/daemon/mounting/mount-visibility.js';

test('a mount is seen where the list has it, at that very place', () => {
  const list = [
    '21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
    '36 21 0:55 / /srv/my\\040drive rw,nosuid,nodev shared:9 - fuse.infinimount https://host/dav/ rw,user_id=0',
    '',
  ].join('\n');
  assert.equal(hasMount(list, '/srv/my drive'), true);
  assert.equal(hasMount(list, '/srv'), false);
  // Something is mounted there, and it is none of ours.
  assert.equal(hasMount(list, '/'), false);
});
