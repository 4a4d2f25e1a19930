import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { controlSocketPath, runtimeDir } from '../../../src/config/index.js';

const USER = 1000;

test('the runtime directory: of the unit, of the machine for root, of the session, or a temporary one', () => {
  const session = { XDG_RUNTIME_DIR: '/run/user/1000' };
  const unit = { ...session, RUNTIME_DIRECTORY: '/run/infinimount/a:/run/other' };
  assert.equal(runtimeDir(unit, USER), '/run/infinimount/a');
  assert.equal(runtimeDir(unit, 0), '/run/infinimount/a');
  assert.equal(runtimeDir(session, 0), '/run/infinimount');
  assert.equal(runtimeDir({}, 0), '/run/infinimount');
  assert.equal(runtimeDir(session, USER), '/run/user/1000/infinimount');
  assert.equal(runtimeDir({}, USER), join(tmpdir(), 'infinimount-1000'));
  assert.equal(
    runtimeDir({ XDG_RUNTIME_DIR: 'relative', RUNTIME_DIRECTORY: '' }, USER),
    join(tmpdir(), 'infinimount-1000'),
  );
});

test('each mount point has a socket of its own, always the same', () => {
  const path = controlSocketPath('/run/x', '/mnt/a');
  assert.match(path, /^\/run\/x\/[0-9a-f]{12}\.sock$/);
  assert.equal(controlSocketPath('/run/x', '/mnt/a'), path);
  assert.notEqual(controlSocketPath('/run/x', '/mnt/b'), path);
});
