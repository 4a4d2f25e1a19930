import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Secret } from '../../../src/base/index.js';
import { type CredentialSource, resolveServer } from '../../../src/config/index.js';

const home = mkdtempSync(join(tmpdir(), 'infinimount-places-'));
after(() => rmSync(home, { recursive: true, force: true }));

const NEW = new Secret('new "one"');
const NEW_KEY = new Secret('0123456789ABCDEF0123456789ABCDEF');

function privateFile(name: string, text: string): string {
  const path = join(mkdtempSync(join(home, 'at-')), name);
  writeFileSync(path, text);
  chmodSync(path, 0o600);
  return path;
}

async function sourceOf(config: string, environment: Record<string, string> = {}): Promise<CredentialSource> {
  const { server } = await resolveServer(
    { profile: 'p', configFile: config, flags: {} },
    { environment: { HOME: home, ...environment }, workingDirectory: home },
  );
  assert.ok(server.credentialSource);
  return server.credentialSource;
}

describe('a new password is written where the old one is', () => {
  test('in the profile: comments, order and the other profiles stay', async () => {
    const text = (password: string) =>
      `# mine\n[profile.p]\nurl = "https://h/" # there\nuser = "me"\npassword = ${password} # secret\n\n[profile.q]\nurl = "https://q/"\nuser = "me"\npassword = "other"\n`;
    const config = privateFile('config.toml', text('"old"'));
    const source = await sourceOf(config);
    assert.deepEqual(await source.write({ password: NEW }), { writtenTo: [config], notes: [] });
    assert.equal(readFileSync(config, 'utf8'), text('"new \\"one\\""'));
    assert.equal(statSync(config).mode & 0o777, 0o600);
    const { credentials } = await source.read();
    assert.ok(credentials?.kind === 'basic');
    assert.equal(credentials.password.reveal(), NEW.reveal());
  });

  test('at the top of the file, where it holds for all profiles', async () => {
    const config = privateFile(
      'config.toml',
      'user = "me"\npassword = "old"\napi-key = "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"\n\n[profile.p]\nurl = "https://h/"\n',
    );
    const source = await sourceOf(config);
    assert.deepEqual((await source.write({ password: NEW, apiKey: NEW_KEY })).writtenTo, [config]);
    const text = readFileSync(config, 'utf8');
    assert.ok(
      text.startsWith(`user = "me"\npassword = "new \\"one\\""\napi-key = "${NEW_KEY.reveal()}"\n\n[`),
    );
  });

  test('in a file of its own: the first line, and what follows stays', async () => {
    const file = privateFile('password', 'old\nsecond line\n');
    const config = privateFile(
      'config.toml',
      `[profile.p]\nurl = "https://h/"\nuser = "me"\npassword-file = "${file}"\n`,
    );
    const source = await sourceOf(config);
    assert.deepEqual((await source.write({ password: NEW })).writtenTo, [file]);
    assert.equal(readFileSync(file, 'utf8'), `${NEW.reveal()}\nsecond line\n`);
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });
});

describe('a new password that cannot be written', () => {
  for (const [name, keys, note] of [
    ['comes from a command', 'password-command = "echo old"', /where the password command gets it from/],
    ['comes from systemd', 'password-credential = "word"', /LoadCredential= for "word"/],
    [
      'lies where nothing can be written',
      'password-file = "/proc/version"',
      /could not be written: .*before/,
    ],
  ] as const) {
    test(`${name}: it is said where it has to be changed, and the secret is not in it`, async () => {
      const credentials = mkdtempSync(join(home, 'credentials-'));
      writeFileSync(join(credentials, 'word'), 'old\n', { mode: 0o600 });
      const keysOfStart = keys.includes('/proc/') ? 'password = "old"' : keys;
      const text = (line: string) => `[profile.p]\nurl = "https://h/"\nuser = "me"\n${line}\n`;
      const config = privateFile('config.toml', text(keysOfStart));
      const source = await sourceOf(config, { CREDENTIALS_DIRECTORY: credentials });
      writeFileSync(config, text(keys));
      const { writtenTo, notes } = await source.write({ password: NEW });
      assert.deepEqual(writtenTo, []);
      assert.equal(notes.length, 1);
      assert.match(notes[0] ?? '', note);
      assert.ok(!notes.join().includes(NEW.reveal()));
    });
  }
});
