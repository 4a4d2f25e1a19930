/** What mount(8) says, as options of the product. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../../../src/base/index.js';
import { parseHelperWords } from '../../../src/cli/mount-helper.js';

function optionsOf(...words: readonly string[]) {
  return parseHelperWords(['work', '/mnt', ...words]);
}

describe('mount -t infinimount', () => {
  test('takes options of the table under their names, also with underscores, and two that mount(8) has', () => {
    const list =
      'ro,allow_other,uid=1000,cache-size=20G,sync,user=alice,password-file=/etc/secret,config=/etc/c.toml';
    const { spec, directory, flags, configFile, fake } = optionsOf('-o', list);
    assert.deepEqual([spec, directory, configFile, fake], ['work', '/mnt', '/etc/c.toml', false]);
    assert.deepEqual(flags, {
      'read-only': 'true',
      'allow-other': 'true',
      uid: '1000',
      'cache-size': '20G',
      sync: 'write-through',
      user: 'alice',
      'password-file': '/etc/secret',
    });
  });

  test('passes over what is said to others', () => {
    const list =
      'rw,defaults,_netdev,nofail,noauto,x-systemd.automount,x-systemd.idle-timeout=60,user,nosuid,nodev,comment=mine,relatime';
    assert.deepEqual(optionsOf('-o', list).flags, {});
    assert.deepEqual(optionsOf('-o', 'noexec').flags, { noexec: 'true' });
  });

  test('takes the letters that mount(8) gives', () => {
    assert.deepEqual(optionsOf('-sfnv', '-o', 'nonsense', '-t', 'infinimount').fake, true);
    assert.deepEqual(optionsOf('-n', '-oro', '-o', 'uid=1').flags, { 'read-only': 'true', uid: '1' });
    assert.deepEqual(optionsOf('-r').flags, { 'read-only': 'true' });
  });

  test('takes what mount(8) makes of a name and of an account', () => {
    assert.equal(parseHelperWords(['/work', '/mnt']).spec, 'work');
    assert.equal(parseHelperWords(['https://host/dav', '/mnt']).spec, 'https://host/dav');
    assert.deepEqual(optionsOf('-o', 'user=alice,exec,suid,dev').flags, { user: 'alice' });
  });

  test('a comma within double quotes belongs to the value', () => {
    assert.deepEqual(optionsOf('-o', 'user="a,b",ro').flags, { user: 'a,b', 'read-only': 'true' });
  });

  test('refuses what it cannot do, and secrets that all could read', () => {
    const refused = (words: readonly string[], text: RegExp) =>
      assert.throws(
        () => parseHelperWords(words),
        (error) => error instanceof UserError && error.code === 'usage' && text.test(error.message),
      );
    refused(['work'], /missing/);
    refused(['-o', 'ro'], /missing/);
    refused(['work', '/mnt', '-o', 'cache-sise=1G'], /no such option. Did you mean cache-size\?/);
    refused(['work', '/mnt', '-o', 'cache-size'], /it needs a value/);
    refused(['work', '/mnt', '-o', 'password=hidden'], /every user of the machine can read them/);
    refused(['work', '/mnt', '-o', 'suid'], /nosuid/);
    refused(['work', '/mnt', '-o', 'remount,ro'], /infinimount remount/);
    refused(['work', '/mnt', '-o', 'url=http://x/'], /no such option/);
    refused(['work', '/mnt', '-N', '42'], /namespace/);
    refused(['work', '/mnt', '-x'], /"-x"/);
  });
});
