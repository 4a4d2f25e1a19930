import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { checkConfig, resolveMount, type Surroundings, shownOptions } from '../../../src/config/index.js';

const home = mkdtempSync(join(tmpdir(), 'infinimount-profiles-'));
after(() => rmSync(home, { recursive: true, force: true }));

const path = join(home, 'config.toml');
const surroundings: Surroundings = { environment: { HOME: '/home/me' }, workingDirectory: '/elsewhere' };
const API_KEY = '0123456789ABCDEF0123456789ABCDEF';

function write(text: string): void {
  writeFileSync(path, text, { mode: 0o600 });
}

async function profile(text: string, name = 'home', around: Partial<Surroundings> = {}) {
  write(text);
  const request = { profile: name, configFile: path, directory: '/mnt/x', flags: {} };
  return (await resolveMount(request, { ...surroundings, ...around })).mount;
}

/** The messages of all faults, without the part that they have in common. */
async function faultsOf(text: string): Promise<string[]> {
  write(text);
  const { faults } = await checkConfig(path, surroundings);
  for (const fault of faults) assert.equal(fault.code, 'config-file', fault.message);
  return faults.map(({ message }) =>
    message.replaceAll(`Cannot use the configuration file ${JSON.stringify(path)}, `, ''),
  );
}

const LOGIN = 'user = "me"\npassword = "pw"\n';

describe('profiles', () => {
  test('a profile goes before the top of the file', async () => {
    const mount = await profile(
      `cache-size = "1G"\nsync = "write-through"\n[profile.home]\nurl = "https://h/dav"\ncache-size = "2G"\n${LOGIN}`,
    );
    assert.equal(mount.url, 'https://h/dav/');
    assert.equal(mount.cacheSizeBytes, 2 * 1024 ** 3);
    assert.equal(mount.sync, 'write-through');
    assert.equal(mount.profile, 'home');
  });

  test('a node is a URL: /dav/ for BASIC, /v2/dav/ for OAuth2', async () => {
    assert.equal(
      (await profile(`[profile.home]\nnode = "n1.example"\n${LOGIN}`)).url,
      'https://n1.example/dav/',
    );
    const oauth =
      '[profile.home]\nnode = "n1.example"\nauth = "oauth2"\n[profile.home.oauth2]\nissuer = "https://i"\nclient-id = "c"\n';
    const mount = await profile(oauth);
    assert.equal(mount.url, 'https://n1.example/v2/dav/');
    assert.ok(mount.credentials?.kind === 'oauth2');
    assert.equal(mount.credentials.tokenFile, '/home/me/.local/state/infinimount/tokens/home.json');
    assert.deepEqual([mount.credentials.clientId, mount.credentials.grant], ['c', 'device']);
  });

  test('an API key goes with the password to the API, and is never printed', async () => {
    const mount = await profile(`[profile.home]\nurl = "https://h/"\n${LOGIN}api-key = "${API_KEY}"\n`);
    assert.equal(mount.rest?.key.reveal(), API_KEY);
    assert.equal(mount.rest?.url, 'https://api.teracloud.jp');
    for (const printed of [inspect(mount, { depth: 9 }), JSON.stringify(mount)]) {
      assert.ok(!printed.includes(API_KEY) && !printed.includes('"pw"'), printed);
    }
  });

  test('paths are relative to the file, and ~ is the home directory', async () => {
    const text = (mountPoint: string) =>
      `[profile.home]\nurl = "https://h/"\ncache-dir = "c"\nmount-point = "${mountPoint}"\n`;
    write(text('~/cloud'));
    const request = { profile: 'home', configFile: path, flags: {} };
    const { mount } = await resolveMount(request, surroundings);
    assert.deepEqual([mount.mountPoint, mount.cacheDir], ['/home/me/cloud', join(home, 'c')]);
  });

  test('what is missing is named', async () => {
    await assert.rejects(profile('[profile.work]\nurl = "https://h/"\n'), {
      code: 'usage',
      message: /there is no \[profile\.home\] in .*There is: work\.$/,
    });
    await assert.rejects(profile('[profile.home]\n'), { message: /it has neither url nor node/ });
    write('[profile.home]\nurl = "https://h/"\n');
    await assert.rejects(resolveMount({ profile: 'home', configFile: path, flags: {} }, surroundings), {
      code: 'usage',
      message: /the directory to mount on is missing/,
    });
  });
});

describe('faults', () => {
  test('unknown keys, with line and the nearest right one', async () => {
    assert.deepEqual(
      await faultsOf(
        'chache-size = "1G"\n\n[profile.home]\npassword_file = "x"\nxyzzy = 1\n[profil.home]\na = 1\n[profile.home.oauth]\nissuer = "x"\n',
      ),
      [
        'line 6: there is no table "profil". Did you mean profile?',
        'line 8: there is no table "oauth". Did you mean oauth2?',
        'line 1: there is no option "chache-size". Did you mean cache-size?',
        'line 4: there is no option "password_file". Did you mean password-file?',
        'line 5: there is no option "xyzzy".',
      ],
    );
  });

  test('keys in the wrong table', async () => {
    assert.deepEqual(await faultsOf('[profile.a]\nissuer = "x"\n[profile.a.oauth2]\ncache-size = "1G"\n'), [
      'line 2: issuer stands in the wrong place. Write it in a table "oauth2".',
      'line 4: cache-size stands in the wrong place. Write it outside the table "oauth2".',
    ]);
    assert.deepEqual(await faultsOf('profile = "x"\n'), ['line 1: profile must be a table.']);
    assert.deepEqual(await faultsOf('[profile]\nurl = "x"\n'), [
      'line 2: "url" must be a table: [profile.url].',
    ]);
    assert.deepEqual(await faultsOf('[profile."a b"]\n'), [
      'line 1: "a b" cannot be the name of a profile: a profile is named with letters, digits, "-" and "_".',
    ]);
  });

  test('wrong types, and values that are no good; a secret is not repeated', async () => {
    assert.deepEqual(
      await faultsOf(
        'user = 5\nuid = "0"\nread-only = "yes"\ncache-size = true\nfile-mode = 644\nsync = "never"\napi-key = "s3cret"\npassword = ["s3cret"]\n',
      ),
      [
        'line 1: user must be a text in quotes.',
        'line 2: uid must be a number without quotes.',
        'line 3: read-only must be true or false, without quotes.',
        'line 4: cache-size must be a text in quotes or a whole number.',
        'line 5: file-mode must be a text in quotes.',
        'line 6: sync cannot be "never": it must be one of write-back, write-through.',
        'line 7: api-key cannot be the value: it must be 32 hexadecimal digits in upper case.',
        'line 8: password must be a text in quotes.',
      ],
    );
  });

  test('what is no TOML, or has a key twice, is named by line and not repeated', async () => {
    for (const text of ['a = "b"\npassword = s3cret\n', 'user = "a"\nuser = "s3cret"\n']) {
      write(text);
      await assert.rejects(checkConfig(path, surroundings), (error: Error) => {
        assert.match(error.message, /line 2, column \d+ is no valid TOML/);
        assert.ok(!error.message.includes('s3cret'));
        return true;
      });
    }
  });

  const place = (name: string, line: number) =>
    `Cannot use ${name} in ${JSON.stringify(path)}, line ${line}: `;
  const profileFault = async (lines: string) => {
    write(`[profile.home]\n${lines}`);
    const { faults } = await checkConfig(path, surroundings);
    return faults.map(({ message }) => message);
  };

  test('combinations that cannot be', async () => {
    const url = 'url = "https://h/"\n';
    assert.deepEqual(await profileFault(`${url}node = "n"\n`), [
      `${place('node', 3)}it says the same as url in ${JSON.stringify(path)}, line 2. Leave one of them out.`,
    ]);
    assert.deepEqual(await profileFault(`${url}user = "me"\npassword = "a"\npassword-command = "b"\n`), [
      `${place('password-command', 5)}it says the same as password in ${JSON.stringify(path)}, line 4. Leave one of them out.`,
    ]);
    assert.deepEqual(await profileFault(`${url}password = "a"\n`), [
      `${place('password', 3)}no user name was given. Add the option user.`,
    ]);
    assert.deepEqual(await profileFault(`${url}user = "a:b"\n`), [
      `${place('user', 3)}a user name has no ":" (RFC 7617 section 2).`,
    ]);
    assert.deepEqual(await profileFault(`${url}auth = "oauth2"\n`), [
      `${place('auth', 3)}no client-id was given.`,
    ]);
    assert.deepEqual(await profileFault(`${url}auth = "oauth2"\noauth2.client-id = "c"\n`), [
      `${place('auth', 3)}neither issuer nor token-endpoint was given.`,
    ]);
    assert.deepEqual(
      await profileFault(`${url}oauth2.client-id = "c"\n`),
      [`${place('client-id', 3)}auth is basic. Write: auth = "oauth2"`].map((text) =>
        `${text}.`.replace('oauth2".', 'oauth2"'),
      ),
    );
    assert.deepEqual(await profileFault(`${url}auth = "token-command"\n`), [
      `${place('auth', 3)}no token-command was given.`,
    ]);
    assert.deepEqual(
      await profileFault(`${url}auth = "token-command"\ntoken-command = "t"\npreemptive = false\n`),
      [`${place('preemptive', 5)}it is for auth basic, and auth is token-command.`],
    );
    assert.deepEqual(
      await profileFault(
        `${url}auth = "oauth2"\noauth2.client-id = "c"\noauth2.issuer = "https://i"\noauth2.grant = "client-credentials"\n`,
      ),
      [`${place('grant', 6)}no client-secret was given.`],
    );
  });

  test('a URL, a file', async () => {
    const [bad = ''] = await profileFault('url = "https://me:s3cret@h/"\n');
    assert.match(bad, /it carries a user name or password/);
    assert.ok(!bad.includes('s3cret'));
    const [missing = ''] = await profileFault('url = "https://h/"\nuser = "me"\npassword-file = "none"\n');
    assert.match(missing, /Cannot read the password file "[^"]*\/none": there is no such file/);
  });
});

describe('what is shown', () => {
  test('secrets are redacted, and each value says where it is from', async () => {
    write(
      `cache-size = "1G"\n[profile.home]\nurl = "https://me:s3cret@h/"\nuser = "me"\npassword = "s3cret"\napi-key = "${API_KEY}"\n`,
    );
    const { file } = await checkConfig(path, surroundings);
    const options = shownOptions(file, 'home', surroundings);
    assert.ok(!JSON.stringify(options).includes('s3cret') && !JSON.stringify(options).includes(API_KEY));
    const find = (name: string) => options.find((option) => option.name === name);
    assert.deepEqual([find('password')?.text, find('password')?.origin?.line], ['[redacted]', 5]);
    assert.deepEqual([find('cache-size')?.text, find('cache-size')?.origin?.line], ['1G', 1]);
    assert.deepEqual([find('sync')?.text, find('sync')?.origin], ['write-back', undefined]);
  });
});
