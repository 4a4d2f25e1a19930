import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
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
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type CacheRequest, claimCache } from '../../../src/daemon/preflight/preflight-cache.js';
import { run, skipUnless, waitUntil } from '../../support/exec.js';

let home: string;
let request: CacheRequest;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'infinimount-claim-'));
  request = {
    dir: join(home, 'a', 'cache'),
    url: 'https://cloud.example/dav/',
    user: 'me',
    mountPoint: join(home, 'drive'),
  };
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const isRoot = process.getuid?.() === 0;

describe('a new cache', () => {
  test('is private and says what it is', async () => {
    const claim = await claimCache(request);
    assert.equal(claim.isNew, true);
    assert.equal(statSync(request.dir).mode & 0o777, 0o700);
    const identity: unknown = JSON.parse(readFileSync(join(request.dir, 'cache.json'), 'utf8'));
    assert.deepEqual(identity, {
      format: 'infinimount-cache',
      version: 1,
      id: claim.id,
      url: request.url,
      user: 'me',
    });
    claim.release();
  });

  test('given up before the mount was ready leaves nothing behind', async () => {
    const claim = await claimCache(request);
    mkdirSync(join(request.dir, 'state'));
    writeFileSync(join(request.dir, 'state', 'data'), 'x');
    await claim.abandon();
    assert.deepEqual(readdirSync(home), []);
  });

  test('given up in a directory that was there leaves the directory', async () => {
    mkdirSync(request.dir, { recursive: true, mode: 0o700 });
    await (await claimCache(request)).abandon();
    assert.deepEqual(readdirSync(request.dir), []);
  });
});

describe('an existing cache', () => {
  test('is found again, and stays when a later mount gives up', async () => {
    const first = await claimCache(request);
    writeFileSync(join(request.dir, 'unsent'), 'precious');
    first.release();
    const second = await claimCache(request);
    assert.deepEqual([second.isNew, second.id], [false, first.id]);
    await second.abandon();
    assert.equal(readFileSync(join(request.dir, 'unsent'), 'utf8'), 'precious');
    const third = await claimCache(request);
    third.release();
  });

  test('of a folder that has moved is taken for both addresses, and no other', async () => {
    const first = await claimCache(request);
    const moved = { ...request, url: 'https://moved.example/dav/' };
    await first.moved(moved.url);
    first.release();
    for (const known of [moved, request]) {
      const claim = await claimCache(known);
      assert.deepEqual([claim.isNew, claim.id], [false, first.id]);
      claim.release();
    }
    await assert.rejects(claimCache({ ...request, url: 'https://other.example/' }), {
      code: 'cache-foreign',
    });
    await assert.rejects(claimCache({ ...moved, user: 'you' }), { code: 'cache-foreign' });
  });

  for (const other of [{ url: 'https://other.example/' }, { user: 'you' }, { user: undefined }]) {
    test(`of another server or user is refused: ${JSON.stringify(other)}`, async () => {
      (await claimCache(request)).release();
      const before = readFileSync(join(request.dir, 'cache.json'), 'utf8');
      await assert.rejects(claimCache({ ...request, ...other }), {
        code: 'cache-foreign',
        message: /it belongs to "me" on "https:\/\/cloud\.example\/dav\/", and nothing was changed/,
      });
      assert.equal(readFileSync(join(request.dir, 'cache.json'), 'utf8'), before);
    });
  }

  test('of a newer version is refused, whatever else it says', async () => {
    (await claimCache(request)).release();
    const text = JSON.stringify({ format: 'infinimount-cache', version: 99, servers: [] });
    writeFileSync(join(request.dir, 'cache.json'), text);
    await assert.rejects(claimCache(request), {
      code: 'cache-newer',
      message: /format 99, this one knows 1/,
    });
    assert.equal(readFileSync(join(request.dir, 'cache.json'), 'utf8'), text);
  });

  for (const text of [
    '',
    '{',
    '[]',
    'null',
    '{"format":"other","version":1}',
    '{"format":"infinimount-cache","version":1}',
  ]) {
    test(`is damaged with ${JSON.stringify(text)}, and kept`, async () => {
      (await claimCache(request)).release();
      writeFileSync(join(request.dir, 'cache.json'), text);
      await assert.rejects(claimCache(request), { code: 'cache-damaged' });
      assert.equal(readFileSync(join(request.dir, 'cache.json'), 'utf8'), text);
    });
  }
});

describe('in use by another mount', () => {
  test('the same process', async () => {
    const claim = await claimCache(request);
    await assert.rejects(claimCache(request), {
      code: 'cache-busy',
      message: new RegExp(
        `another mount on "${request.mountPoint}" is using it \\(process ${process.pid}\\)`,
      ),
    });
    assert.ok(existsSync(join(request.dir, 'cache.json')), 'the holder keeps its cache');
    claim.release();
    (await claimCache(request)).release();
  });

  test('another process, until it dies, however it dies', { timeout: 60_000 }, async () => {
    const module = fileURLToPath(
      new URL('../../../src/daemon/preflight/preflight-cache.ts', import.meta.url),
    );
    const script = `import { claimCache } from ${JSON.stringify(module)};
      await claimCache(${JSON.stringify(request)}); console.log('held'); setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(holder, 'exit');
    try {
      const [line] = await once(createInterface({ input: holder.stdout }), 'line');
      assert.equal(line, 'held');
      await assert.rejects(claimCache(request), {
        code: 'cache-busy',
        message: new RegExp(`process ${holder.pid}`),
      });
    } finally {
      holder.kill('SIGKILL');
      await exited;
    }
    const claim = await claimCache(request);
    assert.equal(claim.isNew, false);
    claim.release();
  });
});

describe('the cache of a daemon that was killed', () => {
  test('is waited for', async () => {
    const first = await claimCache(request);
    const second = claimCache(request, { holder: 'dying' });
    setTimeout(() => first.release(), 100);
    (await second).release();
  });

  test('is taken where the process is dead and the kernel still works for it', async () => {
    const first = await claimCache(request);
    // A child that nobody waits for is what such a process looks like.
    const parent = spawn('sh', ['-c', 'sleep 0.05 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      const [pid] = await once(createInterface({ input: parent.stdout }), 'line');
      await waitUntil('its death', () => readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '));
      const holder = JSON.stringify({ pid: Number(pid), mountPoint: request.mountPoint });
      writeFileSync(join(request.dir, 'lock'), holder);
      const second = await claimCache(request, { holder: 'dying' });
      await assert.rejects(claimCache(request), { code: 'cache-busy' });
      second.release();
      first.release();
    } finally {
      parent.kill('SIGKILL');
    }
  });
});

describe('a directory that cannot be used', () => {
  const refused = async (code: string, message: RegExp, change: Partial<CacheRequest> = {}) => {
    await assert.rejects(claimCache({ ...request, ...change }), { name: 'UserError', code, message });
  };

  for (const mode of [0o755, 0o750, 0o701, 0o720]) {
    test(`open to others: ${mode.toString(8)}`, async () => {
      mkdirSync(request.dir, { recursive: true });
      chmodSync(request.dir, mode);
      await refused(
        'cache-exposed',
        new RegExp(`its mode is 0${mode.toString(8)}, and must be 0700\\. Run: chmod 700 ${request.dir}$`),
      );
      assert.deepEqual(readdirSync(request.dir), [], 'and left as it was');
    });
  }

  test('of another user', { skip: skipUnless(isRoot, 'root') }, async () => {
    mkdirSync(request.dir, { recursive: true, mode: 0o700 });
    chownSync(request.dir, 65_534, 65_534);
    await refused('cache-exposed', /belongs to another user \(uid 65534, you are 0\)/);
  });

  test('holding files of something else', async () => {
    mkdirSync(request.dir, { recursive: true, mode: 0o700 });
    writeFileSync(join(request.dir, 'letter.txt'), 'x');
    await refused('cache-foreign', /it is no cache of infinimount and not empty \(it holds "letter\.txt"\)/);
    assert.deepEqual(readdirSync(request.dir), ['letter.txt']);
  });

  test('a file in its place', async () => {
    writeFileSync(join(home, 'file'), '');
    await refused('cache-not-writable', /a file is in its place/, { dir: join(home, 'file') });
    await refused('cache-not-writable', /a file is in its place/, { dir: join(home, 'file', 'below') });
  });

  test('not writable', { skip: skipUnless(isRoot, 'root') }, async () => {
    // Root may write anywhere but in the kernel's own file systems.
    await refused('cache-not-writable', /Choose another with --cache-dir/, { dir: '/proc/infinimount' });
  });

  test('within the mount point, around it, or the same', async () => {
    mkdirSync(request.mountPoint);
    await refused('cache-placement', /it lies within the mount point/, {
      dir: join(request.mountPoint, 'x', 'cache'),
    });
    await refused('cache-placement', /it lies within the mount point/, { dir: request.mountPoint });
    await refused('cache-placement', /the mount point lies within it/, { dir: home });
    symlinkSync(request.mountPoint, join(home, 'link'));
    await refused('cache-placement', /it lies within the mount point/, { dir: join(home, 'link', 'cache') });
    assert.deepEqual(readdirSync(request.mountPoint), []);
    (await claimCache({ ...request, dir: join(home, 'drive-cache') })).release();
  });

  test('on a full disk', { skip: skipUnless(isRoot, 'root') }, async () => {
    const disk = join(home, 'disk');
    mkdirSync(disk);
    const mounted = await run(['mount', '-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'none', disk]);
    assert.equal(mounted.code, 0, mounted.stderr);
    try {
      await refused('cache-full', /only \d+ KiB are free on its disk\. Make room/, {
        dir: join(disk, 'cache'),
      });
      assert.deepEqual(readdirSync(disk), []);
    } finally {
      await run(['umount', disk]);
    }
  });
});
