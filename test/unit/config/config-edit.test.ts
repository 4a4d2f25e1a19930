import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { replaceFile } from '../../../src/config/atomic-file.js';
import { removeProfile, removeSecrets, writeProfile } from '../../../src/config/config-edit.js';
import { removeTable, setInTable } from '../../../src/config/toml-edit.js';
import { seededRandom } from '../../support/random.js';

const home = mkdtempSync(join(tmpdir(), 'infinimount-edit-'));
after(() => rmSync(home, { recursive: true, force: true }));

const TEXT = `# my servers
cache-size = "10G" # plenty

# the one at home
[profile.home]
user = "me" # my id
password = "old"   # secret
url = "https://h/"

[profile.home.oauth2]
issuer = "x"

# work
[profile.work]
url = "https://w/"
`;

describe('editing', () => {
  test('a value changes, and nothing else', async () => {
    assert.equal(
      await setInTable(TEXT, ['profile', 'home'], { password: 'new "one" \\ \u007f\n' }),
      TEXT.replace('"old"', '"new \\"one\\" \\\\ \\u007f\\n"'),
    );
  });

  test('a key comes, a key goes', async () => {
    const text = await setInTable(TEXT, ['profile', 'home'], {
      password: undefined,
      node: 'n',
      preemptive: false,
    });
    assert.equal(
      text,
      TEXT.replace('password = "old"   # secret\n', '').replace(
        'url = "https://h/"\n',
        'url = "https://h/"\nnode = "n"\npreemptive = false\n',
      ),
    );
  });

  test('a table comes at the end', async () => {
    assert.equal(await setInTable(TEXT, ['profile', 'new'], { uid: 5 }), `${TEXT}\n[profile.new]\nuid = 5\n`);
    assert.equal(await setInTable('', ['profile', 'new'], { uid: 5 }), '[profile.new]\nuid = 5\n');
    assert.equal(await setInTable('a = 1', ['t'], { uid: 5 }), 'a = 1\n\n[t]\nuid = 5\n');
  });

  test('a table goes with its comment and those within it', async () => {
    assert.equal(
      await removeTable(TEXT, ['profile', 'home']),
      '# my servers\ncache-size = "10G" # plenty\n\n# work\n[profile.work]\nurl = "https://w/"\n',
    );
  });

  test('line ends stay those of the file', async () => {
    assert.equal(await setInTable('[t]\r\na = 1\r\n', ['t'], { b: 2, a: 3 }), '[t]\r\na = 3\r\nb = 2\r\n');
  });

  test('what cannot be edited is refused rather than damaged', async () => {
    const inline = '[profile]\nhome = { user = "me" }\n';
    assert.equal(
      await setInTable(inline, ['profile', 'home'], { user: 'you' }),
      inline.replace('"me"', '"you"'),
    );
    await assert.rejects(setInTable(inline, ['profile', 'home'], { url: 'x' }));
    await assert.rejects(setInTable(inline, ['profile', 'home'], { user: undefined }), {
      name: 'TomlEditError',
    });
  });

  test('random changes: the values are as set, the rest is as before', async () => {
    const random = seededRandom(20);
    let text = TEXT;
    const wanted = new Map<string, string>();
    const comments = [...TEXT.matchAll(/#.*$/gm)].map(([comment]) => comment);
    for (let step = 0; step < 200; step += 1) {
      const table = `t${random.below(4)}`;
      const key = `k${random.below(6)}`;
      const isRemoved = random.below(4) === 0;
      const value = `v${random.below(1000)}`;
      text = await setInTable(text, [table], { [key]: isRemoved ? undefined : value });
      if (isRemoved) wanted.delete(`${table}.${key}`);
      else wanted.set(`${table}.${key}`, value);
    }
    for (const [name, value] of wanted) {
      const [table = '', key = ''] = name.split('.');
      // Setting what is there already changes nothing, whatever stands around it.
      assert.equal(await setInTable(text, [table], { [key]: value }), text, name);
    }
    assert.deepEqual(
      [...text.matchAll(/#.*$/gm)].map(([comment]) => comment),
      comments,
    );
    assert.ok(text.startsWith(TEXT));
  });
});

describe('the file', () => {
  test('is made with its directory, private, and holds the profile', async () => {
    const path = join(home, 'new', 'dir', 'config.toml');
    await writeProfile(path, 'home', {
      url: 'https://h/',
      user: 'me',
      preemptive: 'false',
      uid: '5',
      issuer: 'i',
    });
    assert.equal(
      readFileSync(path, 'utf8'),
      '[profile.home]\nurl = "https://h/"\nuser = "me"\npreemptive = false\nuid = 5\n\n[profile.home.oauth2]\nissuer = "i"\n',
    );
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(join(home, 'new', 'dir')).mode & 0o777, 0o700);
    assert.deepEqual(readdirSync(join(home, 'new', 'dir')), ['config.toml']);
  });

  test('loses the secrets of a profile only, or all of it', async () => {
    const path = join(home, 'config.toml');
    writeFileSync(path, TEXT, { mode: 0o600 });
    assert.deepEqual(await removeSecrets(path, 'home'), ['password']);
    assert.equal(readFileSync(path, 'utf8'), TEXT.replace('password = "old"   # secret\n', ''));
    assert.deepEqual(await removeSecrets(path, 'home'), []);
    await removeProfile(path, 'work');
    assert.ok(!readFileSync(path, 'utf8').includes('work'));
  });

  test('that others can read is not written to', async () => {
    const path = join(home, 'open.toml');
    writeFileSync(path, TEXT);
    chmodSync(path, 0o644);
    await assert.rejects(writeProfile(path, 'home', { password: 'new' }), { message: /chmod 600/ });
    assert.equal(readFileSync(path, 'utf8'), TEXT);
  });

  test('behind a symbolic link is replaced where it is', () => {
    const real = join(home, 'real.toml');
    const link = join(home, 'link.toml');
    writeFileSync(real, 'old', { mode: 0o600 });
    symlinkSync(real, link);
    assert.equal(replaceFile(link, 'new', 'old'), true);
    assert.equal(readFileSync(real, 'utf8'), 'new');
  });

  test('that someone else changed meanwhile is not overwritten', () => {
    const path = join(home, 'raced.toml');
    writeFileSync(path, 'theirs', { mode: 0o600 });
    assert.equal(replaceFile(path, 'ours', 'old'), false);
    assert.equal(readFileSync(path, 'utf8'), 'theirs');
    assert.deepEqual(
      readdirSync(home).filter((name) => name.endsWith('.tmp')),
      [],
    );
  });

  test('temporary files of killed writers go, those of others stay', () => {
    const path = join(home, 'left.toml');
    // The largest process id there can be (proc(5), pid_max) is below this one.
    const dead = join(home, '.left.toml.99999999-0123456789abcdef.tmp');
    const living = join(home, `.left.toml.${process.pid}-0123456789abcdef.tmp`);
    for (const file of [dead, living]) writeFileSync(file, 'x');
    assert.equal(replaceFile(path, 'new', undefined), true);
    assert.deepEqual([existsSync(dead), existsSync(living)], [false, true]);
  });
});
