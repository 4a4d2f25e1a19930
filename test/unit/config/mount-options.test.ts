import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { inspect } from 'node:util';
import {
  checkServerUrl,
  type MountOptions,
  type MountRequest,
  resolveMount,
  type Surroundings,
} from '../../../src/config/index.js';

const home = mkdtempSync(join(tmpdir(), 'infinimount-config-'));
after(() => rmSync(home, { recursive: true, force: true }));

function write(name: string, text: string, mode = 0o600): string {
  const path = join(home, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const surroundings: Surroundings = { environment: { HOME: '/home/me' }, workingDirectory: home };

async function resolved(request: Partial<MountRequest>, around: Partial<Surroundings> = {}) {
  const full = { url: 'https://cloud.example/dav', directory: 'drive', flags: {}, ...request };
  return (await resolveMount(full, { ...surroundings, ...around })).mount;
}

/** The password of a mount that logs in with BASIC. */
function passwordOf({ credentials }: MountOptions): string | undefined {
  return credentials?.kind === 'basic' ? credentials.password.reveal() : undefined;
}

describe('URLs', () => {
  const rules = { insecureHttp: false };

  test('one form', () => {
    assert.equal(
      checkServerUrl('HTTPS://Cloud.Example:443/a b/../dav'.replace(' ', '%20'), rules).href,
      'https://cloud.example/dav/',
    );
    assert.equal(checkServerUrl('https://cloud.example', rules).href, 'https://cloud.example/');
  });

  for (const url of [
    '',
    'cloud.example/dav',
    'ftp://h/',
    'https:/h/',
    'https://',
    'https://h:99999/',
    'https://h/a b',
    'file:///x',
  ]) {
    test(`${JSON.stringify(url)} is malformed`, () => {
      assert.throws(() => checkServerUrl(url, rules), { code: 'bad-url' });
    });
  }

  test('credentials are refused and not repeated', () => {
    for (const url of ['https://me:s3cret@h/', 'https://me:s3cret@h:bad/']) {
      assert.throws(
        () => checkServerUrl(url, rules),
        (error: Error) => !error.message.includes('s3cret'),
      );
    }
  });

  test('query and fragment are refused', () => {
    assert.throws(() => checkServerUrl('https://h/a?b', rules), { code: 'bad-url' });
    assert.throws(() => checkServerUrl('https://h/a#b', rules), { code: 'bad-url' });
  });

  test('plain http for this machine only, or when insisted on', () => {
    for (const host of ['localhost', '127.0.0.1:8080', '127.1.2.3', '[::1]:80', 'dav.localhost']) {
      assert.equal(checkServerUrl(`http://${host}/`, rules).protocol, 'http:');
    }
    for (const host of [
      'cloud.example',
      '192.168.0.1',
      '127.0.0.1.example',
      'localhost.example',
      '[::2]',
      '128.0.0.1',
    ]) {
      assert.throws(() => checkServerUrl(`http://${host}/`, rules), { code: 'plain-http' }, host);
      assert.equal(checkServerUrl(`http://${host}/`, { insecureHttp: true }).protocol, 'http:');
    }
  });
});

describe('passwords', () => {
  test('the first line of the file, never printed', async () => {
    const file = write('good', 's3cret word\r\nsecond line\n');
    const mount = await resolved({ flags: { user: 'me', 'password-file': file } });
    assert.equal(passwordOf(mount), 's3cret word');
    assert.ok(!inspect(mount, { depth: 9 }).includes('s3cret'));
    assert.ok(!JSON.stringify(mount).includes('s3cret'));
  });

  for (const mode of [0o640, 0o604, 0o620, 0o644]) {
    test(`a file of mode ${mode.toString(8)} is refused with the command that helps`, async () => {
      const file = write(`open-${mode}`, 'pw\n', mode);
      await assert.rejects(resolved({ flags: { user: 'me', 'password-file': file } }), {
        code: 'password',
        message: `Cannot use the password file "${file}": other users can read it (mode 0${mode.toString(8)}). Run: chmod 600 ${file}`,
      });
    });
  }

  test('a missing, empty or strange file', async () => {
    const reject = (file: string, message: RegExp) =>
      assert.rejects(resolved({ flags: { user: 'me', 'password-file': file } }), {
        code: 'password',
        message,
      });
    await reject(join(home, 'none'), /there is no such file/);
    await reject(write('empty', '\n\n'), /first line is empty/);
    await reject(home, /it is a directory/);
  });

  test('asked for where someone can be asked', async () => {
    const questions: string[] = [];
    const askPassword = async (question: string) => {
      questions.push(question);
      return 'typed';
    };
    const mount = await resolved({ flags: { user: 'me' } }, { askPassword });
    assert.equal(passwordOf(mount), 'typed');
    assert.deepEqual(questions, ['Password of me on cloud.example: ']);
    await assert.rejects(resolved({ flags: { user: 'me' } }), {
      code: 'password',
      message: /--password-file/,
    });
    await assert.rejects(resolved({ flags: { user: 'me' } }, { askPassword: async () => '' }), {
      code: 'password',
    });
  });

  test('no user, no credentials; a password without a user is an error', async () => {
    assert.equal((await resolved({})).credentials, undefined);
    await assert.rejects(resolved({ flags: { 'password-file': write('pw', 'x') } }), {
      code: 'usage',
      message: /^Cannot use --password-file: no user name was given/,
    });
    await assert.rejects(resolved({ flags: { user: 'a:b' } }), { code: 'usage' });
  });
});

describe('the cache directory', () => {
  test('one for each server and user, below the cache directory of the user', async () => {
    const one = await resolved({});
    assert.match(one.cacheDir, /^\/home\/me\/\.cache\/infinimount\/cloud\.example-[0-9a-f]{12}$/);
    assert.equal((await resolved({ url: 'https://cloud.example/dav/' })).cacheDir, one.cacheDir);
    assert.notEqual((await resolved({ url: 'https://cloud.example/other' })).cacheDir, one.cacheDir);
    const two = await resolved({ flags: { user: 'me' } }, { askPassword: async () => 'x' });
    assert.notEqual(two.cacheDir, one.cacheDir);
  });

  test('XDG_CACHE_HOME counts when it is absolute', async () => {
    const at = async (path: string) =>
      (await resolved({}, { environment: { HOME: '/h', XDG_CACHE_HOME: path } })).cacheDir;
    assert.match(await at('/x'), /^\/x\/infinimount\//);
    assert.match(await at('relative'), /^\/h\/\.cache\/infinimount\//);
  });

  test('paths are relative to the working directory', async () => {
    const mount = await resolved({ flags: { 'cache-dir': 'c' } });
    assert.equal(mount.cacheDir, join(home, 'c'));
    assert.equal(mount.mountPoint, join(home, 'drive'));
  });
});

describe('the configuration file', () => {
  const config = (text: string, mode?: number) => resolved({ configFile: write('config.toml', text, mode) });

  test('the options of the command line, and a password', async () => {
    const mount = await config(
      'user = "me"\npassword = "pw"\nread-only = true\nmax-connections = 5\ncache-size = "1G"\n',
    );
    assert.equal(passwordOf(mount), 'pw');
    assert.deepEqual([mount.readOnly, mount.maxConnections, mount.cacheSizeBytes], [true, 5, 1024 ** 3]);
  });

  test('unknown keys get a guess', async () => {
    await assert.rejects(config('chache-size = "1G"'), {
      code: 'config-file',
      message: /there is no option "chache-size"\. Did you mean cache-size\?$/,
    });
  });

  for (const mode of [0o644, 0o640, 0o620, 0o604]) {
    test(`a file of mode ${mode.toString(8)} is refused with the command that mends it, whatever is in it`, async () => {
      await assert.rejects(config('read-only = true', mode), {
        code: 'config-file',
        message: `Cannot use the configuration file "${join(home, 'config.toml')}": other users can read it (mode 0${mode.toString(8)}). Run: chmod 600 ${join(home, 'config.toml')}`,
      });
    });
  }

  const asRoot = { skip: process.getuid?.() === 0 ? false : 'needs root' };
  test('a file of another user is refused with the command that mends it', asRoot, async () => {
    const path = write('foreign.toml', 'read-only = true');
    chownSync(path, 65_534, 65_534);
    await assert.rejects(resolved({ configFile: path }), {
      code: 'config-file',
      message: `Cannot use the configuration file "${path}": it belongs to user 65534, and you are user 0. Run: chown 0 ${path}`,
    });
  });

  test('what is no TOML is named by line, without quoting it', async () => {
    await assert.rejects(config('user = "me"\npassword = s3cret\n'), (error: Error) => {
      assert.match(error.message, /line 2, column \d+ is no valid TOML/);
      assert.ok(!error.message.includes('s3cret'));
      return true;
    });
  });

  test('tables and lists are no values', async () => {
    await assert.rejects(config('uid = [1]'), { code: 'config-file' });
    await assert.rejects(config('[uid]\na = 1'), { code: 'config-file' });
  });
});

describe('the CA file', () => {
  test('is read, and must hold a certificate', async () => {
    const pem = '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n';
    assert.equal((await resolved({ flags: { 'ca-file': write('ca.pem', pem, 0o644) } })).extraCaPem, pem);
    await assert.rejects(resolved({ flags: { 'ca-file': write('no.pem', 'hello') } }), { code: 'ca-file' });
    await assert.rejects(resolved({ flags: { 'ca-file': '/nowhere' } }), {
      code: 'ca-file',
      message: /no such file/,
    });
  });
});
