import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { checkLibfuse } from '../../../src/daemon/preflight/preflight-libfuse.js';
import { LibfuseError, type LibfuseErrorCode, loadFuseNative } from '../../../src/libfuse/index.js';

const failing = (code: LibfuseErrorCode) => () => {
  throw new LibfuseError(code, 'it is not there');
};

describe('what the driver fuse-native needs', () => {
  test('nothing more for who may mount', () => checkLibfuse({ privileged: true }, [], () => undefined));

  test('everybody else needs fusermount', () =>
    assert.rejects(
      checkLibfuse({ privileged: false }, ['/no/such/directory'], () => undefined),
      { code: 'no-fusermount', hint: /apt-get install fuse3/ },
    ));

  const advice: readonly (readonly [LibfuseErrorCode, RegExp])[] = [
    ['no-package', /npm install/],
    ['no-build', /leave out --driver/],
    ['no-library', /apt-get install libfuse2/],
  ];
  for (const [code, hint] of advice) {
    test(`${code}: says what to do`, () =>
      assert.rejects(checkLibfuse({ privileged: true }, [], failing(code)), {
        code: 'no-libfuse',
        problem: 'Cannot use the driver fuse-native: it is not there',
        hint,
      }));
  }

  test('a package that is not installed is told as that', () => {
    const elsewhere = createRequire(join(tmpdir(), 'nowhere', 'index.js'));
    assert.throws(() => loadFuseNative(elsewhere), { name: 'LibfuseError', code: 'no-package' });
  });
});
