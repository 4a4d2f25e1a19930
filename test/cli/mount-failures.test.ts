/**
 * Every way in which a mount can fail to begin: one line on stderr, its exit code, nothing on stdout, nothing mounted,
 * no cache left behind.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, test } from 'node:test';
import { run, skipUnless } from '../support/exec.js';
import { INFINIMOUNT } from '../support/mount/index.js';
import { freePort, makeCertificate, requireComponent } from '../support/servers/index.js';

let home: string;
let drive: string;
let cache: string;
let passwordFile: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'infinimount-fail-'));
  drive = join(home, 'drive');
  cache = join(home, 'cache');
  passwordFile = join(home, 'password');
  mkdirSync(drive);
  writeFileSync(passwordFile, 'pw\n', { mode: 0o600 });
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

async function serve(listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(createHttpServer(listener))}/dav/`;
}

function mountArguments(url: string): string[] {
  return [
    ...INFINIMOUNT,
    'mount',
    url,
    drive,
    '--user',
    'me',
    '--password-file',
    passwordFile,
    '--cache-dir',
    cache,
  ];
}

async function refused(url: string, code: number, line: RegExp, ...options: string[]): Promise<void> {
  const cacheBefore = existsSync(cache);
  const result = await run(
    [...mountArguments(url), '--connect-timeout', '2s', '--read-timeout', '2s', ...options],
    { timeoutMs: 60_000 },
  );
  const shown = result.stderr.split('\n').filter((text) => text.startsWith('infinimount: '));
  assert.equal(shown.length, 1, result.stderr);
  assert.match(shown[0] ?? '', line);
  assert.deepEqual([result.stdout, result.code], ['', code], result.stderr);
  assert.ok(!result.stderr.includes('    at '), 'no stack');
  assert.ok(!readFileSync('/proc/self/mounts', 'utf8').includes(drive), 'nothing is mounted');
  assert.equal(existsSync(cache), cacheBefore, 'the cache directory is as before');
}

const isRoot = process.getuid?.() === 0;
const asRoot = { skip: skipUnless(isRoot && existsSync('/dev/fuse'), 'root and /dev/fuse') };

describe('the server', asRoot, () => {
  const status = (code: number, headers: Record<string, string> = {}, body = '') =>
    serve((_request, response) => response.writeHead(code, headers).end(body));

  test('nobody listens', async () => {
    await refused(`http://127.0.0.1:${await freePort()}/`, 68, /connection refused/);
  });
  test('no such host', async () => {
    await refused('https://no-such-host.invalid/', 68, /Cannot reach/);
  });
  test('401', async () => {
    await refused(
      await status(401, { 'WWW-Authenticate': 'Basic realm="x"' }),
      77,
      /does not accept this user and password \(HTTP 401\)/,
    );
  });
  test('403', async () => {
    await refused(await status(403), 77, /\(HTTP 403\)/);
  });
  test('404', async () => {
    await refused(await status(404), 76, /there is no such folder on the server \(HTTP 404\)/);
  });
  test('a web page', async () => {
    const page = '<!doctype html><html><body>Welcome</body></html>';
    await refused(await status(200, { 'Content-Type': 'text/html' }, page), 76, /not a WebDAV folder/);
  });
  test('a web page with the status of WebDAV', async () => {
    const page = '<!doctype html><html><body>Welcome</body></html>';
    await refused(await status(207, { 'Content-Type': 'text/html' }, page), 76, /not a WebDAV folder/);
  });
  test('a redirect to another host', async () => {
    await refused(
      await status(302, { Location: 'https://other.example/' }),
      76,
      /sends on to another address/,
    );
  });
  test('503', async () => {
    await refused(await status(503), 69, /in trouble at the moment \(HTTP 503\)/);
  });
  test('a certificate that nobody vouches for, unless it is given', async (t) => {
    if (!requireComponent(t, 'openssl')) return;
    const certificate = makeCertificate();
    const port = await listen(
      createHttpsServer(certificate, (_request, response) => response.writeHead(404).end()),
    );
    await refused(`https://127.0.0.1:${port}/`, 76, /signed by nobody this machine knows .*--ca-file/);
    writeFileSync(join(home, 'ca.pem'), certificate.cert);
    await refused(`https://127.0.0.1:${port}/`, 76, /HTTP 404/, '--ca-file', join(home, 'ca.pem'));
  });
  test('http where https is expected', async () => {
    const url = (await status(404)).replace('http:', 'https:');
    await refused(url, 76, /TLS handshake failed/);
  });
});

describe('this machine', asRoot, () => {
  const anywhere = 'http://127.0.0.1:9/';

  test('no mount point', async () => {
    rmSync(drive, { recursive: true });
    await refused(anywhere, 66, /Run: mkdir -p/);
  });
  test('an occupied mount point', async () => {
    const mounted = await run(['mount', '-t', 'tmpfs', 'none', drive]);
    assert.equal(mounted.code, 0, mounted.stderr);
    try {
      const result = await run(mountArguments(anywhere));
      assert.match(result.stderr, /is mounted there already \(tmpfs\)/);
      assert.equal(result.code, 66);
    } finally {
      await run(['umount', drive]);
    }
  });
  test('a cache directory that others can enter', async () => {
    mkdirSync(cache, { mode: 0o755 });
    await refused(anywhere, 73, /Run: chmod 700/);
  });
  test('a cache directory of a newer version', async () => {
    mkdirSync(cache, { mode: 0o700 });
    writeFileSync(join(cache, 'cache.json'), JSON.stringify({ format: 'infinimount-cache', version: 99 }));
    await refused(anywhere, 65, /a newer infinimount wrote it/);
  });
  test('a cache directory in use', async () => {
    mkdirSync(cache, { mode: 0o700 });
    // flock(1) takes the very lock that a mount holds.
    const holder = spawn('flock', [join(cache, 'lock'), 'sh', '-c', 'echo held; read _'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = once(holder, 'exit');
    try {
      await once(holder.stdout, 'data');
      await refused(anywhere, 75, /another mount is using it/);
    } finally {
      holder.stdin.end();
      await ended;
    }
  });
});

describe('an ordinary user', asRoot, () => {
  test('without fusermount3', async () => {
    // An empty directory hides the program in a namespace of its own.
    const script =
      'mount -t tmpfs none /usr/local/bin && mount --bind /dev/null /usr/bin/fusermount3 && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"';
    chmodSync(home, 0o755);
    for (const path of [drive, passwordFile]) chownSync(path, 65_534, 65_534);
    const result = await run(
      ['unshare', '-m', 'sh', '-c', script, 'sh', ...mountArguments('http://127.0.0.1:9/')],
      { env: { HOME: home } },
    );
    assert.match(
      result.stderr,
      /^infinimount: Cannot mount as an ordinary user: the program fusermount3 is not installed\. Run: sudo apt-get install fuse3\n$/,
    );
    assert.equal(result.code, 71);
  });
});

describe('the kernel', asRoot, () => {
  test('without /dev/fuse', async () => {
    const script = 'mount -t tmpfs none /dev && exec "$@"';
    const result = await run([
      'unshare',
      '-m',
      'sh',
      '-c',
      script,
      'sh',
      ...mountArguments('http://127.0.0.1:9/'),
    ]);
    assert.match(
      result.stderr,
      /^infinimount: Cannot use the kernel's FUSE device "\/dev\/fuse": it is not there \(ENOENT\)\. [^\n]+\n$/,
    );
    assert.equal(result.code, 71);
  });
});
