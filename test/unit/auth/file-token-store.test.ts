import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { AuthError, FileTokenStore, type Tokens } from '../../../src/auth/index.js';
import { Secret } from '../../../src/base/index.js';

const folder = mkdtempSync(join(tmpdir(), 'infinimount-tokens-'));
after(() => rmSync(folder, { recursive: true }));

const tokens: Tokens = {
  issuedTo: 'server and client',
  accessToken: new Secret('access'),
  issuedAtMs: 1000,
  expiresAtMs: 2000,
  refreshToken: new Secret('refresh'),
};

const failsAsFile = (error: unknown) => error instanceof AuthError && error.code === 'token-file';

describe('FileTokenStore', () => {
  test('keeps tokens in a file of the owner alone, and nothing beside it', async () => {
    const path = join(folder, 'a', 'b', 'profile.json');
    await new FileTokenStore(path).save(tokens);
    await new FileTokenStore(path).save({ ...tokens, accessToken: new Secret('second') });
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder, 'a', 'b')).mode & 0o777, 0o700);
    assert.deepEqual(readdirSync(join(folder, 'a', 'b')), ['profile.json']);
    const loaded = await new FileTokenStore(path).load();
    assert.equal(loaded?.accessToken.reveal(), 'second');
    assert.equal(loaded?.refreshToken?.reveal(), 'refresh');
    assert.equal(loaded?.expiresAtMs, 2000);
    assert.ok(!inspect(loaded).includes('second'));
  });

  test('knows nothing where there is no file', async () => {
    assert.equal(await new FileTokenStore(join(folder, 'none.json')).load(), undefined);
    await new FileTokenStore(join(folder, 'none.json')).clear();
  });

  test('refuses a file that others can read, and says how to mend it', async () => {
    const path = join(folder, 'open.json');
    await new FileTokenStore(path).save(tokens);
    chmodSync(path, 0o640);
    await assert.rejects(new FileTokenStore(path).load(), (error) => {
      assert.ok(failsAsFile(error) && error instanceof AuthError);
      assert.equal(error.advice, `Run: chmod 600 ${path}`);
      return true;
    });
  });

  for (const [what, text] of [
    ['no JSON', '{"access'],
    ['another version', '{"version":2,"issuedTo":"","accessToken":"s3cret","issuedAtMs":1}'],
    ['a wrong type', '{"version":1,"issuedTo":"","accessToken":"s3cret","issuedAtMs":"x"}'],
  ] as const) {
    test(`reports a damaged file without its content: ${what}`, async () => {
      const path = join(folder, 'damaged.json');
      writeFileSync(path, text, { mode: 0o600 });
      await assert.rejects(new FileTokenStore(path).load(), (error) => {
        assert.ok(failsAsFile(error) && !inspect(error).includes('s3cret'));
        return true;
      });
    });
  }

  test('a file that cannot be written leaves the old one', async () => {
    const path = join(folder, 'kept.json');
    await new FileTokenStore(path).save(tokens);
    const before = readFileSync(path);
    const blocked = new FileTokenStore(join(path, 'below-a-file.json'));
    await assert.rejects(blocked.save(tokens), failsAsFile);
    assert.deepEqual(readFileSync(path), before);
  });

  test('clear removes the tokens, and what a crash has left of others', async () => {
    const dir = mkdtempSync(join(folder, 'clear-'));
    const store = new FileTokenStore(join(dir, 'p.json'));
    await store.exclusively(() => store.save(tokens));
    writeFileSync(join(dir, 'p.json.0123.tmp'), 'half');
    writeFileSync(join(dir, 'other.json'), 'stays');
    await store.clear();
    assert.deepEqual(readdirSync(dir), ['other.json']);
  });

  test('one holder at a time', async () => {
    const path = join(folder, 'locked.json');
    const order: string[] = [];
    let release: () => void = () => undefined;
    let taken: () => void = () => undefined;
    const isTaken = new Promise<void>((resolve) => {
      taken = resolve;
    });
    const first = new FileTokenStore(path).exclusively(async () => {
      taken();
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      order.push('first');
    });
    await isTaken;
    const second = new FileTokenStore(path).exclusively(async () => {
      order.push('second');
    });
    await new Promise((resolve) => setImmediate(resolve));
    release();
    await Promise.all([first, second]);
    assert.deepEqual(order, ['first', 'second']);
    assert.ok(existsSync(`${path}.lock`));
  });
});
