import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { SystemClock, silentLog, UserError } from '../../../src/base/index.js';
import { ControlClient, startControlServer } from '../../../src/control/index.js';
import { run, waitUntil } from '../../support/exec.js';
import { FakeService, Served } from './parts.js';

const IS_ROOT = process.getuid?.() === 0;
const NOBODY = 65_534;

describe('the place of the socket', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'infinimount-place-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const start = (path: string) =>
    startControlServer({
      path,
      service: new FakeService(),
      problemOf: () => undefined,
      log: silentLog,
      clock: new SystemClock(),
    });

  const refuses = (path: string, message: RegExp) =>
    assert.rejects(start(path), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.equal(error.code, 'control-socket');
      assert.match(error.message, message);
      return true;
    });

  test('is private, and nothing is left of it at the end', async () => {
    const path = join(dir, 'run', 'x.sock');
    const server = await start(path);
    assert.equal(statSync(join(dir, 'run')).mode & 0o777, 0o700);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.ok(statSync(path).isSocket());
    await server.close();
    await server.close();
    assert.deepEqual(readdirSync(join(dir, 'run')), []);
  });

  test("a directory that is open to others, another user's, a link, or a file is refused and left as it is", async () => {
    const open = join(dir, 'open');
    mkdirSync(open, { mode: 0o755 });
    chmodSync(open, 0o755);
    await refuses(join(open, 'x.sock'), /mode of ".*open" is 0755, must be 0700\. Run: chmod 700 /);
    const real = join(dir, 'real');
    mkdirSync(real, { mode: 0o700 });
    symlinkSync(real, join(dir, 'link'));
    await refuses(join(dir, 'link', 'x.sock'), /is no directory/);
    await refuses('/dev/null/x.sock', /Cannot make the control socket/);
    await refuses(join(dir, 'missing', 'run', 'x.sock'), /ENOENT/);
    if (IS_ROOT) {
      const foreign = join(dir, 'foreign');
      mkdirSync(foreign, { mode: 0o700 });
      chownSync(foreign, NOBODY, NOBODY);
      await refuses(join(foreign, 'x.sock'), /is the user 65534's/);
    }
    assert.deepEqual(readdirSync(open), []);
    assert.deepEqual(readdirSync(real), []);
  });

  test('a path that is too long for a socket is told before anything is made', async () => {
    const run = join(dir, 'r'.repeat(100));
    await refuses(join(run, 'x.sock'), /has \d+ bytes, and a socket's may have 107\. .*--runtime-dir/);
    assert.ok(!existsSync(run));
    const longest = join(dir, 'r'.repeat(107 - dir.length - '//x.sock'.length), 'x.sock');
    assert.equal(Buffer.byteLength(longest), 107);
    await (await start(longest)).close();
  });

  test('of a living daemon it is not taken, of a dead one it is', async () => {
    const path = join(dir, 'run', 'x.sock');
    const script = `
      const { startControlServer } = await import(${JSON.stringify(new URL('../../../src/control/index.ts', import.meta.url).href)});
      const { SystemClock, silentLog } = await import(${JSON.stringify(new URL('../../../src/base/index.ts', import.meta.url).href)});
      await startControlServer({ path: process.argv[1], service: {}, problemOf: () => undefined, log: silentLog, clock: new SystemClock() });
      console.log('up');
    `;
    const args = ['--import', 'tsx', '--input-type=module', '-e', script, path];
    const daemon = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      let said = '';
      daemon.stdout.on('data', (chunk) => {
        said += String(chunk);
      });
      await waitUntil('the daemon', () => said.includes('up'));
      await refuses(path, /another mount there is alive/);
      // The refusal took nothing away from it.
      assert.ok(existsSync(path));
    } finally {
      daemon.kill('SIGKILL');
      await new Promise((resolve) => daemon.once('exit', resolve));
    }
    assert.ok(existsSync(path));
    const next = await start(path);
    assert.deepEqual(await new ControlClient({ socketPath: path }).call('pause', {}), { paused: true });
    await next.close();
    assert.deepEqual(readdirSync(join(dir, 'run')), []);
  });
});

describe('another user', { skip: IS_ROOT ? false : 'only root can be another user' }, () => {
  /** Sends `request` as the user nobody; gives back what came. */
  const askAsNobody = async (path: string, request: string) => {
    const script = `
      process.setgroups([]); process.setgid(${NOBODY}); process.setuid(${NOBODY});
      const socket = require('node:net').connect(${JSON.stringify(path)});
      socket.on('connect', () => socket.write(${JSON.stringify(request)}));
      socket.on('data', (chunk) => process.stdout.write(chunk));
      socket.on('error', (error) => { console.log(error.code); process.exit(0); });
      socket.on('end', () => process.exit(0));
    `;
    const { stdout, stderr } = await run([process.execPath, '-e', script]);
    assert.equal(stderr, '');
    return stdout;
  };
  const STATUS_REQUEST = 'GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';

  test('cannot connect; where the modes let it, it is refused by its identity', async () => {
    await using served = await Served.start();
    assert.match(await askAsNobody(served.path, STATUS_REQUEST), /^EACCES/);
    chmodSync(served.dir, 0o755);
    chmodSync(join(served.dir, 'run'), 0o755);
    assert.match(await askAsNobody(served.path, STATUS_REQUEST), /^EACCES/);
    chmodSync(served.path, 0o666);
    const answer = await askAsNobody(served.path, STATUS_REQUEST);
    assert.match(answer, /^HTTP\/1\.1 403 /);
    assert.match(answer, /another-user/);
    assert.deepEqual(served.service.calls, []);
    assert.equal(served.lines[0]?.message, 'a control connection of another user was refused');
    assert.equal((await served.client().call('status', {})).pid, 7);
  });

  test("a client does not talk to a socket that is another user's", async () => {
    await using served = await Served.start();
    chmodSync(served.dir, 0o755);
    chmodSync(join(served.dir, 'run'), 0o755);
    chmodSync(served.path, 0o666);
    chownSync(join(served.dir, 'run'), 1234, 1234);
    const clientModule = new URL('../../../src/control/index.ts', import.meta.url).href;
    const script = `
      const { ControlClient } = await import(${JSON.stringify(clientModule)});
      process.setgroups([]); process.setgid(${NOBODY}); process.setuid(${NOBODY});
      const client = new ControlClient({ socketPath: ${JSON.stringify(served.path)} });
      await client.call('rotate', { password: 's3cret' }).catch((error) => console.log(error.code));
    `;
    const { stdout } = await run([process.execPath, '--import', 'tsx', '--input-type=module', '-e', script]);
    assert.equal(stdout.trim(), 'untrusted');
    assert.deepEqual(served.service.calls, []);
  });
});
