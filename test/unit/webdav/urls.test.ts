import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toName } from '../../../src/base/index.js';
import { joinRemote, REMOTE_ROOT, type RemotePath } from '../../../src/remote/index.js';
import { encodeSegment, UrlSpace } from '../../../src/webdav/urls.js';

function path(...segments: string[]): RemotePath {
  return segments.reduce<RemotePath>((above, segment) => {
    const name = toName(segment);
    assert.ok(name !== undefined);
    return joinRemote(above, name);
  }, REMOTE_ROOT);
}

describe('encodeSegment', () => {
  for (const [plain, encoded] of [
    ['a b', 'a%20b'],
    ['100%', '100%25'],
    ['%20', '%2520'],
    ['#?&+;', '%23%3F%26%2B%3B'],
    [`!'()*`, '%21%27%28%29%2A'],
    ['back\\slash', 'back%5Cslash'],
    ['日', '%E6%97%A5'],
    ['🎉', '%F0%9F%8E%89'],
    ['safe-._~', 'safe-._~'],
  ] as const) {
    test(plain, () => assert.equal(encodeSegment(plain), encoded));
  }
});

describe('UrlSpace', () => {
  const space = new UrlSpace('https://host.example:8443/dav/my%20files');

  test('its base ends with a slash', () =>
    assert.equal(space.base, 'https://host.example:8443/dav/my%20files/'));

  test('a collection ends with a slash, a file does not', () => {
    assert.equal(space.urlOf(path('a', 'b#'), false), `${space.base}a/b%23`);
    assert.equal(space.urlOf(path('a', 'b#'), true), `${space.base}a/b%23/`);
    assert.equal(space.urlOf(REMOTE_ROOT, false), space.base);
  });

  const asked = path('sub dir');
  const children = [
    ['a path', '/dav/my%20files/sub%20dir/a%25b'],
    ['an absolute URI', 'https://host.example:8443/dav/my%20files/sub%20dir/a%25b'],
    ['an absolute URI of another name of the host', 'http://internal/dav/my%20files/sub%20dir/a%25b'],
    ['double slashes', '//dav//my%20files/sub%20dir//a%25b/'.slice(1)],
    ['a trailing slash', '/dav/my%20files/sub%20dir/a%25b/'],
    ['more encoded than need be', '/dav/my%20files/%73ub%20dir/%61%25b'],
    ['less encoded than it should be', '/dav/my files/sub dir/a%25b'],
    ['a relative reference', 'a%25b'],
    ['white space around', '\n  /dav/my%20files/sub%20dir/a%25b  \n'],
  ] as const;
  for (const [what, href] of children) {
    test(`an href as ${what} is decoded once`, () =>
      assert.deepEqual(space.reader(asked).meaningOf(href), { kind: 'child', path: path('sub dir', 'a%b') }));
  }

  test('a backslash stays one', () =>
    assert.deepEqual(space.reader(asked).meaningOf('/dav/my%20files/sub%20dir/a\\b'), {
      kind: 'child',
      path: path('sub dir', 'a\\b'),
    }));

  test('the directory itself is known with and without its slash', () => {
    for (const href of ['/dav/my%20files/sub%20dir/', '/dav/my%20files/sub%20dir']) {
      assert.deepEqual(space.reader(asked).meaningOf(href), { kind: 'self' });
    }
    assert.deepEqual(space.reader(REMOTE_ROOT).meaningOf('/dav/my%20files'), { kind: 'self' });
  });

  const skipped = [
    ['/dav/my%20files/sub%20dir/100%', 'bad-encoding'],
    ['/dav/my%20files/sub%20dir/%ff%fe', 'bad-encoding'],
    ['/dav/my%20files/sub%20dir/a%2Fb', 'bad-name'],
    ['/dav/my%20files/sub%20dir/%00', 'bad-name'],
    ['/dav/my%20files/sub%20dir/..', 'bad-name'],
    ['/dav/my%20files/sub%20dir/.DAV', 'bad-name'],
    [`/dav/my%20files/sub%20dir/${'x'.repeat(256)}`, 'bad-name'],
    ['/dav/my%20files/other/a', 'elsewhere'],
    ['/dav/my%20files/sub%20dir/a/deeper', 'elsewhere'],
    ['/', 'elsewhere'],
  ] as const;
  for (const [href, reason] of skipped) {
    test(`${href.slice(0, 40)} is skipped as ${reason}`, () =>
      assert.deepEqual(space.reader(asked).meaningOf(href), { kind: 'skipped', reason }));
  }

  test('what was read before changes nothing', () => {
    const hrefs = [
      ...children.map(([, href]) => href),
      ...skipped.map(([href]) => href),
      'b',
      '',
      '//',
      'b/',
    ];
    for (const before of hrefs) {
      for (const href of hrefs) {
        const reader = space.reader(asked);
        reader.meaningOf(before);
        const expected = space.reader(asked).meaningOf(href);
        assert.deepEqual(reader.meaningOf(href), expected, `"${href}" after "${before}"`);
      }
    }
  });

  test('what is no web address or carries a password is refused', () => {
    for (const bad of ['ftp://host/', 'https://user:pw@host/', 'nonsense']) {
      assert.throws(() => new UrlSpace(bad), TypeError);
    }
  });
});
