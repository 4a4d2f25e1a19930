import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { UserError } from '../../../src/base/index.js';
import { type LoginRequest, type LoginWorld, runLogin } from '../../../src/cli/login-command.js';
import type { ServerOptions } from '../../../src/config/index.js';

const home = mkdtempSync(join(tmpdir(), 'infinimount-login-'));
after(() => rmSync(home, { recursive: true, force: true }));

const API_KEY = '0123456789ABCDEF0123456789ABCDEF';

interface Trial {
  readonly configFile: string;
  readonly questions: string[];
  readonly proved: ServerOptions[];
  readonly undone: string[];
  run(request?: Partial<LoginRequest>): Promise<number>;
  config(): string;
}

/** A login with answers typed in order; `refuse`: what the server says to the proof. */
function trial(answers: readonly string[] | undefined, refuse?: UserError, stdin = 'piped'): Trial {
  const configFile = join(mkdtempSync(join(home, 'trial-')), 'config.toml');
  const questions: string[] = [];
  const proved: ServerOptions[] = [];
  const undone: string[] = [];
  const left = [...(answers ?? [])];
  const ask = async (question: string) => {
    questions.push(question);
    const answer = left.shift();
    assert.ok(answer !== undefined, `nobody expects: ${question}`);
    return answer;
  };
  const world: LoginWorld = {
    environment: { HOME: home, INFINIMOUNT_USER: 'of the environment' },
    workingDirectory: home,
    prompt: answers === undefined ? undefined : { ask, askHidden: ask },
    readStdin: async () => stdin,
    daemon: async () => ({
      findNode: async ({ key, user, password }) => {
        assert.deepEqual([key.reveal(), user, password.reveal()], [API_KEY, 'me', 'pw']);
        const node = 'n7.example';
        return { user, node, webdavUrl: `https://${node}/dav/`, capacityBytes: undefined };
      },
      proveServer: async (server) => {
        proved.push(server);
        assert.ok(!existsSync(configFile) || !readFileSync(configFile, 'utf8').includes('pw'));
        if (refuse !== undefined) throw refuse;
      },
      logInWithOAuth2: async (login, { refreshToken }) => {
        undone.push(`got ${login.grant} ${refreshToken?.reveal() ?? ''}`);
        return async () => {
          undone.push('undone');
        };
      },
    }),
  };
  const nothing = { profile: 'home', url: undefined, node: undefined, apiKey: undefined, stdin: undefined };
  return {
    configFile,
    questions,
    proved,
    undone,
    run: (request = {}) => runLogin({ ...nothing, configFile, flags: {}, ...request }, world),
    config: () => readFileSync(configFile, 'utf8'),
  };
}

describe('login on a terminal', () => {
  test('asks for everything, proves it, writes it', async () => {
    const { run, questions, config, proved } = trial(['', 'https://n1.example/dav', 'me', 'pw']);
    assert.equal(await run({ profile: undefined }), 0);
    assert.deepEqual(questions, [
      'Name of the profile [infinicloud]: ',
      'WebDAV URL, as MyPage shows it (leave it empty to use an API key): ',
      'User ID: ',
      'Apps password (MyPage, "Apps Connection"): ',
    ]);
    assert.equal(
      config(),
      '[profile.infinicloud]\nurl = "https://n1.example/dav/"\nuser = "me"\npassword = "pw"\n',
    );
    assert.equal(proved[0]?.url, 'https://n1.example/dav/');
  });

  test('an API key finds the node, which is kept', async () => {
    const { run, config, proved } = trial(['', API_KEY, 'me', 'pw']);
    await run();
    assert.match(config(), /^node = "n7\.example"$/m);
    assert.equal(proved[0]?.url, 'https://n7.example/dav/');
  });

  test('a renewed password: only that is asked for, and the file stays as it is', async () => {
    const { run, config, configFile, questions } = trial(['new']);
    const before =
      '# mine\n[profile.home]\nurl = "https://h/" # here\nuser = "me"\npassword = "old" # apps\n';
    writeFileSync(configFile, before, { mode: 0o600 });
    await run();
    assert.equal(questions.length, 1);
    assert.equal(config(), before.replace('"old"', '"new"'));
  });
});

describe('login in a script', () => {
  test('flags and stdin; what the environment says is not kept', async () => {
    const { run, config } = trial(undefined, undefined, 'pw');
    await run({ apiKey: API_KEY, stdin: 'password', flags: { user: 'me', 'cache-size': '5G' } });
    assert.equal(
      config(),
      `[profile.home]\nnode = "n7.example"\nuser = "me"\npassword = "pw"\napi-key = "${API_KEY}"\ncache-size = "5G"\n`,
    );
  });

  test('what is missing is named with its flag', async () => {
    const missing = (request: Partial<LoginRequest>, message: RegExp) =>
      assert.rejects(trial(undefined).run(request), { code: 'usage', message });
    await missing({}, /--url URL .* or --api-key KEY/);
    await missing({ url: 'https://h/' }, /no user was given.*--user ID/);
    await missing({ url: 'https://h/', flags: { user: 'me' } }, /--password-stdin or --password-file FILE/);
    await missing({ url: 'https://h/', node: 'h' }, /Cannot use --node: it says the same as --url/);
    await missing({ apiKey: 'x' }, /--api-key: it must be 32 hexadecimal digits in upper case/);
    await missing({ profile: 'a b' }, /as the name of a profile/);
  });

  test('what the server refuses is not written', async () => {
    const refusal = new UserError('unauthorized', 'Cannot log in: no');
    const { run, configFile } = trial(undefined, refusal, 'pw');
    await assert.rejects(run({ url: 'https://h/', stdin: 'password', flags: { user: 'me' } }), refusal);
    assert.ok(!existsSync(configFile));
  });

  const oauth2 = { auth: 'oauth2', issuer: 'https://i.example', 'client-id': 'c', grant: 'refresh-token' };

  test('OAuth2: the tokens are got, then proved, then the profile is written without them', async () => {
    const { run, config, undone, proved } = trial(undefined, undefined, 'r3fresh');
    await run({ url: 'https://h/v2/dav/', stdin: 'refresh-token', flags: oauth2 });
    assert.deepEqual(undone, ['got refresh-token r3fresh']);
    assert.equal(proved[0]?.credentials?.kind, 'oauth2');
    assert.ok(!config().includes('r3fresh'));
    assert.match(config(), /\[profile\.home\.oauth2\]\nissuer = "https:\/\/i\.example"\nclient-id = "c"/);
  });

  test('OAuth2: tokens that do not work are given back', async () => {
    const refusal = new UserError('unauthorized', 'Cannot log in: no');
    const { run, undone } = trial(undefined, refusal, 'r3fresh');
    await assert.rejects(run({ url: 'https://h/v2/dav/', stdin: 'refresh-token', flags: oauth2 }), refusal);
    assert.deepEqual(undone, ['got refresh-token r3fresh', 'undone']);
  });

  test('from OAuth2 back to BASIC: what belongs to the other goes', async () => {
    const { run, config, configFile } = trial(undefined, undefined, 'pw');
    const before =
      '[profile.home]\nurl = "https://h/v2/dav/"\nauth = "oauth2"\n\n[profile.home.oauth2]\nissuer = "https://i"\nclient-id = "c"\n';
    writeFileSync(configFile, before, { mode: 0o600 });
    await run({ url: 'https://h/dav/', stdin: 'password', flags: { auth: 'basic', user: 'me' } });
    assert.match(config(), /url = "https:\/\/h\/dav\/"\nauth = "basic"/);
    assert.ok(!config().includes('client-id') && !config().includes('issuer'));
  });
});
