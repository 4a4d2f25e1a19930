import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { AuthError, TokenCommandAuth } from '../../../src/auth/index.js';
import { parseTokenOutput } from '../../../src/auth/token-command.js';
import { SystemClock, silentLog } from '../../../src/base/index.js';
import { ManualClock } from '../../support/manual-clock.js';

const request = { method: 'GET', url: 'https://host.example/v2/dav/' };
const deps = { clock: new SystemClock(), log: silentLog };
const folder = mkdtempSync(join(tmpdir(), 'infinimount-token-'));
after(() => rmSync(folder, { recursive: true }));

async function authErrorOf(work: () => unknown): Promise<AuthError> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof AuthError);
    return error;
  }
  assert.fail('it did not fail');
}

describe('parseTokenOutput', () => {
  const nowMs = 1_700_000_000_000;
  for (const [output, token, expiresAtMs] of [
    ['abc.DEF-1~+/==\n', 'abc.DEF-1~+/==', undefined],
    ['{"access_token":"t","expires_in":60}', 't', nowMs + 60_000],
    ['{"access_token":"t","expires_in":"60"}', 't', nowMs + 60_000],
    ['{"access_token":"t","expires_at":1700000099}', 't', 1_700_000_099_000],
    ['{"access_token":"t","expires_at":"2023-11-14T22:15:00Z"}', 't', Date.UTC(2023, 10, 14, 22, 15)],
  ] as const) {
    test(output.trim(), () => {
      const parsed = parseTokenOutput(output, nowMs);
      assert.equal(parsed.accessToken.reveal(), token);
      assert.equal(parsed.expiresAtMs, expiresAtMs);
    });
  }

  for (const output of [
    '',
    'two words',
    'a\r\nX-Evil: 1',
    '{"access_token":',
    '{}',
    '{"access_token":"t","expires_at":"soon"}',
  ]) {
    test(`refused: ${JSON.stringify(output)}`, async () => {
      const error = await authErrorOf(() => parseTokenOutput(output, nowMs));
      assert.equal(error.code, 'token-command');
      assert.ok(!/Evil|words|soon/.test(error.message), error.message);
    });
  }
});

describe('TokenCommandAuth', () => {
  test('the command is run once for all, and again after a refusal', async () => {
    const runs = join(folder, 'runs');
    writeFileSync(runs, '');
    const auth = new TokenCommandAuth({ command: `echo x >> ${runs}; echo token-$(wc -l < ${runs})` }, deps);
    const [sent = {}] = await Promise.all([auth.authorize(request), auth.authorize(request)]);
    assert.deepEqual(sent, { authorization: 'Bearer token-1' });
    assert.equal(await auth.onUnauthorized(request, sent), true);
    assert.deepEqual(await auth.authorize(request), { authorization: 'Bearer token-2' });
    assert.equal(readFileSync(runs, 'utf8'), 'x\nx\n');
  });

  test('the same token again is not worth another try', async () => {
    const auth = new TokenCommandAuth({ command: 'echo same' }, deps);
    assert.equal(await auth.onUnauthorized(request, await auth.authorize(request)), false);
  });

  test('a failure is told without what the command printed', async () => {
    const auth = new TokenCommandAuth({ command: 'echo s3cret; echo s3cret >&2; exit 3' }, deps);
    const error = await authErrorOf(() => auth.authorize(request));
    assert.equal(error.code, 'token-command');
    assert.match(error.message, /exit code 3/);
    assert.ok(!error.message.includes('s3cret'));
  });

  test('a command that does not end is ended, with what it started', async () => {
    const clock = new ManualClock();
    const pid = join(folder, 'pid');
    const auth = new TokenCommandAuth(
      { command: `sh -c 'echo $$ > ${pid}; echo started; sleep 600'; true`, timeoutMs: 5_000 },
      { ...deps, clock },
    );
    const failing = authErrorOf(() => auth.authorize(request));
    const started = () => {
      try {
        return Number(readFileSync(pid, 'utf8'));
      } catch {
        return 0;
      }
    };
    while (started() === 0) await new Promise((resolve) => setImmediate(resolve));
    const child = started();
    await clock.advance(5_000);
    assert.match((await failing).message, /did not end within 5 s/);
    while (isAlive(child)) await new Promise((resolve) => setImmediate(resolve));
  });

  test('endless output is bounded', async () => {
    const auth = new TokenCommandAuth({ command: 'yes' }, deps);
    assert.match((await authErrorOf(() => auth.authorize(request))).message, /too much/);
  });
});

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
