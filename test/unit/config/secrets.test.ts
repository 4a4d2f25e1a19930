import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { readCredential, readSecretFile, runSecretCommand } from '../../../src/config/secrets.js';

const home = mkdtempSync(join(tmpdir(), 'infinimount-secrets-'));
after(() => rmSync(home, { recursive: true, force: true }));

describe('password commands', () => {
  test('the first line of what it prints', async () => {
    assert.equal((await runSecretCommand("printf 'top secret\\nmore\\n'")).reveal(), 'top secret');
  });

  test('its failures are told without what it printed', async () => {
    const fails = (command: string, message: RegExp) =>
      assert.rejects(runSecretCommand(command, 300), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'password');
        assert.match(error.message, message);
        assert.ok(!error.message.includes('s3cret'), error.message);
        return true;
      });
    await fails('echo s3cret; exit 3', /it ended with exit code 3/);
    await fails('echo s3cret; kill -9 $$', /it was ended by SIGKILL/);
    await fails('echo', /its first line is empty/);
    // The shell's child keeps the pipe open.
    await fails('echo s3cret; sleep 60; true', /it did not end within 0\.3 seconds/);
    await fails('while echo s3cret; do :; done', /it printed more than 64 KiB/);
  });
});

describe('systemd credentials', () => {
  test('a file in the directory of the service manager', async () => {
    writeFileSync(join(home, 'dav'), 'pw\n', { mode: 0o440 });
    assert.equal((await readCredential('dav', home)).reveal(), 'pw');
    await assert.rejects(readCredential('dav', undefined), { message: /LoadCredential=dav/ });
    await assert.rejects(readCredential('none', home), { message: /there is no such file/ });
    for (const name of ['..', 'a/b', '']) {
      await assert.rejects(readCredential(name, home), { message: /that of no file/ });
    }
  });
});

test('a file that others can read is refused with the command that mends it', async () => {
  const path = join(home, 'open');
  writeFileSync(path, 's3cret\n');
  await assert.rejects(readSecretFile(path, 'client secret file', 'password'), {
    message: `Cannot use the client secret file "${path}": other users can read it (mode 0644). Run: chmod 600 ${path}`,
  });
});
