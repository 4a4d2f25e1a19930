/** No secret shows anywhere: arguments, environment, `ps`, the log at its most talkative, messages, `config show`, a crash. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { clientOf, socketOf } from '../control/setup.js';
import {
  assertNoSecret,
  byKey,
  Home,
  SKIP_CLOUD,
  SKIP_CLOUD_MOUNT,
  serverHas,
} from '../infinicloud/setup.js';
import { run, runOk } from '../support/exec.js';
import { type InfiniCloud, startInfiniCloud } from '../support/infinicloud/index.js';
import { INFINIMOUNT, type MountedDrive } from '../support/mount/index.js';

describe('secrets', { skip: SKIP_CLOUD, timeout: 300_000 }, () => {
  let cloud: InfiniCloud;
  before(async () => {
    cloud = await startInfiniCloud();
  });
  after(() => cloud.stop());

  /** The password alone, and as BASIC carries it. */
  const secretsOf = (password = cloud.password) => [
    password,
    Buffer.from(`${cloud.user}:${password}`).toString('base64'),
    cloud.apiKey,
    cloud.serviceClient.secret,
  ];

  test('login and its failures', async () => {
    using home = new Home();
    const base = ['login', 'cloud', '--user', cloud.user, '--password-stdin', '--ca-file', cloud.caFile];
    const trace = ['--log-level', 'trace'];
    const good = await home.command([...base, ...byKey(home, cloud), ...trace], `${cloud.password}\n`);
    assert.equal(good.code, 0, good.stderr);
    assertNoSecret(good.stdout + good.stderr, secretsOf());
    const wrong = 'Wr0ng-pass-phrase';
    for (const args of [['--url', cloud.davUrl], byKey(home, cloud), ['--url', cloud.v2DavUrl]]) {
      const bad = await home.command([...base, ...args, ...trace], `${wrong}\n`);
      assert.notEqual(bad.code, 0);
      assertNoSecret(bad.stdout + bad.stderr, secretsOf(wrong));
    }
    // The profile that worked is still there, and what failed is not.
    assert.ok(home.readConfig().includes(cloud.password) && !home.readConfig().includes(wrong));
  });

  test('config show, config check, doctor', async () => {
    using home = new Home();
    assert.equal((await home.login(cloud, byKey(home, cloud))).code, 0);
    const text = home.readConfig();
    const inFile = text.replace(/^password-file = .*$/m, `password = ${JSON.stringify(cloud.password)}`);
    assert.notEqual(inFile, text);
    const outputs: string[] = [];
    const shown = async (...args: string[]) => {
      const { stdout, stderr } = await home.command(args);
      assert.notEqual(stdout + stderr, '');
      outputs.push(stdout, stderr);
    };
    for (const config of [
      inFile,
      // Faults in and around the very lines of the secrets.
      inFile.replace(/^password = "(.*)"$/m, 'password = $1'),
      inFile.replace(/^password = "(.*)"$/m, 'passwort = "$1"'),
      inFile.replace(/^password = "(.*)"$/m, 'password = ["$1"]'),
      inFile.replace(/^password = "(.*)"$/m, 'password = "$1"\npassword = "$1"'),
      inFile.replace(/^password = /m, 'password-file = "/x"\npassword = '),
      `${inFile}api-key = "${cloud.apiKey.toLowerCase()}"\n`,
    ]) {
      home.writeConfig(config);
      await shown('config', 'show');
      await shown('config', 'show', '--json');
      await shown('config', 'check');
      await shown('doctor', 'cloud', '--no-throughput');
    }
    assertNoSecret(outputs.join('\n'), [...secretsOf(), cloud.apiKey.toLowerCase()]);
  });

  for (const kind of ['basic', 'oauth2'] as const) {
    test(`a mount that logs everything: ${kind}`, { skip: SKIP_CLOUD_MOUNT }, async () => {
      using home = new Home();
      const client = home.secretFile('client', cloud.serviceClient.secret);
      const login =
        kind === 'basic'
          ? await home.login(cloud, byKey(home, cloud))
          : await home.command([
              ...['login', 'cloud', '--url', cloud.v2DavUrl, '--auth', 'oauth2', '--issuer', cloud.issuer],
              ...['--client-id', cloud.serviceClient.id, '--client-secret-file', client],
              ...['--grant', 'client-credentials', '--ca-file', cloud.caFile],
            ]);
      assert.equal(login.code, 0, login.stderr);
      const tokens = tokensOf(home);
      assert.equal(tokens.length > 0, kind === 'oauth2');
      const secrets = [...secretsOf(), ...tokens];
      await using drive = await home.mount('cloud', ['--log-level', 'trace', '--debug-fuse']);
      await drive.fs.writeFile(drive.at(`file-${kind}`), 'content');
      await serverHas(cloud, `file-${kind}`, 'content');
      assertNoSecret(await runOk(['ps', '-eo', 'args']), secrets);
      for (const file of ['cmdline', 'environ']) {
        const text = readFileSync(`/proc/${drive.pid}/${file}`, 'utf8');
        assert.notEqual(text, '');
        assertNoSecret(text, secrets);
      }
      if (kind === 'basic') {
        // A refusal is the moment when a log says most of what was sent.
        cloud.renewPassword({ acceptAfterMs: 60_000 });
        await drive.fs.writeFile(drive.at('refused'), 'content');
        await drive.fs.readFile(drive.at('refused'));
        assertNoSecret(await toldBySocket(drive, secrets), secrets);
        cloud.acceptPassword();
      }
      assertNoSecret(await toldBySocket(drive, secrets), secrets);
      await drive.unmount();
      assert.match(drive.stderr, /"level":"debug"/);
      assertNoSecret(drive.stdout + drive.stderr, secrets);
    });
  }

  test('a crash with the options at hand', async () => {
    using home = new Home();
    assert.equal((await home.login(cloud, byKey(home, cloud))).code, 0);
    const program = INFINIMOUNT[1] ?? '';
    const module = pathToFileURL(join(dirname(program), '../dist/program/config.js')).href;
    const script = `
      const { resolveMount } = await import(${JSON.stringify(module)});
      const request = { profile: 'cloud', directory: '/x', configFile: process.argv[1], flags: {} };
      const { mount } = await resolveMount(request, { environment: process.env, workingDirectory: '/' });
      throw Object.assign(new Error(\`broken by \${mount.credentials.password}\`), { mount });
    `;
    const crashed = await run([process.execPath, '--input-type=module', '-e', script, home.configFile], {
      env: home.env,
    });
    assert.notEqual(crashed.code, 0);
    assert.match(crashed.stderr, /broken by \[redacted\]/);
    assert.match(crashed.stderr, /credentials/);
    assertNoSecret(crashed.stderr, secretsOf());
  });
});

/** All that the control socket tells: of the mount, and in answer to requests that carry secrets and are refused. */
async function toldBySocket(drive: MountedDrive, secrets: readonly string[]): Promise<string> {
  const client = clientOf(drive);
  const told: unknown[] = [];
  for (const route of ['status', 'queue', 'pins', 'conflicts', 'cache'] as const) {
    told.push(await client.call(route, {}));
  }
  const metrics = await client.call('metrics', {});
  assert.match(metrics, /^infinimount_http_requests_total/m);
  told.push(metrics);
  for await (const event of client.events()) {
    told.push(event);
    break;
  }
  const asJson = ['-X', 'POST', '-H', 'content-type: application/json'];
  for (const secret of [...secrets, 'Wr0ng-pass-phrase']) {
    const body = JSON.stringify(secret);
    for (const [path, ...args] of [
      // An API key that is none: refused before any server is asked.
      ['/v1/rotate', ...asJson, '-d', `{"apiKey":${body},"password":${body}}`],
      ['/v1/rotate', ...asJson, '-d', `{"passwort":${body}}`],
      ['/v1/rotate', ...asJson, '-d', `{"password":[${body}]}`],
      ['/v1/rotate', ...asJson, '-d', body],
      ['/v1/rotate', ...asJson, '-d', `{"password":${body}`],
      ['/v1/remount', ...asJson, '-d', `{"options":{"password":${body}}}`],
      ['/v1/rotate', '-d', `password=${encodeURIComponent(secret)}`],
    ] as const) {
      const answer = await runOk([
        ...['curl', '-sS', '--unix-socket', socketOf(drive), `http://localhost${path}`, ...args],
      ]);
      assert.match(answer, /"status":4\d\d/);
      assert.ok(!answer.includes(secret), answer);
      told.push(answer);
    }
  }
  return told.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n');
}

/** The values in the files of tokens that look like tokens. */
function tokensOf(home: Home): string[] {
  const folder = home.at('state', 'infinimount', 'tokens');
  let files: string[];
  try {
    files = readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch {
    // No login with OAuth2.
    return [];
  }
  return files.flatMap((name) =>
    [...readFileSync(join(folder, name), 'utf8').matchAll(/"([\w.~+/-]{24,})"/g)].map(
      ([, token = '']) => token,
    ),
  );
}
